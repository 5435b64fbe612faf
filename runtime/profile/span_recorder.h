// SpanRecorder: keeps the last spans of work ("conv1 took 1.2 ms, moved 3 MB") for traces and reports.
//
// A ring of fixed capacity: the newest spans win, dropped() counts the rest. Off means a null recorder, which costs one
// comparison a span. Thread-safe. It writes no files: runtime/profile/trace.h does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "runtime/base/time.h"

namespace eddl {

// A row of the trace: a thread or a device queue. Made by SpanRecorder::AddTrack; track 0 is always there.
enum class TrackId : uint32_t { kMain = 0 };

struct Span {
  uint32_t name = 0;          // index in SpanLog::names
  const char* category = "";  // a literal: "op", "copy", "data"
  Instant begin, end;         // begin <= end
  int64_t bytes = 0;          // moved or touched; 0 where it has no meaning
  TrackId track = TrackId::kMain;
};

// A recorder's contents at one moment, oldest span first.
struct SpanLog {
  std::vector<Span> spans;
  std::vector<std::string> names;   // by Span::name
  std::vector<std::string> tracks;  // by TrackId
  uint64_t dropped = 0;             // spans that newer ones have replaced
};

class SpanRecorder {
 public:
  // REQUIRES: capacity > 0.
  explicit SpanRecorder(size_t capacity);

  // A new row, for a thread or a queue.
  TrackId AddTrack(std::string name) ABSL_LOCKS_EXCLUDED(mutex_);
  // Allocates only for a name that is new. REQUIRES: category is a literal, begin <= end, track is of this recorder.
  void Record(std::string_view name, const char* category, Instant begin, Instant end, int64_t bytes = 0,
              TrackId track = TrackId::kMain) ABSL_LOCKS_EXCLUDED(mutex_);
  SpanLog Log() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  const size_t capacity_;
  std::vector<Span> ring_ ABSL_GUARDED_BY(mutex_);  // full: the oldest is at recorded_ % capacity_
  uint64_t recorded_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, uint32_t, std::less<>> name_ids_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> tracks_ ABSL_GUARDED_BY(mutex_) = {"main"};
};

// Records its own lifetime, by the monotonic clock. recorder may be null: then it does nothing. name outlives it.
class ScopedSpan {
 public:
  ScopedSpan(SpanRecorder* recorder, std::string_view name, const char* category, int64_t bytes = 0,
             TrackId track = TrackId::kMain)
      : recorder_(recorder) {
    if (recorder_ == nullptr) return;
    name_ = name;
    category_ = category;
    bytes_ = bytes;
    track_ = track;
    begin_ = Now();
  }
  ~ScopedSpan() {
    if (recorder_ != nullptr) recorder_->Record(name_, category_, begin_, Now(), bytes_, track_);
  }
  ScopedSpan(const ScopedSpan&) = delete;
  ScopedSpan& operator=(const ScopedSpan&) = delete;

 private:
  SpanRecorder* recorder_;
  std::string_view name_;
  const char* category_ = "";
  int64_t bytes_ = 0;
  TrackId track_ = TrackId::kMain;
  Instant begin_;
};

}  // namespace eddl
