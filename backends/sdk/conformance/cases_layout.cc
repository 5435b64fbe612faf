// Moving data, for every dtype; and reduction, the inverse of broadcasting.
#include "backends/sdk/conformance/op_case.h"

namespace eddl::conformance {
namespace {

using kernels::Describe;
using kernels::Op;

constexpr eddl_dtype kDtypes[] = {EDDL_F32, EDDL_I32, EDDL_U8, EDDL_I64, EDDL_F16};

// Mostly f32.
eddl_dtype DtypeOf(int round) { return kDtypes[round % 2 == 0 ? 0 : round / 2 % 5]; }

// Any bits of the dtype that are a number.
Fill Anything(eddl_dtype dtype) {
  switch (dtype) {
    case EDDL_U8:
      return Integers(0, 255);
    case EDDL_I32:
      return Integers(-2147483647 - 1, 2147483647);
    case EDDL_I64:
      return [](Random& random, kernels::Tensor& x) {
        for (int64_t i = 0; i < x.size(); ++i) x.Integer(i) = static_cast<int64_t>(random.Next());
      };
    default:
      return Uniform(-1000, 1000);
  }
}

std::vector<int64_t> RandomShape(Random& random, int64_t rank) {
  std::vector<int64_t> shape;
  for (int64_t d = 0; d < rank; ++d) shape.push_back(random.Size(rank < 4 ? 17 : 5));
  return shape;
}

void AddConcatAndSplit(CaseList& list, int round) {
  Random& random = list.random();
  const eddl_dtype dtype = DtypeOf(round);
  const int64_t rank = random.Between(1, EDDL_RANK_MAX);
  const auto axis = static_cast<size_t>(round % 3 == 0 ? rank - 1 : random.Between(0, rank - 1));
  const int64_t count = round == 0 ? 1 : round == 1 ? EDDL_CONCAT_MAX : random.Between(2, 5);
  std::vector<int64_t> joined = RandomShape(random, rank);
  joined[axis] = 0;
  std::vector<eddl_tensor_desc> parts;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int64_t> part = joined;
    part[axis] = random.Size(9);
    parts.push_back(Describe(dtype, part));
  }
  for (const eddl_tensor_desc& part : parts) joined[axis] += part.shape[axis];
  const eddl_axis_attrs attrs = {.axis = static_cast<uint32_t>(axis)};
  const std::vector<Source> sources(parts.size(), Anything(dtype));
  list.Add({EDDL_OP_CONCAT, parts, {Describe(dtype, joined)}, attrs}, sources);
  list.Add({EDDL_OP_SPLIT, {Describe(dtype, joined)}, parts, attrs}, sources);
}

void AddSliceAndPad(CaseList& list, int round) {
  Random& random = list.random();
  const eddl_dtype dtype = DtypeOf(round);
  const std::vector<int64_t> large = RandomShape(random, random.Between(1, EDDL_RANK_MAX));
  std::vector<int64_t> small = large;
  eddl_slice_attrs attrs = {};
  for (size_t d = 0; d < large.size(); ++d) {
    small[d] = random.Between(1, large[d]);
    attrs.begin[d] = random.Between(0, large[d] - small[d]);
  }
  list.Add({EDDL_OP_SLICE, {Describe(dtype, large)}, {Describe(dtype, small)}, attrs}, {Anything(dtype)});
  list.Add({EDDL_OP_PAD, {Describe(dtype, small)}, {Describe(dtype, large)}, attrs}, {Anything(dtype)});
}

void AddTranspose(CaseList& list, int round) {
  Random& random = list.random();
  const eddl_dtype dtype = DtypeOf(round);
  const int64_t rank = round < 6 ? 2 : random.Between(1, EDDL_RANK_MAX);
  const std::vector<int64_t> x =
      round < 6 ? std::vector<int64_t>{random.Size(65), random.Size(97)} : RandomShape(random, rank);
  eddl_transpose_attrs attrs = {};
  for (uint32_t d = 0; d < EDDL_RANK_MAX; ++d) attrs.permutation[d] = d;
  for (int64_t d = rank - 1; d > 0; --d) std::swap(attrs.permutation[d], attrs.permutation[random.Between(0, d)]);
  if (round < 6) attrs.permutation[0] = 1, attrs.permutation[1] = 0;
  std::vector<int64_t> y;
  for (int64_t d = 0; d < rank; ++d) y.push_back(x[attrs.permutation[d]]);
  list.Add({EDDL_OP_TRANSPOSE, {Describe(dtype, x)}, {Describe(dtype, y)}, attrs}, {Anything(dtype)});
}

// A shape, a mask of its axes, and the shape without them (or with 1 there).
struct Reduced {
  eddl_tensor_desc larger, smaller;
  uint32_t axis_mask;
};

Reduced RandomReduced(Random& random, int round) {
  const int64_t rank = random.Between(1, EDDL_RANK_MAX);
  const std::vector<int64_t> larger = RandomShape(random, rank);
  const auto axis_mask = random.Small(1, (int64_t{1} << rank) - 1);
  std::vector<int64_t> smaller;
  for (int64_t d = 0; d < rank; ++d) {
    const bool masked = (axis_mask >> d) & 1u;
    if (!masked) smaller.push_back(larger[static_cast<size_t>(d)]);
    if (masked && round % 2 == 1) smaller.push_back(1);
  }
  if (smaller.empty()) smaller.push_back(1);
  return {Describe(EDDL_F32, larger), Describe(EDDL_F32, smaller), axis_mask};
}

}  // namespace

void AddLayoutCases(CaseList& list) {
  list.StartFamily("layout");
  for (int round = 0; round < 16; ++round) AddConcatAndSplit(list, round);
  for (int round = 0; round < 16; ++round) AddSliceAndPad(list, round);
  for (int round = 0; round < 24; ++round) AddTranspose(list, round);
  for (int round = 0; round < 12; ++round) {
    const Reduced shape = RandomReduced(list.random(), round);
    list.Add({EDDL_OP_BROADCAST, {shape.smaller}, {shape.larger}, eddl_reduce_attrs{.axis_mask = shape.axis_mask}},
             {Uniform()});
  }
}

void AddReduceCases(CaseList& list) {
  list.StartFamily("reduce");
  for (int round = 0; round < 36; ++round) {
    const Reduced shape = RandomReduced(list.random(), round / 3);
    const eddl_reduce_attrs attrs = {.kind = static_cast<eddl_reduce_kind>(round % 3), .axis_mask = shape.axis_mask};
    Op op(EDDL_OP_REDUCE, {shape.larger}, {shape.smaller}, attrs);
    op.accumulate_mask = round / 6 % 2;
    list.Add(op, {Uniform()});
  }
  for (const eddl_reduce_kind kind : {EDDL_REDUCE_SUM, EDDL_REDUCE_MEAN, EDDL_REDUCE_MAX}) {
    const auto reduce = [&](std::initializer_list<int64_t> x, int64_t y, uint32_t axis_mask) {
      return Op(EDDL_OP_REDUCE, {kernels::F32(x)}, {kernels::F32({y})},
                eddl_reduce_attrs{.kind = kind, .axis_mask = axis_mask});
    };
    list.Add(reduce({100003}, 1, 1), {Uniform()});
    list.Add(reduce({1003, 65}, 65, 1), {Uniform(-2, -1)});
    list.Add(reduce({65, 1003}, 65, 2), {Uniform(-2, -1)});
    list.Add(reduce({9, 33}, 33, 1), {WithNan(Uniform())});
    list.Add(reduce({9, 33}, 9, 2), {WithNan(Uniform())});
  }
}

}  // namespace eddl::conformance
