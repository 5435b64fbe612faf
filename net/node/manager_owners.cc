// Manager: entries that their owner alone has: dealing them, and what becomes of them while it is away.
//
// An owner is away when it has said that it leaves, or could not work for longer than a connection may take to come
// back. Its micro-batches are deferred then, and leave the open rounds; the epoch ends on all the others. When it is
// back before the epoch is closed, they are dealt as if nothing had been. While nobody is here whose entries are left,
// nothing is deferred: the job waits, instead of ending on nothing.
#include <algorithm>
#include <utility>

#include "net/node/manager.h"

namespace eddl::net {

int64_t Manager::CountShared(const Round& round) const {
  if (!ledger_.has_owners()) return round.free_count();
  const std::vector<MicroBatch> free = round.FreeOnes();
  return std::count_if(free.begin(), free.end(), [this](MicroBatch mb) { return ledger_.OwnerOf(mb) == kManager; });
}

bool Manager::GrantOwn(Step& step, Round& round, NodeId id) {
  if (!ledger_.has_owners() || round.free_count() == 0) return false;
  NodeRecord& node = *roster_.Find(id);
  const auto is_own = [&](MicroBatch mb) { return ledger_.OwnerOf(mb) == id; };
  const std::vector<MicroBatch> free = round.FreeOnes();
  if (node.leases.size() >= kLeasesMax || std::none_of(free.begin(), free.end(), is_own)) return false;
  SendRoundGrant(step, round, id,
                 round.Lease(id, node.incarnation, OpenPart(node, round).open, round.free_count(), is_own));
  return true;
}

void Manager::UpdateAway(Step& step) {
  if (!ledger_.has_owners()) return;
  std::vector<NodeId> away;
  bool any_here = false;
  for (const NodeId owner : ledger_.OwnersOf(options_.ledger.epoch_count - 1)) {
    const NodeRecord* node = owner == kManager ? nullptr : roster_.Find(owner);
    if (owner == kManager || (node != nullptr && node->can_work())) {
      any_here = true;
      missing_since_.erase(owner);
      continue;
    }
    const Instant since = missing_since_.try_emplace(owner, step.now).first->second;
    const bool has_left = node != nullptr && node->state == NodeRecord::State::kLeaving;
    if (has_left || step.now - since > options_.reconnect) away.push_back(owner);
  }
  if (!any_here) away.clear();
  if (away != ledger_.away()) {
    for (const NodeId owner : away) {
      if (std::binary_search(ledger_.away().begin(), ledger_.away().end(), owner)) continue;
      Say(step, "node " + std::to_string(ToInt(owner)), "is away: the job goes on without its entries");
    }
    ledger_.SetAway(std::move(away));
    serve_ = true;
  }
  DropAway();
}

void Manager::DropAway() {
  if (ledger_.away().empty()) return;
  for (Round& round : rounds_) {
    if (round.free_count() == 0) continue;
    for (const MicroBatch mb : round.FreeOnes()) {
      const std::vector<NodeId>& away = ledger_.away();
      if (!std::binary_search(away.begin(), away.end(), ledger_.OwnerOf(mb))) continue;
      round.Drop(mb);
      ledger_.Free({&mb, 1});
    }
    serve_ = true;
  }
}

void Manager::SayLeftOut(Step& step) {
  for (; left_out_said_ < ledger_.closed_end(); ++left_out_said_) {
    const int64_t all = ledger_.SampleCountOf(left_out_said_);
    const EpochCount count = ledger_.Count(left_out_said_);
    if (count.deferred == 0) continue;
    Say(step, "data",
        "epoch " + std::to_string(left_out_said_ + 1) + " ended without " + std::to_string(all - count.samples_done) +
            " of its " + std::to_string(all) + " entries: their owners were away");
  }
}

}  // namespace eddl::net
