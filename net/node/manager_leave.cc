// Manager: the last node that could lead leaves.
//
// Its shard has nowhere to go, and what was committed since the last checkpoint would go with it. So no round is opened
// any more; when nothing is left that could still commit, the newest version is saved, and when it is on disk, the node
// goes. Whoever comes next begins there. A checkpoint that a person asks for while nobody computes is taken the same
// way: it would wait for a commit that does not come.
#include <algorithm>
#include <utility>

#include "net/node/manager.h"

namespace eddl::net {
namespace {

// A checkpoint that is not on disk after this is worth a word to who waits for it.
constexpr Duration kDiskPatience{1'000'000'000};

}  // namespace

bool Manager::LastLeaves() const {
  if (phase_ != Phase::kRunning) return false;
  const bool leaves = std::any_of(map_.shards.begin(), map_.shards.end(), [this](const Shard& shard) {
    return roster_.Find(shard.leader)->state == NodeRecord::State::kLeaving;
  });
  return leaves && !CanGoOnWithout(kManager);
}

bool Manager::IsQuiet() const {
  if (AnyLease()) return false;
  const bool commits = !rounds_.empty() && !rounds_.front().pool().empty() && IsFull(rounds_.front());
  if (commits) return false;
  if (last_leaves_) return true;
  const std::vector<NodeId> workers = roster_.Workers();
  return std::none_of(workers.begin(), workers.end(), [this](NodeId id) { return roster_.Find(id)->can_work(); });
}

void Manager::SaveIfQuiet(Step& step) {
  last_leaves_ = LastLeaves();
  const bool wanted = last_leaves_ || checkpoint_wanted_ || EndsEpoch(version_);
  if (phase_ != Phase::kRunning || !wanted || !IsQuiet()) return;
  if (checkpoint_ == version_) {
    checkpoint_wanted_ = false;
    return saved_ == version_ ? LetLastGo(step) : SayWhatIsWaitedFor(step);
  }
  if (checkpoint_ledgers_.contains(version_) && step.now - save_asked_ <= load_bound_.Get()) return;
  save_asked_ = step.now;
  checkpoint_ledgers_.emplace(version_, ledger_);
  std::vector<NodeId> leaders;
  for (const Shard& shard : map_.shards) leaders.push_back(shard.leader);
  // What is dealt of an open round stays as it is: this only says who is in it so far.
  step.out.SendToAll(std::move(leaders),
                     Close{.round = version_,
                           .attempt = ++next_attempt_,
                           .expected = rounds_.empty() ? std::vector<Contributor>{} : rounds_.front().Contributors(),
                           .checkpoint = true});
}

void Manager::SayWhatIsWaitedFor(Step& step) {
  if (!waits_for_disk() || disk_said_ == version_ || step.now - safe_since_ <= kDiskPatience) return;
  disk_said_ = version_;
  for (const NodeId id : roster_.Present()) {
    if (roster_.Find(id)->state != NodeRecord::State::kLeaving) continue;
    Say(step, "node " + std::to_string(ToInt(id)),
        "goes when version " + std::to_string(ToInt(version_)) + " is on the manager's disk, which it is not yet");
  }
}

void Manager::LetLastGo(Step& step) {
  if (!last_leaves_) return;
  last_leaves_ = false;
  for (const NodeId id : roster_.Present()) {
    if (roster_.Find(id)->state != NodeRecord::State::kLeaving) continue;
    step.out.SendTo(id, Bye{});
    EndLife(step, id);
    Say(step, "node " + std::to_string(ToInt(id)), "left");
  }
  ChangeView(step, "the last node that could lead has left; version " + std::to_string(ToInt(version_)) +
                       " is saved, and the job goes on when another comes");
}

}  // namespace eddl::net
