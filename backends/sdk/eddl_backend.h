/* The seam between the EDDL runtime and a backend: a C table of functions, loaded from a shared library.
 *
 * A backend exports one function, eddl_backend_get_v1, and owns everything behind the table that it returns. The header
 * is C11 (and C++20), needs only <stddef.h> and <stdint.h>, and assumes a 64-bit (LP64) platform.
 *
 * How versions meet. The major version is part of the exported name. Tables and argument structs begin with struct_size
 * and only ever grow at the end: a reader uses the fields that struct_size covers and treats the rest as absent (NULL,
 * 0). Array elements and embedded structs (eddl_tensor_desc, eddl_binding, eddl_scalar) never grow. Enum values are
 * never reused.
 *
 * Lifetime and threads. A library is loaded once and never unloaded. Functions of a device are thread-safe; a queue
 * belongs to one thread at a time. Nobody forks after device_open. Nothing allocated, thrown or owned crosses the seam:
 * strings and arrays are borrowed for the call, handles are destroyed by the side that made them, and no exception may
 * escape.
 *
 * Errors. Every fallible function returns an eddl_code (the numbers of absl::StatusCode) and, where error is not NULL,
 * fills the record that the caller owns. A message says what was attempted, with values, and what to do.
 */
#ifndef EDDL_BACKENDS_SDK_EDDL_BACKEND_H_
#define EDDL_BACKENDS_SDK_EDDL_BACKEND_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if UINTPTR_MAX != UINT64_MAX
#error "the EDDL backend interface is defined for 64-bit platforms only"
#endif

#define EDDL_ABI_MAJOR 1u
#define EDDL_ABI_MINOR 1u /* raised with every appended field or slot */
#define EDDL_RANK_MAX 6
#define EDDL_BACKEND_ENTRY "eddl_backend_get_v1"

/* ---- Codes: equal to absl::StatusCode. ---- */
typedef int32_t eddl_code;
enum {
  EDDL_OK = 0,
  EDDL_INVALID_ARGUMENT = 3,    /* the argument alone is wrong */
  EDDL_NOT_FOUND = 5,           /* no such device */
  EDDL_RESOURCE_EXHAUSTED = 8,  /* out of memory, on the host or the device */
  EDDL_FAILED_PRECONDITION = 9, /* the state is wrong */
  EDDL_UNIMPLEMENTED = 12,      /* this backend lacks the op, shape or dtype: the runtime falls back */
  EDDL_INTERNAL = 13,           /* the vendor's library failed */
  EDDL_UNAVAILABLE = 14         /* driver missing, or the device is lost */
};

typedef uint32_t eddl_error_flags;
enum { EDDL_ERROR_DEVICE_LOST = 1u << 0, EDDL_ERROR_OUT_OF_MEMORY = 1u << 1 };

/* Owned by the caller, who sets struct_size; written only on failure. message is always terminated. */
typedef struct eddl_error {
  uint32_t struct_size;
  eddl_code code;
  eddl_error_flags flags;
  uint32_t reserved;
  uint64_t tag; /* tag of the op that failed, for asynchronous errors; else 0 */
  char message[360];
} eddl_error;

/* ---- Data types and tensors. ---- */
typedef uint32_t eddl_dtype;
enum {
  EDDL_F32 = 1,
  EDDL_F16 = 2,  /* wire only: pack and unpack */
  EDDL_BF16 = 3, /* reserved */
  EDDL_I32 = 4,
  EDDL_U8 = 5,
  EDDL_I64 = 6
};
#define EDDL_DTYPE_BIT(dtype) (1u << (dtype))

/* Dense, row-major, no strides. Activations are NHWC or [N, C]. Dimensions beyond rank are 0. */
typedef struct eddl_tensor_desc {
  int64_t shape[EDDL_RANK_MAX];
  uint32_t rank;
  eddl_dtype dtype;
} eddl_tensor_desc;

/* ---- Handles: opaque to the runtime. ---- */
typedef struct eddl_device eddl_device;
typedef struct eddl_buffer eddl_buffer;
typedef struct eddl_queue eddl_queue;
typedef struct eddl_op eddl_op;
typedef struct eddl_event eddl_event;
typedef struct eddl_group eddl_group;

/* ---- The runtime's side, given to eddl_backend_get_v1; valid for the life of the process. ---- */
typedef uint32_t eddl_severity;
enum { EDDL_LOG_INFO = 0, EDDL_LOG_WARNING = 1, EDDL_LOG_ERROR = 2 };
typedef struct eddl_host {
  uint32_t struct_size;
  uint32_t abi_minor; /* newest minor version that the runtime knows */
  void* context;
  /* One line for the person at the terminal ("compiling kernels (once)"); text need not be terminated. Thread-safe. */
  void (*log)(void* context, eddl_severity severity, const char* text, uint64_t text_size);
} eddl_host;

/* ---- Devices. ---- */
typedef uint32_t eddl_device_flags;
enum {
  EDDL_DEVICE_INTEGRATED = 1u << 0,    /* shares memory with the host */
  EDDL_DEVICE_DETERMINISTIC = 1u << 1, /* equal inputs, shapes and threads give equal bits */
  EDDL_DEVICE_EMULATED = 1u << 2       /* no such hardware: results only, no speed */
};

typedef struct eddl_device_info {
  uint32_t struct_size;
  eddl_device_flags flags;
  uint64_t memory_total_bytes;
  uint64_t memory_free_bytes;
  uint32_t alignment_bytes; /* of every offset in a binding; a power of two, at most 4096 */
  uint32_t dtype_mask;      /* EDDL_DTYPE_BIT of each dtype that some op accepts */
  uint32_t compute_units;   /* cores, or the vendor's unit */
  uint32_t score;           /* rough GFLOP/s; the runtime opens the highest score by default */
  char name[96];            /* "AMD EPYC 7763 (avx512)" */
} eddl_device_info;

typedef uint32_t eddl_open_flags;
enum { EDDL_OPEN_DETERMINISTIC = 1u << 0, EDDL_OPEN_PROFILE = 1u << 1, EDDL_OPEN_ALLOW_TF32 = 1u << 2 };

typedef struct eddl_device_options {
  uint32_t struct_size;
  uint32_t thread_count;       /* host threads that compute; fixed while the device is open; 0 = the backend's choice */
  uint64_t memory_limit_bytes; /* sum of buffers; 0 = no limit */
  const char* cache_dir;       /* for compiled kernels; may be NULL */
  eddl_open_flags flags;
  uint32_t reserved;
} eddl_device_options;

typedef uint32_t eddl_buffer_kind;
enum { EDDL_BUFFER_DEVICE = 0, EDDL_BUFFER_HOST_PINNED = 1 };
typedef uint32_t eddl_queue_kind;
enum { EDDL_QUEUE_COMPUTE = 0, EDDL_QUEUE_COPY = 1 };

/* ---- Ops: data, not virtual functions. Kinds, attributes and contracts are in eddl_ops.h. ---- */
typedef uint32_t eddl_op_kind;
typedef uint32_t eddl_epilogue;
enum {
  EDDL_EPILOGUE_NONE = 0,
  EDDL_EPILOGUE_RELU = 1, /* max(y, 0); NaN stays NaN */
  EDDL_EPILOGUE_CLAMP = 2 /* min(max(y, epilogue_min), epilogue_max) */
};

typedef struct eddl_op_desc {
  uint32_t struct_size;
  eddl_op_kind kind;
  uint32_t input_count;
  uint32_t output_count;
  /* rank 0 and dtype 0: an optional tensor that is absent. Absent ones at the end may be left out of the counts. */
  const eddl_tensor_desc* inputs;
  const eddl_tensor_desc* outputs;
  const void* attrs; /* the kind's struct in eddl_ops.h; NULL where it has none */
  uint64_t attrs_size;
  eddl_epilogue epilogue;   /* applied to output 0, before it is accumulated */
  uint32_t accumulate_mask; /* bit i: outputs[i] += result, where the kind allows it */
  float epilogue_min;
  float epilogue_max;
  uint64_t tag; /* names the op in errors and profiles */
} eddl_op_desc;

typedef struct eddl_op_info {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t workspace_bytes; /* scratch for one enqueue; contents undefined before and after */
  uint64_t state_bytes;     /* what a forward op leaves for its gradient op, opaque; 0 for other ops */
  char implementation[64];  /* "brgconv:avx512_core"; for plans and profiles */
} eddl_op_info;

typedef struct eddl_binding {
  eddl_buffer* buffer; /* NULL: absent */
  uint64_t offset_bytes;
} eddl_binding;

typedef union eddl_scalar {
  double f;
  uint64_t u;
} eddl_scalar;

/* Arrays are as long as the description's counts. They are read during the call only. */
typedef struct eddl_op_args {
  uint32_t struct_size;
  uint32_t scalar_count;
  const eddl_binding* inputs;
  const eddl_binding* outputs;
  eddl_binding workspace;
  eddl_binding state; /* a gradient op gets the binding that its forward op got; absent iff that had state_bytes 0 */
  const eddl_scalar* scalars;
} eddl_op_args;

/* ---- The table. Slots up to op_destroy are required; those after it may be NULL. ---- */
typedef struct eddl_backend {
  uint32_t struct_size;
  uint16_t abi_major;
  uint16_t abi_minor;
  const char* name;    /* "cpu": [a-z0-9_]+ */
  const char* version; /* of the backend and its library, for people: "1.0 (oneDNN 2.6.3)" */

  /* *count devices, indexed from 0. With none: EDDL_UNAVAILABLE, and the message says why in one line. */
  eddl_code (*device_count)(uint32_t* count, eddl_error* error);
  eddl_code (*device_info)(uint32_t index, eddl_device_info* info, eddl_error* error);
  eddl_code (*device_open)(uint32_t index, const eddl_device_options* options, eddl_device** device, eddl_error* error);
  /* REQUIRES: everything made from the device is destroyed. */
  void (*device_close)(eddl_device* device);

  /* Contents undefined. size_bytes 0 is allowed. EDDL_RESOURCE_EXHAUSTED if memory or memory_limit_bytes is short. */
  eddl_code (*buffer_create)(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer,
                             eddl_error* error);
  /* REQUIRES: no enqueued work uses the buffer. */
  void (*buffer_destroy)(eddl_buffer* buffer);

  eddl_code (*queue_create)(eddl_device* device, eddl_queue_kind kind, eddl_queue** queue, eddl_error* error);
  void (*queue_destroy)(eddl_queue* queue); /* waits first */
  /* Returns when all enqueued work is done: its first error, which is sticky until the queue is destroyed. */
  eddl_code (*queue_wait)(eddl_queue* queue, eddl_error* error);

  /* In queue order, asynchronous: host bytes and buffers stay valid until the queue has passed them. */
  eddl_code (*write)(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* source,
                     uint64_t size_bytes, eddl_error* error);
  eddl_code (*read)(eddl_queue* queue, const eddl_buffer* source, uint64_t offset_bytes, void* target,
                    uint64_t size_bytes, eddl_error* error);
  /* The two ranges do not overlap. */
  eddl_code (*copy)(eddl_queue* queue, const eddl_buffer* source, uint64_t source_offset_bytes, eddl_buffer* target,
                    uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error);
  /* Repeats a pattern of pattern_size bytes (1, 2, 4 or 8; offset_bytes and size_bytes are multiples of it). */
  eddl_code (*fill)(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* pattern,
                    uint64_t pattern_size, uint64_t size_bytes, eddl_error* error);

  /* Prepares an op for a device. With op == NULL it is a dry run: same answers, nothing kept. info may be NULL.
   * EDDL_UNIMPLEMENTED: this backend lacks it (kind, dtype, shape, epilogue or accumulate bit).
   * EDDL_INVALID_ARGUMENT: the description breaks the kind's contract. */
  eddl_code (*op_prepare)(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                          eddl_error* error);
  /* Never blocks on the device and allocates nothing. One op may be enqueued many times, also with other bindings. */
  eddl_code (*op_enqueue)(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error);
  /* REQUIRES: no enqueued work uses the op. */
  void (*op_destroy)(eddl_op* op);

  /* ---- Optional. ---- */
  /* Host-visible memory: wraps bytes of the caller, who keeps them alive and aligned to alignment_bytes. */
  eddl_code (*buffer_import)(eddl_device* device, void* data, uint64_t size_bytes, eddl_buffer** buffer,
                             eddl_error* error);
  /* The buffer's bytes as the host sees them, or NULL. Reading them needs queue_wait first. */
  void* (*buffer_host_pointer)(eddl_buffer* buffer);
  /* Events order queues of one device; without them the runtime uses one queue and queue_wait. */
  eddl_code (*event_record)(eddl_queue* queue, eddl_event** event, eddl_error* error);
  eddl_code (*queue_wait_event)(eddl_queue* queue, eddl_event* event, eddl_error* error);
  eddl_code (*event_wait)(eddl_event* event, eddl_error* error);
  void (*event_destroy)(eddl_event* event);
  /* Nanoseconds on the device's clock between two recorded events, for profiles; needs EDDL_OPEN_PROFILE. */
  eddl_code (*event_times)(eddl_event* begin, eddl_event* end, uint64_t* begin_ns, uint64_t* end_ns, eddl_error* error);

  /* ---- Optional, since 1.1; all three or none: several devices of one backend act as one. ---- */
  /* devices are different ones, all open, and outlive the group. */
  eddl_code (*group_create)(eddl_device* const* devices, uint32_t device_count, eddl_group** group, eddl_error* error);
  /* Replaces count elements at targets[i], in a buffer of devices[i], by their sum over all i; enqueued on queues[i],
   * in its order, asynchronous. One call for the whole group, by the thread that has all these queues. The sum's order
   * is the backend's; all devices get the same bits. EDDL_UNIMPLEMENTED for a dtype that it does not add; f32 is always
   * there. */
  eddl_code (*all_reduce)(eddl_group* group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                          eddl_dtype dtype, eddl_error* error);
  /* REQUIRES: no enqueued all_reduce is unfinished. */
  void (*group_destroy)(eddl_group* group);
} eddl_backend;

/* The one exported function. Returns the table, valid for the life of the process; never NULL and never fails: a
 * missing driver is reported by device_count. host may be shorter than the struct that the plugin was built with. */
typedef const eddl_backend* (*eddl_backend_get_fn)(const eddl_host* host);

#if defined(_WIN32)
#define EDDL_EXPORT __declspec(dllexport)
#else
#define EDDL_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
}
#endif

#endif /* EDDL_BACKENDS_SDK_EDDL_BACKEND_H_ */
