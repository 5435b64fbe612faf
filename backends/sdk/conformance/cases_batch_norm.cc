// Batch normalisation: with and without sums of statistics, epilogues, gradients in place. Layer normalisation.
#include "backends/sdk/conformance/op_case.h"

namespace eddl::conformance {
namespace {

using kernels::Op;

constexpr eddl_batch_norm_attrs kAttrs = {.epsilon = 1e-5f};

// Channels with a mean and a spread of their own.
Fill Channels() {
  return [](Random& random, kernels::Tensor& x) {
    const int64_t channels = x.dim(-1);
    for (int64_t c = 0; c < channels; ++c) {
      const double mean = random.Uniform(-3, 3);
      const double spread = random.Uniform(0.2, 3);
      for (int64_t i = c; i < x.size(); i += channels) x.At(i) = mean + spread * random.Uniform(-1, 1);
    }
  };
}

eddl_tensor_desc RandomX(Random& random, int round) {
  const int64_t n = random.Between(2, 7);
  const int64_t c = random.Size(33);
  if (round % 3 == 0) return kernels::F32({n * 3, c});
  return kernels::F32({n, random.Between(1, 7), random.Between(1, 7), c});
}

eddl_tensor_desc ChannelsOf(const eddl_tensor_desc& x) { return kernels::F32({x.shape[x.rank - 1]}); }

void SetEpilogue(Op& op, int choice) {
  op.epilogue = static_cast<eddl_epilogue>(choice % 3);
  op.epilogue_min = -0.5f;
  op.epilogue_max = 0.75f;
}

void AddTraining(CaseList& list, const eddl_tensor_desc& x, int round) {
  const eddl_tensor_desc channel = ChannelsOf(x);
  const bool mean = round & 1, var = round & 2;
  Op op(EDDL_OP_BATCH_NORM, {x, channel, channel},
        {x, mean ? channel : eddl_tensor_desc{}, var ? channel : eddl_tensor_desc{}}, kAttrs);
  op.accumulate_mask = (round & 4 && mean ? 2u : 0u) | (round & 8 && var ? 4u : 0u);
  SetEpilogue(op, round);
  list.Add(op, {Channels(), Uniform(0.5, 2), Uniform()});
}

// The gradient takes the state, and with relu the y, that the forward op leaves.
void AddGradient(CaseList& list, const eddl_tensor_desc& x, bool relu, uint32_t accumulate_mask, bool in_place) {
  const eddl_tensor_desc channel = ChannelsOf(x);
  Op forward(EDDL_OP_BATCH_NORM, {x, channel, channel}, {x, channel, channel}, kAttrs);
  forward.epilogue = relu ? EDDL_EPILOGUE_RELU : EDDL_EPILOGUE_NONE;
  Op grad(EDDL_OP_BATCH_NORM_GRAD, {x, x, channel, relu ? x : eddl_tensor_desc{}}, {x, channel, channel}, kAttrs);
  grad.accumulate_mask = accumulate_mask;
  OpCase& one = list.Add(forward, {Channels(), Uniform(0.5, 2), Uniform()});
  one.Then(grad, {Uniform(), one.input(0), one.input(1), relu ? Source(one.output(0)) : Source(Fill())});
  if (in_place) one.InPlace(0, 0);
}

void AddInference(CaseList& list, const eddl_tensor_desc& x, int round) {
  const eddl_tensor_desc channel = ChannelsOf(x);
  Op op(EDDL_OP_BATCH_NORM_INFERENCE, {x, channel, channel, channel, channel}, {x}, kAttrs);
  SetEpilogue(op, round);
  OpCase& one = list.Add(op, {Uniform(-3, 3), Uniform(0.5, 2), Uniform(), Uniform(-2, 2), Uniform(0.1, 4)});
  if (round % 2 == 1) one.InPlace(0, 0);
}

}  // namespace

void AddLayerNormCases(CaseList& list) {
  constexpr eddl_layer_norm_attrs kLayerAttrs = {.epsilon = 1e-5f};
  list.StartFamily("layer_norm");
  Random& random = list.random();
  for (int round = 0; round < 16; ++round) {
    eddl_tensor_desc x = round % 3 == 0 ? kernels::F32({random.Size(33), random.Size(97)})
                                        : kernels::F32({random.Between(1, 5), random.Between(1, 7), random.Size(65)});
    if (round == 14) x = kernels::F32({7, 300});
    if (round == 15) x = kernels::F32({300, 70});
    const eddl_tensor_desc channel = ChannelsOf(x);
    list.Add({EDDL_OP_LAYER_NORM, {x, channel, channel}, {x}, kLayerAttrs},
             {Uniform(-2, 5), Uniform(0.5, 2), Uniform()});
    Op grad(EDDL_OP_LAYER_NORM_GRAD, {x, x, channel}, {x, channel, channel}, kLayerAttrs);
    grad.accumulate_mask = static_cast<uint32_t>(round) & 6u;
    OpCase& one = list.Add(grad, {Uniform(), Uniform(-2, 5), Uniform(0.5, 2)});
    if (round % 2 == 1) one.InPlace(0, 0);
  }
  const eddl_tensor_desc x = kernels::F32({4, 6}), channel = ChannelsOf(x);
  list.Add({EDDL_OP_LAYER_NORM, {x, channel, channel}, {x}, kLayerAttrs},
           {WithNan(Uniform()), Uniform(0.5, 2), Uniform()});
}

void AddBatchNormCases(CaseList& list) {
  list.StartFamily("batch_norm");
  Random& random = list.random();
  for (int round = 0; round < 24; ++round) {
    AddTraining(list, RandomX(random, round), round);
    AddGradient(list, RandomX(random, round), round & 1, static_cast<uint32_t>(round) & 6u, round & 8);
    AddInference(list, RandomX(random, round), round);
  }
  for (const eddl_tensor_desc& x :
       {kernels::F32({1, 5}), kernels::F32({1, 1, 1, 3}), kernels::F32({64, 9, 7, 17}), kernels::F32({3, 2, 300})}) {
    AddTraining(list, x, 3);
    AddGradient(list, x, false, 0, false);
    AddInference(list, x, 0);
  }
  const eddl_tensor_desc x = kernels::F32({4, 3, 2, 5}), channel = ChannelsOf(x);
  Op with_nan(EDDL_OP_BATCH_NORM, {x, channel, channel}, {x, channel, channel}, kAttrs);
  list.Add(with_nan, {WithNan(Channels()), Uniform(0.5, 2), Uniform()});
  with_nan.epilogue = EDDL_EPILOGUE_RELU;
  list.Add(with_nan, {WithNan(Channels()), Uniform(0.5, 2), Uniform()});
}

}  // namespace eddl::conformance
