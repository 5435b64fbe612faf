#include "net/sim/recorded_options.h"

#include <map>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"

namespace eddl::net::sim {
namespace {

using Json = nlohmann::json;

constexpr char kOptions[] = "manager_options";
constexpr char kRate[] = "learning_rate";

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

template <typename T>
std::optional<T> ReadOptional(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<T>();
}

Json Write(const PlannerOptions& options) {
  Json leaders = Json::array();
  for (const LeaderShare& share : options.leaders) leaders.push_back({ToInt(share.node), share.fraction});
  return {{"mode", OrNull(options.mode)},
          {"codec", OrNull(options.codec)},
          {"leaders", std::move(leaders)},
          {"leaders_max", options.leaders_max},
          {"quorum", OrNull(options.quorum)},
          {"staleness_max", OrNull(options.staleness_max)},
          {"allow_delay", options.allow_delay},
          {"allow_async", options.allow_async},
          {"allow_f16", options.allow_f16},
          {"allow_parking", options.allow_parking},
          {"hysteresis", options.hysteresis},
          {"admission", options.admission},
          {"message_seconds", options.predictor.message_seconds},
          {"share_bytes_min", options.predictor.share_bytes_min},
          {"backups", options.predictor.backups}};
}

PlannerOptions ReadPlanner(const Json& json) {
  PlannerOptions options{.mode = ReadOptional<Mode>(json.at("mode")),
                         .codec = ReadOptional<Codec>(json.at("codec")),
                         .leaders_max = json.at("leaders_max"),
                         .quorum = ReadOptional<uint32_t>(json.at("quorum")),
                         .staleness_max = ReadOptional<uint32_t>(json.at("staleness_max")),
                         .allow_delay = json.at("allow_delay"),
                         .allow_async = json.at("allow_async"),
                         .allow_f16 = json.at("allow_f16"),
                         .allow_parking = json.at("allow_parking"),
                         .hysteresis = json.at("hysteresis"),
                         .admission = json.at("admission")};
  for (const Json& share : json.at("leaders")) {
    options.leaders.push_back({.node = NodeId{share.at(0).get<uint32_t>()}, .fraction = share.at(1)});
  }
  options.predictor = {.message_seconds = json.at("message_seconds"),
                       .share_bytes_min = json.at("share_bytes_min"),
                       .backups = json.at("backups")};
  return options;
}

ManagerOptions ReadOptions(const Json& json) {
  return {.ledger = {.sample_count = json.at("sample_count"),
                     .micro_batch_size = json.at("micro_batch_size"),
                     .epoch_count = json.at("epoch_count"),
                     .seed = json.at("seed")},
          .batch_size = json.at("batch_size"),
          .parameter_count = json.at("parameter_count"),
          .stripe_count = json.at("stripe_count"),
          .step_scale = json.value("step_scale", 0.0),  // logs of before had none
          .gradient_norm_max = json.at("gradient_norm_max"),
          .workers_min = json.at("workers_min"),
          .leaders_min = json.at("leaders_min"),
          .checkpoint_rounds = json.at("checkpoint_rounds"),
          .checkpoint_epochs = json.at("checkpoint_epochs"),
          .checkpoint_end = json.at("checkpoint_end"),
          .test_count = json.value("test_count", int64_t{0}),  // logs of before had no tests
          .test_here = json.value("test_here", false),
          .planner = ReadPlanner(json.at("planner")),
          .speculate = json.at("speculate"),
          .tick = {json.at("tick_ns").get<int64_t>()},
          .reconnect = {json.at("reconnect_ns").get<int64_t>()}};
}

}  // namespace

std::string ManagerOptionsLine(const ManagerOptions& options) {
  return Json{{kOptions,
               {{"sample_count", options.ledger.sample_count},
                {"micro_batch_size", options.ledger.micro_batch_size},
                {"epoch_count", options.ledger.epoch_count},
                {"seed", options.ledger.seed},
                {"batch_size", options.batch_size},
                {"parameter_count", options.parameter_count},
                {"stripe_count", options.stripe_count},
                {"step_scale", options.step_scale},
                {"gradient_norm_max", options.gradient_norm_max},
                {"workers_min", options.workers_min},
                {"leaders_min", options.leaders_min},
                {"checkpoint_rounds", options.checkpoint_rounds},
                {"checkpoint_epochs", options.checkpoint_epochs},
                {"checkpoint_end", options.checkpoint_end},
                {"test_count", options.test_count},
                {"test_here", options.test_here},
                {"planner", Write(options.planner)},
                {"speculate", options.speculate},
                {"tick_ns", options.tick.ns},
                {"reconnect_ns", options.reconnect.ns}}}}
      .dump();
}

std::string LearningRateLine(int64_t samples_done, double rate) {
  return Json{{kRate, rate}, {"samples", samples_done}}.dump();
}

absl::StatusOr<ManagerOptions> ReadManagerOptions(std::span<const std::string> lines) {
  std::optional<ManagerOptions> options;
  auto rates = std::make_shared<std::map<int64_t, double>>();  // shared with the function, which is copied about
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find("\"at\"") != std::string::npos) continue;
    const Json json = Json::parse(lines[i], nullptr, /*allow_exceptions=*/false);
    try {
      if (json.is_object() && json.contains(kOptions) && !options) options = ReadOptions(json.at(kOptions));
      if (json.is_object() && json.contains(kRate)) rates->emplace(json.at("samples"), json.at(kRate));
    } catch (const Json::exception& error) {
      return DataLoss("line " + std::to_string(i + 1) + ": " + error.what());
    }
  }
  if (!options) return NotFound("the log has no line with the manager's options");
  options->learning_rate = [rates](int64_t samples) {
    const auto it = rates->find(samples);
    return it == rates->end() ? 0.0 : it->second;
  };
  return *std::move(options);
}

}  // namespace eddl::net::sim
