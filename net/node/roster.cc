#include "net/node/roster.h"

#include "runtime/base/check.h"

namespace eddl::net {

NodeRecord& Roster::At(NodeId node) {
  EDDL_CHECK(node != kManager) << "the manager is not in its own roster";
  if (ToInt(node) >= nodes_.size()) nodes_.resize(ToInt(node) + 1);
  return nodes_[ToInt(node)];
}

const NodeRecord* Roster::Find(NodeId node) const {
  return node != kManager && node < end() ? &nodes_[ToInt(node)] : nullptr;
}

NodeRecord* Roster::Find(NodeId node) { return node != kManager && node < end() ? &nodes_[ToInt(node)] : nullptr; }

std::vector<NodeId> Roster::Present() const {
  std::vector<NodeId> present;
  present.reserve(nodes_.size());
  for (uint32_t i = 1; i < nodes_.size(); ++i) {
    if (nodes_[i].present()) present.push_back(NodeId{i});
  }
  return present;
}

std::vector<NodeId> Roster::Workers() const {
  std::vector<NodeId> workers = Present();
  std::erase_if(workers, [this](NodeId node) { return !Find(node)->capabilities.can_work; });
  return workers;
}

}  // namespace eddl::net
