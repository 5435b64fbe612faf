// Loops over flat vectors of gradients: sums, norms, and exact mode's fixed point.
//
// Pure functions on host memory. The same bits on every instruction set; norms are summed in one fixed order.
#pragma once

#include <cstdint>
#include <span>

namespace eddl::cluster {

// Fixed point of exact mode: a gradient element g is counted as round-half-even(g · 2^40) in int64.
constexpr double kFixedScale = 1099511627776.0;
// Terms and sums lie in [-kFixedLimit, kFixedLimit), that is gradients in [-2^22, 2^22): two of them never wrap.
constexpr int64_t kFixedLimit = int64_t{1} << 62;

// to += from. REQUIRES: equal sizes, here and below.
void AddFloats(std::span<float> to, std::span<const float> from);
// to += from, wrapping. False if a term or a sum is beyond the limit.
bool AddFixed(std::span<int64_t> to, std::span<const int64_t> from);
// to += round-half-even(from · kFixedScale), as EDDL_OP_FIXED_ADD. False if a term or a sum is beyond the limit, or a
// term is not a number; `to` holds anything then.
bool AddRounded(std::span<int64_t> to, std::span<const float> from);
// to = from / kFixedScale, rounded once.
void FixedToFloats(std::span<const int64_t> from, std::span<float> to);

// Whether no element is infinite or not a number.
bool AllFinite(std::span<const float> values);
// In double precision; of fixed point, of the numbers that it stands for.
double SumSquares(std::span<const float> values);
double SumSquares(std::span<const int64_t> fixed);

}  // namespace eddl::cluster
