// Flat vectors: axpy, scale, sums, packing for the wire, fixed point. A leader runs them on imported memory.
#include <bit>
#include <cmath>
#include <limits>

#include "backends/cpu/elementwise.h"
#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

constexpr int64_t kChunk = 65536;  // elements whose sum is one partial result, whatever the thread count

EDDL_MULTIVERSION void AxpyLoop(const float* x, const float* y_in, float* y, int64_t begin, int64_t end, float alpha) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = y_in[i] + alpha * x[i];
}

EDDL_MULTIVERSION void ScaleLoop(const float* x, float* y, int64_t begin, int64_t end, float alpha) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = x[i] * alpha;
}

// The lanes fix the order of the additions on every instruction set.
EDDL_MULTIVERSION double SumSquaresLoop(const float* x, int64_t begin, int64_t end) {
  constexpr int64_t kLanes = 16;
  double lane[kLanes] = {};
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lane[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  }
  for (int64_t j = 0; i + j < end; ++j) lane[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  double sum = 0;
  for (int64_t j = 0; j < kLanes; ++j) sum += lane[j];
  return sum;
}

// As integers, magnitudes are ordered like floats, and every NaN is above infinity.
EDDL_MULTIVERSION uint32_t AbsMaxLoop(const float* x, int64_t begin, int64_t end) {
  uint32_t largest = 0;
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x[i]) & 0x7fffffffu;
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

// To nearest even. Three ranges, all computed and one chosen, so that the loop vectorises: too large, subnormal (an
// addition rounds at the right bit), normal (the carry of the rounding runs into the exponent).
EDDL_INLINE uint16_t HalfFromFloat(float value) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t nan = 0x7e00u | ((magnitude >> 13) & 0x03ffu);
  const uint32_t large = magnitude > 0x7f800000u ? nan : 0x7c00u;
  const float shifted = __builtin_bit_cast(float, magnitude) + 0.5f;  // 0.5: its last bit is the smallest half's
  const uint32_t small = __builtin_bit_cast(uint32_t, shifted) - 0x3f000000u;
  const uint32_t normal = (magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  const uint32_t finite = magnitude < 0x38800000u ? small : normal;
  return static_cast<uint16_t>(sign | (magnitude >= 0x47800000u ? large : finite));
}

EDDL_INLINE float FloatFromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  const uint32_t normal = (magnitude << 13) + 0x38000000u;
  const uint32_t special = (magnitude << 13) | 0x7f800000u;
  // Below the smallest normal half the bits are a plain count of 2^-24.
  const uint32_t small = __builtin_bit_cast(uint32_t, static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t finite = magnitude < 0x0400u ? small : normal;
  return __builtin_bit_cast(float, sign | (magnitude >= 0x7c00u ? special : finite));
}

EDDL_MULTIVERSION void PackLoop(const float* x, uint16_t* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = HalfFromFloat(x[i]);
}

EDDL_MULTIVERSION void UnpackLoop(const uint16_t* x, float* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = FloatFromHalf(x[i]);
}

// Values that int64 cannot hold (and NaN) become its smallest number, as the conversion instruction has it.
EDDL_INLINE int64_t RoundToFixed(double value) {
  constexpr double kLimit = 0x1p63;
  const bool fits = (value >= -kLimit) & (value < kLimit);
  return fits ? static_cast<int64_t>(__builtin_nearbyint(value)) : std::numeric_limits<int64_t>::min();
}

EDDL_MULTIVERSION void FixedAddLoop(const float* x, const int64_t* acc_in, int64_t* acc, int64_t begin, int64_t end,
                                    double scale) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) {
    const int64_t term = RoundToFixed(static_cast<double>(x[i]) * scale);
    acc[i] = static_cast<int64_t>(static_cast<uint64_t>(acc_in[i]) + static_cast<uint64_t>(term));
  }
}

// A power of two divides without rounding, so that converting straight to float rounds once.
EDDL_MULTIVERSION void FixedToFloatLoop(const int64_t* acc, float* y, int64_t begin, int64_t end, double scale) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = static_cast<float>(acc[i]);
  const float inverse = static_cast<float>(1.0 / scale);
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] *= inverse;
}

void FixedQuotientLoop(const int64_t* acc, float* y, int64_t begin, int64_t end, double scale) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = static_cast<float>(static_cast<double>(acc[i]) / scale);
}

bool IsExactFactor(double scale) {
  int exponent = 0;
  return std::frexp(scale, &exponent) == 0.5 && exponent > -60 && exponent < 60;
}

Status ExpectFlat(const OpDesc& desc, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype,
                  int64_t count) {
  return Expect(desc, role, tensor, dtype, {count});
}

// Calls body(begin, end) per chunk, keeps its results in the workspace and returns through fold(result) in order.
template <typename T, typename Body, typename Fold>
void ReduceChunks(const Args& args, int64_t count, int threads, const Body& body, const Fold& fold) {
  const int64_t chunks = (count + kChunk - 1) / kChunk;
  T* partial = args.workspace<T>();
  ParallelFor(threads, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * kChunk;
      partial[chunk] = body(first, first + kChunk < count ? first + kChunk : count);
    }
  });
  for (int64_t chunk = 0; chunk < chunks; ++chunk) fold(partial[chunk]);
}

}  // namespace

Status PrepareAxpy(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const int64_t count = ElementCount(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "x", desc.in[0], EDDL_F32, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "y", desc.in[1], EDDL_F32, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "output y", desc.out[0], EDDL_F32, count));
  op->run = [count, threads = context.thread_count](const Args& args) -> Status {
    const float alpha = static_cast<float>(args.scalars[0].f);
    ParallelFor(threads, count, kGrain,
                [&](int64_t begin, int64_t end) { AxpyLoop(args.in(0), args.in(1), args.out(0), begin, end, alpha); });
    return {};
  };
  return {};
}

Status PrepareScale(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const int64_t count = ElementCount(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "x", desc.in[0], EDDL_F32, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "output x", desc.out[0], EDDL_F32, count));
  op->run = [count, threads = context.thread_count](const Args& args) -> Status {
    const float alpha = static_cast<float>(args.scalars[0].f);
    ParallelFor(threads, count, kGrain,
                [&](int64_t begin, int64_t end) { ScaleLoop(args.in(0), args.out(0), begin, end, alpha); });
    return {};
  };
  return {};
}

Status PrepareSumSquares(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const int64_t count = ElementCount(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "x", desc.in[0], EDDL_F32, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "y", desc.out[0], EDDL_F32, 1));
  op->workspace_bytes = AlignUp(static_cast<uint64_t>(count / kChunk + 1) * sizeof(double));
  op->run = [count, adds = desc.accumulates(0), threads = context.thread_count](const Args& args) -> Status {
    double sum = adds ? static_cast<double>(args.out(0)[0]) : 0.0;
    ReduceChunks<double>(
        args, count, threads, [&](int64_t begin, int64_t end) { return SumSquaresLoop(args.in(0), begin, end); },
        [&](double part) { sum += part; });
    args.out(0)[0] = static_cast<float>(sum);
    return {};
  };
  return {};
}

Status PrepareAbsMax(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const int64_t count = ElementCount(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "x", desc.in[0], EDDL_F32, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "y", desc.out[0], EDDL_F32, 1));
  op->workspace_bytes = AlignUp(static_cast<uint64_t>(count / kChunk + 1) * sizeof(uint32_t));
  op->run = [count, threads = context.thread_count](const Args& args) -> Status {
    uint32_t largest = 0;
    ReduceChunks<uint32_t>(
        args, count, threads, [&](int64_t begin, int64_t end) { return AbsMaxLoop(args.in(0), begin, end); },
        [&](uint32_t part) { largest = part > largest ? part : largest; });
    args.out(0)[0] = std::bit_cast<float>(largest);
    return {};
  };
  return {};
}

Status PreparePackF16(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const int64_t count = ElementCount(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "x", desc.in[0], EDDL_F32, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "y", desc.out[0], EDDL_F16, count));
  op->run = [count, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, count, kGrain,
                [&](int64_t begin, int64_t end) { PackLoop(args.in(0), args.out<uint16_t>(0), begin, end); });
    return {};
  };
  return {};
}

Status PrepareUnpackF16(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const int64_t count = ElementCount(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "x", desc.in[0], EDDL_F16, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "y", desc.out[0], EDDL_F32, count));
  op->run = [count, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, count, kGrain,
                [&](int64_t begin, int64_t end) { UnpackLoop(args.in<uint16_t>(0), args.out(0), begin, end); });
    return {};
  };
  return {};
}

Status PrepareFixedAdd(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const int64_t count = ElementCount(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "x", desc.in[0], EDDL_F32, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "acc", desc.in[1], EDDL_I64, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "output acc", desc.out[0], EDDL_I64, count));
  op->run = [count, threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, count, kGrain, [&](int64_t begin, int64_t end) {
      FixedAddLoop(args.in(0), args.in<int64_t>(1), args.out<int64_t>(0), begin, end, args.scalars[0].f);
    });
    return {};
  };
  return {};
}

Status PrepareFixedToFloat(const OpDesc& desc, const Context& context, PreparedOp* op) {
  const int64_t count = ElementCount(desc.in[0]);
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "acc", desc.in[0], EDDL_I64, count));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc, "y", desc.out[0], EDDL_F32, count));
  op->run = [count, threads = context.thread_count](const Args& args) -> Status {
    const double scale = args.scalars[0].f;
    ParallelFor(threads, count, kGrain, [&](int64_t begin, int64_t end) {
      if (IsExactFactor(scale)) {
        FixedToFloatLoop(args.in<int64_t>(0), args.out(0), begin, end, scale);
      } else {
        FixedQuotientLoop(args.in<int64_t>(0), args.out(0), begin, end, scale);
      }
    });
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
