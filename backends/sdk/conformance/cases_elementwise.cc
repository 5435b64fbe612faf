// Functions of single elements, in and out of place, and what they do with NaN, infinities and large numbers.
#include <limits>

#include "backends/sdk/conformance/op_case.h"
#include "backends/sdk/op_table.h"

namespace eddl::conformance {
namespace {

using kernels::Op;

// Both ends are values that Ties() gives, so that it shows on which side an end counts.
constexpr eddl_clamp_attrs kClamp = {.min = -0.5f, .max = 1};

eddl_tensor_desc RandomShape(Random& random, int round) {
  switch (round % 4) {
    case 0:
      return kernels::F32({random.Between(1, 300)});
    case 1:
      return kernels::F32({random.Size(33), random.Size(97)});
    case 2:
      return kernels::F32({random.Between(1, 4), random.Size(9), random.Size(9), random.Size(17)});
    default:
      return kernels::F32({2, random.Between(1, 3), 1, random.Between(1, 3), 2, random.Size(17)});
  }
}

Op MakeOp(const OpTraits& traits, const eddl_tensor_desc& shape) {
  const std::vector<eddl_tensor_desc> inputs(traits.input_max(), shape);
  if (traits.kind == EDDL_OP_LEAKY_RELU || traits.kind == EDDL_OP_LEAKY_RELU_GRAD) {
    return Op(traits.kind, inputs, {shape}, eddl_leaky_relu_attrs{.slope = 0.1f});
  }
  return traits.attrs_size == 0 ? Op(traits.kind, inputs, {shape}) : Op(traits.kind, inputs, {shape}, kClamp);
}

// What a forward op can have left as y; for gelu, which is derived at x, its x.
Fill FillOfY(eddl_op_kind kind) {
  if (kind == EDDL_OP_SIGMOID_GRAD) return Uniform(0, 1);
  if (kind == EDDL_OP_RELU_GRAD || kind == EDDL_OP_CLAMP_GRAD || kind == EDDL_OP_LEAKY_RELU_GRAD) return Ties();
  if (kind == EDDL_OP_GELU_GRAD) return Uniform(-4, 4);
  return Uniform();
}

// A ramp through all that is awkward: tiny, large, infinite.
Fill Extremes(bool infinite) {
  return [infinite](Random&, kernels::Tensor& x) {
    for (int64_t i = 0; i < x.size(); ++i) {
      const double sign = i % 2 == 0 ? 1 : -1;
      x.At(i) = sign * std::ldexp(1.0 + 0.01 * static_cast<double>(i), static_cast<int>(i % 40) - 30);
    }
    if (infinite && x.size() > 3) {
      x.At(1) = std::numeric_limits<double>::infinity();
      x.At(3) = -std::numeric_limits<double>::infinity();
    }
  };
}

void AddKind(CaseList& list, const OpTraits& traits) {
  const bool gradient = traits.inputs[0].name == std::string("dy");
  const std::vector<Source> sources = {gradient ? Uniform() : Uniform(-4, 4),
                                       gradient ? FillOfY(traits.kind) : Uniform(-4, 4)};
  for (int round = 0; round < 8; ++round) {
    Op op = MakeOp(traits, RandomShape(list.random(), round));
    if (traits.epilogue) {
      op.epilogue = static_cast<eddl_epilogue>(round % 3);
      op.epilogue_min = -1;
      op.epilogue_max = 2;
    }
    OpCase& one = list.Add(op, sources);
    if (round % 2 == 1) one.InPlace(0, static_cast<size_t>(round / 2) % op.inputs.size());
  }
  list.Add(MakeOp(traits, kernels::F32({1})), sources);
  list.Add(MakeOp(traits, kernels::F32({100003})), sources);
  Op nan = MakeOp(traits, kernels::F32({77}));
  list.Add(nan, {WithNan(Uniform()), gradient ? Constant(0.5) : Uniform()});
  if (traits.epilogue) {
    nan.epilogue = EDDL_EPILOGUE_RELU;
    list.Add(nan, {WithNan(Uniform()), Uniform()});
    nan.epilogue = EDDL_EPILOGUE_CLAMP;
    list.Add(nan, {Uniform(), WithNan(Uniform())});
  }
  if (!gradient) list.Add(MakeOp(traits, kernels::F32({120})), {Extremes(traits.input_max() == 1), Extremes(false)});
}

}  // namespace

void AddElementwiseCases(CaseList& list) {
  list.StartFamily("elementwise");
  for (const OpTraits& traits : kOpTable) {
    if (traits.kind >= EDDL_OP_RELU && traits.kind <= EDDL_OP_LEAKY_RELU_GRAD) AddKind(list, traits);
  }
}

}  // namespace eddl::conformance
