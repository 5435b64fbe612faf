// JournalFile: the manager's journal on disk: views, commits and checkpoints, so that a killed manager goes on.
//
// Append only; every entry has a length and a CRC-32. What a crash left half-written at the end is cut off when it is
// opened; damage with whole entries behind it is an error, since what those say must not be forgotten. Appends go to a
// thread that writes and syncs: records in batches, views before anything else goes on. A full disk is not the end:
// writing is tried again until there is room. The format is in net/wire/FORMAT.md (entries are protobuf messages of
// eddl.proto). Append is for one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/node/event.h"

namespace eddl::cluster {

// After this long, what the disk did not take is written again.
constexpr absl::Duration kJournalRetry = absl::Seconds(2);

class JournalFile {
 public:
  // Opens or makes the file and locks it: a stopped manager can't wake beside its successor. `job`: a fingerprint of
  // the job and its data; a journal of another job is kFailedPrecondition and says so. kUnavailable: another process
  // has it. kDataLoss: damaged before its end, or no journal at all; the file stays as it is. on_durable: called from
  // the journal's thread when the records of all rounds below, or a checkpoint, are on disk; by the time that another
  // thread hears of it a start may have undone some of them, so ask durable() there. on_trouble: called when writing
  // fails (text for people: disk full, …) and when it goes again (empty).
  static absl::StatusOr<std::unique_ptr<JournalFile>> Open(const std::string& path, const std::string& job,
                                                           std::function<void(net::Version below)> on_durable,
                                                           std::function<void(const std::string&)> on_trouble,
                                                           absl::Duration retry = kJournalRetry);
  // Once `is_stopping` is true, a disk that takes nothing is waited for so much longer, and then no more: what waits is
  // not written, and appends return at once. Called from the journal's thread; an empty one: never.
  void LimitWait(std::function<bool()> is_stopping, absl::Duration patience);
  // What is queued is still written, if the disk takes it at once.
  ~JournalFile();
  JournalFile(const JournalFile&) = delete;
  JournalFile& operator=(const JournalFile&) = delete;

  // What it said when it was opened: the first event of a manager. Records and checkpoints that a start has undone are
  // left out.
  const net::Started& started() const { return started_; }
  // The records of all rounds below are on disk, and no start has undone them.
  net::Version durable() const;
  // The newest checkpoint that the file on disk names.
  net::Version durable_checkpoint() const;
  // Durable soon, in order. REQUIRES: the round after the record before it, or that the last start began with.
  void Append(const net::Journal& record);
  // Durable after the records before it. False, and nothing, if a start has undone rounds below.
  bool Append(const net::Checkpointed& checkpoint);
  void Append(const net::JournalAway& away);
  // Return when durable; wait while the disk is full. kUnavailable: it is not waited for any more (LimitWait), and this
  // may not be acted on.
  absl::Status Append(const net::JournalView& view);
  absl::Status Append(const net::JournalStart& start);
  absl::Status Append(const net::JournalBlock& block);
  absl::Status Append(const net::JournalEpoch& epoch);

 private:
  JournalFile(std::string path, int fd, std::function<void(net::Version)> on_durable,
              std::function<void(const std::string&)> on_trouble, absl::Duration retry);
  absl::Status Read(const std::string& job);
  absl::Status WriteAll(const std::string& bytes);
  void Queue(const std::string& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status QueueAndWait(const std::string& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work();
  // False: stopped, or given up, while the disk did not take them.
  bool WriteUntilDone(const std::string& bytes);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !pending_.empty(); }
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const int fd_;
  const std::function<void(net::Version)> on_durable_;
  const std::function<void(const std::string&)> on_trouble_;
  const absl::Duration retry_;
  net::Started started_;
  int64_t size_ = 0;  // of what is whole on disk; the thread's, once it runs

  mutable absl::Mutex mutex_;
  std::string pending_ ABSL_GUARDED_BY(mutex_);  // entries that wait
  size_t pending_count_ ABSL_GUARDED_BY(mutex_) = 0;
  net::Version queued_below_ ABSL_GUARDED_BY(mutex_){};   // records of rounds below are on disk or wait
  net::Version durable_below_ ABSL_GUARDED_BY(mutex_){};  // are on disk
  net::Version queued_checkpoint_ ABSL_GUARDED_BY(mutex_){};
  net::Version durable_checkpoint_ ABSL_GUARDED_BY(mutex_){};
  uint64_t queued_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<bool()> is_stopping_ ABSL_GUARDED_BY(mutex_);
  absl::Duration patience_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool given_up_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace eddl::cluster
