// OpCase: one or two ops, the tensors they share, and what is in them: everything needed to run and to check them on a
// device.
//
// Two ops where the second takes what the first leaves: a gradient after its forward op. Values; built by cases_*.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "backends/sdk/conformance/random.h"
#include "kernels/op.h"
#include "kernels/tensor.h"

namespace eddl::conformance {

// Draws the contents of a tensor, which arrives as zeros.
using Fill = std::function<void(Random& random, kernels::Tensor& tensor)>;

// Numbers uniform in [low, high); integers in {low .. high}.
Fill Uniform(double low = -1, double high = 1);
Fill Integers(int64_t low, int64_t high);
Fill Constant(double value);
// Mostly zeros; the rest uniform in [-1, 1).
Fill Sparse(double density);
// Few different values, so that equals are frequent: multiples of 0.5 in [-1, 1].
Fill Ties();
// As another fill, then NaN in one element.
Fill WithNan(Fill fill);

inline constexpr int kAbsent = -1;

struct CaseTensor {
  eddl_tensor_desc desc = {};
  Fill fill;  // none: an output, poisoned
};

struct Step {
  kernels::Op op;
  std::vector<int> inputs;  // indices of tensors, or kAbsent; one for each in op.inputs
  std::vector<int> outputs;
  std::vector<eddl_scalar> scalars;
};

// Where an input comes from: a new tensor with contents, or one that an earlier step has.
struct Source {
  Fill fill;
  int tensor = kAbsent;

  Source(Fill contents) : fill(std::move(contents)) {}
  Source(int existing) : tensor(existing) {}
};

struct OpCase {
  std::string name;  // "conv2d/12"; given when a list is complete
  std::vector<CaseTensor> tensors;
  std::vector<Step> steps;

  // Appends an op. sources: one for each input of the op; ignored where the description has none. Outputs are new
  // tensors; those that accumulate are filled.
  OpCase& Then(kernels::Op op, const std::vector<Source>& sources, std::vector<eddl_scalar> scalars = {});
  // The last op writes an output over one of its inputs.
  OpCase& InPlace(size_t output, size_t input);
  // A tensor of the first step, for Then.
  int input(size_t i) const { return steps[0].inputs[i]; }
  int output(size_t i) const { return steps[0].outputs[i]; }
};

// Cases in the making; random() is for shapes.
class CaseList {
 public:
  explicit CaseList(uint64_t seed) : seed_(seed), random_(seed) {}

  Random& random() { return random_; }
  // A stream of its own for the cases of one family: what one adds does not change another's shapes.
  void StartFamily(const char* name) { random_ = Random(seed_, name); }
  // A case of one op; Then may follow. The reference is valid until the next Add.
  OpCase& Add(kernels::Op op, const std::vector<Source>& sources, std::vector<eddl_scalar> scalars = {});
  // All cases, named by the kind of their last op and a number.
  std::vector<OpCase> Take();

 private:
  uint64_t seed_;
  Random random_;
  std::vector<OpCase> cases_;
};

// Each appends the cases of a family.
void AddMatmulCases(CaseList& list);
void AddConv2dCases(CaseList& list);
void AddPool2dCases(CaseList& list);
void AddBatchNormCases(CaseList& list);
void AddLayerNormCases(CaseList& list);
void AddElementwiseCases(CaseList& list);
void AddLayoutCases(CaseList& list);
void AddReduceCases(CaseList& list);
void AddDropoutCases(CaseList& list);
void AddSoftmaxCases(CaseList& list);
void AddLossCases(CaseList& list);
void AddNormalizeCases(CaseList& list);
void AddFlatCases(CaseList& list);
void AddOptimizerCases(CaseList& list);

// Every case of the suite, in the order of eddl_ops.h.
std::vector<OpCase> MakeOpCases(uint64_t seed);

}  // namespace eddl::conformance
