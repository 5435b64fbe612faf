#include "net/sim/checkers.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace eddl::net::sim {
namespace {

std::string Name(NodeId node) { return "node " + std::to_string(ToInt(node)); }
std::string Name(Version version) { return std::to_string(ToInt(version)); }

}  // namespace

void Checkers::Break(std::string invariant, std::string what) {
  if (!broken_) broken_ = Broken{.invariant = std::move(invariant), .what = std::move(what)};
}

void Checkers::OnCommit(Instant now, const CommitRecord& record, Version stable) {
  last_commit_ = now;
  Standing standing{.view = record.view, .micro_batches = record.micro_batches};
  const std::string round = "round " + Name(record.round);
  for (const MicroBatch mb : record.micro_batches) {
    standing.samples += ledger_->SampleCount(mb);
    const size_t index = ToInt(mb);
    const bool before = used_.contains(mb) || (index < settled_.size() && settled_[index] > 0);
    if (before) Break("I2", round + " uses micro-batch " + std::to_string(index) + ", which was used before");
    used_[mb] = record.round;
  }
  standing.cover = CoverHash(record.micro_batches);
  if (standing.samples != record.samples) {
    Break("I1",
          round + " counts " + std::to_string(record.samples) + " samples, not " + std::to_string(standing.samples));
  }
  const double weight = record.scale * static_cast<double>(record.samples);
  const bool fair = options_.clipped ? weight > 0 && weight <= 1 + 1e-12 : std::abs(weight - 1) <= 1e-12;
  if (!fair)
    Break("I1", round + " scales its " + std::to_string(record.samples) + " samples to " + std::to_string(weight));
  if (record.step != ToInt(record.round) + 1) {
    Break("I1", round + " is step " + std::to_string(record.step) + " of the optimizer");
  }
  if (!commits_.empty() && commits_.rbegin()->first >= record.round) {
    Break("I4", round + " is committed twice in one view, or after a later one");
  }
  commits_[record.round] = std::move(standing);
  // What is stable can't be undone any more, but by going back to a checkpoint.
  stable_ = std::max(stable_, stable);
  while (!commits_.empty() && commits_.begin()->first < stable_) {
    for (const MicroBatch mb : commits_.begin()->second.micro_batches) {
      settled_.resize(std::max(settled_.size(), static_cast<size_t>(ToInt(mb) + 1)));
      settled_[ToInt(mb)] = static_cast<uint32_t>(ToInt(commits_.begin()->first) + 1);
      used_.erase(mb);
    }
    rules_.erase(rules_.begin(), rules_.upper_bound(commits_.begin()->first));
    commits_.erase(commits_.begin());
  }
}

void Checkers::OnGrant(NodeId to, const Grant& grant) {
  if (!ledger_->has_owners()) return;
  for (const MicroBatch mb : grant.micro_batches) {
    const NodeId owner = ledger_->OwnerOf(mb);
    if (owner == kManager || owner == to) continue;
    Break("I10", Name(to) + " is to compute micro-batch " + std::to_string(ToInt(mb)) + ", which " + Name(owner) +
                     " alone has");
  }
}

void Checkers::OnStart(View view, Version version, bool recoverable) {
  if (version < stable_ && recoverable) {
    Break("I4", "view " + std::to_string(ToInt(view)) + " starts from version " + Name(version) + ", but version " +
                    Name(stable_) + " was stable");
  }
  view_ = view;
  start_ = version;
  // What is undone is done again, and tested again.
  if (evaluated_ > version) evaluated_ = Back(version, 1, Version{0});
  if (version < stable_) {
    // Both holders of something are gone, and the job went back to a checkpoint: what came after is to be done again.
    stable_ = version;
    for (uint32_t& round : settled_) round = round > ToInt(version) ? 0 : round;
  }
  for (auto it = commits_.lower_bound(version); it != commits_.end(); it = commits_.erase(it)) {
    for (const MicroBatch mb : it->second.micro_batches) used_.erase(mb);
  }
  rules_.erase(rules_.lower_bound(version), rules_.end());
  lineages_.erase(lineages_.upper_bound(version), lineages_.end());
  fenced_.clear();
}

void Checkers::OnFence(NodeId leader, const Fence& fence) {
  Incarnation& dead = fenced_[leader][fence.node];
  dead = std::max(dead, fence.incarnation);
}

void Checkers::OnLastHolderLeft(NodeId node, Version version, Version on_disk) {
  Break("I4", Name(node) + " was let go with the last copy of version " + Name(version) +
                  ", which was stable; on the manager's disk is version " + Name(on_disk));
}

void Checkers::OnFold(NodeId leader, const Buffer& part) {
  OnTaken(leader, part);
  const auto of = fenced_.find(leader);
  if (of == fenced_.end()) return;
  const auto dead = of->second.find(part.from);
  if (dead != of->second.end() && part.incarnation <= dead->second) {
    Break("I9", "leader " + Name(leader) + " folds a push of " + Name(part.from) + " by a life that is fenced");
  }
}

void Checkers::OnStep(NodeId node, View view, const CommitRecord& record, const Store::Step& step) {
  const std::string what = Name(node) + " makes the step of round " + Name(record.round);
  if (!step.whole) Break("I4", what + " on stripes that are not all of that version and one history");
  const auto commit = commits_.find(record.round);
  const Buffer& gradient = *step.gradient;
  if (gradient.cover != CoverHash(record.micro_batches) || gradient.samples != record.samples) {
    Break("I2", what + " with the gradients of " + std::to_string(gradient.samples) + " samples, not the " +
                    std::to_string(record.samples) + " that the commit names");
  }
  if (gradient.damaged) Break("I8", what + " with damaged bytes");
  if (view < view_) return;  // what an old view still does is undone; the rest is about this one
  const auto rule = rules_.find(record.round);
  if (rule != rules_.end() && commit != commits_.end()) {
    const Mode mode = rule->second.mode;
    const uint64_t lag = mode == Mode::kSync ? 0 : mode == Mode::kPipe ? 1 : rule->second.staleness_max;
    const bool recent = ToInt(gradient.oldest_base) + lag >= ToInt(record.round);
    if (!recent || gradient.newest_base > record.round) {
      Break("I3", what + ", " + ToString(mode) + ", with gradients computed on versions " + Name(gradient.oldest_base) +
                      " to " + Name(gradient.newest_base));
    }
  }
  CheckLineage(node, view, record.round, step.before);
  CheckLineage(node, view, Next(record.round), step.after);
}

void Checkers::OnAdopt(NodeId node, View view, Version version, std::span<const BufferRef> shards) {
  for (const BufferRef& shard : shards) {
    if (shard == nullptr) continue;
    OnTaken(node, *shard);
    if (shard->version != version) {
      Break("I4", Name(node) + " takes a shard of version " + Name(shard->version) + " for version " + Name(version));
    }
    CheckLineage(node, view, version, shard->lineage);
  }
}

void Checkers::CheckLineage(NodeId node, View view, Version version, Lineage lineage) {
  // An old view goes on for a while with what the new one has undone: harmless as long as nobody mixes the two.
  if (view < view_) return;
  const auto it = lineages_.try_emplace(version, lineage).first;
  if (it->second == lineage) return;
  Break("I4", Name(node) + " has stripes of version " + Name(version) + " with another history than others have");
}

bool Checkers::IsOfJob(Version version, Lineage lineage) const {
  const auto it = lineages_.find(version);
  return it != lineages_.end() && it->second == lineage;
}

void Checkers::OnTaken(NodeId node, const Buffer& buffer) {
  if (buffer.damaged) Break("I8", Name(node) + " takes in bytes that were damaged on the way");
}

void Checkers::OnTime(Instant now, bool can_work) {
  const Instant since = std::max(last_commit_, calm_since_);
  if (!can_work) {
    calm_since_ = now;
  } else if ((now - since).seconds() > options_.progress_seconds_max) {
    Break("I7", "no commit for " + std::to_string((now - since).seconds()) + " s, though somebody can work");
  }
}

void Checkers::OnEvaluated(const Evaluated& evaluated, const TestSums* all) {
  const std::string what = "the test of version " + Name(evaluated.version);
  const bool repeats = std::exchange(may_repeat_, false) && evaluated.version == evaluated_;
  if (evaluated.version <= evaluated_ && !repeats)
    Break("I11", what + " is over after that of version " + Name(evaluated_));
  evaluated_ = evaluated.version;
  if (evaluated.samples != options_.test_count) {
    Break("I11",
          what + " counts " + std::to_string(evaluated.samples) + " samples of " + std::to_string(options_.test_count));
  }
  if (all == nullptr) return;
  // Parameters that were rounded on their way to one node may not have been on their way to another.
  const double loss_error = (options_.learns ? 1e-3 : 1e-9) * std::abs(all->loss);
  const int64_t correct_error = options_.learns ? 1 + all->samples / 50 : 0;
  const bool same = evaluated.samples == all->samples && std::abs(evaluated.loss - all->loss) <= loss_error &&
                    std::abs(evaluated.correct - all->correct) <= correct_error;
  if (same) return;
  Break("I11", what + " has " + std::to_string(evaluated.correct) + " of " + std::to_string(evaluated.samples) +
                   " correct and a loss of " + std::to_string(evaluated.loss) + ", where each sample once gives " +
                   std::to_string(all->correct) + " of " + std::to_string(all->samples) + " and " +
                   std::to_string(all->loss));
}

void Checkers::OnEpochsOver(const EpochsOver& over, int64_t final_count) {
  epochs_over_ = over.count;
  if (over.count > final_count) return;
  Break("I12", std::to_string(over.count) + " epochs are over with version " + Name(over.version) + ", but " +
                   std::to_string(final_count) + " were already, and that is on disk");
}

void Checkers::OnFinished(Version version, int64_t left_out_samples, int64_t epochs_tested) {
  if (epochs_over_ != options_.epoch_count) {
    Break("I12", "the job is finished after " + std::to_string(options_.epoch_count) + " epochs, and " +
                     std::to_string(epochs_over_) + " were told");
  }
  if (options_.test_count > 0 && epochs_tested != options_.epoch_count) {
    Break("I12", "the job is finished after " + std::to_string(options_.epoch_count) + " epochs, and " +
                     std::to_string(epochs_tested) + " of their ends were tested");
  }
  if (options_.test_count > 0 && evaluated_ != version) {
    Break("I11",
          "the job is finished at version " + Name(version) + ", and the last that was tested is " + Name(evaluated_));
  }
  int64_t samples = 0;
  for (size_t mb = 0; mb < settled_.size(); ++mb) {
    if (settled_[mb] > 0) samples += ledger_->SampleCount(MicroBatch{mb});
  }
  for (const auto& [round, commit] : commits_) samples += commit.samples;
  const int64_t wanted = ledger_->SamplesBefore(options_.epoch_count);
  if (samples + left_out_samples != wanted) {
    Break("I2", "the job is finished with " + std::to_string(samples) + " samples used and " +
                    std::to_string(left_out_samples) + " left out, of " + std::to_string(wanted));
  }
}

}  // namespace eddl::net::sim
