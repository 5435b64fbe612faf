// Reduction over any set of dimensions.
//
// Neighbouring dimensions with the same fate are one, so that nearly every reduction in a network is [A, R, B]: keep,
// reduce, keep, with A or B possibly 1. Others are walked element by element.
#include <algorithm>
#include <limits>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

constexpr int64_t kLanes = 64;
constexpr int64_t kBlockRows = 32;  // summed in float; blocks are summed in double

struct Dimension {
  int64_t size;
  bool reduced;
};

struct Dimensions {
  std::array<Dimension, EDDL_RANK_MAX> list = {};
  uint32_t count = 0;
};

// Merges neighbours and drops dimensions of 1.
Dimensions Collapse(const eddl_tensor_desc& x, uint32_t axis_mask) {
  Dimensions result;
  for (uint32_t d = 0; d < x.rank; ++d) {
    if (x.shape[d] == 1) continue;
    const bool reduced = (axis_mask >> d) & 1u;
    if (result.count > 0 && result.list[result.count - 1].reduced == reduced) {
      result.list[result.count - 1].size *= x.shape[d];
    } else {
      result.list[result.count++] = {x.shape[d], reduced};
    }
  }
  return result;
}

// How a result is finished: sum or mean times factor; added or set.
struct Finish {
  double factor;
  bool adds;
};

EDDL_INLINE void Store(Finish finish, double value, float* y) {
  const double result = value * finish.factor;
  *y = static_cast<float>(finish.adds ? static_cast<double>(*y) + result : result);
}

EDDL_INLINE float MaxKeepingNan(float a, float b) { return (b > a) | (b != b) ? b : a; }

// y [B] = sums over R of x [R, B], columns [begin, end).
EDDL_MULTIVERSION void SumColumns(const float* x, float* y, int64_t rows, int64_t columns, int64_t begin, int64_t end,
                                  Finish finish) {
  for (int64_t first = begin; first < end; first += kLanes) {
    const int64_t lanes = end - first < kLanes ? end - first : kLanes;
    double sum[kLanes] = {};
    for (int64_t block = 0; block < rows; block += kBlockRows) {
      const int64_t block_end = rows < block + kBlockRows ? rows : block + kBlockRows;
      float part[kLanes] = {};
      for (int64_t row = block; row < block_end; ++row) {
        const float* from = x + row * columns + first;
        for (int64_t j = 0; j < lanes; ++j) part[j] += from[j];
      }
      for (int64_t j = 0; j < lanes; ++j) sum[j] += static_cast<double>(part[j]);
    }
    for (int64_t j = 0; j < lanes; ++j) Store(finish, sum[j], y + first + j);
  }
}

EDDL_MULTIVERSION double SumContiguous(const float* x, int64_t count) {
  constexpr int64_t kWide = 16;
  double lane[kWide] = {};
  int64_t i = 0;
  for (; i + kWide <= count; i += kWide) {
    for (int64_t j = 0; j < kWide; ++j) lane[j] += static_cast<double>(x[i + j]);
  }
  for (int64_t j = 0; i + j < count; ++j) lane[j] += static_cast<double>(x[i + j]);
  double sum = 0;
  for (int64_t j = 0; j < kWide; ++j) sum += lane[j];
  return sum;
}

EDDL_MULTIVERSION void MaxColumns(const float* x, float* y, int64_t rows, int64_t columns, int64_t begin, int64_t end,
                                  Finish finish) {
  for (int64_t first = begin; first < end; first += kLanes) {
    const int64_t lanes = end - first < kLanes ? end - first : kLanes;
    float best[kLanes];
    for (int64_t j = 0; j < lanes; ++j) best[j] = x[first + j];
    for (int64_t row = 1; row < rows; ++row) {
      const float* from = x + row * columns + first;
      for (int64_t j = 0; j < lanes; ++j) best[j] = MaxKeepingNan(best[j], from[j]);
    }
    for (int64_t j = 0; j < lanes; ++j) Store(finish, static_cast<double>(best[j]), y + first + j);
  }
}

// x [A, R, B] -> y [A, B].
std::function<Status(const Args&)> BlockRun(int64_t a, int64_t r, int64_t b, bool is_max, Finish finish, int threads) {
  return [=](const Args& args) -> Status {
    const float* x = args.in(0);
    float* y = args.out(0);
    if (b == 1 && !is_max) {
      ParallelFor(threads, a, kGrain / r + 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) Store(finish, SumContiguous(x + i * r, r), y + i);
      });
      return {};
    }
    for (int64_t i = 0; i < a; ++i) {
      ParallelFor(threads, b, kGrain / r + kLanes, [&](int64_t begin, int64_t end) {
        if (is_max) {
          MaxColumns(x + i * r * b, y + i * b, r, b, begin, end, finish);
        } else {
          SumColumns(x + i * r * b, y + i * b, r, b, begin, end, finish);
        }
      });
    }
    return {};
  };
}

// One result of the general case: recursion over the dimensions, the reduced ones looped over.
void Gather(const Dimensions& dimensions, const std::array<int64_t, EDDL_RANK_MAX>& strides, uint32_t depth,
            const float* x, bool is_max, double* result) {
  if (depth == dimensions.count) {
    if (is_max) {
      *result = static_cast<double>(MaxKeepingNan(static_cast<float>(*result), *x));
    } else {
      *result += static_cast<double>(*x);
    }
    return;
  }
  const int64_t size = dimensions.list[depth].reduced ? dimensions.list[depth].size : 1;
  for (int64_t i = 0; i < size; ++i) Gather(dimensions, strides, depth + 1, x + i * strides[depth], is_max, result);
}

std::function<Status(const Args&)> GeneralRun(const Dimensions& dimensions, bool is_max, Finish finish, int threads) {
  std::array<int64_t, EDDL_RANK_MAX> strides = {};
  int64_t stride = 1;
  int64_t kept = 1;
  for (uint32_t d = dimensions.count; d-- > 0;) {
    strides[d] = stride;
    stride *= dimensions.list[d].size;
    if (!dimensions.list[d].reduced) kept *= dimensions.list[d].size;
  }
  return [=](const Args& args) -> Status {
    ParallelFor(threads, kept, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t rest = i;
        const float* x = args.in(0);
        for (uint32_t d = dimensions.count; d-- > 0;) {
          if (dimensions.list[d].reduced) continue;
          x += rest % dimensions.list[d].size * strides[d];
          rest /= dimensions.list[d].size;
        }
        double result = is_max ? -std::numeric_limits<double>::infinity() : 0.0;
        Gather(dimensions, strides, 0, x, is_max, &result);
        Store(finish, result, args.out(0) + i);
      }
    });
    return {};
  };
}

}  // namespace

Status ExpectReduced(const OpDesc& desc, const eddl_tensor_desc& large, const eddl_tensor_desc& small,
                     uint32_t axis_mask) {
  EDDL_CPU_REQUIRE((axis_mask >> large.rank) == 0, "%s: axis_mask %#x names dimensions that %s lacks", desc.name,
                   axis_mask, ToString(large).c_str());
  eddl_tensor_desc dropped = large;
  eddl_tensor_desc kept = large;
  dropped.rank = 0;
  for (uint32_t d = 0; d < large.rank; ++d) {
    if ((axis_mask >> d) & 1u) {
      kept.shape[d] = 1;
    } else {
      dropped.shape[dropped.rank++] = large.shape[d];
    }
  }
  if (dropped.rank == 0) dropped.shape[dropped.rank++] = 1;
  if (ExpectLike(desc, "the smaller tensor", small, kept).ok()) return {};
  return ExpectLike(desc, "the smaller tensor", small, dropped);
}

Status PrepareReduce(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_reduce_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const eddl_tensor_desc& x = desc.in[0];
  const eddl_tensor_desc& y = desc.out[0];
  EDDL_CPU_RETURN_IF_ERROR(ExpectReduced(desc, x, y, attrs.axis_mask));
  if (attrs.kind > EDDL_REDUCE_MAX) return Error(EDDL_UNIMPLEMENTED, "reduce: kind %u is not known", attrs.kind);
  const bool is_max = attrs.kind == EDDL_REDUCE_MAX;
  const double terms = static_cast<double>(ElementCount(x)) / static_cast<double>(ElementCount(y));
  const Finish finish = {.factor = attrs.kind == EDDL_REDUCE_MEAN ? 1.0 / terms : 1.0, .adds = desc.accumulates(0)};
  const Dimensions dimensions = Collapse(x, attrs.axis_mask);
  int64_t block[3] = {1, 1, 1};  // A, R, B
  uint32_t at = 0;
  bool fits = true;
  for (uint32_t d = 0; d < dimensions.count; ++d) {
    if (dimensions.list[d].reduced && at > 1) fits = false;
    at = dimensions.list[d].reduced ? 1 : (at == 0 && d == 0 ? 0 : 2);
    block[at] *= dimensions.list[d].size;
  }
  if (fits) {
    op->run = BlockRun(block[0], block[1], block[2], is_max, finish, context.thread_count);
    return {};
  }
  op->implementation = "loop:general";
  op->run = GeneralRun(dimensions, is_max, finish, context.thread_count);
  return {};
}

}  // namespace eddl::cpu
