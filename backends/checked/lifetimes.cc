// Checker: making and destroying devices, buffers, queues and ops, and the backend's answers about them.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "backends/checked/checker.h"

namespace eddl {

void AbortOnViolation(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::fflush(stderr);
  std::abort();
}

namespace checked {
namespace {

constexpr uint64_t kAlignmentMax = 4096;

template <size_t kSize>
bool IsText(const char (&text)[kSize]) {
  return text[0] != '\0' && std::find(text, text + kSize, '\0') != text + kSize;
}

// What a caller's struct has room for; its struct_size stays.
template <typename T>
void CopyOut(const T& from, T* to) {
  const uint32_t size = to->struct_size;
  std::memcpy(to, &from, std::min<size_t>(size, sizeof(T)));
  to->struct_size = size;
}

// What is wrong with a backend's description of a device; empty if nothing.
std::string FaultOf(const eddl_device_info& info) {
  if (!std::has_single_bit(info.alignment_bytes) || info.alignment_bytes > kAlignmentMax) {
    return Text("reports an alignment of ", info.alignment_bytes, " bytes; a power of two up to ", kAlignmentMax);
  }
  if (!IsText(info.name)) return "reports a device name that is empty or not terminated";
  if (info.dtype_mask == 0) return "reports a device without dtypes";
  if (info.memory_free_bytes > info.memory_total_bytes) {
    return Text("reports ", info.memory_free_bytes, " free bytes of ", info.memory_total_bytes);
  }
  return "";
}

std::string FaultOf(const eddl_op_info& info, const OpTraits* traits) {
  if (!IsText(info.implementation)) return "gives an implementation name that is empty or not terminated";
  if (info.state_bytes > 0 && traits != nullptr && traits->state != OpState::kLeaves) {
    return Text("wants ", info.state_bytes, " bytes of state for ", traits->name, ", which leaves none");
  }
  return "";
}

}  // namespace

Checker::Checker(const eddl_backend& inner, ViolationHandler handler) : inner_(inner), handler_(std::move(handler)) {}

void Checker::Report(const char* slot, const Violation& violation) const {
  handler_(Text("checked: ", slot, ": ", violation.text));
}

// ---- Devices ----

eddl_code Checker::DeviceCount(uint32_t* count, eddl_error* error) {
  Answer answer("device_count", error);
  if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
  if (count == nullptr) return answer.Refuse(Invalid("count is NULL"));
  *count = 0;
  const eddl_code code = answer.Pass(inner_.device_count(count, answer.record()));
  if (code == EDDL_OK && *count == 0) return answer.Blame("has no devices but returned EDDL_OK");
  return code;
}

eddl_code Checker::DeviceInfo(uint32_t index, eddl_device_info* info, eddl_error* error) {
  Answer answer("device_info", error);
  if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
  if (Verdict verdict = CheckSize(info, "info")) return answer.Refuse(*verdict);
  eddl_device_info found = {.struct_size = sizeof(found)};
  const eddl_code code = answer.Pass(inner_.device_info(index, &found, answer.record()));
  if (code != EDDL_OK) return code;
  if (const std::string fault = FaultOf(found); !fault.empty()) return answer.Blame(fault);
  CopyOut(found, info);
  return EDDL_OK;
}

eddl_code Checker::DeviceOpen(uint32_t index, const eddl_device_options* options, eddl_device** device,
                              eddl_error* error) {
  Answer answer("device_open", error);
  if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
  if (Verdict verdict = CheckSize(options, "options")) return answer.Refuse(*verdict);
  if (device == nullptr) return answer.Refuse(Invalid("device is NULL"));
  eddl_device_info info = {.struct_size = sizeof(info)};
  if (const eddl_code code = answer.Pass(inner_.device_info(index, &info, answer.record())); code != EDDL_OK) {
    return code;
  }
  if (const std::string fault = FaultOf(info); !fault.empty()) return answer.Blame(fault);
  eddl_device* inner = nullptr;
  if (const eddl_code code = answer.Pass(inner_.device_open(index, options, &inner, answer.record()));
      code != EDDL_OK) {
    return code;
  }
  if (inner == nullptr) return answer.Blame("returned EDDL_OK but no device");
  std::lock_guard lock(mutex_);
  *device = devices_.Add(
      {.inner = inner, .alignment_bytes = info.alignment_bytes, .profile = (options->flags & EDDL_OPEN_PROFILE) != 0});
  return EDDL_OK;
}

void Checker::DeviceClose(eddl_device* device) {
  Verdict verdict;
  DeviceEntry* entry = nullptr;
  eddl_device* inner = nullptr;
  {
    std::lock_guard lock(mutex_);
    verdict = devices_.Find(device, &entry);
    const Serial serial = devices_.SerialOf(device);
    const uint64_t buffers = buffers_.CountOf(serial), queues = queues_.CountOf(serial);
    const uint64_t ops = ops_.CountOf(serial), events = events_.CountOf(serial);
    const uint64_t groups = groups_.CountIf([serial](const GroupEntry& group) {
      return std::find(group.devices.begin(), group.devices.end(), serial) != group.devices.end();
    });
    if (!verdict && buffers + queues + ops + events + groups > 0) {
      verdict = Misused("device #", serial, " is closed, but of it are not destroyed: ", buffers, " buffers, ", queues,
                        " queues, ", ops, " ops, ", events, " events");
      if (groups > 0) verdict->text += Text("; and it is in ", groups, " groups");
    }
    if (!verdict) {
      inner = entry->inner;
      devices_.Remove(device);
    }
  }
  if (verdict) return Report("device_close", *verdict);
  inner_.device_close(inner);
}

// ---- Buffers ----

eddl_code Checker::BufferCreate(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer,
                                eddl_error* error) {
  Answer answer("buffer_create", error);
  DeviceEntry* entry = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (Verdict verdict = devices_.Find(device, &entry)) return answer.Refuse(*verdict);
    if (kind > EDDL_BUFFER_HOST_PINNED) return answer.Refuse(Invalid("unknown buffer kind ", kind));
    if (buffer == nullptr) return answer.Refuse(Invalid("buffer is NULL"));
  }
  eddl_buffer* inner = nullptr;
  const eddl_code code = answer.Pass(inner_.buffer_create(entry->inner, size_bytes, kind, &inner, answer.record()));
  return code == EDDL_OK ? KeepBuffer(answer, device, inner, size_bytes, 0, buffer) : code;
}

eddl_code Checker::BufferImport(eddl_device* device, void* data, uint64_t size_bytes, eddl_buffer** buffer,
                                eddl_error* error) {
  Answer answer("buffer_import", error);
  DeviceEntry* entry = nullptr;
  const auto address = reinterpret_cast<uintptr_t>(data);
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (Verdict verdict = devices_.Find(device, &entry)) return answer.Refuse(*verdict);
    if (data == nullptr && size_bytes > 0) return answer.Refuse(Invalid("data is NULL for ", size_bytes, " bytes"));
    if (address % entry->alignment_bytes != 0) {
      return answer.Refuse(Invalid("data ", data, " is not aligned to ", entry->alignment_bytes, " bytes"));
    }
    if (buffer == nullptr) return answer.Refuse(Invalid("buffer is NULL"));
  }
  eddl_buffer* inner = nullptr;
  const eddl_code code = answer.Pass(inner_.buffer_import(entry->inner, data, size_bytes, &inner, answer.record()));
  return code == EDDL_OK ? KeepBuffer(answer, device, inner, size_bytes, address, buffer) : code;
}

eddl_code Checker::KeepBuffer(Answer& answer, eddl_device* device, eddl_buffer* inner, uint64_t size_bytes,
                              uint64_t imported_address, eddl_buffer** buffer) {
  if (inner == nullptr) return answer.Blame("returned EDDL_OK but no buffer");
  uint64_t address = imported_address;
  if (inner_.buffer_host_pointer != nullptr && size_bytes > 0) {
    const auto visible = reinterpret_cast<uintptr_t>(inner_.buffer_host_pointer(inner));
    if (visible != 0) address = visible;
  }
  std::lock_guard lock(mutex_);
  DeviceEntry* entry = nullptr;
  if (Verdict verdict = devices_.Find(device, &entry)) return answer.Refuse(*verdict);
  if (address % entry->alignment_bytes != 0) {
    inner_.buffer_destroy(inner);
    return answer.Blame(Text("made a buffer whose host pointer is not aligned to ", entry->alignment_bytes, " bytes"));
  }
  *buffer = buffers_.Add(
      {.inner = inner, .device = devices_.SerialOf(device), .size_bytes = size_bytes, .host_address = address});
  return EDDL_OK;
}

void Checker::BufferDestroy(eddl_buffer* buffer) {
  Verdict verdict;
  BufferEntry* entry = nullptr;
  eddl_buffer* inner = nullptr;
  {
    std::lock_guard lock(mutex_);
    verdict = buffers_.Find(buffer, &entry);
    for (size_t i = 0; !verdict && i < entry->uses.size(); ++i) {
      if (IsDone(entry->uses[i])) continue;
      verdict = Misused("buffer #", buffers_.SerialOf(buffer), " is destroyed, but work of queue #",
                        entry->uses[i].queue, " may still use it; wait for the queue first");
    }
    if (!verdict) {
      inner = entry->inner;
      Overwrite(entry->device, RangeOf(buffer, *entry, 0, entry->size_bytes));
      buffers_.Remove(buffer);
    }
  }
  if (verdict) return Report("buffer_destroy", *verdict);
  inner_.buffer_destroy(inner);
}

void* Checker::BufferHostPointer(eddl_buffer* buffer) {
  Verdict verdict;
  BufferEntry* entry = nullptr;
  {
    std::lock_guard lock(mutex_);
    verdict = buffers_.Find(buffer, &entry);
  }
  if (!verdict) return inner_.buffer_host_pointer(entry->inner);
  Report("buffer_host_pointer", *verdict);
  return nullptr;
}

// ---- Queues ----

eddl_code Checker::QueueCreate(eddl_device* device, eddl_queue_kind kind, eddl_queue** queue, eddl_error* error) {
  Answer answer("queue_create", error);
  DeviceEntry* entry = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (Verdict verdict = devices_.Find(device, &entry)) return answer.Refuse(*verdict);
    if (kind > EDDL_QUEUE_COPY) return answer.Refuse(Invalid("unknown queue kind ", kind));
    if (queue == nullptr) return answer.Refuse(Invalid("queue is NULL"));
  }
  eddl_queue* inner = nullptr;
  const eddl_code code = answer.Pass(inner_.queue_create(entry->inner, kind, &inner, answer.record()));
  if (code != EDDL_OK) return code;
  if (inner == nullptr) return answer.Blame("returned EDDL_OK but no queue");
  std::lock_guard lock(mutex_);
  *queue = queues_.Add({.inner = inner, .device = devices_.SerialOf(device)});
  QueueEntry* added = nullptr;
  queues_.Find(*queue, &added);
  added->serial = queues_.SerialOf(*queue);
  completed_[added->serial] = 0;
  return EDDL_OK;
}

void Checker::QueueDestroy(eddl_queue* queue) {
  Verdict verdict;
  QueueEntry entry;
  {
    std::lock_guard lock(mutex_);
    QueueEntry* found = nullptr;
    verdict = queues_.Find(queue, &found);
    if (!verdict && found->busy) {
      verdict = Misused("queue #", found->serial, " is destroyed while another thread uses it");
    }
    if (!verdict) {
      entry = std::move(*found);
      queues_.Remove(queue);
    }
  }
  if (verdict) return Report("queue_destroy", *verdict);
  inner_.queue_destroy(entry.inner);
  std::lock_guard lock(mutex_);
  Complete(entry.waits);
  completed_.erase(entry.serial);
}

// ---- Ops ----

eddl_code Checker::DryRun(Answer& answer, const DeviceEntry& device, const eddl_op_desc& desc,
                          eddl_op_info* info) const {
  const eddl_code code = answer.Pass(inner_.op_prepare(device.inner, &desc, nullptr, info, answer.record()));
  if (code != EDDL_OK) return code;
  const std::string fault = FaultOf(*info, FindOpTraits(desc.kind));
  return fault.empty() ? EDDL_OK : answer.Blame(fault);
}

eddl_code Checker::OpPrepare(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                             eddl_error* error) {
  Answer answer("op_prepare", error);
  DeviceEntry* entry = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (Verdict verdict = devices_.Find(device, &entry)) return answer.Refuse(*verdict);
    if (Verdict verdict = CheckDescription(desc)) return answer.Refuse(*verdict);
    if (info != nullptr) {
      if (Verdict verdict = CheckSize(info, "info")) return answer.Refuse(*verdict);
    }
  }
  eddl_op_info dry = {.struct_size = sizeof(dry)};
  if (const eddl_code code = DryRun(answer, *entry, *desc, &dry); code != EDDL_OK) return code;
  if (op != nullptr) {
    eddl_op* inner = nullptr;
    eddl_op_info real = {.struct_size = sizeof(real)};
    const eddl_code code = answer.Pass(inner_.op_prepare(entry->inner, desc, &inner, &real, answer.record()));
    if (code == EDDL_UNIMPLEMENTED || code == EDDL_INVALID_ARGUMENT) {
      return answer.Blame(Text("accepted the op in a dry run, then returned code ", code));
    }
    if (code != EDDL_OK) return code;
    if (inner == nullptr) return answer.Blame("returned EDDL_OK but no op");
    if (dry.workspace_bytes != real.workspace_bytes || dry.state_bytes != real.state_bytes) {
      inner_.op_destroy(inner);
      return answer.Blame(Text("wanted ", dry.workspace_bytes, " bytes of workspace and ", dry.state_bytes,
                               " of state in a dry run, then ", real.workspace_bytes, " and ", real.state_bytes));
    }
    std::lock_guard lock(mutex_);
    OpEntry added = {.inner = inner, .device = devices_.SerialOf(device), .shape = ShapeOf(*desc, real)};
    (real.state_bytes > 0 ? entry->stateful : entry->stateless).insert(desc->kind);
    *op = ops_.Add(std::move(added));
  }
  if (info != nullptr) CopyOut(dry, info);
  return EDDL_OK;
}

void Checker::OpDestroy(eddl_op* op) {
  Verdict verdict;
  eddl_op* inner = nullptr;
  {
    std::lock_guard lock(mutex_);
    OpEntry* entry = nullptr;
    verdict = ops_.Find(op, &entry);
    if (!verdict) {
      inner = entry->inner;
      ops_.Remove(op);
    }
  }
  if (verdict) return Report("op_destroy", *verdict);
  inner_.op_destroy(inner);
}

}  // namespace checked
}  // namespace eddl
