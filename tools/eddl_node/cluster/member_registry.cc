#include "tools/eddl_node/cluster/member_registry.h"

#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

absl::Status PermissionDenied(std::string_view message) {
  return MakeStatus(absl::StatusCode::kPermissionDenied, message);
}

// Programs before this one knew the manager's own device by its name. What joins may have any name; but only a device
// on the manager's machine is without a host there.
void MarkOwn(std::map<net::NodeId, MemberInfo>& members) {
  for (auto& [node, info] : members) {
    info.own = info.name == kOwnDeviceName && !info.revoked && info.address.starts_with(':');
    if (info.own) return;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<MemberRegistry>> MemberRegistry::Open(const std::string& path) {
  auto registry = std::unique_ptr<MemberRegistry>(new MemberRegistry(path));
  std::ifstream file(path);
  if (!file) return registry;
  std::stringstream text;
  text << file.rdbuf();
  const nlohmann::json json = nlohmann::json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  const absl::MutexLock lock(&registry->mutex_);
  bool marks_own = false;
  try {
    for (const nlohmann::json& entry : json.at("members")) {
      marks_own = marks_own || entry.contains("own");
      MemberInfo info = {.node = net::NodeId{entry.at("node").get<uint32_t>()},
                         .name = entry.at("name"),
                         .device = entry.at("device"),
                         .address = entry.at("address"),
                         .revoked = entry.at("revoked"),
                         .program_version = entry.at("version"),
                         .own = entry.value("own", false)};
      registry->members_.emplace(info.node, std::move(info));
    }
  } catch (const nlohmann::json::exception& error) {
    return DataLoss(path + " is damaged: " + error.what() + "; start anew in another folder with --set run.dir=...");
  }
  if (!marks_own) MarkOwn(registry->members_);
  return registry;
}

absl::Status MemberRegistry::Save() {
  nlohmann::json members = nlohmann::json::array();
  for (const auto& [node, info] : members_) {
    members.push_back({{"node", ToInt(node)},
                       {"name", info.name},
                       {"device", info.device},
                       {"address", info.address},
                       {"revoked", info.revoked},
                       {"version", info.program_version},
                       {"own", info.own}});
  }
  const absl::Status saved = WriteFileAtomically(path_, nlohmann::json{{"members", std::move(members)}}.dump(1) + "\n");
  is_saved_ = saved.ok();
  return saved;
}

absl::Status MemberRegistry::SaveAgain() {
  const absl::MutexLock lock(&mutex_);
  return is_saved_ ? absl::OkStatus() : Save();
}

absl::StatusOr<net::NodeId> MemberRegistry::Admit(MemberInfo info) {
  const absl::MutexLock lock(&mutex_);
  info.own = false;
  if (ToInt(info.node) > 0) {
    const auto before = members_.find(info.node);
    const std::string name = "node " + std::to_string(ToInt(info.node));
    if (before == members_.end()) return NotFound(name + " was never a member of this job");
    // Perhaps since a moment ago, when it asked already.
    if (before->second.revoked) return PermissionDenied(name + " is not welcome here");
    if (before->second.own) return PermissionDenied(name + " is the manager's own device");
  }
  return Put(std::move(info));
}

absl::StatusOr<net::NodeId> MemberRegistry::AdmitOwn(MemberInfo info) {
  const absl::MutexLock lock(&mutex_);
  info.node = net::NodeId{};
  info.own = true;
  for (const auto& [node, before] : members_) {
    if (before.own && !before.revoked) info.node = node;
  }
  return Put(std::move(info));
}

absl::StatusOr<net::NodeId> MemberRegistry::Put(MemberInfo info) {
  if (ToInt(info.node) == 0) {
    if (members_.size() >= kMembersMax) {
      return ResourceExhausted("the job has had " + std::to_string(kMembersMax) + " members, and takes no more");
    }
    info.node = net::NodeId{members_.empty() ? 1 : ToInt(members_.rbegin()->first) + 1};
  }
  const net::NodeId node = info.node;
  members_[node] = std::move(info);
  ++generation_;
  EDDL_RETURN_IF_ERROR(Save());
  return node;
}

std::optional<MemberInfo> MemberRegistry::Find(net::NodeId node) const {
  const absl::MutexLock lock(&mutex_);
  const auto it = members_.find(node);
  if (it == members_.end()) return std::nullopt;
  return it->second;
}

void MemberRegistry::SetReachable(net::NodeId node, bool reachable) {
  const absl::MutexLock lock(&mutex_);
  const auto it = members_.find(node);
  if (it == members_.end() || it->second.reachable == reachable) return;
  it->second.reachable = reachable;
  ++generation_;
}

absl::Status MemberRegistry::Revoke(net::NodeId node) {
  const absl::MutexLock lock(&mutex_);
  const auto it = members_.find(node);
  if (it == members_.end()) return NotFound("no node " + std::to_string(ToInt(node)));
  it->second.revoked = true;
  ++generation_;
  return Save();
}

std::vector<MemberInfo> MemberRegistry::All() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<MemberInfo> all;
  for (const auto& [node, info] : members_) all.push_back(info);
  return all;
}

net::Directory MemberRegistry::ToDirectory() const {
  const absl::MutexLock lock(&mutex_);
  net::Directory directory;
  for (const auto& [node, info] : members_) {
    directory.entries.push_back({.node = node, .address = info.reachable ? info.address : ""});
    if (info.revoked) directory.revoked.push_back(node);
  }
  return directory;
}

uint64_t MemberRegistry::generation() const {
  const absl::MutexLock lock(&mutex_);
  return generation_;
}

}  // namespace eddl::cluster
