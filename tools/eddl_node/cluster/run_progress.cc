#include "tools/eddl_node/cluster/run_progress.h"

#include <algorithm>
#include <utility>

namespace eddl::cluster {
namespace {

// Leases of rounds that never committed are few; this bounds them all the same.
constexpr size_t kLeasesMax = 1 << 16;

}  // namespace

RunProgress::RunProgress(const net::LedgerOptions& options) : ledger_(options) {}

void RunProgress::OnDone(Instant now, net::NodeId from, const net::Done& done) {
  if (done.cancelled || done.kind != net::LeaseKind::kTrain || done.micro_batches.empty()) return;
  if (leases_.size() >= kLeasesMax) leases_.erase(leases_.begin());
  leases_[done.micro_batches.front()] = {.loss = done.loss_sum, .correct = done.correct, .samples = done.samples};
  Node& node = nodes_[from];
  node.samples += done.samples;
  // What is counted was worked on before it was told.
  const Instant began{now.ns - std::clamp<int64_t>(done.compute.ns, 0, kWindow.ns)};
  if (working_since_.ns < 0) working_since_ = began;
  if (node.since.ns < 0) node.since = began;
  node.recent.push_back({now, done.samples});
  Forget(node.recent, now);
  ForgetQuiet(now);
}

void RunProgress::ForgetQuiet(Instant now) {
  if (now - forgot_ <= kWindow) return;
  forgot_ = now;
  for (auto& [id, node] : nodes_) {
    Forget(node.recent, now);
    if (node.recent.empty()) node.recent.shrink_to_fit();
  }
}

size_t RunProgress::recent_count() const {
  size_t count = 0;
  for (const auto& [id, node] : nodes_) count += node.recent.size();
  return count;
}

StepReport RunProgress::OnCommit(Instant now, const net::CommitRecord& record, int64_t epochs_done) {
  if (begin_.ns < 0) begin_ = now;
  Round round{.version = record.round, .before = state_};
  round.epoch = record.micro_batches.empty() ? state_.epoch : ledger_.EpochOf(record.micro_batches.front());
  for (const net::MicroBatch mb : record.micro_batches) {
    const auto it = leases_.find(mb);
    if (it == leases_.end()) continue;
    round.sums.loss += it->second.loss;
    round.sums.correct += it->second.correct;
    round.sums.samples += it->second.samples;
    leases_.erase(it);
  }
  Lease& epoch = epochs_[round.epoch];
  epoch.loss += round.sums.loss;
  epoch.correct += round.sums.correct;
  epoch.samples += round.sums.samples;

  state_.step = static_cast<int64_t>(ToInt(record.round)) + 1;
  state_.samples += record.samples;
  state_.position += record.samples;
  state_.epoch_loss = epoch.loss;
  state_.epoch_correct = epoch.correct;
  state_.seconds = seconds_before_ + (now - begin_).seconds();
  committed_.push_back({now, record.samples});
  Forget(committed_, now);
  const double count = static_cast<double>(std::max<int64_t>(round.sums.samples, 1));
  const double loss = round.sums.loss / count;
  last_round_ = {.loss = round.sums.loss, .correct = round.sums.correct, .samples = round.sums.samples};
  if (record.round >= kept_from_) rounds_.push_back(round);
  const StepReport report = {.state = state_, .loss = loss, .learning_rate = record.learning_rate};
  EndEpochs(epochs_done);
  return report;
}

void RunProgress::EndEpochs(int64_t epochs_done) {
  if (epochs_done <= state_.epoch) return;
  state_.epoch = epochs_done;
  state_.position = state_.samples - ledger_.SamplesBefore(epochs_done);
  state_.position = std::max<int64_t>(state_.position, 0);  // where samples were given up
  state_.epoch_loss = 0;
  state_.epoch_correct = 0;
}

void RunProgress::OnRollback(net::Version version) {
  while (!rounds_.empty() && rounds_.back().version >= version) {
    const Round& round = rounds_.back();
    Lease& epoch = epochs_[round.epoch];
    epoch.loss -= round.sums.loss;
    epoch.correct -= round.sums.correct;
    epoch.samples -= round.sums.samples;
    const double seconds = state_.seconds;
    state_ = round.before;
    state_.seconds = seconds;
    rounds_.pop_back();
  }
}

void RunProgress::KeepFrom(net::Version version) {
  kept_from_ = version;
  while (!rounds_.empty() && rounds_.front().version < version) rounds_.pop_front();
}

void RunProgress::Restore(const net::Started& started, double seconds) {
  net::Ledger ledger = ledger_;
  auto closed = started.closed.begin();
  const auto close = [&](net::Version version) {
    for (; closed != started.closed.end() && closed->version <= version; ++closed) ledger.CloseAsItWas(*closed);
  };
  seconds_before_ = seconds;  // when each was committed is not known: at most that
  for (const net::CommitRecord& record : started.records) {
    close(record.round);
    EndEpochs(ledger.current_epoch());
    ledger.Replay(record.round, record.micro_batches);
    OnCommit(Instant{0}, record, ledger.current_epoch());
  }
  close(net::kNoVersion);
  EndEpochs(ledger.current_epoch());
  committed_.clear();
  begin_ = Instant{-1};
  state_.seconds = seconds;
}

std::optional<TrainState> RunProgress::StateAt(net::Version version) const {
  if (static_cast<int64_t>(ToInt(version)) == state_.step) return state_;
  const auto next = std::lower_bound(rounds_.begin(), rounds_.end(), version,
                                     [](const Round& round, net::Version v) { return round.version < v; });
  if (next == rounds_.end() || next->version != version) return std::nullopt;
  return next->before;
}

RunProgress::EpochMeans RunProgress::MeansOf(int64_t epoch) const {
  const auto it = epochs_.find(epoch);
  if (it == epochs_.end() || it->second.samples == 0) return {};
  const auto samples = static_cast<double>(it->second.samples);
  return {.loss = it->second.loss / samples,
          .accuracy = static_cast<double>(it->second.correct) / samples,
          .samples = it->second.samples};
}

void RunProgress::Forget(std::deque<Count>& recent, Instant now) {
  while (!recent.empty() && now - recent.front().at > kWindow) recent.pop_front();
}

double RunProgress::Rate(const std::deque<Count>& recent, Instant now, Instant since) {
  int64_t samples = 0;
  for (const Count& count : recent) samples += now - count.at <= kWindow ? count.samples : 0;
  const double seconds = std::min(kWindow, now - since).seconds();
  return seconds > 0 ? static_cast<double>(samples) / seconds : 0;
}

double RunProgress::SamplesPerSecond(Instant now) const {
  return begin_.ns < 0 ? 0 : Rate(committed_, now, working_since_);
}

double RunProgress::SamplesPerSecond(net::NodeId node, Instant now) const {
  const auto it = nodes_.find(node);
  return it == nodes_.end() ? 0 : Rate(it->second.recent, now, it->second.since);
}

int64_t RunProgress::SamplesOf(net::NodeId node) const {
  const auto it = nodes_.find(node);
  return it == nodes_.end() ? 0 : it->second.samples;
}

}  // namespace eddl::cluster
