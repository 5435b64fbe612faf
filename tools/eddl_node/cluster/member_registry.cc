#include "tools/eddl_node/cluster/member_registry.h"

#include <fstream>
#include <sstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"

namespace eddl::cluster {

absl::StatusOr<std::unique_ptr<MemberRegistry>> MemberRegistry::Open(const std::string& path) {
  auto registry = std::unique_ptr<MemberRegistry>(new MemberRegistry(path));
  std::ifstream file(path);
  if (!file) return registry;
  std::stringstream text;
  text << file.rdbuf();
  const nlohmann::json json = nlohmann::json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  const absl::MutexLock lock(&registry->mutex_);
  try {
    for (const nlohmann::json& entry : json.at("members")) {
      MemberInfo info = {.node = net::NodeId{entry.at("node").get<uint32_t>()},
                         .name = entry.at("name"),
                         .device = entry.at("device"),
                         .address = entry.at("address"),
                         .revoked = entry.at("revoked"),
                         .program_version = entry.at("version")};
      registry->members_.emplace(info.node, std::move(info));
    }
  } catch (const nlohmann::json::exception& error) {
    return DataLoss(path + " is damaged: " + error.what() + "; start anew in another folder with --set run.dir=...");
  }
  return registry;
}

absl::Status MemberRegistry::Save() const {
  nlohmann::json members = nlohmann::json::array();
  for (const auto& [node, info] : members_) {
    members.push_back({{"node", ToInt(node)},
                       {"name", info.name},
                       {"device", info.device},
                       {"address", info.address},
                       {"revoked", info.revoked},
                       {"version", info.program_version}});
  }
  return WriteFileAtomically(path_, nlohmann::json{{"members", std::move(members)}}.dump(1) + "\n");
}

absl::StatusOr<net::NodeId> MemberRegistry::Admit(MemberInfo info) {
  const absl::MutexLock lock(&mutex_);
  if (ToInt(info.node) == 0) {
    if (members_.size() >= kMembersMax) {
      return ResourceExhausted("the job has had " + std::to_string(kMembersMax) + " members, and takes no more");
    }
    info.node = net::NodeId{members_.empty() ? 1 : ToInt(members_.rbegin()->first) + 1};
  } else if (!members_.contains(info.node)) {
    return NotFound("node " + std::to_string(ToInt(info.node)) + " was never a member of this job");
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
  if (it == members_.end()) return;
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
