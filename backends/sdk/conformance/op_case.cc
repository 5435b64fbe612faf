#include "backends/sdk/conformance/op_case.h"

#include <limits>
#include <map>

#include "backends/sdk/op_table.h"

namespace eddl::conformance {

using kernels::Op;
using kernels::Tensor;

Fill Uniform(double low, double high) {
  return [=](Random& random, Tensor& tensor) {
    for (int64_t i = 0; i < tensor.size(); ++i) tensor.At(i) = random.Uniform(low, high);
  };
}

Fill Integers(int64_t low, int64_t high) {
  return [=](Random& random, Tensor& tensor) {
    for (int64_t i = 0; i < tensor.size(); ++i) tensor.Integer(i) = random.Between(low, high);
  };
}

Fill Constant(double value) {
  return [=](Random&, Tensor& tensor) {
    for (int64_t i = 0; i < tensor.size(); ++i) tensor.At(i) = value;
  };
}

Fill Sparse(double density) {
  return [=](Random& random, Tensor& tensor) {
    for (int64_t i = 0; i < tensor.size(); ++i) tensor.At(i) = random.Chance(density) ? random.Uniform(-1, 1) : 0;
  };
}

Fill Ties() {
  return [](Random& random, Tensor& tensor) {
    for (int64_t i = 0; i < tensor.size(); ++i) tensor.At(i) = 0.5 * static_cast<double>(random.Between(-2, 2));
  };
}

Fill WithNan(Fill fill) {
  return [fill = std::move(fill)](Random& random, Tensor& tensor) {
    fill(random, tensor);
    tensor.At(random.Between(0, tensor.size() - 1)) = std::numeric_limits<double>::quiet_NaN();
  };
}

OpCase& OpCase::Then(Op op, const std::vector<Source>& sources, std::vector<eddl_scalar> scalars) {
  Step step = {.op = std::move(op), .inputs = {}, .outputs = {}, .scalars = std::move(scalars)};
  const auto add = [this](const eddl_tensor_desc& desc, Fill fill) {
    tensors.push_back({.desc = desc, .fill = std::move(fill)});
    return static_cast<int>(tensors.size()) - 1;
  };
  for (size_t i = 0; i < step.op.inputs.size(); ++i) {
    const eddl_tensor_desc& desc = step.op.inputs[i];
    if (desc.dtype == 0) {
      step.inputs.push_back(kAbsent);
    } else {
      step.inputs.push_back(sources[i].tensor != kAbsent ? sources[i].tensor : add(desc, sources[i].fill));
    }
  }
  for (size_t i = 0; i < step.op.outputs.size(); ++i) {
    const bool accumulates = ((step.op.accumulate_mask >> i) & 1u) != 0;
    const eddl_tensor_desc& desc = step.op.outputs[i];
    step.outputs.push_back(desc.dtype == 0 ? kAbsent : add(desc, accumulates ? Uniform() : Fill()));
  }
  steps.push_back(std::move(step));
  return *this;
}

OpCase& OpCase::InPlace(size_t output, size_t input) {
  steps.back().outputs[output] = steps.back().inputs[input];
  return *this;
}

OpCase& CaseList::Add(Op op, const std::vector<Source>& sources, std::vector<eddl_scalar> scalars) {
  return cases_.emplace_back().Then(std::move(op), sources, std::move(scalars));
}

std::vector<OpCase> CaseList::Take() {
  std::map<eddl_op_kind, int> counts;
  for (OpCase& one : cases_) {
    const eddl_op_kind kind = one.steps.back().op.kind;
    one.name = std::string(FindOpTraits(kind)->name) + "/" + std::to_string(++counts[kind]);
  }
  return std::move(cases_);
}

std::vector<OpCase> MakeOpCases(uint64_t seed) {
  CaseList list(seed);
  AddMatmulCases(list);
  AddConv2dCases(list);
  AddPool2dCases(list);
  AddBatchNormCases(list);
  AddLayerNormCases(list);
  AddElementwiseCases(list);
  AddLayoutCases(list);
  AddReduceCases(list);
  AddDropoutCases(list);
  AddSoftmaxCases(list);
  AddLossCases(list);
  AddNormalizeCases(list);
  AddFlatCases(list);
  AddOptimizerCases(list);
  return list.Take();
}

}  // namespace eddl::conformance
