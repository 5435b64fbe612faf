#include "runtime/nn/model.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "runtime/graph/differentiate.h"
#include "runtime/nn/model_builder.h"
#include "runtime/nn/zoo.h"

namespace eddl {
namespace {

constexpr int64_t kWidthMax = int64_t{1} << 20;

const ZooEntry* FindEntry(const std::string& name) {
  const std::span<const ZooEntry> zoo = Zoo();
  const auto found = std::find_if(zoo.begin(), zoo.end(), [&](const ZooEntry& entry) { return entry.name == name; });
  return found == zoo.end() ? nullptr : &*found;
}

absl::Status CheckSpec(const ModelSpec& spec) {
  if (FindEntry(spec.name) == nullptr) {
    const std::vector<std::string> names = ModelNames();
    const std::string nearest = Nearest(spec.name, names);
    return InvalidArgument("no model named '" + spec.name + "'" +
                           (nearest.empty() ? "" : "; did you mean '" + nearest + "'?") +
                           " (there are: " + Join(names) + ")");
  }
  for (int64_t width : spec.widths) {
    if (width < 1 || width > kWidthMax) {
      return InvalidArgument("a layer of " + std::to_string(width) + " units; widths are 1 to " +
                             std::to_string(kWidthMax));
    }
  }
  if (!spec.widths.empty() && spec.name != "mlp") {
    return InvalidArgument("model '" + spec.name + "' has fixed widths; only 'mlp' takes a list of widths");
  }
  if (!(spec.dropout >= 0.0 && spec.dropout < 1.0)) {
    return InvalidArgument("dropout " + std::to_string(spec.dropout) + " is not in [0, 1)");
  }
  return absl::OkStatus();
}

absl::Status CheckInput(const ModelSpec& spec, const ModelInput& input) {
  const Shape& shape = input.sample_shape;
  if (shape.rank() < 1 || shape.rank() > 4 || shape.elements() < 1) {
    return InvalidArgument("samples of shape " + shape.ToString() + " cannot be a model's input");
  }
  if (input.class_count < 2) {
    return InvalidArgument("the data have " + std::to_string(input.class_count) +
                           " class; a classifier needs at least 2");
  }
  const ZooEntry& entry = *FindEntry(spec.name);
  if (entry.images && (shape.rank() != 3 || shape.dim(0) < entry.size_min || shape.dim(1) < entry.size_min)) {
    return InvalidArgument("model '" + spec.name + "' needs images [height, width, channels] of at least " +
                           std::to_string(entry.size_min) + " x " + std::to_string(entry.size_min) +
                           ", and the samples are " + shape.ToString() + "; try 'mlp' or 'pernet'");
  }
  return absl::OkStatus();
}

absl::Status CheckFrozen(const ModelSpec& spec, const ParamLayout& layout) {
  std::vector<std::string> names;
  for (const ParamSlice& slice : layout.slices()) names.push_back(slice.parameter.name);
  for (const std::string& prefix : spec.frozen) {
    if (!prefix.empty() && std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          return name.compare(0, prefix.size(), prefix) == 0;
        })) {
      continue;
    }
    return InvalidArgument("no parameter begins with '" + prefix +
                           "', so it cannot be frozen (there are: " + Join(names) + ")");
  }
  if (layout.trainable_end() == 0) return InvalidArgument("every layer is frozen; there is nothing to train");
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> ModelNames() {
  std::vector<std::string> names;
  for (const ZooEntry& entry : Zoo()) names.emplace_back(entry.name);
  return names;
}

absl::StatusOr<Model> Model::Create(const ModelSpec& spec, const ModelInput& input) {
  EDDL_RETURN_IF_ERROR(CheckSpec(spec));
  EDDL_RETURN_IF_ERROR(CheckInput(spec, input));
  Model model(spec, input);
  EDDL_ASSIGN_OR_RETURN(const Graph graph, model.Build(1, Mode::kPredict));
  model.layout_ = ParamLayout(graph.parameters());
  EDDL_RETURN_IF_ERROR(CheckFrozen(spec, model.layout_));
  return model;
}

absl::StatusOr<Graph> Model::Build(int64_t n, Mode mode) const {
  EDDL_CHECK(n > 0) << "a batch of " << n;
  ModelBuilder builder(spec_, input_, n, mode);
  FindEntry(spec_.name)->build(builder, spec_, input_);
  EDDL_ASSIGN_OR_RETURN(Graph graph, std::move(builder).Finish());
  if (mode != Mode::kTrain) return graph;
  return Differentiate(std::move(graph));
}

std::vector<float> Model::InitialParameters(uint64_t seed) const {
  std::vector<float> values(static_cast<size_t>(layout_.total()), 0.0f);
  uint64_t index = 0;
  for (const ParamSlice& slice : layout_.slices()) {
    const Parameter& parameter = slice.parameter;
    const std::span<float> target(values.data() + slice.begin, static_cast<size_t>(slice.end - slice.begin));
    Rng rng(DeriveSeed(seed, 0x696e6974, index++));  // "init": each parameter has a stream of its own
    switch (parameter.init) {
      case ParamInit::kZero:
        break;
      case ParamInit::kOne:
        std::fill(target.begin(), target.end(), 1.0f);
        break;
      case ParamInit::kValues:
        std::copy(parameter.values.begin(), parameter.values.end(), target.begin());
        break;
      case ParamInit::kHeUniform: {
        const double limit = std::sqrt(6.0 / static_cast<double>(std::max<int64_t>(1, parameter.fan_in)));
        for (float& value : target) value = static_cast<float>(rng.Uniform(-limit, limit));
        break;
      }
    }
  }
  return values;
}

}  // namespace eddl
