// JournalFile: the manager's journal on disk: views, commits and checkpoints, so that a killed manager goes on.
//
// Append only; every entry has a length and a CRC-32. What a crash left half-written at the end is cut off when it is
// opened; damage before the end is an error. Appends go to a thread that writes and syncs: records in batches, views
// before anything else goes on. A full disk is not the end: writing is tried again until there is room. The format is
// in net/wire/FORMAT.md (entries are protobuf messages of eddl.proto).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/node/event.h"

namespace eddl::cluster {

class JournalFile {
 public:
  // Opens or makes the file and locks it: a stopped manager can't wake beside its successor. `job`: a fingerprint of
  // the job and its data; a journal of another job is kFailedPrecondition and says so. kUnavailable: another process
  // has it. kDataLoss: damaged before its end. on_durable: called from the journal's thread when the records of all
  // rounds below are on disk. on_trouble: called when writing fails (text for people: disk full, …) and when it goes
  // again (empty).
  static absl::StatusOr<std::unique_ptr<JournalFile>> Open(const std::string& path, const std::string& job,
                                                           std::function<void(net::Version below)> on_durable,
                                                           std::function<void(const std::string&)> on_trouble);
  virtual ~JournalFile() = default;

  // What it says: the first event of a manager. Records of undone rounds are left out (JournalStart).
  virtual const net::Started& started() const = 0;
  // Durable soon, in order.
  virtual void Append(const net::Journal& record) = 0;
  virtual void Append(const net::Checkpointed& checkpoint) = 0;
  // Return when durable; block while the disk is full, until `cancelled`.
  virtual absl::Status Append(const net::JournalView& view) = 0;
  virtual absl::Status Append(const net::JournalStart& start) = 0;
};

}  // namespace eddl::cluster
