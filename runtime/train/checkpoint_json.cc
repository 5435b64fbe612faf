#include "runtime/train/checkpoint_json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/data/reader.h"

namespace eddl {
namespace {

using Json = nlohmann::json;

constexpr int64_t kSampleElementsMax = int64_t{1} << 32;  // far above any sample, far below where sizes overflow

// JSON has no numbers that are not finite; they become text.
Json Number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json Numbers(const std::vector<float>& values) {
  Json list = Json::array();
  for (float value : values) list.push_back(Number(static_cast<double>(value)));
  return list;
}

// Convert: whether the JSON is of the type of `out`, and then its value.
bool Convert(const Json& json, bool& out) {
  if (json.is_boolean()) out = json.get<bool>();
  return json.is_boolean();
}

bool Convert(const Json& json, int64_t& out) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!json.is_number_integer() || (json.is_number_unsigned() && json.get<uint64_t>() > kMax)) return false;
  out = json.get<int64_t>();
  return true;
}

bool Convert(const Json& json, uint64_t& out) {
  if (json.is_number_unsigned()) out = json.get<uint64_t>();
  return json.is_number_unsigned();
}

bool Convert(const Json& json, double& out) {
  if (json.is_number()) {
    out = json.get<double>();
  } else if (json == "nan") {
    out = std::numeric_limits<double>::quiet_NaN();
  } else if (json == "inf" || json == "-inf") {
    out = json == "inf" ? HUGE_VAL : -HUGE_VAL;
  } else {
    return false;
  }
  return true;
}

bool Convert(const Json& json, float& out) {
  double value = 0.0;
  if (!Convert(json, value)) return false;
  out = static_cast<float>(value);
  return true;
}

bool Convert(const Json& json, std::string& out) {
  if (json.is_string()) out = json.get<std::string>();
  return json.is_string();
}

template <typename T>
bool Convert(const Json& json, std::vector<T>& out) {
  if (!json.is_array()) return false;
  out.clear();
  for (const Json& item : json) {
    T value{};
    if (!Convert(item, value)) return false;
    out.push_back(std::move(value));
  }
  return true;
}

bool Convert(const Json& json, Shape& out) {
  std::vector<int64_t> dims;
  if (!Convert(json, dims) || dims.size() > static_cast<size_t>(Shape::kRankMax)) return false;
  int64_t elements = 1;
  for (int64_t dim : dims) {
    if (dim < 1 || dim > kSampleElementsMax / elements) return false;
    elements *= dim;
  }
  out = Shape(dims);
  return true;
}

bool Convert(const Json& json, DType& out) {
  if (json != "u8" && json != "f32") return false;
  out = json == "u8" ? DType::kU8 : DType::kF32;
  return true;
}

bool Convert(const Json& json, OptimizerKind& out) {
  if (!json.is_string()) return false;
  const auto kind = ParseOptimizerKind(json.get<std::string>());
  if (kind.ok()) out = *kind;
  return kind.ok();
}

bool Convert(const Json& json, ScheduleKind& out) {
  if (!json.is_string()) return false;
  const auto kind = ParseScheduleKind(json.get<std::string>());
  if (kind.ok()) out = *kind;
  return kind.ok();
}

// Reads members of one object; the first that is missing or of another type is kept as the status.
class Members {
 public:
  Members(const Json& json, std::string what) : json_(json), what_(std::move(what)) {
    if (!json.is_object()) status_ = InvalidArgument(what_ + ": not a JSON object");
  }

  template <typename T>
  Members& Read(const char* name, T& out) {
    if (status_.ok() && !(json_.contains(name) && Convert(json_.at(name), out))) Refuse(name);
    return *this;
  }
  Members& ReadCount(const char* name, int64_t& out, int64_t smallest = 0,
                     int64_t largest = std::numeric_limits<int64_t>::max()) {
    Read(name, out);
    if (status_.ok() && (out < smallest || out > largest)) Refuse(name);
    return *this;
  }
  // The member as it is, for an object inside; null if there is none.
  Json Inner(const char* name) const { return json_.is_object() && json_.contains(name) ? json_.at(name) : Json(); }

  const absl::Status& status() const { return status_; }

 private:
  void Refuse(const char* name) {
    const std::string found = json_.contains(name) ? "is of the wrong kind or out of range" : "is missing";
    status_ = InvalidArgument(what_ + ": \"" + name + "\" " + found);
  }

  const Json& json_;
  std::string what_;
  absl::Status status_;
};

std::vector<int64_t> Dims(const Shape& shape) { return {shape.dims().begin(), shape.dims().end()}; }

Json OptimizerJson(const OptimizerSpec& spec) {
  return {{"kind", NameOf(spec.kind)},       {"momentum", Number(spec.momentum)},
          {"nesterov", spec.nesterov},       {"weight_decay", Number(spec.weight_decay)},
          {"beta1", Number(spec.beta1)},     {"beta2", Number(spec.beta2)},
          {"epsilon", Number(spec.epsilon)}, {"statistics_keep", Number(spec.statistics_keep)}};
}

absl::Status ReadOptimizer(const Json& json, OptimizerSpec& spec) {
  return Members(json, "optimizer")
      .Read("kind", spec.kind)
      .Read("momentum", spec.momentum)
      .Read("nesterov", spec.nesterov)
      .Read("weight_decay", spec.weight_decay)
      .Read("beta1", spec.beta1)
      .Read("beta2", spec.beta2)
      .Read("epsilon", spec.epsilon)
      .Read("statistics_keep", spec.statistics_keep)
      .status();
}

Json ScheduleJson(const ScheduleSpec& spec) {
  return {{"kind", NameOf(spec.kind)},
          {"learning_rate", Number(spec.learning_rate)},
          {"warmup_samples", spec.warmup_samples},
          {"total_samples", spec.total_samples},
          {"step_samples", spec.step_samples},
          {"step_factor", Number(spec.step_factor)},
          {"final_fraction", Number(spec.final_fraction)}};
}

absl::Status ReadSchedule(const Json& json, ScheduleSpec& spec) {
  return Members(json, "schedule")
      .Read("kind", spec.kind)
      .Read("learning_rate", spec.learning_rate)
      .Read("warmup_samples", spec.warmup_samples)
      .Read("total_samples", spec.total_samples)
      .Read("step_samples", spec.step_samples)
      .Read("step_factor", spec.step_factor)
      .Read("final_fraction", spec.final_fraction)
      .status();
}

}  // namespace

Json ToJson(const ModelSpec& spec) {
  return {{"name", spec.name},
          {"widths", spec.widths},
          {"dropout", Number(spec.dropout)},
          {"sparse_input", spec.sparse_input},
          {"frozen", spec.frozen}};
}

absl::StatusOr<ModelSpec> ModelSpecFromJson(const Json& json) {
  ModelSpec spec;
  EDDL_RETURN_IF_ERROR(Members(json, "model")
                           .Read("name", spec.name)
                           .Read("widths", spec.widths)
                           .Read("dropout", spec.dropout)
                           .Read("sparse_input", spec.sparse_input)
                           .Read("frozen", spec.frozen)
                           .status());
  return spec;
}

Json ToJson(const ModelInput& input) {
  return {{"sample_shape", Dims(input.sample_shape)},
          {"dtype", std::string(NameOf(input.dtype))},
          {"class_count", input.class_count},
          {"scale", Numbers(input.scale)},
          {"shift", Numbers(input.shift)}};
}

absl::StatusOr<ModelInput> ModelInputFromJson(const Json& json) {
  ModelInput input;
  EDDL_RETURN_IF_ERROR(Members(json, "model input")
                           .Read("sample_shape", input.sample_shape)
                           .Read("dtype", input.dtype)
                           .ReadCount("class_count", input.class_count, /*smallest=*/0, kClassCountMax)
                           .Read("scale", input.scale)
                           .Read("shift", input.shift)
                           .status());
  return input;
}

Json ToJson(const TrainState& state) {
  return {{"epoch", state.epoch},
          {"position", state.position},
          {"step", state.step},
          {"samples", state.samples},
          {"epoch_loss", Number(state.epoch_loss)},
          {"epoch_correct", state.epoch_correct},
          {"seconds", Number(state.seconds)}};
}

absl::StatusOr<TrainState> TrainStateFromJson(const Json& json) {
  TrainState state;
  EDDL_RETURN_IF_ERROR(Members(json, "train state")
                           .ReadCount("epoch", state.epoch)
                           .ReadCount("position", state.position)
                           .ReadCount("step", state.step)
                           .ReadCount("samples", state.samples)
                           .Read("epoch_loss", state.epoch_loss)
                           .ReadCount("epoch_correct", state.epoch_correct)
                           .Read("seconds", state.seconds)
                           .status());
  return state;
}

Json ToJson(const TrainOptions& options) {
  return {{"seed", options.seed},
          {"epochs", options.epochs},
          {"batch", options.batch},
          {"micro_batch", options.micro_batch},
          {"optimizer", OptimizerJson(options.optimizer)},
          {"schedule", ScheduleJson(options.schedule)},
          {"clip_norm", Number(options.clip_norm)},
          {"evaluate_batch", options.evaluate_batch},
          {"checkpoint_steps", options.checkpoint_steps},
          {"order", {{"first_epoch_windows", options.order.first_epoch_windows}}}};
}

absl::StatusOr<TrainOptions> TrainOptionsFromJson(const Json& json) {
  TrainOptions options;
  Members members(json, "train options");
  EDDL_RETURN_IF_ERROR(members.Read("seed", options.seed)
                           .Read("epochs", options.epochs)
                           .Read("batch", options.batch)
                           .Read("micro_batch", options.micro_batch)
                           .Read("clip_norm", options.clip_norm)
                           .Read("evaluate_batch", options.evaluate_batch)
                           .Read("checkpoint_steps", options.checkpoint_steps)
                           .status());
  EDDL_RETURN_IF_ERROR(ReadOptimizer(members.Inner("optimizer"), options.optimizer));
  EDDL_RETURN_IF_ERROR(ReadSchedule(members.Inner("schedule"), options.schedule));
  const Json order = members.Inner("order");
  EDDL_RETURN_IF_ERROR(Members(order, "order")
                           .ReadCount("first_epoch_windows", options.order.first_epoch_windows, /*smallest=*/1)
                           .status());
  return options;
}

}  // namespace eddl
