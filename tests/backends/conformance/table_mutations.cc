#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/backends/conformance/mutations.h"

namespace eddl {
namespace {

const eddl_backend& Inner() { return MutantBackend::Inner(); }

eddl_code (*mutant_prepare)(eddl_device*, const eddl_op_desc*, eddl_op**, eddl_op_info*, eddl_error*) = nullptr;

// Replaces op_prepare by a function that may call MutantBackend's own.
template <typename Function>
std::function<void(eddl_backend&)> Preparing(Function function) {
  return [=](eddl_backend& table) {
    mutant_prepare = table.op_prepare;
    table.op_prepare = function;
  };
}

eddl_code RefuseDryRuns(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                        eddl_error* error) {
  if (op != nullptr) return mutant_prepare(device, desc, op, info, error);
  error->code = EDDL_UNIMPLEMENTED;
  std::strcpy(error->message, "not in a dry run");
  return EDDL_UNIMPLEMENTED;
}

eddl_code PromiseLessInDryRuns(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                               eddl_error* error) {
  const eddl_code code = mutant_prepare(device, desc, op, info, error);
  if (op != nullptr && code == EDDL_OK) info->workspace_bytes += 64;
  return code;
}

eddl_code RefuseWithoutAWord(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                             eddl_error* error) {
  const eddl_code code = mutant_prepare(device, desc, op, info, error);
  if (code != EDDL_OK && error != nullptr) error->message[0] = '\0';
  return code;
}

eddl_code WriteAnotherCode(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                           eddl_error* error) {
  const eddl_code code = mutant_prepare(device, desc, op, info, error);
  if (code != EDDL_OK && error != nullptr) error->code = EDDL_INTERNAL;
  return code;
}

eddl_code TakeBlameInternally(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                              eddl_error* error) {
  const eddl_code code = mutant_prepare(device, desc, op, info, error);
  if (code == EDDL_OK) return code;
  if (error != nullptr) error->code = EDDL_INTERNAL;
  return EDDL_INTERNAL;
}

// Reads outputs from where the bytes were before: the state of pooling lost between forward and gradient.
eddl_code ForgetState(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error);
eddl_code (*mutant_enqueue)(eddl_queue*, eddl_op*, const eddl_op_args*, eddl_error*) = nullptr;

eddl_code ForgetState(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error) {
  const eddl_code code = mutant_enqueue(queue, op, args, error);
  if (args->state.buffer != nullptr) {
    auto* const state =
        static_cast<std::byte*>(Inner().buffer_host_pointer(args->state.buffer)) + args->state.offset_bytes;
    state[0] ^= std::byte{1};
  }
  return code;
}

eddl_code CopyFromTheBeginning(eddl_queue* queue, const eddl_buffer* source, uint64_t, eddl_buffer* target,
                               uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error) {
  return Inner().copy(queue, source, 0, target, target_offset_bytes, size_bytes, error);
}

eddl_code ReadFromTheBeginning(eddl_queue* queue, const eddl_buffer* source, uint64_t, void* target,
                               uint64_t size_bytes, eddl_error* error) {
  return Inner().read(queue, source, 0, target, size_bytes, error);
}

eddl_code WriteAligned(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* source,
                       uint64_t size_bytes, eddl_error* error) {
  return Inner().write(queue, target, offset_bytes / 4 * 4, source, size_bytes, error);
}

eddl_code FillWithOneByte(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* pattern, uint64_t,
                          uint64_t size_bytes, eddl_error* error) {
  return Inner().fill(queue, target, offset_bytes, pattern, 1, size_bytes, error);
}

eddl_code OpenWithoutLimit(uint32_t index, const eddl_device_options* options, eddl_device** device,
                           eddl_error* error) {
  eddl_device_options unlimited = *options;
  unlimited.memory_limit_bytes = 0;
  return Inner().device_open(index, &unlimited, device, error);
}

eddl_code OpenAnything(uint32_t, const eddl_device_options* options, eddl_device** device, eddl_error* error) {
  return Inner().device_open(0, options, device, error);
}

// As a backend does that insists on its own version of a record.
eddl_code InfoOfThisVersionOnly(uint32_t index, eddl_device_info* info, eddl_error* error) {
  if (info->struct_size == sizeof(*info)) return Inner().device_info(index, info, error);
  error->code = EDDL_INVALID_ARGUMENT;
  std::strcpy(error->message, "struct_size");
  return EDDL_INVALID_ARGUMENT;
}

// Writes what the record of a newer caller has beyond the known fields.
eddl_code InfoToTheEnd(uint32_t index, eddl_device_info* info, eddl_error* error) {
  const uint32_t size_bytes = info->struct_size;
  const eddl_code code = Inner().device_info(index, info, error);
  if (size_bytes > sizeof(*info))
    std::memset(reinterpret_cast<char*>(info) + sizeof(*info), 1, size_bytes - sizeof(*info));
  return code;
}

eddl_code CreateButNotEmpty(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer,
                            eddl_error* error) {
  if (size_bytes > 0) return Inner().buffer_create(device, size_bytes, kind, buffer, error);
  error->code = EDDL_INVALID_ARGUMENT;
  std::strcpy(error->message, "a buffer of 0 bytes");
  return EDDL_INVALID_ARGUMENT;
}

// A copy of the caller's bytes, where the caller wants to see the backend's writes.
eddl_code ImportACopy(eddl_device* device, void* data, uint64_t size_bytes, eddl_buffer** buffer, eddl_error* error) {
  const eddl_code code = Inner().buffer_create(device, size_bytes, EDDL_BUFFER_DEVICE, buffer, error);
  if (code == EDDL_OK) std::memcpy(Inner().buffer_host_pointer(*buffer), data, size_bytes);
  return code;
}

}  // namespace

std::vector<Mutation> TableMutations() {
  return {
      {.name = "refuses_dry_runs", .filter = "relu/", .table = Preparing(RefuseDryRuns)},
      {.name = "promises_less_in_dry_runs", .filter = "relu/", .table = Preparing(PromiseLessInDryRuns)},
      {.name = "refuses_without_a_word", .filter = "wrong descriptions/matmul", .table = Preparing(RefuseWithoutAWord)},
      {.name = "writes_another_code", .filter = "wrong descriptions/matmul", .table = Preparing(WriteAnotherCode)},
      {.name = "takes_blame_internally",
       .filter = "wrong descriptions/unknown",
       .table = Preparing(TakeBlameInternally)},
      {.name = "loses_its_state",
       .filter = "max_pool2d_grad",
       .table =
           [](eddl_backend& table) {
             mutant_enqueue = table.op_enqueue;
             table.op_enqueue = ForgetState;
           }},
      {.name = "copies_from_the_beginning",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.copy = CopyFromTheBeginning; }},
      {.name = "reads_from_the_beginning",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.read = ReadFromTheBeginning; }},
      {.name = "writes_aligned",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.write = WriteAligned; }},
      {.name = "fills_with_one_byte",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.fill = FillWithOneByte; }},
      {.name = "opens_without_limit",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.device_open = OpenWithoutLimit; }},
      {.name = "opens_anything",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.device_open = OpenAnything; }},
      {.name = "insists_on_its_own_version",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.device_info = InfoOfThisVersionOnly; }},
      {.name = "describes_more_than_it_knows",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.device_info = InfoToTheEnd; }},
      {.name = "has_no_empty_buffers",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.buffer_create = CreateButNotEmpty; }},
      {.name = "imports_a_copy",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.buffer_import = ImportACopy; }},
      {.name = "has_half_of_the_events",
       .filter = "interface",
       .table = [](eddl_backend& table) { table.event_wait = nullptr; }},
  };
}

}  // namespace eddl
