#include "net/sim/recorder.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "net/sim/fields.h"

namespace eddl::net::sim {
std::string ToString(Span::Kind kind) {
  static constexpr const char* kNames[] = {"compute",   "push",  "publish", "replica", "move",
                                           "aggregate", "apply", "down",    "hang",    "burst"};
  return kNames[static_cast<size_t>(kind)];
}

std::string ToString(Outcome outcome) {
  static constexpr const char* kNames[] = {"finished", "target", "rounds", "timeout", "halted", "violation"};
  return kNames[static_cast<size_t>(outcome)];
}

Recorder::Recorder(const Options& options) : options_(options), message_counts_(std::variant_size_v<Body>, 0) {}

void Recorder::OnGrant(Instant at, const Grant& grant) {
  if (grant.kind != LeaseKind::kTrain || grant.micro_batches.empty()) return;
  Open& open = open_[grant.round];
  if (open.first_grant.ns < 0) {
    open.first_grant = at;
    open.mode = grant.mode;
  }
  open.leased += static_cast<int64_t>(grant.micro_batches.size());
}

void Recorder::OnDone(Instant at, NodeId from, const Done& done) {
  if (done.kind != LeaseKind::kTrain || done.cancelled || !done.finite) return;
  const auto open = open_.find(done.round);
  // An async round may be committed before results that it was leased for are there.
  if (open == open_.end() || open->second.mode == Mode::kAsync) {
    results_[{from, done.round, done.part}] = {.base = done.base, .loss_sum = done.loss_sum, .samples = done.samples};
    return;
  }
  open->second.last_done = at;
  open->second.loss_sum += done.loss_sum;
  open->second.samples += done.samples;
  open->second.contributors.push_back(from);
}

void Recorder::OnAssign(NodeId to, const Assign& assign) {
  const auto result = results_.find({to, assign.round, assign.part});
  if (result == results_.end()) return;
  Open& open = open_[assign.into];
  open.contributors.push_back(to);
  open.loss_sum += result->second.loss_sum;
  open.samples += result->second.samples;
  const auto staleness = static_cast<uint32_t>(ToInt(assign.into) - ToInt(result->second.base));
  open.staleness_sum += staleness;
  open.staleness_max = std::max(open.staleness_max, staleness);
  results_.erase(result);
}

void Recorder::OnCommit(Instant at, const CommitRecord& record, const Members& members, Codec codec) {
  Open open = std::move(open_[record.round]);
  open_.erase(open_.begin(), open_.upper_bound(record.round));
  std::sort(open.contributors.begin(), open.contributors.end());
  const bool async = open.mode == Mode::kAsync;
  if (!async) {
    open.contributors.erase(std::unique(open.contributors.begin(), open.contributors.end()), open.contributors.end());
  }
  const auto count = static_cast<double>(open.contributors.size());
  RoundSample sample{.round = record.round,
                     .view = record.view,
                     .mode = open.mode,
                     .codec = codec,
                     .committed = at,
                     .length = at - last_commit_,
                     .samples = record.samples,
                     .micro_batches = static_cast<uint32_t>(record.micro_batches.size()),
                     .contributions = static_cast<uint32_t>(open.contributors.size()),
                     .working = members.working,
                     .leading = members.leading,
                     .staleness_max = open.staleness_max,
                     .learning_rate = record.learning_rate,
                     .accuracy = -1};
  // Leases are handed out while the round before is exchanged; computing on its version begins with its commit.
  const Instant begin = open.mode == Mode::kPipe ? open.first_grant : std::max(open.first_grant, last_commit_);
  if (open.first_grant.ns >= 0 && open.last_done > begin) sample.compute = open.last_done - begin;
  sample.exchange = Duration{std::max<int64_t>(0, sample.length.ns - sample.compute.ns)};
  sample.duplicates = static_cast<uint32_t>(std::max<int64_t>(0, open.leased - sample.micro_batches));
  if (async) {
    sample.duplicates = 0;
    sample.staleness_mean = count > 0 ? static_cast<double>(open.staleness_sum) / count : 0;
  } else if (open.mode == Mode::kPipe) {
    sample.staleness_mean = sample.staleness_max = 1;
  }
  if (open.samples > 0) sample.loss = open.loss_sum / static_cast<double>(open.samples);
  const auto samples = static_cast<double>(record.samples);
  const double batch = samples * (1 + sample.staleness_mean);
  progress_ += samples * options_.noise_scale / (options_.noise_scale + batch);
  sample.progress = progress_;
  record_.rounds.push_back(sample);
  last_commit_ = at;
}

void Recorder::OnView(View view, Version version) {
  record_.views = static_cast<int64_t>(ToInt(view));
  for (auto it = record_.rounds.rbegin(); it != record_.rounds.rend() && it->round >= version; ++it) {
    if (it->undone) continue;
    it->undone = true;
    ++record_.commits_undone;
  }
  open_.clear();
  results_.clear();
}

void Recorder::OnScore(Version version, double loss, double accuracy) {
  record_.loss = loss;
  record_.accuracy = accuracy;
  for (auto it = record_.rounds.rbegin(); it != record_.rounds.rend(); ++it) {
    if (Next(it->round) != version || it->undone) continue;
    it->accuracy = accuracy;
    return;
  }
}

void Recorder::AddSpan(const Span& span) {
  if (options_.spans && record_.spans.size() < options_.span_count_max) record_.spans.push_back(span);
}

Record Recorder::Take() {
  for (size_t i = 0; i < kBodyNames.size(); ++i) {
    if (message_counts_[i] > 0) record_.message_counts[kBodyNames[i]] = message_counts_[i];
  }
  for (const RoundSample& round : record_.rounds) {
    if (!round.undone) record_.samples_committed += round.samples;
  }
  return std::move(record_);
}

}  // namespace eddl::net::sim
