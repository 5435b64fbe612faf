// Model: a network by name, as a function from batch size and mode to a graph. Pure value; no weights.
//
// The zoo: mlp, pernet, lenet5, inception_small, resnet20, mobilenet_small. Widths follow the data set.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/param_layout.h"

namespace eddl {

struct ModelSpec {
  std::string name = "mlp";
  std::vector<int64_t> widths;      // mlp: its hidden layers
  double dropout = 0.0;             // probability after each hidden dense layer (mlp, pernet, lenet5)
  bool sparse_input = false;        // first dense layer skips zeros (mlp, pernet)
  std::vector<std::string> frozen;  // parameters whose names begin with one of these stay as they are

  bool operator==(const ModelSpec&) const = default;
};

// What a model must know of its data.
struct ModelInput {
  Shape sample_shape;  // [H, W, C] or [F]
  DType dtype = DType::kF32;
  int64_t class_count = 0;
  std::vector<float> scale = {1.0f};  // u8 input becomes x * scale + shift: one, or one per channel
  std::vector<float> shift = {0.0f};

  bool operator==(const ModelInput&) const = default;
};

enum class Mode : uint8_t {
  kTrain,     // inputs x, label, sample (only with dropout); outputs loss, correct; gradients
  kEvaluate,  // inputs x, label; outputs loss, correct
  kPredict,   // input x; output probability [N, K]
};

// Names of graph inputs and outputs.
inline constexpr char kInputX[] = "x";
inline constexpr char kInputLabel[] = "label";
inline constexpr char kInputSample[] = "sample";
inline constexpr char kOutputLoss[] = "loss";
inline constexpr char kOutputCorrect[] = "correct";
inline constexpr char kOutputProbability[] = "probability";

class Model {
 public:
  // kInvalidArgument: no such model (names the nearest), a sample shape that does not fit it, bad widths or dropout, a
  // frozen prefix that matches nothing.
  static absl::StatusOr<Model> Create(const ModelSpec& spec, const ModelInput& input);

  const ModelSpec& spec() const { return spec_; }
  const ModelInput& input() const { return input_; }
  const ParamLayout& layout() const { return layout_; }

  // The graph for a batch of n samples, differentiated for kTrain. All graphs of a model have the same parameters.
  // REQUIRES: n > 0.
  absl::StatusOr<Graph> Build(int64_t n, Mode mode) const;

  // The flat vector of initial parameters, layout().total() elements; a function of the seed.
  std::vector<float> InitialParameters(uint64_t seed) const;

 private:
  Model(const ModelSpec& spec, const ModelInput& input) : spec_(spec), input_(input) {}

  ModelSpec spec_;
  ModelInput input_;
  ParamLayout layout_;
};

// Names in the zoo.
std::vector<std::string> ModelNames();

}  // namespace eddl
