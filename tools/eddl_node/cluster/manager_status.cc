// ManagerNode: what it tells people: status, why, leave.
#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "net/policy/planner.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/manager_node.h"

namespace eddl::cluster {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kEventsShown = 30;

const char* NameOf(net::Manager::Phase phase) {
  switch (phase) {
    case net::Manager::Phase::kAgreeing:
      return "agreeing";
    case net::Manager::Phase::kRunning:
      return "running";
    case net::Manager::Phase::kOver:
      return "over";
  }
  return "";
}

const char* StateOf(const net::NodeRecord* record, bool up, bool paused_by_person) {
  if (record == nullptr || record->state == net::NodeRecord::State::kAbsent) return up ? "joining" : "gone";
  if (record->state == net::NodeRecord::State::kDown) return "connection lost";
  if (record->state == net::NodeRecord::State::kLeaving) return "leaving";
  if (record->paused) return paused_by_person ? "paused by the operator" : "paused by its owner";
  if (record->parked) return "parked";
  return "working";
}

Json ToJson(const net::Candidate& candidate, const net::Plan& in_force) {
  Json leaders = Json::array();
  for (const net::LeaderShare& share : candidate.plan.leaders) leaders.push_back(ToInt(share.node));
  Json parked = Json::array();
  for (const net::NodeId node : candidate.plan.parked) parked.push_back(ToInt(node));
  return {{"plan", net::Describe(candidate.plan)},
          {"mode", net::ToString(candidate.plan.rule.mode)},
          {"codec", net::ToString(candidate.plan.codec)},
          {"leaders", candidate.plan.leaders.size()},
          {"parked", std::move(parked)},
          {"compute_seconds", candidate.compute_seconds},
          {"exchange_seconds", candidate.exchange_seconds},
          {"samples_per_second", candidate.samples_per_second},
          {"efficiency", candidate.efficiency},
          {"progress", candidate.progress},
          {"bound", candidate.bound},
          {"leader_nodes", std::move(leaders)},
          {"in_force", candidate.plan == in_force}};
}

Json ToJson(const ClusterEvent& event) {
  return {{"seconds", event.seconds}, {"topic", event.topic}, {"text", event.text}};
}

Json BlocksJson(const net::Ledger& ledger) {
  Json blocks = Json::array();
  for (const net::DataBlock& block : ledger.blocks()) {
    blocks.push_back({{"first_row", block.first_row},
                      {"rows", block.row_count},
                      {"owner", ToInt(block.owner)},
                      {"first_epoch", block.first_epoch + 1}});
  }
  return blocks;
}

double ShareOf(const net::Plan& plan, net::NodeId node) {
  for (const net::LeaderShare& share : plan.leaders) {
    if (share.node == node) return share.fraction;
  }
  return 0;
}

}  // namespace

absl::StatusOr<Json> ManagerNode::Status() {
  return Ask<Json>([this] { return StatusJson(); });
}

absl::StatusOr<Json> ManagerNode::Why(net::NodeId node) {
  // Node 0: of the plan alone.
  if (ToInt(node) != 0 && !registry_.Find(node)) return NotFound("there is no node " + std::to_string(ToInt(node)));
  return Ask<Json>([this, node] { return WhyJson(node); });
}

Json ManagerNode::MemberJson(const MemberInfo& info, Instant now) const {
  const net::NodeRecord* record = manager_.roster().Find(info.node);
  const auto peer = peers_.find(info.node);
  const bool up = peer != peers_.end() && peer->second.up;
  const double rate = progress_.SamplesPerSecond(info.node, now);
  Json json = {{"node", ToInt(info.node)},
               {"name", info.name},
               {"device", info.device},
               {"address", info.address},
               {"state", info.revoked ? "quarantined" : StateOf(record, up, IsPausedByPerson(info.node))},
               {"reachable", info.reachable},
               {"samples_per_second", rate},
               {"samples", progress_.SamplesOf(info.node)},
               {"leader_share", up ? ShareOf(manager_.plan(), info.node) : 0.0},
               {"backs_up", manager_.map().BackedUpBy(info.node).has_value()},
               {"version", info.program_version}};
  if (const double staleness = watch_.StalenessOf(ToInt(info.node)); std::isfinite(staleness)) {
    json["staleness"] = staleness;
  }
  if (peer != peers_.end()) json["last_heard_seconds"] = (now - peer->second.last_heard).seconds();
  const NodeVitals vitals = VitalsNow(info.node, now);
  const auto add = [&json](const char* name, double value) {
    if (std::isfinite(value)) json[name] = value;
  };
  add("cpu_cores", vitals.cpu_cores);
  add("celsius", vitals.celsius);
  add("sent_bytes_per_second", vitals.sent_bytes_per_second);
  add("received_bytes_per_second", vitals.received_bytes_per_second);
  if (record == nullptr) return json;
  const net::TimeFit::Line line = record->fit.line();
  json["lease_seconds"] = line.fixed_seconds;
  json["sample_seconds"] = line.seconds_per_sample;
  json["predicted_samples_per_second"] = line.seconds_per_sample > 0 ? 1 / line.seconds_per_sample : 0.0;
  json["up_bytes_per_second"] = record->up_bytes_per_second;
  json["down_bytes_per_second"] = record->down_bytes_per_second;
  json["round_trip_seconds"] = record->round_trip.seconds();
  json["variation"] = line.variation;
  json["can_work"] = record->capabilities.can_work;
  const double batches = record->capabilities.micro_batches_per_second;
  const auto micro_batch = static_cast<double>(options_.manager.ledger.micro_batch_size);
  json["joined_sample_seconds"] = batches > 0 ? 1 / (batches * micro_batch) : 0.0;
  json["strikes"] = record->strikes;
  const bool leaves = record->state == net::NodeRecord::State::kLeaving;
  if (leaves && manager_.waits_for_disk()) json["waits_for"] = "the manager's disk, for all that is committed";
  json["leases"] = record->leases.size();
  return json;
}

DeviceSample ManagerNode::SampleOf(const MemberInfo& info, Instant now) const {
  const net::NodeRecord* record = manager_.roster().Find(info.node);
  const auto peer = peers_.find(info.node);
  const bool up = peer != peers_.end() && peer->second.up;
  const NodeVitals vitals = VitalsNow(info.node, now);
  DeviceSample sample = {.node = ToInt(info.node),
                         .name = info.name,
                         .state = info.revoked ? "quarantined" : StateOf(record, up, IsPausedByPerson(info.node)),
                         .present = !info.revoked && record != nullptr && record->present(),
                         .samples_per_second = progress_.SamplesPerSecond(info.node, now),
                         .leader_share = up ? ShareOf(manager_.plan(), info.node) : 0.0,
                         .sent_bytes_per_second = vitals.sent_bytes_per_second,
                         .received_bytes_per_second = vitals.received_bytes_per_second,
                         .cpu_cores = vitals.cpu_cores,
                         .celsius = vitals.celsius};
  const double seconds = record != nullptr ? record->fit.line().seconds_per_sample : 0;
  if (seconds > 0) sample.predicted_samples_per_second = 1 / seconds;
  return sample;
}

Json ManagerNode::StatusJson() const {
  const Instant now = Now();
  const TrainState& state = progress_.state();
  const double rate = progress_.SamplesPerSecond(now);
  const int64_t total = manager_.ledger().SamplesBefore(options_.epochs);
  const int64_t epoch = std::min(manager_.ledger().current_epoch(), options_.epochs - 1);
  const RunProgress::EpochMeans means = progress_.MeansOf(epoch);
  Json members = Json::array();
  for (const MemberInfo& info : registry_.All()) members.push_back(MemberJson(info, now));
  Json events = Json::array();
  const size_t first = events_.size() - std::min(events_.size(), kEventsShown);
  for (size_t i = first; i < events_.size(); ++i) events.push_back(ToJson(events_[i]));
  Json json = {{"schema", "eddl.status.v1"},
               {"phase", NameOf(manager_.phase())},
               {"view", ToInt(manager_.view())},
               {"round", ToInt(manager_.version())},
               {"epoch", epoch + 1},
               {"epochs", options_.epochs},
               {"samples", state.samples},
               {"samples_total", total},
               {"samples_per_second", rate},
               {"seconds", state.seconds},
               {"plan", net::Describe(manager_.plan())},
               {"mode", net::ToString(manager_.plan().rule.mode)},
               {"codec", net::ToString(manager_.plan().codec)},
               {"why_plan", manager_.decision().why},
               {"noise_scale", manager_.noise_scale()},
               {"rejected", manager_.rejected_count()},
               {"backlog", loop_.backlog()},
               {"paused", all_paused_},
               {"blocks", BlocksJson(manager_.ledger())},
               {"members", std::move(members)},
               {"events", std::move(events)}};
  // Until something of the epoch is committed there is none.
  if (means.samples > 0) {
    json["loss"] = means.loss;
    json["accuracy"] = means.accuracy;
  }
  if (const double predicted = PredictedRate(); std::isfinite(predicted))
    json["predicted_samples_per_second"] = predicted;
  if (rate > 0) json["eta_seconds"] = static_cast<double>(total - state.samples) / rate;
  if (end_.last && end_.last->test && end_.last->test->count > 0) {
    json["test_accuracy"] = static_cast<double>(end_.last->test->correct) / static_cast<double>(end_.last->test->count);
  }
  return json;
}

Json ManagerNode::WhyJson(net::NodeId node) const {
  const std::optional<MemberInfo> info = registry_.Find(node);
  Json json = {{"schema", "eddl.why.v1"}};
  if (info) json["member"] = MemberJson(*info, Now());
  json["decision"] = manager_.decision().why;
  json["candidates"] = Json::array();
  for (const net::Candidate& candidate : manager_.decision().candidates) {
    json["candidates"].push_back(ToJson(candidate, manager_.plan()));
  }
  json["events"] = Json::array();
  const std::string name = "node " + std::to_string(ToInt(node));
  for (const ClusterEvent& event : events_) {
    const bool about = event.topic == name || event.text.find(name + " ") != std::string::npos ||
                       event.text.find(name + ",") != std::string::npos;
    if (about) json["events"].push_back(ToJson(event));
  }
  return json;
}

}  // namespace eddl::cluster
