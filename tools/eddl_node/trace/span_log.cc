#include "tools/eddl_node/trace/span_log.h"

#include <algorithm>
#include <variant>

namespace eddl {

TracedBody BodyOf(const net::Body& body) {
  if (const auto* push = std::get_if<net::Push>(&body)) return {.body = 1, .round = push->round};
  if (const auto* publish = std::get_if<net::Publish>(&body)) return {.body = 2, .round = publish->version};
  if (const auto* replica = std::get_if<net::Replica>(&body)) return {.body = 3, .round = replica->record.round};
  if (const auto* move = std::get_if<net::Move>(&body)) return {.body = 4, .round = move->version};
  return {};
}

void SpanLog::Add(const NodeSpan& span) {
  if (!enabled()) return;
  const absl::MutexLock lock(&mutex_);
  if (spans_.size() >= kSpansMax) {
    spans_.pop_front();
    ++lost_count_;
  }
  spans_.push_back(span);
}

void SpanLog::AddMessage(NodeSpan::Kind kind, net::NodeId peer, const net::Body& body, size_t bytes, Instant now) {
  if (!enabled()) return;
  const TracedBody traced = BodyOf(body);
  if (traced.body == 0) return;
  Add({.kind = kind,
       .body = traced.body,
       .peer = peer,
       .round = traced.round,
       .begin = now,
       .end = now,
       .amount = static_cast<int64_t>(bytes)});
}

std::vector<NodeSpan> SpanLog::Take() {
  const absl::MutexLock lock(&mutex_);
  const auto count = static_cast<std::ptrdiff_t>(std::min(spans_.size(), kTakeMax));
  std::vector<NodeSpan> taken(spans_.begin(), spans_.begin() + count);
  spans_.erase(spans_.begin(), spans_.begin() + count);
  return taken;
}

size_t SpanLog::size() const {
  const absl::MutexLock lock(&mutex_);
  return spans_.size();
}

void SpanLog::Lose(size_t count) {
  const absl::MutexLock lock(&mutex_);
  lost_count_ += static_cast<int64_t>(count);
}

int64_t SpanLog::lost_count() const {
  const absl::MutexLock lock(&mutex_);
  return lost_count_;
}

}  // namespace eddl
