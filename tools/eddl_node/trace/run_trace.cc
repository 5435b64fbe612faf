#include "tools/eddl_node/trace/run_trace.h"

#include <algorithm>
#include <deque>
#include <tuple>
#include <utility>

#include "runtime/base/status.h"
#include "tools/eddl_sim/chrome_trace.h"

namespace eddl {
namespace {

using Kind = NodeSpan::Kind;

// Clocks are aligned to far less.
constexpr Duration kSlack{1'000'000'000};
constexpr int64_t kAmountMax = int64_t{1} << 50;
constexpr size_t kExplanationsMax = 10'000;
constexpr size_t kRoundsMax = 200'000;

net::sim::Span::Kind KindOf(const NodeSpan& span) {
  using Made = net::sim::Span::Kind;
  constexpr Made kMessages[] = {Made::kPush, Made::kPublish, Made::kReplica, Made::kMove};
  if (span.kind == Kind::kCompute) return Made::kCompute;
  if (span.kind == Kind::kAggregate) return Made::kAggregate;
  return span.kind == Kind::kApply ? Made::kApply : kMessages[span.body - 1];
}

bool IsHonest(const NodeSpan& span, Instant begin, Instant now) {
  const bool known = span.kind <= Kind::kReceived;
  const bool is_message = span.kind == Kind::kSent || span.kind == Kind::kReceived;
  const bool body = is_message ? span.body >= 1 && span.body <= 4 : span.body == 0;
  const bool times =
      span.begin.ns >= begin.ns - kSlack.ns && span.begin <= span.end && span.end.ns <= now.ns + kSlack.ns;
  return known && body && times && span.amount >= 0 && span.amount <= kAmountMax;
}

// Messages of one kind, between two nodes, of one round: they come in the order in which they were sent.
using Way = std::tuple<net::NodeId, net::NodeId, uint8_t, net::Version>;

// Which part of a round was computing: from its first lease to the end of its last.
void SplitRounds(std::vector<net::sim::RoundSample>& rounds, const std::vector<net::sim::Span>& spans) {
  std::map<net::Version, std::pair<Instant, Instant>> leases;
  for (const net::sim::Span& span : spans) {
    if (span.kind != net::sim::Span::Kind::kCompute) continue;
    const auto [it, is_new] = leases.try_emplace(span.round, span.begin, span.end);
    it->second.first = std::min(it->second.first, span.begin);
    it->second.second = std::max(it->second.second, span.end);
  }
  for (net::sim::RoundSample& round : rounds) {
    const auto it = leases.find(round.round);
    if (it == leases.end()) continue;
    round.compute = it->second.second - it->second.first;
    round.exchange = {std::max<int64_t>(round.length.ns - round.compute.ns, 0)};
  }
}

}  // namespace

RunTrace::RunTrace(std::string job, Instant begin, int64_t samples)
    : job_(std::move(job)), begin_(begin), samples_(samples) {}

void RunTrace::AddReport(net::NodeId node, const TraceReport& report, Instant now) {
  const absl::MutexLock lock(&mutex_);
  Node& known = nodes_[node];
  known.name = report.name;
  known.last = report.last;
  known.lost_count = std::clamp<int64_t>(report.lost_count, known.lost_count, kAmountMax);
  known.clock_error = std::clamp(report.clock_error, known.clock_error, kSlack);
  for (const NodeSpan& span : report.spans) {
    const bool fits = spans_.size() < kSpansMax && known.span_count < kNodeSpansMax;
    if (fits && IsHonest(span, begin_, now)) {
      spans_.push_back({.node = node, .span = span});
      ++known.span_count;
    } else {
      ++left_out_count_;
    }
  }
}

void RunTrace::AddCommit(Instant now, net::Version round, int64_t samples, double loss) {
  const absl::MutexLock lock(&mutex_);
  if (rounds_.size() >= kRoundsMax) return;
  const Instant committed{(now - begin_).ns};
  net::sim::RoundSample sample = {.round = round, .mode = mode_, .committed = committed};
  sample.samples = samples - std::exchange(samples_, samples);
  sample.length = committed - (rounds_.empty() ? committed : rounds_.back().committed);
  sample.loss = loss;
  rounds_.push_back(sample);
}

void RunTrace::AddExplained(Instant now, const std::string& topic, const std::string& text) {
  const absl::MutexLock lock(&mutex_);
  if (explanations_.size() >= kExplanationsMax) return;
  explanations_.push_back({.at = {(now - begin_).ns}, .topic = topic, .text = text});
}

void RunTrace::SetMode(const std::string& mode) {
  const absl::MutexLock lock(&mutex_);
  for (const net::Mode known : {net::Mode::kSync, net::Mode::kPipe, net::Mode::kAsync}) {
    if (net::ToString(known) == mode) mode_ = known;
  }
}

bool RunTrace::AllSaidLast() const {
  return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& entry) { return entry.second.last; });
}

void RunTrace::AwaitLast(Duration patience) const {
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(this, &RunTrace::AllSaidLast), absl::Nanoseconds(patience.ns));
}

int64_t RunTrace::lacking_count() const {
  const absl::MutexLock lock(&mutex_);
  int64_t count = left_out_count_;
  for (const auto& [node, known] : nodes_) count += known.lost_count;
  return count;
}

std::vector<net::sim::Span> RunTrace::MakeSpans() const {
  const auto since = [this](Instant at) { return Instant{std::max<int64_t>((at - begin_).ns, 0)}; };
  std::vector<Owned> ordered = spans_;
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const Owned& a, const Owned& b) { return a.span.end < b.span.end; });
  std::map<Way, std::deque<Instant>> sent;
  for (const auto& [node, span] : ordered) {
    if (span.kind == Kind::kSent) sent[{node, span.peer, span.body, span.round}].push_back(span.begin);
  }
  std::vector<net::sim::Span> spans;
  std::map<std::pair<net::NodeId, bool>, Instant> busy_until;  // the device, the control thread
  for (const auto& [node, span] : ordered) {
    if (span.kind == Kind::kSent) continue;
    net::sim::Span made = {.node = node, .kind = KindOf(span), .begin = since(span.begin), .end = since(span.end)};
    made.round = span.round;
    made.amount = span.amount;
    if (span.kind == Kind::kReceived) {
      const auto way = sent.find({span.peer, node, span.body, span.round});
      if (way == sent.end() || way->second.empty()) continue;
      made.begin = std::min(since(way->second.front()), made.end);
      way->second.pop_front();
      made.node = span.peer;
      made.peer = node;
    } else {
      // One thread does one thing at a time; a better estimate of its clock moves what comes after it.
      Instant& until = busy_until[{node, span.kind == Kind::kCompute}];
      made.begin = std::clamp(until, made.begin, made.end);
      until = made.end;
    }
    spans.push_back(made);
  }
  return spans;
}

net::sim::Record RunTrace::ToRecord() const {
  const absl::MutexLock lock(&mutex_);
  net::sim::Record record = {.scenario = job_};
  record.spans = MakeSpans();
  record.rounds = rounds_;
  SplitRounds(record.rounds, record.spans);
  record.explanations = explanations_;
  const uint32_t count = nodes_.empty() ? 1 : ToInt(nodes_.rbegin()->first) + 1;
  for (uint32_t node = 0; node < count; ++node) {
    const auto known = nodes_.find(net::NodeId{node});
    net::sim::NodeTotals totals = {.node = net::NodeId{node}};
    if (known != nodes_.end()) totals.group = known->second.name;
    if (known != nodes_.end()) totals.clock_error = known->second.clock_error;
    record.nodes.push_back(std::move(totals));
  }
  return record;
}

absl::Status RunTrace::Write(AtomicFile& file) const {
  EDDL_RETURN_IF_ERROR(file.Append(net::sim::ChromeTrace(ToRecord())));
  return file.Commit();
}

}  // namespace eddl
