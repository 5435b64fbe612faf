// Manager: entries that their owner alone has: dealing them, and what becomes of them while it is away.
//
// An owner is away when it has said that it leaves, or could not work for longer than a connection may take to come
// back. Its micro-batches are deferred then, and leave the open rounds; the epoch ends on all the others. When it is
// back before the epoch is closed, they are dealt as if nothing had been. While nobody is here whose entries are left,
// nothing is deferred: the job waits, instead of ending on nothing. What was decided is journaled: a manager that
// starts again opens no epoch that ended without somebody, and waits for nobody whom it had given up.
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
  if (!any_here) {
    away.clear();
  } else if (away != away_said_) {
    for (const NodeId owner : away) {
      if (std::binary_search(away_said_.begin(), away_said_.end(), owner)) continue;
      Say(step, "node " + std::to_string(ToInt(owner)), "is away: the job goes on without its entries");
    }
    away_said_ = away;
    step.out.Do(JournalAway{away});
  }
  if (away != ledger_.away()) {
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
  for (; closed_said_ < ledger_.closed_end(); ++closed_said_) {
    const EpochCount count = ledger_.Count(closed_said_);
    if (count.deferred + count.quarantined == 0) continue;  // the records alone say that it is closed
    closed_.push_back(
        {.version = version_, .epoch = closed_said_, .quarantined = count.quarantined, .deferred = count.deferred});
    step.out.Do(JournalEpoch{closed_.back()});
    if (count.deferred == 0) continue;
    const int64_t all = ledger_.SampleCountOf(closed_said_);
    Say(step, "data",
        "epoch " + std::to_string(closed_said_ + 1) + " ended without " + std::to_string(all - count.samples_done) +
            " of its " + std::to_string(all) + " entries: their owners were away");
  }
}

void Manager::RestoreOwners(const Started& started) {
  closed_ = started.closed;
  away_said_ = started.away;
  // They were away for long enough then, and are until they come.
  for (const NodeId owner : away_said_) missing_since_.emplace(owner, Instant{INT64_MIN / 2});
}

void Manager::RestoreClosed(Version version) {
  std::erase_if(closed_, [version](const ClosedEpoch& closed) { return closed.version > version; });
  for (const ClosedEpoch& closed : closed_) ledger_.CloseAsItWas(closed);
  closed_said_ = std::min(closed_said_, ledger_.closed_end());
}

}  // namespace eddl::net
