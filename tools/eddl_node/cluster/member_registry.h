// MemberRegistry: every device that was ever admitted to a job: its id, name, address; on disk, since ids are never
// used twice, also not after the manager was restarted.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "net/wire/parcel.h"

namespace eddl::cluster {

struct MemberInfo {
  net::NodeId node{};
  std::string name;        // as its owner calls it
  std::string device;      // "cpu:0 (AMD EPYC)"
  std::string address;     // where it says that it listens; empty: nowhere
  bool reachable = false;  // dialled back
  bool revoked = false;
  std::string program_version;
};

class MemberRegistry {
 public:
  // kDataLoss: the file is damaged. kResourceExhausted at Admit: too many members.
  static absl::StatusOr<std::unique_ptr<MemberRegistry>> Open(const std::string& path);

  // A device joins: with the id of an earlier life, or a new one. Saved before it returns.
  absl::StatusOr<net::NodeId> Admit(MemberInfo info);
  std::optional<MemberInfo> Find(net::NodeId node) const;
  void SetReachable(net::NodeId node, bool reachable);
  absl::Status Revoke(net::NodeId node);
  std::vector<MemberInfo> All() const;
  net::Directory ToDirectory() const;
  // Grows with every change of what ToDirectory says.
  uint64_t generation() const;

  static constexpr size_t kMembersMax = 4096;

 private:
  explicit MemberRegistry(std::string path) : path_(std::move(path)) {}
  absl::Status Save() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::string path_;
  mutable absl::Mutex mutex_;
  std::map<net::NodeId, MemberInfo> members_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace eddl::cluster
