#include "net/node/worker.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// A round computes on the version that it starts from, or on the one before.
constexpr size_t kCompleteMax = 2;
// Versions that are kept to be tested; older ones give way: a manager that was replaced may never say that a test is
// over.
constexpr size_t kKeptMax = 2;
// A test whose turn never comes otherwise waits for so many leases that train.
constexpr int64_t kTrainedInARowMax = 4;

bool SameLease(const Grant& grant, Version round, Part part, const std::vector<MicroBatch>& mbs) {
  return grant.round == round && grant.part == part && grant.micro_batches == mbs;
}

Done CancelledDone(const Grant& grant) {
  return {.round = grant.round,
          .base = grant.base,
          .part = grant.part,
          .micro_batches = grant.micro_batches,
          .samples = grant.samples,
          .cancelled = true,
          .kind = grant.kind};
}

}  // namespace

void Worker::Begin(const ShardMap& map, Version version, bool same_history, Outbox& out) {
  map_ = map;
  asleep_ = false;
  Version have = kNoVersion;
  std::erase_if(kept_, [&](Version kept) { return !same_history || kept > version; });
  std::erase_if(held_, [&](Version held) {
    if (same_history && held == version) have = held;
    if (same_history && (held == version || IsKept(held))) return false;
    out.Do(Discard{held});
    return true;
  });
  for (const Shard& shard : map_.shards) out.SendTo(shard.leader, Pull{have});
}

void Worker::Stop(Outbox& out) {
  queue_.clear();
  if (computing_ && !abandoned_) {
    abandoned_ = true;
    out.Do(Abandon{computing_->round, computing_->part, computing_->micro_batches});
  }
  for (const auto& [key, sum] : sums_) {
    if (sum.payload != Payload{}) out.Do(Release{sum.payload});
  }
  sums_.clear();
  for (const auto& [version, shards] : incoming_) {
    for (const auto& payload : shards) {
      if (payload && *payload != Payload{}) out.Do(Release{*payload});
    }
  }
  incoming_.clear();
  complete_.clear();
  map_ = {};
  fetching_.clear();
  trained_in_a_row_ = 0;
}

bool Worker::idle() const {
  return queue_.empty() && !computing_ &&
         std::all_of(sums_.begin(), sums_.end(), [](const auto& entry) { return entry.second.pushed; });
}

void Worker::OnGrant(const Grant& grant, Outbox& out) {
  if (grant.kind == LeaseKind::kEvaluate && grant.micro_batches.empty()) return KeepForTest(grant, out);
  // Not if it only ends a part: the manager may go on with one of an earlier round.
  if (grant.kind == LeaseKind::kTrain && !grant.micro_batches.empty()) EndPartsBefore(grant.round, out);
  const Key key{grant.round, grant.part};
  if (grant.kind == LeaseKind::kTrain) {
    Sum& sum = sums_[key];
    EDDL_CHECK(!sum.pushed) << "a lease for part " << ToInt(grant.part) << " of round " << ToInt(grant.round)
                            << ", which is pushed";
    sum.last = sum.last || grant.last;
    sum.on_assign = grant.on_assign;
    sum.into = grant.round;
    sum.base = grant.base;
    if (!grant.micro_batches.empty()) ++sum.unfinished;
  }
  if (!grant.micro_batches.empty()) {
    queue_.push_back(grant);
    if (std::exchange(asleep_, false)) {
      for (const Shard& shard : map_.shards) out.SendTo(shard.leader, Pull{version()});
    }
  }
  PushIfReady(key, out);
  GiveUpTests(/*all_waiting=*/false, out);
  ComputeNext(out);
}

void Worker::KeepForTest(const Grant& grant, Outbox& out) {
  const Version version = grant.base;
  std::erase(kept_, version);
  if (grant.last) {
    std::erase_if(queue_,
                  [&](const Grant& queued) { return queued.kind == LeaseKind::kEvaluate && queued.base == version; });
    return DiscardOld(out);
  }
  const bool is_here = std::find(held_.begin(), held_.end(), version) != held_.end();
  const bool is_past = !complete_.empty() && complete_.back() >= version;
  if (is_past && !is_here) return;  // a lease on it will be given up
  if (kept_.size() >= kKeptMax) kept_.erase(kept_.begin());
  kept_.push_back(version);
  DiscardOld(out);
}

void Worker::GiveUpTests(bool all_waiting, Outbox& out) {
  std::erase_if(queue_, [&](const Grant& grant) {
    if (grant.kind != LeaseKind::kEvaluate || BaseFor(grant)) return false;
    if (!all_waiting && (complete_.empty() || complete_.back() < grant.base)) return false;  // still to come
    out.SendTo(kManager, CancelledDone(grant));
    return true;
  });
}

void Worker::DiscardOld(Outbox& out) {
  if (complete_.empty()) return;
  std::erase_if(held_, [&](Version held) {
    if (held >= complete_.front() || IsKept(held)) return false;
    out.Do(Discard{held});
    return true;
  });
}

void Worker::EndPartsBefore(Version round, Outbox& out) {
  std::vector<Key> ended;
  for (auto& [key, sum] : sums_) {
    if (key.first >= round || sum.last || sum.on_assign) continue;
    sum.last = true;
    ended.push_back(key);
  }
  for (const Key& key : ended) PushIfReady(key, out);
}

std::optional<Version> Worker::BaseFor(const Grant& grant, const std::vector<Version>& complete) const {
  const auto is_complete = [&](Version version) {
    return std::find(complete.begin(), complete.end(), version) != complete.end();
  };
  if (grant.kind == LeaseKind::kEvaluate) {
    // What is held from an earlier view may be undone, until a version of this one is here.
    const bool is_here =
        is_complete(grant.base) ||
        (IsKept(grant.base) && std::find(held_.begin(), held_.end(), grant.base) != held_.end() && !complete.empty());
    return is_here ? std::optional(grant.base) : std::nullopt;
  }
  if (grant.mode == Mode::kAsync) {
    return !complete.empty() && complete.back() >= grant.base ? std::optional(complete.back()) : std::nullopt;
  }
  // In pipe a version may pass by damaged, and leaders publish only their newest: then the next one has to do.
  for (const Version base : complete) {
    if (grant.base <= base && base <= grant.round) return base;
  }
  return std::nullopt;
}

bool Worker::IsFetching(const Grant& grant) const {
  return grant.kind == LeaseKind::kEvaluate &&
         std::any_of(fetching_.begin(), fetching_.end(), [&](const TestRows& rows) {
           return rows.base == grant.base && rows.micro_batches == grant.micro_batches;
         });
}

void Worker::OnTestRows(const TestRows& rows, Outbox& out) {
  std::erase_if(fetching_, [&](const TestRows& fetching) {
    return fetching.base == rows.base && fetching.micro_batches == rows.micro_batches;
  });
  if (!rows.here) return fetching_.push_back(rows);
  ComputeNext(out);
}

std::vector<Grant>::const_iterator Worker::PickNext(const std::vector<Version>& complete, bool& has_test) const {
  const auto first_of = [&](LeaseKind kind) {
    return std::find_if(queue_.begin(), queue_.end(), [&](const Grant& grant) {
      return grant.kind == kind && !IsFetching(grant) && BaseFor(grant, complete).has_value();
    });
  };
  const auto test = first_of(LeaseKind::kEvaluate);
  const auto next = first_of(LeaseKind::kTrain);
  has_test = test != queue_.end();
  const bool tests = has_test && (next == queue_.end() || trained_in_a_row_ >= kTrainedInARowMax);
  return tests ? test : next;
}

void Worker::ComputeNext(Outbox& out) {
  if (computing_) return;
  bool has_test = false;
  const auto next = PickNext(complete_, has_test);
  const bool trains = next != queue_.end() && next->kind == LeaseKind::kTrain;
  trained_in_a_row_ = has_test && trains ? trained_in_a_row_ + 1 : 0;
  if (next == queue_.end()) return;
  computing_ = *next;
  computing_->base = *BaseFor(*next);
  queue_.erase(next);
  out.Do(Compute{*computing_});
}

std::optional<Grant> Worker::NextOn(Version soon) const {
  if (!complete_.empty() && complete_.back() >= soon) return std::nullopt;
  std::vector<Version> complete = complete_;
  complete.push_back(soon);
  if (complete.size() > kCompleteMax) complete.erase(complete.begin());
  bool has_test = false;
  const auto next = PickNext(complete, has_test);
  if (next == queue_.end() || next->kind != LeaseKind::kTrain) return std::nullopt;
  Grant lease = *next;
  lease.base = *BaseFor(*next, complete);
  if (lease.base != soon) return std::nullopt;
  return lease;
}

void Worker::OnLeaseFinished(const LeaseFinished& finished, Outbox& out) {
  EDDL_CHECK(computing_.has_value()) << "a result that nobody asked for";
  const Grant grant = *std::move(computing_);
  computing_.reset();
  const bool is_void = std::exchange(abandoned_, false);
  const Key key{grant.round, grant.part};
  const auto it = sums_.find(key);
  const bool wanted = !is_void && (grant.kind == LeaseKind::kEvaluate || it != sums_.end());
  if (!wanted) {
    if (finished.payload != Payload{}) out.Do(Release{finished.payload});
    ComputeNext(out);
    return;
  }
  Done done = finished.done;
  done.base = grant.base;
  out.SendTo(kManager, done);
  ComputeNext(out);  // while the gradient is added
  if (grant.kind == LeaseKind::kTrain) {
    Sum& sum = it->second;
    --sum.unfinished;
    sum.base = grant.base;
    if (!done.cancelled && done.finite) {
      if (sum.payload == Payload{}) sum.payload = names_.Next();
      out.Do(Merge{.sum = sum.payload, .payload = finished.payload});
      sum.cover += CoverHash(done.micro_batches);
      sum.samples += done.samples;
    } else if (finished.payload != Payload{}) {
      out.Do(Release{finished.payload});
    }
  }
  PushIfReady(key, out);
}

void Worker::PushIfReady(Key key, Outbox& out) {
  const auto it = sums_.find(key);
  if (it == sums_.end()) return;
  Sum& sum = it->second;
  if (!sum.last || sum.unfinished > 0 || sum.pushed) return;
  if (sum.payload == Payload{}) {  // every lease of it was given up
    sums_.erase(it);
    return;
  }
  sum.pushed = true;
  std::vector<NodeId> leaders;
  for (const Shard& shard : map_.shards) leaders.push_back(shard.leader);
  for (const NodeId leader : FromTheNext(self_, std::move(leaders))) PushTo(leader, key, out);
}

void Worker::PushTo(NodeId leader, Key key, Outbox& out) {
  const Sum& sum = sums_.at(key);
  out.SendTo(leader, Push{.round = sum.into,
                          .base = sum.base,
                          .part = key.second,
                          .cover = sum.cover,
                          .samples = sum.samples,
                          .payload = sum.payload});
}

void Worker::OnCancel(const Cancel& cancel, Outbox& out) {
  const auto queued = std::find_if(queue_.begin(), queue_.end(), [&](const Grant& grant) {
    return SameLease(grant, cancel.round, cancel.part, cancel.micro_batches);
  });
  if (queued != queue_.end()) {
    const Grant grant = std::move(*queued);
    queue_.erase(queued);
    const Key key{grant.round, grant.part};
    if (const auto it = sums_.find(key); it != sums_.end()) --it->second.unfinished;
    out.SendTo(kManager, CancelledDone(grant));
    PushIfReady(key, out);
    return;
  }
  if (computing_ && !abandoned_ && SameLease(*computing_, cancel.round, cancel.part, cancel.micro_batches)) {
    out.Do(Abandon{cancel.round, cancel.part, cancel.micro_batches});
  }
  // Else it is finished: Done is before any answer on the same stream.
}

void Worker::OnAssign(const Assign& assign, Outbox& out) {
  const Key key{assign.round, assign.part};
  const auto it = sums_.find(key);
  if (it == sums_.end()) return;
  it->second.into = assign.into;
  it->second.last = true;
  PushIfReady(key, out);
}

void Worker::OnDrop(const Drop& drop, Outbox& out) {
  const auto it = sums_.find({drop.round, drop.part});
  if (it == sums_.end()) return;
  if (it->second.payload != Payload{}) out.Do(Release{it->second.payload});
  sums_.erase(it);
}

void Worker::OnLeave(Outbox& out) {
  asleep_ = true;
  for (const Shard& shard : map_.shards) out.SendTo(shard.leader, Leave{});
  GiveUpTests(/*all_waiting=*/true, out);  // on versions that do not come any more
}

void Worker::OnPublish(NodeId from, const Publish& publish, Outbox& out) {
  const auto shard = map_.LedBy(from);
  const bool fresh = shard && (complete_.empty() || publish.version > complete_.back());
  if (!fresh || !publish.intact) {
    if (publish.payload != Payload{}) out.Do(Release{publish.payload});
    if (fresh) out.SendTo(from, Pull{});
    return;
  }
  // "As you have it" answers the pull of an earlier life in this view; the answer to this one's is still to come.
  const bool as_held = publish.payload == Payload{};
  if (as_held && std::find(held_.begin(), held_.end(), publish.version) == held_.end()) return;
  auto& shards = incoming_[publish.version];
  shards.resize(map_.shards.size());
  std::optional<Payload>& slot = shards[*shard];
  if (slot) {
    if (publish.payload != Payload{}) out.Do(Release{publish.payload});
    return;
  }
  slot = publish.payload;
  AdoptIfComplete(publish.version, out);
}

void Worker::AdoptIfComplete(Version version, Outbox& out) {
  auto& shards = incoming_[version];
  if (!std::all_of(shards.begin(), shards.end(), [](const auto& payload) { return payload.has_value(); })) return;
  std::vector<Payload> payloads;
  for (const auto& payload : shards) payloads.push_back(*payload);
  out.Do(Adopt{.version = version, .shards = std::move(payloads)});
  if (std::find(held_.begin(), held_.end(), version) == held_.end()) held_.push_back(version);
  complete_.push_back(version);
  while (complete_.size() > kCompleteMax) complete_.erase(complete_.begin());
  DiscardOld(out);
  GiveUpTests(/*all_waiting=*/false, out);
  for (auto it = incoming_.begin(); it != incoming_.end() && it->first <= version; it = incoming_.erase(it)) {
    if (it->first == version) continue;
    for (const auto& payload : it->second) {
      if (payload && *payload != Payload{}) out.Do(Release{*payload});
    }
  }
  for (auto it = sums_.begin(); it != sums_.end();) {
    const Sum& sum = it->second;
    if (sum.pushed && sum.into < version) {
      out.Do(Release{sum.payload});
      it = sums_.erase(it);
    } else {
      ++it;
    }
  }
  ComputeNext(out);
}

void Worker::OnNack(NodeId from, const Nack& nack, Outbox& out) {
  if (!map_.LedBy(from)) return;  // it lacks a part of a version, not a push
  for (const auto& [key, sum] : sums_) {
    if (sum.pushed && sum.into == nack.round && key.second == nack.part) return PushTo(from, key, out);
  }
}

void Worker::OnPeerUp(NodeId peer, Outbox& out) {
  if (!map_.LedBy(peer)) return;
  for (const auto& [key, sum] : sums_) {
    if (sum.pushed) PushTo(peer, key, out);
  }
  if (!asleep_) out.SendTo(peer, Pull{});
}

}  // namespace eddl::net
