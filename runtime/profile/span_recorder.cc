#include "runtime/profile/span_recorder.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace eddl {

SpanRecorder::SpanRecorder(size_t capacity) : capacity_(capacity) {
  EDDL_CHECK(capacity > 0) << "a span recorder keeps at least one span";
  ring_.reserve(capacity);
}

TrackId SpanRecorder::AddTrack(std::string name) {
  absl::MutexLock lock(&mutex_);
  tracks_.push_back(std::move(name));
  return static_cast<TrackId>(tracks_.size() - 1);
}

void SpanRecorder::Record(std::string_view name, const char* category, Instant begin, Instant end, int64_t bytes,
                          TrackId track) {
  EDDL_CHECK(begin <= end) << "span '" << name << "' begins at " << begin.ns << " ns, ends at " << end.ns << " ns";
  absl::MutexLock lock(&mutex_);
  EDDL_CHECK(static_cast<size_t>(track) < tracks_.size()) << "track " << static_cast<uint32_t>(track);
  auto id = name_ids_.find(name);
  if (id == name_ids_.end()) id = name_ids_.emplace(name, static_cast<uint32_t>(name_ids_.size())).first;
  const Span span = {id->second, category, begin, end, bytes, track};
  if (ring_.size() < capacity_) {
    ring_.push_back(span);
  } else {
    ring_[recorded_ % capacity_] = span;
  }
  ++recorded_;
}

SpanLog SpanRecorder::Log() const {
  absl::MutexLock lock(&mutex_);
  SpanLog log = {.spans = ring_, .tracks = tracks_, .dropped = recorded_ - ring_.size()};
  if (log.dropped > 0) {
    std::rotate(log.spans.begin(), log.spans.begin() + static_cast<ptrdiff_t>(recorded_ % capacity_), log.spans.end());
  }
  log.names.resize(name_ids_.size());
  for (const auto& [name, id] : name_ids_) log.names[id] = name;
  return log;
}

}  // namespace eddl
