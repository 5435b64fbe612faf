#include "tools/eddl_node/cluster/cluster_forecast.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include "runtime/base/status.h"
#include "tools/eddl_node/text_format.h"

namespace eddl::cluster {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kCandidatesShown = 6;

__attribute__((format(printf, 1, 2))) std::string Format(const char* format, ...) {
  std::array<char, 512> buffer{};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer.data(), buffer.size(), format, arguments);
  va_end(arguments);
  return buffer.data();
}

std::string Rate(double samples_per_second) { return Grouped(static_cast<int64_t>(samples_per_second + 0.5)); }

double ShareOf(const net::Plan& plan, net::NodeId node) {
  for (const net::LeaderShare& share : plan.leaders) {
    if (share.node == node) return share.fraction;
  }
  return 0;
}

// What a manager says of one member, as the planner wants to know it.
ForecastMember ReadMember(const Json& json, double cost) {
  ForecastMember member;
  member.name = json.value("name", "");
  member.is_measured = json.value("sample_seconds", 0.0) > 0;
  net::NodeProfile& profile = member.profile;
  profile.node = net::NodeId{json.value("node", 0u)};
  profile.can_work = json.value("can_work", true);
  profile.can_lead = json.value("reachable", false);
  profile.fixed_seconds = json.value("lease_seconds", 0.0);
  profile.seconds_per_sample =
      cost * (member.is_measured ? json.value("sample_seconds", 0.0) : json.value("joined_sample_seconds", 0.0));
  profile.variation = json.value("variation", 0.0);
  profile.up_bytes_per_second = json.value("up_bytes_per_second", 0.0);
  profile.down_bytes_per_second = json.value("down_bytes_per_second", 0.0);
  profile.round_trip = Duration{static_cast<int64_t>(1e9 * json.value("round_trip_seconds", 0.0))};
  return member;
}

}  // namespace

absl::StatusOr<ClusterForecast> ClusterForecast::Make(const Json& status, const net::ManagerOptions& options,
                                                      double cost) {
  ClusterForecast forecast;
  forecast.ledger_ = options.ledger;
  forecast.batch_size_ = options.batch_size;
  forecast.cost_ = cost;
  net::ClusterView view = {.parameter_count = options.parameter_count,
                           .batch_size = options.batch_size,
                           .micro_batch_size = options.ledger.micro_batch_size,
                           .noise_scale = status.value("noise_scale", 0.0)};
  if (status.contains("members") && status["members"].is_array()) {
    for (const Json& json : status["members"]) {
      const std::string state = json.value("state", "");
      if (state != "working" && state != "parked") continue;
      forecast.members_.push_back(ReadMember(json, cost));
      view.nodes.push_back(forecast.members_.back().profile);
      const double seconds = view.nodes.back().seconds_per_sample;
      if (view.nodes.back().can_work && seconds > 0) forecast.sum_ += 1 / seconds;
    }
  }
  if (view.nodes.empty()) return FailedPrecondition("no device has joined there yet: nothing to plan with");
  net::PlannerOptions planner = options.planner;
  planner.allow_async = planner.allow_async && view.noise_scale > 0;
  forecast.decision_ = net::Choose(view, planner);
  if (forecast.decision_.candidates.empty()) {
    return FailedPrecondition("this cluster can't train it: " + forecast.decision_.why);
  }
  return forecast;
}

std::string ClusterForecast::ToText(const std::string& job, const std::string& model,
                                    const std::string& running_model) const {
  const double rate = best().samples_per_second;
  const auto epoch = static_cast<double>(ledger_.sample_count);
  const double per_sum = sum_ > 0 ? rate / sum_ : 0;
  std::string text = "job         " + job + ", " + model + "\n";
  text += "cluster     " + std::to_string(members_.size()) + " devices, each for itself together " + Rate(sum_) +
          " samples/s";
  text +=
      cost_ == 1 ? "\n" : Format(": a sample costs %.2f of one of %s, measured here\n", cost_, running_model.c_str());
  text += "predicted   " + Rate(rate) + " samples/s" + Format(" (%.2f of that): ", per_sum) +
          net::Describe(best().plan) + "\n";
  text += "bound       " + best().bound + "\n";
  text += "round       " + Grouped(batch_size_) + " samples: " +
          Format("compute %.3f s, exchange beside it %.3f s\n", best().compute_seconds, best().exchange_seconds);
  text += "time        " + DurationText(epoch / rate) + " an epoch, " +
          DurationText(epoch * static_cast<double>(ledger_.epoch_count) / rate) + " for " +
          std::to_string(ledger_.epoch_count) + "\n\n";
  text += "node  name                samples/s   Mbit/s up/down  leads\n";
  for (const ForecastMember& member : members_) {
    const net::NodeProfile& profile = member.profile;
    const auto mbps = [](double bytes) { return bytes > 0 ? Format("%.0f", bytes * 8e-6) : std::string("-"); };
    const double share = ShareOf(best().plan, profile.node);
    text += Format("%4u  %-18.18s %10s  %9s/%-6s %5s%s\n", ToInt(profile.node), member.name.c_str(),
                   profile.seconds_per_sample > 0 ? Rate(1 / profile.seconds_per_sample).c_str() : "unknown",
                   mbps(profile.up_bytes_per_second).c_str(), mbps(profile.down_bytes_per_second).c_str(),
                   share > 0 ? Format("%.0f %%", 100 * share).c_str() : "-",
                   member.is_measured ? "" : "   (as it measured itself when it joined)");
  }
  text += "\nother plans\n";
  for (size_t i = 1; i < std::min(decision_.candidates.size(), kCandidatesShown + 1); ++i) {
    const net::Candidate& candidate = decision_.candidates[i];
    text += Format("  %-44s %8s samples/s x %.2f  bound: ", net::Describe(candidate.plan).c_str(),
                   Rate(candidate.samples_per_second).c_str(), candidate.efficiency) +
            candidate.bound + "\n";
  }
  return text;
}

nlohmann::ordered_json ClusterForecast::ToJson() const {
  Json members = Json::array();
  for (const ForecastMember& member : members_) {
    const net::NodeProfile& profile = member.profile;
    members.push_back({{"node", ToInt(profile.node)},
                       {"name", member.name},
                       {"seconds_per_sample", profile.seconds_per_sample},
                       {"measured", member.is_measured},
                       {"up_bytes_per_second", profile.up_bytes_per_second},
                       {"down_bytes_per_second", profile.down_bytes_per_second},
                       {"leader_share", ShareOf(best().plan, profile.node)}});
  }
  Json candidates = Json::array();
  for (const net::Candidate& candidate : decision_.candidates) {
    candidates.push_back({{"plan", net::Describe(candidate.plan)},
                          {"samples_per_second", candidate.samples_per_second},
                          {"efficiency", candidate.efficiency},
                          {"compute_seconds", candidate.compute_seconds},
                          {"exchange_seconds", candidate.exchange_seconds},
                          {"bound", candidate.bound}});
  }
  const double rate = best().samples_per_second;
  return {{"samples_per_second", rate},
          {"sum_of_devices", sum_},
          {"sample_cost", cost_},
          {"bound", best().bound},
          {"epoch_seconds", static_cast<double>(ledger_.sample_count) / rate},
          {"members", std::move(members)},
          {"candidates", std::move(candidates)}};
}

}  // namespace eddl::cluster
