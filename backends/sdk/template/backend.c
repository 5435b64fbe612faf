/* A complete backend with one device and one op. The "device" is the host's memory and the calling thread: replace what
 * is between the lines "the device" with calls of your driver, and matmul.c with your kernel.
 *
 * Its queues work inside the enqueueing call. That is allowed: "asynchronous" means that the runtime may not rely on
 * it.
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eddl/eddl_backend.h"
#include "matmul.h"

#define ALIGNMENT_BYTES 64u

struct eddl_device {
  uint64_t memory_limit_bytes; /* 0: none */
  atomic_uint_fast64_t memory_used_bytes;
};

struct eddl_buffer {
  eddl_device* device;
  unsigned char* data;
  uint64_t size_bytes;
};

struct eddl_queue {
  eddl_device* device;
};

struct eddl_op {
  matmul matmul;
};

/* Fills the caller's record, if there is one. Every call that fails ends here. */
static eddl_code fail(eddl_error* error, eddl_code code, const char* format, ...) {
  if (error == NULL) return code;
  error->code = code;
  error->flags = code == EDDL_RESOURCE_EXHAUSTED ? EDDL_ERROR_OUT_OF_MEMORY : 0;
  error->tag = 0;
  va_list list;
  va_start(list, format);
  vsnprintf(error->message, sizeof(error->message), format, list);
  va_end(list);
  return code;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- Devices ---- */

static eddl_code device_count(uint32_t* count, eddl_error* error) {
  (void)error;
  *count = 1; /* none, for want of a driver, say: return fail(error, EDDL_UNAVAILABLE, "install ...") */
  return EDDL_OK;
}

static eddl_code check_index(uint32_t index, eddl_error* error) {
  if (index == 0) return EDDL_OK;
  return fail(error, EDDL_NOT_FOUND, "there is one device, index 0; asked for index %u", index);
}

static eddl_code device_info(uint32_t index, eddl_device_info* info, eddl_error* error) {
  const eddl_code code = check_index(index, error);
  if (code != EDDL_OK) return code;
  eddl_device_info full = {0};
  full.struct_size = info->struct_size;
  full.flags = EDDL_DEVICE_INTEGRATED | EDDL_DEVICE_DETERMINISTIC;
  full.alignment_bytes = ALIGNMENT_BYTES;
  full.dtype_mask = EDDL_DTYPE_BIT(EDDL_F32);
  full.compute_units = 1;
  full.score = 0; /* 0: used when asked for by name; else rough GFLOP/s */
  snprintf(full.name, sizeof(full.name), "Example device");
  memcpy(info, &full, smaller(info->struct_size, sizeof(full)));
  return EDDL_OK;
}

static eddl_code device_open(uint32_t index, const eddl_device_options* options, eddl_device** device,
                             eddl_error* error) {
  const eddl_code code = check_index(index, error);
  if (code != EDDL_OK) return code;
  eddl_device_options full = {0};
  if (options != NULL) memcpy(&full, options, smaller(options->struct_size, sizeof(full)));
  eddl_device* opened = calloc(1, sizeof(*opened));
  if (opened == NULL) return fail(error, EDDL_RESOURCE_EXHAUSTED, "no memory for a device");
  opened->memory_limit_bytes = full.memory_limit_bytes;
  atomic_init(&opened->memory_used_bytes, 0);
  *device = opened;
  return EDDL_OK;
}

static void device_close(eddl_device* device) { free(device); }

/* ---- Memory: the device ---- */

static eddl_code buffer_create(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer,
                               eddl_error* error) {
  (void)kind; /* host memory is as good as page-locked here */
  const uint64_t used = atomic_fetch_add(&device->memory_used_bytes, size_bytes);
  const uint64_t limit = device->memory_limit_bytes;
  eddl_buffer* made = NULL;
  if (limit == 0 || (used <= limit && size_bytes <= limit - used)) made = calloc(1, sizeof(*made));
  if (made != NULL) {
    const uint64_t rounded = (size_bytes / ALIGNMENT_BYTES + 1) * ALIGNMENT_BYTES; /* an empty one has an address too */
    made->device = device;
    made->size_bytes = size_bytes;
    made->data = rounded > size_bytes ? aligned_alloc(ALIGNMENT_BYTES, rounded) : NULL;
  }
  if (made == NULL || made->data == NULL) {
    free(made);
    atomic_fetch_sub(&device->memory_used_bytes, size_bytes);
    return fail(error, EDDL_RESOURCE_EXHAUSTED,
                "no memory for a buffer of %llu bytes: %llu of the limit of %llu are in use (limit 0: none); make the "
                "batch smaller",
                (unsigned long long)size_bytes, (unsigned long long)used, (unsigned long long)limit);
  }
  *buffer = made;
  return EDDL_OK;
}

static void buffer_destroy(eddl_buffer* buffer) {
  if (buffer == NULL) return;
  atomic_fetch_sub(&buffer->device->memory_used_bytes, buffer->size_bytes);
  free(buffer->data);
  free(buffer);
}

/* The address of [offset, offset + size), or NULL with the error filled. */
static unsigned char* range(const eddl_buffer* buffer, uint64_t offset_bytes, uint64_t size_bytes, const char* role,
                            eddl_error* error) {
  if (buffer != NULL && offset_bytes <= buffer->size_bytes && size_bytes <= buffer->size_bytes - offset_bytes)
    return buffer->data + offset_bytes;
  fail(error, EDDL_INVALID_ARGUMENT, "%s: bytes [%llu, +%llu) are not in the buffer", role,
       (unsigned long long)offset_bytes, (unsigned long long)size_bytes);
  return NULL;
}

/* ---- Queues: the device ---- */

static eddl_code queue_create(eddl_device* device, eddl_queue_kind kind, eddl_queue** queue, eddl_error* error) {
  (void)kind;
  eddl_queue* made = calloc(1, sizeof(*made));
  if (made == NULL) return fail(error, EDDL_RESOURCE_EXHAUSTED, "no memory for a queue");
  made->device = device;
  *queue = made;
  return EDDL_OK;
}

static void queue_destroy(eddl_queue* queue) { free(queue); }

/* All work is done when it was enqueued. A queue that runs later keeps its first error, and returns it here each time.
 */
static eddl_code queue_wait(eddl_queue* queue, eddl_error* error) {
  (void)queue;
  (void)error;
  return EDDL_OK;
}

static eddl_code write_bytes(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* source,
                             uint64_t size_bytes, eddl_error* error) {
  (void)queue;
  unsigned char* to = range(target, offset_bytes, size_bytes, "write", error);
  if (to == NULL) return EDDL_INVALID_ARGUMENT;
  if (size_bytes > 0) memcpy(to, source, size_bytes);
  return EDDL_OK;
}

static eddl_code read_bytes(eddl_queue* queue, const eddl_buffer* source, uint64_t offset_bytes, void* target,
                            uint64_t size_bytes, eddl_error* error) {
  (void)queue;
  const unsigned char* from = range(source, offset_bytes, size_bytes, "read", error);
  if (from == NULL) return EDDL_INVALID_ARGUMENT;
  if (size_bytes > 0) memcpy(target, from, size_bytes);
  return EDDL_OK;
}

static eddl_code copy_bytes(eddl_queue* queue, const eddl_buffer* source, uint64_t source_offset_bytes,
                            eddl_buffer* target, uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error) {
  (void)queue;
  const unsigned char* from = range(source, source_offset_bytes, size_bytes, "copy, source", error);
  if (from == NULL) return EDDL_INVALID_ARGUMENT;
  unsigned char* to = range(target, target_offset_bytes, size_bytes, "copy, target", error);
  if (to == NULL) return EDDL_INVALID_ARGUMENT;
  memmove(to, from, size_bytes);
  return EDDL_OK;
}

static eddl_code fill_bytes(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* pattern,
                            uint64_t pattern_size, uint64_t size_bytes, eddl_error* error) {
  (void)queue;
  unsigned char* to = range(target, offset_bytes, size_bytes, "fill", error);
  if (to == NULL) return EDDL_INVALID_ARGUMENT;
  if (pattern_size == 0 || size_bytes % pattern_size != 0)
    return fail(error, EDDL_INVALID_ARGUMENT, "fill: a pattern of %llu bytes does not divide %llu",
                (unsigned long long)pattern_size, (unsigned long long)size_bytes);
  for (uint64_t i = 0; i < size_bytes; i += pattern_size) memcpy(to + i, pattern, pattern_size);
  return EDDL_OK;
}

/* ---- Ops ---- */

static eddl_code op_prepare(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                            eddl_error* error) {
  (void)device;
  eddl_op_desc full = {0};
  memcpy(&full, desc, smaller(desc->struct_size, sizeof(full)));
  matmul described;
  const char* why = "";
  const eddl_code code = matmul_describe(&full, &described, &why);
  if (code != EDDL_OK) return fail(error, code, "%s", why);
  if (info != NULL) {
    eddl_op_info answer = {0};
    answer.struct_size = info->struct_size;
    snprintf(answer.implementation, sizeof(answer.implementation), "matmul:plain");
    memcpy(info, &answer, smaller(info->struct_size, sizeof(answer)));
  }
  if (op == NULL) return EDDL_OK; /* a dry run */
  eddl_op* made = calloc(1, sizeof(*made));
  if (made == NULL) return fail(error, EDDL_RESOURCE_EXHAUSTED, "no memory for an op");
  made->matmul = described;
  *op = made;
  return EDDL_OK;
}

static float* floats(const eddl_binding* binding, int64_t count, const char* role, eddl_error* error) {
  return (float*)range(binding->buffer, binding->offset_bytes, (uint64_t)count * sizeof(float), role, error);
}

static eddl_code op_enqueue(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error) {
  (void)queue;
  const matmul* m = &op->matmul;
  const float* a = floats(&args->inputs[0], m->batch * m->rows * m->inner, "matmul, a", error);
  const float* b = a == NULL ? NULL : floats(&args->inputs[1], m->batch * m->inner * m->columns, "matmul, b", error);
  float* y = b == NULL ? NULL : floats(&args->outputs[0], m->batch * m->rows * m->columns, "matmul, y", error);
  if (y == NULL) return EDDL_INVALID_ARGUMENT;
  const float* bias = NULL;
  if (m->has_bias) {
    bias = floats(&args->inputs[2], m->columns, "matmul, bias", error);
    if (bias == NULL) return EDDL_INVALID_ARGUMENT;
  }
  matmul_run(m, a, b, bias, y);
  return EDDL_OK;
}

static void op_destroy(eddl_op* op) { free(op); }

/* ---- The table. Optional slots that are not named are NULL: no events, no import of host memory, no groups. ---- */

static const eddl_backend kBackend = {
    .struct_size = sizeof(eddl_backend),
    .abi_major = EDDL_ABI_MAJOR,
    .abi_minor = EDDL_ABI_MINOR,
    .name = "example", /* as in libeddl_backend_example.so */
    .version = "0.1",
    .device_count = device_count,
    .device_info = device_info,
    .device_open = device_open,
    .device_close = device_close,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .queue_create = queue_create,
    .queue_destroy = queue_destroy,
    .queue_wait = queue_wait,
    .write = write_bytes,
    .read = read_bytes,
    .copy = copy_bytes,
    .fill = fill_bytes,
    .op_prepare = op_prepare,
    .op_enqueue = op_enqueue,
    .op_destroy = op_destroy,
};

EDDL_EXPORT const eddl_backend* eddl_backend_get_v1(const eddl_host* host) {
  (void)host; /* host->log(...) writes a line to the person at the terminal */
  return &kBackend;
}
