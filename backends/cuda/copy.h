// Copies and fills on a queue. Buffers are device memory or, rarely, page-locked host memory.
#pragma once

#include "backends/cuda/device.h"

namespace eddl::cuda {

// As the slots of eddl_backend of the same name. REQUIRES: ranges are checked, sizes are not 0.
Status WriteBytes(eddl_queue& queue, const eddl_buffer& target, uint64_t offset_bytes, const void* source,
                  uint64_t size_bytes);
Status ReadBytes(eddl_queue& queue, const eddl_buffer& source, uint64_t offset_bytes, void* target,
                 uint64_t size_bytes);
Status CopyBytes(eddl_queue& queue, const eddl_buffer& source, uint64_t source_offset_bytes, const eddl_buffer& target,
                 uint64_t target_offset_bytes, uint64_t size_bytes);
// pattern_size is 1, 2, 4 or 8.
Status FillBytes(eddl_queue& queue, const eddl_buffer& target, uint64_t offset_bytes, const void* pattern,
                 uint64_t pattern_size, uint64_t size_bytes);

}  // namespace eddl::cuda
