// Graph: a model's computation as an append-only list of ops in SSA form. Pure value; needs no device.
//
// A value is an input, a parameter, the gradient of a parameter, an output, or what an op produces. A reshape is not an
// op but a view: a value that shares the bytes of another. Nodes are in execution order: each uses only values made
// before it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/graph/op.h"
#include "runtime/tensor/shape.h"

namespace eddl {

enum class ValueId : int32_t {};
inline constexpr ValueId kNoValue{-1};  // an optional tensor that is absent

enum class ParamRole : uint8_t {
  kTrainable,
  kStatistic,  // running averages of batch normalisation: fed by sums, updated once per step
  kFrozen,     // used, never changed
  kConstant,   // part of the input's description, such as its scale; not counted as a parameter
};

// How a parameter starts.
enum class ParamInit : uint8_t {
  kZero,
  kOne,
  kHeUniform,  // uniform in ±sqrt(6 / fan_in) (He et al., 2015)
  kValues,     // Parameter::values
};

struct Parameter {
  std::string name;  // "conv1.weight"
  Shape shape;
  ParamRole role = ParamRole::kTrainable;
  ParamInit init = ParamInit::kZero;
  int64_t fan_in = 0;         // for kHeUniform
  std::vector<float> values;  // for kValues
  bool transposed = false;    // stored [in, out]; files keep [out, in]

  bool operator==(const Parameter&) const = default;
};

enum class ValueKind : uint8_t { kInput, kParameter, kGradient, kOutput, kIntermediate };

struct Value {
  ValueKind kind = ValueKind::kIntermediate;
  TensorDesc desc;
  std::string name;            // of an input, parameter or output; empty for most intermediates
  int32_t parameter = -1;      // index into parameters() for kParameter and kGradient
  ValueId view_of = kNoValue;  // shares the bytes of that value
};

struct Node {
  eddl_op_kind kind = 0;
  OpAttrs attrs;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Epilogue epilogue;
  int32_t state_of = -1;  // index of the forward node whose state this gradient op reads
  std::string name;       // "conv1", "conv1/grad_weight"
};

class Graph {
 public:
  ValueId AddInput(std::string_view name, const TensorDesc& desc);
  ValueId AddParameter(const Parameter& parameter);
  // A view of the same elements under another shape. kInvalidArgument if the element counts differ.
  absl::StatusOr<ValueId> Reshape(ValueId value, const Shape& shape);
  // Appends an op and infers what it produces. want[i] = false leaves optional output i out (kNoValue).
  // kInvalidArgument if the inputs do not fit the kind's contract.
  absl::StatusOr<std::vector<ValueId>> Add(eddl_op_kind kind, std::span<const ValueId> inputs, const OpAttrs& attrs,
                                           std::string_view name, std::span<const bool> want = {});
  // The same for an op whose outputs the inputs do not determine (gradients, slice, pad, split, broadcast). An absent
  // output is a TensorDesc of no dtype. REQUIRES: the outputs fit the contract; a backend refuses them otherwise.
  std::vector<ValueId> AddShaped(eddl_op_kind kind, std::span<const ValueId> inputs,
                                 std::span<const TensorDesc> outputs, const OpAttrs& attrs, std::string_view name,
                                 int32_t state_of = -1);
  // Add for an op with one output.
  absl::StatusOr<ValueId> AddOne(eddl_op_kind kind, std::span<const ValueId> inputs, const OpAttrs& attrs,
                                 std::string_view name);

  // Makes an intermediate value the gradient (or statistic sum) of a parameter. REQUIRES: equal element counts.
  void MarkGradient(ValueId value, int32_t parameter);
  // Makes an intermediate value an output: kept after the run; sums (loss, correct) add up over micro-batches.
  void MarkOutput(ValueId value, std::string_view name);

  std::span<const Node> nodes() const { return nodes_; }
  std::span<const Parameter> parameters() const { return parameters_; }
  size_t value_count() const { return values_.size(); }
  const Value& value(ValueId id) const;
  const TensorDesc& desc(ValueId id) const { return value(id).desc; }
  // The value whose bytes id shares: itself unless it is a view.
  ValueId root(ValueId id) const;
  // The value of parameter i.
  ValueId parameter_value(int32_t parameter) const;
  // kNoValue if there is none.
  ValueId FindInput(std::string_view name) const;
  // Description of a node for a backend. With accumulate, gradients and outputs get their bit where the kind allows it.
  OpDescription Describe(const Node& node, bool accumulate) const;
  // One line per node, for tests and people.
  std::string ToString() const;

  // For passes: the nodes, to be rewritten. Values are never removed; unused ones cost nothing.
  std::vector<Node>& mutable_nodes() { return nodes_; }

 private:
  ValueId NewValue(Value value);

  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<Parameter> parameters_;
  std::vector<ValueId> parameter_values_;
};

}  // namespace eddl
