#include "net/node/leader.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// Open rounds that a leader folds at once: two at the manager, and one whose commit is still under way to us.
constexpr uint64_t kRoundsAhead = 2;

std::vector<StripeRange> Union(const std::vector<StripeRange>& a, const std::vector<StripeRange>& b) {
  std::vector<StripeRange> all = Subtract(b, a);
  all.insert(all.end(), a.begin(), a.end());
  std::sort(all.begin(), all.end());
  std::vector<StripeRange> joined;
  for (const StripeRange& range : all) {
    if (!joined.empty() && joined.back().end == range.begin) {
      joined.back().end = range.end;
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

bool Covers(const Held& all, const Held& part) {
  return all.oldest <= part.oldest && all.newest >= part.newest && Subtract(part.stripes, all.stripes).empty();
}

}  // namespace

void Leader::Begin(const Start& start, Outbox& out) {
  // What was newer is undone everywhere. What is left of the old view stays until a commit proves that every new owner
  // and backup has its part: as a source for this view, and, older versions too, for the next one: until then the
  // newest version may still be lost with a single node.
  out.Do(Rollback{.version = start.version});
  std::vector<Held> kept;
  for (Held& held : Holdings()) {
    if (held.oldest > start.version) continue;
    held.newest = std::min(held.newest, start.version);
    const bool known = std::any_of(kept.begin(), kept.end(), [&](const Held& other) { return Covers(other, held); });
    if (!known) kept.push_back(std::move(held));
  }
  kept_ = std::move(kept);

  start_ = start.version;
  own_ = backup_ = {};
  open_.clear();
  sent_.clear();
  awaited_.clear();
  replica_.reset();
  backed_up_ = kNoVersion;
  std::erase_if(records_, [&](const CommitRecord& record) { return record.round >= start.version; });
  durable_ = std::min(durable_, start.version);
  shard_.reset();
  if (const auto index = start.map.LedBy(self_)) {
    shard_ = start.map.shards[*index];
    own_.missing = shard_->stripes;
  }
  predecessor_ = kManager;
  if (const auto index = start.map.BackedUpBy(self_); index && start.map.shards[*index].leader != self_) {
    predecessor_ = start.map.shards[*index].leader;
    backup_.missing = start.map.shards[*index].stripes;
  }
  for (const Transfer& transfer : start.transfers) {
    if (transfer.to == self_ && transfer.from != self_) awaited_.push_back(transfer);
    if (transfer.from == self_ && transfer.to == self_) {
      out.Do(Load{.stripes = transfer.stripes, .version = start_, .backup = transfer.backup});
    } else if (transfer.from == self_) {
      sent_.push_back(transfer);
      SendTransfer(transfer, out);
    }
  }
}

void Leader::SendTransfer(const Transfer& transfer, Outbox& out) {
  const Payload payload = names_.Next();
  out.Do(Snapshot{.version = start_, .stripes = transfer.stripes, .payload = payload});
  out.SendTo(transfer.to,
             Move{.stripes = transfer.stripes, .version = start_, .backup = transfer.backup, .payload = payload});
  out.Do(Release{payload});
}

void Leader::Stop(Outbox& out) {
  for (const auto& [round, fold] : open_) {
    if (!fold.folded.empty()) out.Do(ClearFold{round});
  }
  open_.clear();
  pulls_.clear();
  fenced_.clear();
  if (replica_) out.Do(Release{replica_payload_});
  replica_.reset();
  subscribers_.clear();
  shard_.reset();
}

void Leader::Reset(Outbox& out) {
  for (const Held& held : Holdings()) out.Do(Forget{held.stripes});
  own_ = backup_ = {};
  kept_.clear();
  sent_.clear();
  records_.clear();
}

std::vector<Held> Leader::Holdings() const {
  std::vector<Held> all;
  for (const Holding* holding : {&own_, &backup_}) {
    if (holding->stripes.empty()) continue;
    all.push_back({.node = self_, .stripes = holding->stripes, .oldest = holding->oldest, .newest = holding->newest});
  }
  all.insert(all.end(), kept_.begin(), kept_.end());
  return all;
}

void Leader::OnMove(NodeId from, const Move& move, Outbox& out) {
  Holding& holding = move.backup ? backup_ : own_;
  // From whom the view's start says; anybody else could put parameters of its own in their place.
  const bool agreed = std::any_of(awaited_.begin(), awaited_.end(), [&](const Transfer& transfer) {
    return transfer.from == from && transfer.backup == move.backup && transfer.stripes == move.stripes;
  });
  const bool wanted = agreed && move.version == start_ && Intersect(holding.missing, move.stripes) == move.stripes;
  if (!wanted || !move.intact) {
    out.Do(Release{move.payload});
    if (wanted) out.SendTo(from, Nack{.round = move.version});
    return;
  }
  out.Do(Load{.stripes = move.stripes, .version = move.version, .backup = move.backup, .payload = move.payload});
}

void Leader::OnLoaded(const Loaded& loaded, bool active, Outbox& out) {
  Holding& holding = loaded.backup ? backup_ : own_;
  if (loaded.version != start_) return;  // of a view that is over
  const std::vector<StripeRange> stripes = Intersect(loaded.stripes, holding.missing);
  if (stripes.empty()) return;
  holding.missing = Subtract(holding.missing, stripes);
  holding.stripes = Union(holding.stripes, stripes);
  holding.oldest = holding.newest = start_;
  if (!holding.missing.empty() || !active) return;
  if (loaded.backup) {
    out.SendTo(predecessor_, ReplicaOk{start_});
    return;
  }
  if (shard_->backup == self_) backed_up_ = start_;
  for (const auto& [node, have] : std::exchange(pulls_, {})) Answer(node, have, out);
  SendIfAsked(start_, out);
  if (open_.contains(start_)) CheckWhole(start_, out);
}

void Leader::SendIfAsked(Version round, Outbox& out) {
  const auto fold = open_.find(round);
  if (fold == open_.end() || !fold->second.checkpoint || !own_.complete() || own_.newest != round) return;
  fold->second.checkpoint = false;
  SendCheckpoint(out);
}

void Leader::OnPush(NodeId from, Incarnation incarnation, const Push& push, Outbox& out) {
  const Contributor contributor{.node = from, .incarnation = incarnation, .part = push.part};
  const bool open =
      own_.complete() && push.round >= own_.newest && ToInt(push.round) <= ToInt(own_.newest) + kRoundsAhead;
  const auto dead = fenced_.find(from);
  if (!open || (dead != fenced_.end() && incarnation <= dead->second)) {
    out.Do(Release{push.payload});
    return;
  }
  OpenRound& fold = open_[push.round];
  const bool wanted = fold.attempt == 0 || std::binary_search(fold.expected.begin(), fold.expected.end(), contributor);
  const auto place = fold.folded.lower_bound(contributor);
  if (!wanted || (place != fold.folded.end() && place->first == contributor)) {
    if (!wanted) fold.refused.insert(contributor);
    out.Do(Release{push.payload});
    return;
  }
  if (!push.intact) {
    out.Do(Release{push.payload});
    out.SendTo(from, Nack{.round = push.round, .part = push.part});
    return;
  }
  EDDL_CHECK(!fold.sealing) << "a contribution after round " << ToInt(push.round) << " was whole";
  fold.folded.emplace_hint(place, contributor, Folded{.base = push.base, .cover = push.cover, .samples = push.samples});
  out.Do(eddl::net::Fold{.round = push.round, .payload = push.payload});
  CheckWhole(push.round, out);
}

void Leader::OnClose(const Close& close, Outbox& out) {
  if (!shard_ || (own_.complete() && close.round < own_.newest)) return;
  OpenRound& fold = open_[close.round];
  if (close.attempt <= fold.attempt) return;
  const bool repeated = fold.attempt > 0 && fold.expected == close.expected;
  fold.attempt = close.attempt;
  fold.expected = close.expected;
  fold.sealed.reset();
  fold.sealing = false;
  const bool foreign = std::any_of(fold.folded.begin(), fold.folded.end(), [&](const auto& entry) {
    return !std::binary_search(fold.expected.begin(), fold.expected.end(), entry.first);
  });
  if (foreign) {
    out.Do(ClearFold{close.round});
    for (const auto& [contributor, push] : fold.folded) {
      if (!std::binary_search(fold.expected.begin(), fold.expected.end(), contributor)) continue;
      out.SendTo(contributor.node, Nack{.round = close.round, .part = contributor.part});
    }
    fold.folded.clear();
  }
  // The push of a new contributor may have overtaken the Close that expects it.
  for (const Contributor& contributor : close.expected) {
    if (fold.refused.erase(contributor) == 0 || repeated) continue;
    out.SendTo(contributor.node, Nack{.round = close.round, .part = contributor.part});
  }
  if (repeated) AskMissing(close.round, out);
  fold.checkpoint = fold.checkpoint || close.checkpoint;
  SendIfAsked(close.round, out);
  CheckWhole(close.round, out);
}

void Leader::AskMissing(Version round, Outbox& out) {
  const OpenRound& fold = open_[round];
  Waiting waiting{.round = round, .attempt = fold.attempt};
  for (const Contributor& contributor : fold.expected) {
    if (fold.folded.contains(contributor)) continue;
    waiting.missing.push_back(contributor);
    out.SendTo(contributor.node, Nack{.round = round, .part = contributor.part});
  }
  if (!waiting.missing.empty()) out.SendTo(kManager, std::move(waiting));
}

void Leader::CheckWhole(Version round, Outbox& out) {
  OpenRound& fold = open_[round];
  // Folded is always a part of expected, once that is known.
  if (fold.attempt == 0 || fold.folded.size() != fold.expected.size()) return;
  if (!fold.sealing) {
    fold.sealing = true;
    out.Do(Seal{.round = round, .attempt = fold.attempt});
  }
  if (!fold.sealed || !own_.complete() || own_.newest != round || backed_up_ != round) return;
  Staged staged{.round = round, .attempt = fold.attempt, .norm2 = fold.sealed->norm2, .finite = fold.sealed->finite};
  for (const auto& [contributor, push] : fold.folded) {
    staged.cover += push.cover;
    staged.samples += push.samples;
  }
  out.SendTo(kManager, staged);
}

void Leader::OnSealed(const Sealed& sealed, Outbox& out) {
  const auto it = open_.find(sealed.round);
  if (it == open_.end() || !it->second.sealing || it->second.attempt != sealed.attempt || it->second.sealed) return;
  it->second.sealed = sealed;
  CheckWhole(sealed.round, out);
}

void Leader::OnCommit(const Commit& commit, Outbox& out) {
  const CommitRecord& record = commit.record;
  if (!own_.complete() || record.round < own_.newest) return;
  const auto it = open_.find(record.round);
  EDDL_CHECK(record.round == own_.newest && it != open_.end() && it->second.attempt == commit.attempt)
      << "a commit of round " << ToInt(record.round) << " that was not staged, at version " << ToInt(own_.newest);
  open_.erase(it);
  const Payload slice = names_.Next();
  out.Do(Apply{.record = record, .slice = slice});
  own_.oldest = record.round;
  own_.newest = Next(record.round);
  EndTransfers(out);
  KeepRecord(record, commit.durable);

  if (shard_->backup == self_) {
    backed_up_ = own_.newest;
    out.Do(Release{slice});
  } else {
    replica_ = record;
    replica_payload_ = slice;
  }
  // The workers wait for the version, nobody for the backup.
  std::vector<NodeId> subscribers;
  for (const auto& [node, incarnation] : subscribers_) subscribers.push_back(node);
  PublishTo(FromTheNext(self_, std::move(subscribers)), out);
  if (shard_->backup != self_) SendReplica(out);
  if (record.checkpoint) SendCheckpoint(out);
  if (open_.contains(own_.newest)) CheckWhole(own_.newest, out);
}

void Leader::SendCheckpoint(Outbox& out) {
  const Payload payload = names_.Next();
  out.Do(Snapshot{.version = own_.newest, .stripes = own_.stripes, .payload = payload});
  out.SendTo(kManager, Move{.stripes = own_.stripes, .version = own_.newest, .payload = payload});
  out.Do(Release{payload});
}

void Leader::EndTransfers(Outbox& out) {
  for (const Held& held : kept_) {
    const auto gone = Subtract(Subtract(held.stripes, own_.stripes), backup_.stripes);
    if (!gone.empty()) out.Do(Forget{gone});
  }
  kept_.clear();
  sent_.clear();
}

void Leader::KeepRecord(const CommitRecord& record, Version durable) {
  durable_ = std::max(durable_, durable);
  std::erase_if(records_, [&](const CommitRecord& old) { return old.round < durable_ || old.round == record.round; });
  const auto after =
      std::find_if(records_.begin(), records_.end(), [&](const CommitRecord& old) { return old.round > record.round; });
  records_.insert(after, record);
}

void Leader::SendReplica(Outbox& out) {
  out.SendTo(shard_->backup, Replica{.record = *replica_, .durable = durable_, .payload = replica_payload_});
}

void Leader::PublishTo(std::vector<NodeId> to, Outbox& out) {
  if (to.empty()) return;
  const Payload payload = names_.Next();
  out.Do(Export{.version = own_.newest, .payload = payload});
  out.SendToAll(std::move(to), Publish{.version = own_.newest, .payload = payload});
  out.Do(Release{payload});
}

void Leader::OnReplica(NodeId from, const Replica& replica, Outbox& out) {
  if (from != predecessor_ || !backup_.complete() || replica.record.round > backup_.newest) {
    out.Do(Release{replica.payload});
    return;
  }
  if (replica.record.round < backup_.newest) {
    out.Do(Release{replica.payload});
    out.SendTo(from, ReplicaOk{backup_.newest});
    return;
  }
  if (!replica.intact) {
    out.Do(Release{replica.payload});
    out.SendTo(from, Nack{.round = replica.record.round});
    return;
  }
  out.Do(ApplyBackup{.record = replica.record, .slice = replica.payload});
  KeepRecord(replica.record, replica.durable);
  backup_.oldest = replica.record.round;
  backup_.newest = Next(replica.record.round);
  EndTransfers(out);
  out.SendTo(from, ReplicaOk{backup_.newest});
}

void Leader::OnReplicaOk(NodeId from, const ReplicaOk& ok, Outbox& out) {
  if (!shard_ || from != shard_->backup) return;
  if (ok.version > (own_.complete() ? own_.newest : start_)) return;  // there is no such version
  if (backed_up_ != kNoVersion && ok.version <= backed_up_) return;
  backed_up_ = ok.version;
  if (replica_ && Next(replica_->round) <= ok.version) {
    out.Do(Release{replica_payload_});
    replica_.reset();
  }
  if (open_.contains(ok.version)) CheckWhole(ok.version, out);
}

void Leader::OnNack(NodeId from, const Nack& nack, Outbox& out) {
  if (shard_ && from == shard_->backup && replica_ && replica_->round == nack.round) SendReplica(out);
  for (const Transfer& transfer : sent_) {
    if (transfer.to == from && nack.round == start_) SendTransfer(transfer, out);
  }
}

void Leader::OnPull(NodeId from, Incarnation incarnation, const Pull& pull, Outbox& out) {
  const auto dead = fenced_.find(from);
  if (dead != fenced_.end() && incarnation <= dead->second) return;
  subscribers_[from] = incarnation;
  if (own_.complete() && shard_) {
    Answer(from, pull.have, out);
  } else {
    pulls_[from] = pull.have;
  }
}

void Leader::OnLeave(NodeId from) {
  subscribers_.erase(from);
  pulls_.erase(from);
}

void Leader::Answer(NodeId to, Version have, Outbox& out) {
  if (have == own_.newest) {
    out.SendTo(to, Publish{.version = have});
  } else {
    PublishTo({to}, out);
  }
}

void Leader::OnFence(const Fence& fence) {
  Incarnation& dead = fenced_[fence.node];
  dead = std::max(dead, fence.incarnation);
  const auto subscriber = subscribers_.find(fence.node);
  if (subscriber == subscribers_.end() || subscriber->second > dead) return;
  subscribers_.erase(subscriber);
  pulls_.erase(fence.node);
}

void Leader::OnPeerUp(NodeId peer, Outbox& out) {
  if (shard_ && peer == shard_->backup && replica_) SendReplica(out);
  for (const Transfer& transfer : sent_) {
    if (transfer.to == peer) SendTransfer(transfer, out);
  }
  if (predecessor_ == peer && peer != kManager && backup_.complete()) out.SendTo(peer, ReplicaOk{backup_.newest});
}

}  // namespace eddl::net
