// ManagerNode: samples of the run for its history, and what people ask it to do: leave, pause.
#include <algorithm>
#include <cmath>
#include <string>

#include "net/policy/planner.h"
#include "tools/eddl_node/cluster/manager_node.h"

namespace eddl::cluster {
namespace {

// A member that is silent for longer says nothing any more.
constexpr Duration kVitalsMemory{5'000'000'000};

Activity ActivityOf(const net::NodeRecord& record, net::Version version) {
  if (record.state == net::NodeRecord::State::kDown || record.paused || record.parked) return Activity::kAway;
  if (record.busy(version)) return Activity::kCompute;
  return record.leases.empty() ? Activity::kWait : Activity::kExchange;
}

}  // namespace

absl::Status ManagerNode::AskToLeave(net::NodeId node) {
  const auto asked = Ask<bool>([this, node] {
    const net::NodeRecord* record = manager_.roster().Find(node);
    if (record == nullptr || !record->present()) return false;
    AddEvent("node " + std::to_string(ToInt(node)), "asked to leave by a person");
    Handle(net::Received{
        .from = node, .message = {.view = manager_.view(), .incarnation = record->incarnation, .body = net::Leave{}}});
    return true;
  });
  if (!asked.ok()) return asked.status();
  return *asked ? absl::OkStatus() : NotFound("node " + std::to_string(ToInt(node)) + " is not here");
}

absl::Status ManagerNode::AskToPause(net::NodeId node, bool pause) {
  const bool all = ToInt(node) == 0;
  const auto asked = Ask<bool>([this, node, pause, all] {
    const net::NodeRecord* record = all ? nullptr : manager_.roster().Find(node);
    if (!all && (record == nullptr || !record->present())) return false;
    // The next beats, of half a second at most, tell the machine.
    if (all) {
      all_paused_ = pause;
    } else if (pause) {
      paused_.insert(node);
    } else {
      paused_.erase(node);
    }
    AddEvent(all ? "all" : "node " + std::to_string(ToInt(node)),
             pause ? "paused by a person" : "goes on, as a person asked");
    return true;
  });
  if (!asked.ok()) return asked.status();
  return *asked ? absl::OkStatus() : NotFound("node " + std::to_string(ToInt(node)) + " is not here");
}

void ManagerNode::OverrideBeat(net::NodeId from, net::Message& message) const {
  auto* beat = std::get_if<net::Beat>(&message.body);
  if (beat != nullptr && IsPausedByPerson(from)) beat->paused = true;
}

void ManagerNode::OnVitals(net::NodeId node, const NodeVitals& vitals) {
  loop_.Post([this, node, vitals] {
    const auto peer = peers_.find(node);
    if (peer == peers_.end()) return;
    peer->second.vitals = vitals;
    peer->second.vitals_at = Now();
  });
}

NodeVitals ManagerNode::VitalsNow(net::NodeId node, Instant now) const {
  const auto peer = peers_.find(node);
  const bool fresh = peer != peers_.end() && peer->second.up && now - peer->second.vitals_at < kVitalsMemory;
  return fresh ? peer->second.vitals : NodeVitals{};
}

double ManagerNode::PredictedRate() const {
  for (const net::Candidate& candidate : manager_.decision().candidates) {
    if (candidate.plan == manager_.plan()) return candidate.samples_per_second;
  }
  return kUnknown;
}

double ManagerNode::TestAccuracy() const {
  if (!end_.last || !end_.last->test || end_.last->test->count == 0) return kUnknown;
  return static_cast<double>(end_.last->test->correct) / static_cast<double>(end_.last->test->count);
}

void ManagerNode::Watch(Instant now) {
  if (over_) return;
  const net::Roster& roster = manager_.roster();
  for (uint32_t i = 1; i < ToInt(roster.end()); ++i) {
    const net::NodeRecord& record = *roster.Find(net::NodeId{i});
    if (record.state == net::NodeRecord::State::kAbsent) continue;
    watch_.Look(i, ActivityOf(record, manager_.version()));
  }
  if (!observer_.on_sample || now - sampled_at_ < kSamplePeriod) return;
  sampled_at_ = now;
  RunSample sample = Sample(now);
  watch_.Fill(sample);
  observer_.on_sample(sample);
}

RunSample ManagerNode::Sample(Instant now) const {
  RunSample sample = {.seconds = (now - begin_).seconds(),
                      .round = static_cast<int64_t>(ToInt(manager_.version())),
                      .samples = progress_.state().samples,
                      .samples_per_second = progress_.SamplesPerSecond(now),
                      .predicted_samples_per_second = PredictedRate(),
                      .mode = net::ToString(manager_.plan().rule.mode)};
  sample.test_accuracy = TestAccuracy();
  for (const MemberInfo& info : registry_.All()) sample.devices.push_back(SampleOf(info, now));
  return sample;
}

}  // namespace eddl::cluster
