// The small loops that other families end with: bias, epilogue, accumulation. No parallelism: callers cut the range.
#pragma once

#include <cstdint>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {

struct Epilogue {
  eddl_epilogue kind = EDDL_EPILOGUE_NONE;
  float min = 0;
  float max = 0;
};

inline Epilogue EpilogueOf(const OpDesc& desc) {
  return {.kind = desc.epilogue, .min = desc.epilogue_min, .max = desc.epilogue_max};
}

// The order of the comparison makes both one instruction and lets NaN through.
EDDL_INLINE float ReluKeepingNan(float x) { return 0.0f > x ? 0.0f : x; }
EDDL_INLINE float ClampKeepingNan(float x, float low, float high) {
  const float raised = low > x ? low : x;
  return high < raised ? high : raised;
}

// y [rows, columns] = epilogue(y + bias), rows [begin, end). bias [columns] may be nullptr.
void BiasEpilogue(float* y, const float* bias, int64_t begin, int64_t end, int64_t columns, Epilogue epilogue);

// y += x, elements [begin, end).
void AddInto(const float* x, float* y, int64_t begin, int64_t end);

}  // namespace eddl::cpu
