#include "tools/eddl_node/cluster/contribution_gate.h"

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

absl::Status TooLate(std::string_view message) { return MakeStatus(absl::StatusCode::kDeadlineExceeded, message); }

std::string Seconds(Duration duration) {
  const int64_t seconds = duration.ns / 1'000'000'000;
  return seconds % 60 == 0 && seconds > 60 ? std::to_string(seconds / 60) + " min" : std::to_string(seconds) + " s";
}

}  // namespace

std::string DescribeWaits(const ContributionLimits& limits) {
  return Seconds(limits.idle) + " for the next entries and " + Seconds(limits.total) + " for all of them";
}

ContributionGate::Visit::~Visit() {
  const absl::MutexLock lock(&gate_.mutex_);
  gate_.entries_.erase(id_);
}

void ContributionGate::Visit::Heard(Instant now) {
  const absl::MutexLock lock(&gate_.mutex_);
  gate_.entries_.at(id_).heard = now;
}

void ContributionGate::Visit::Arrived() {
  const absl::MutexLock lock(&gate_.mutex_);
  gate_.entries_.at(id_).arrived = true;
}

absl::Status ContributionGate::Visit::status() const {
  const absl::MutexLock lock(&gate_.mutex_);
  return gate_.entries_.at(id_).status;
}

absl::StatusOr<std::unique_ptr<ContributionGate::Visit>> ContributionGate::Enter(Instant now, const std::string& peer,
                                                                                 std::function<void()> cancel) {
  const absl::MutexLock lock(&mutex_);
  const auto own =
      std::count_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.second.peer == peer; });
  if (own >= limits_.per_peer) {
    return ResourceExhausted(peer + " has " + std::to_string(own) +
                             " contributions on their way, and no more are taken at once; try again in a while");
  }
  if (static_cast<int>(entries_.size()) >= limits_.places) {
    return ResourceExhausted(std::to_string(entries_.size()) +
                             " contributions are coming just now, and no more are taken at once; try again in a while");
  }
  const uint64_t id = next_id_++;
  entries_.emplace(id, Entry{.peer = peer, .begin = now, .heard = now, .cancel = std::move(cancel), .status = {}});
  return std::unique_ptr<Visit>(new Visit(*this, id));
}

void ContributionGate::Expire(Instant now) {
  const absl::MutexLock lock(&mutex_);
  for (auto& [id, entry] : entries_) {
    if (!entry.status.ok() || entry.arrived) continue;
    if (now - entry.heard > limits_.idle) {
      entry.status = TooLate("given up: nothing came for " + Seconds(limits_.idle));
    } else if (now - entry.begin > limits_.total) {
      entry.status = TooLate("given up: not all of it came in " + Seconds(limits_.total));
    }
    if (!entry.status.ok()) entry.cancel();
  }
}

}  // namespace eddl::cluster
