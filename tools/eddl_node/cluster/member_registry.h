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
  bool own = false;  // the manager's own device; nobody who joins can be it
};

// What the manager's own device is called. Others may call themselves so, too.
inline constexpr char kOwnDeviceName[] = "manager's device";

class MemberRegistry {
 public:
  // kDataLoss: the file is damaged.
  static absl::StatusOr<std::unique_ptr<MemberRegistry>> Open(const std::string& path);

  // A device joins: with the id of an earlier life, or a new one. Saved before it returns. kResourceExhausted: too many
  // members. kPermissionDenied: that id is revoked, or the manager's own device's.
  absl::StatusOr<net::NodeId> Admit(MemberInfo info);
  // The manager's own device: as the node that it was before, unless that is revoked.
  absl::StatusOr<net::NodeId> AdmitOwn(MemberInfo info);
  std::optional<MemberInfo> Find(net::NodeId node) const;
  void SetReachable(net::NodeId node, bool reachable);
  // Holds from now on, also if it can't be saved.
  absl::Status Revoke(net::NodeId node);
  // Saves what could not be saved before, if there is such.
  absl::Status SaveAgain();
  std::vector<MemberInfo> All() const;
  net::Directory ToDirectory() const;
  // Grows with every change of what ToDirectory says.
  uint64_t generation() const;

  static constexpr size_t kMembersMax = 4096;

 private:
  explicit MemberRegistry(std::string path) : path_(std::move(path)) {}
  absl::StatusOr<net::NodeId> Put(MemberInfo info) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Save() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::string path_;
  mutable absl::Mutex mutex_;
  std::map<net::NodeId, MemberInfo> members_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 1;
  bool is_saved_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace eddl::cluster
