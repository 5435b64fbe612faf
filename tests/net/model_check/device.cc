#include "tests/net/model_check/device.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "net/node/overloaded.h"
#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net::model_check {
namespace {

// The driver's own names for bytes.
constexpr uint64_t kDriverBit = uint64_t{1} << 63;
// A lease takes as long as this on every node: speeds are not what is checked here.
constexpr Duration kLeaseTime{1'000'000'000};

std::string Name(Version version) { return "version " + std::to_string(ToInt(version)); }
std::string Name(Stripe stripe) { return "stripe " + std::to_string(ToInt(stripe)); }
std::string Name(Payload payload) { return "payload " + std::to_string(ToInt(payload)); }

// What a test of these micro-batches sums up to: a digit for each of them, so that one that is counted twice shows, and
// a fraction that says which updates made the parameters.
double TestLoss(const std::vector<MicroBatch>& mbs, const std::vector<std::vector<MicroBatch>>& updates) {
  constexpr double kFraction = 1.0 / (1 << 30);
  constexpr uint64_t kHistories = 1 << 12;
  uint64_t history = 1;
  for (const auto& update : updates) history = Mix(history ^ CoverHash(update));
  double loss = 0;
  for (const MicroBatch mb : mbs) {
    loss += std::ldexp(1.0, 4 * static_cast<int>(ToInt(mb))) + static_cast<double>(history % kHistories) * kFraction;
  }
  return loss;
}

// May a gradient computed on `base` go into the round that starts from `version`?
bool IsAllowedBase(const RoundRule& rule, Version base, Version version) {
  if (base > version) return false;
  const uint64_t lag = ToInt(version) - ToInt(base);
  switch (rule.mode) {
    case Mode::kSync:
      return lag == 0;
    case Mode::kPipe:
      return lag <= 1;
    case Mode::kAsync:
      return lag <= rule.staleness_max;
  }
  return false;
}

}  // namespace

int64_t Promises::CountSamples(const std::vector<MicroBatch>& mbs) const {
  const int64_t size = ledger.micro_batch_size;
  const auto count = static_cast<uint64_t>(MicroBatchCount());
  int64_t sum = 0;
  for (const MicroBatch mb : mbs) {
    sum += ToInt(mb) + 1 < count ? size : ledger.sample_count - static_cast<int64_t>(count - 1) * size;
  }
  return sum;
}

std::string Device::Carry(const Action& action, const Promises& promises) {
  return std::visit(
      Overloaded{
          [&](const Compute& a) { return OnCompute(a); },
          [&](const Abandon&) {
            pending_.abandoned = pending_.computing.has_value();
            return std::string();
          },
          [&](const Merge& a) { return OnMerge(a); },
          [&](const Release& a) {
            return payloads_.erase(a.payload) > 0 ? "" : "releases " + Name(a.payload) + ", which it does not have";
          },
          [&](const Adopt& a) { return OnAdopt(a, promises); },
          [&](const Discard& a) {
            return versions_.erase(a.version) > 0 ? "" : "discards " + Name(a.version) + ", which it does not have";
          },
          [&](const Fold& a) { return OnFold(a); },
          [&](const ClearFold& a) {
            accumulators_.erase(a.round);
            return std::string();
          },
          [&](const Seal& a) {
            pending_.sealing.push_back({.round = a.round, .attempt = a.attempt, .norm2 = 1});
            return std::string();
          },
          [&](const Apply& a) { return OnApply(a, promises); },
          [&](const ApplyBackup& a) { return OnApplyBackup(a, promises); },
          [&](const Rollback& a) {
            for (auto& [stripe, state] : stripes_) {
              state.role = Role::kNone;
              std::erase_if(state.versions, [&](const auto& entry) { return entry.first > a.version; });
            }
            return std::string();
          },
          [&](const Forget& a) {
            for (const Stripe stripe : ListStripes(a.stripes)) stripes_.erase(stripe);
            return std::string();
          },
          [&](const Snapshot& a) { return OnSnapshot(a); },
          [&](const Load& a) { return OnLoad(a); },
          [&](const Export& a) { return OnExport(a); },
          [&](const Journal& a) { return OnJournal(a.record); },
          [&](const JournalView& a) {
            journal_.last_view = a.view;
            durable_ = journal_.records.size();
            return std::string();
          },
          [&](const JournalStart& a) {
            journal_.view = a.view;
            journal_.version = a.version;
            journal_.map = a.map;
            journal_.histories = a.histories;
            std::erase_if(journal_.records, [&](const CommitRecord& r) { return r.round >= a.version; });
            durable_ = journal_.records.size();
            std::erase_if(gathered_, [&](const auto& entry) { return entry.first > whole_; });
            return std::string();
          },
          [&](const Evaluated& a) { return OnEvaluated(a, promises); },
          [](const EpochsOver&) { return std::string(); },
          [&](const Checkpointed& a) {
            pending_.saving.push_back(a.version);
            whole_ = a.version;
            return std::string();
          },
          [&](const auto&) -> std::string {
            EDDL_CHECK(false) << "an action that is not a device's";
            return {};
          },
      },
      action);
}

std::string Device::Take(Payload payload, Content& content) {
  const auto it = payloads_.find(payload);
  if (it == payloads_.end()) return "uses " + Name(payload) + ", which it does not have";
  content = std::move(it->second);
  payloads_.erase(it);
  return {};
}

std::string Device::Read(Payload payload, Content& content) const {
  if (payload == Payload{}) return {};
  const auto it = payloads_.find(payload);
  if (it == payloads_.end()) return "sends " + Name(payload) + ", which it does not have";
  content = it->second;
  return {};
}

Payload Device::Receive(Content content) {
  const Payload payload{kDriverBit | ++received_count_};
  payloads_.emplace(payload, std::move(content));
  return payload;
}

std::string Device::OnCompute(const Compute& compute) {
  if (pending_.computing) return "computes two leases at once";
  const auto base = versions_.find(compute.grant.base);
  if (base == versions_.end()) return "computes on " + Name(compute.grant.base) + ", which it does not have";
  pending_.computing = compute.grant;
  pending_.abandoned = false;
  computing_on_ = base->second;
  return {};
}

LeaseFinished Device::FinishLease(bool cancelled, const Promises& promises) {
  const Grant grant = *std::exchange(pending_.computing, std::nullopt);
  pending_.abandoned = false;
  LeaseFinished finished{.done = {.round = grant.round,
                                  .base = grant.base,
                                  .part = grant.part,
                                  .micro_batches = grant.micro_batches,
                                  .samples = grant.samples,
                                  .compute = kLeaseTime,
                                  .gradient_norm2 = 1,
                                  .cancelled = cancelled,
                                  .kind = grant.kind}};
  const Parameters base = std::exchange(computing_on_, {});
  if (!cancelled && grant.kind == LeaseKind::kTrain) {
    // The samples are counted here, not taken from the grant.
    finished.payload = Receive(GradientSum{
        .micro_batches = grant.micro_batches, .bases = {base}, .samples = promises.CountSamples(grant.micro_batches)});
  }
  if (!cancelled && grant.kind == LeaseKind::kEvaluate) {
    std::vector<std::vector<MicroBatch>> updates;
    for (const Update& update : base.updates) updates.push_back(update.micro_batches);
    finished.done.loss_sum = TestLoss(grant.micro_batches, updates);
  }
  return finished;
}

Tested Device::TestByJournal(Version version, const Promises& promises) const {
  std::vector<MicroBatch> all;
  for (int64_t mb = 0; mb < promises.test.micro_batch_count(); ++mb)
    all.push_back(MicroBatch{static_cast<uint64_t>(mb)});
  std::vector<std::vector<MicroBatch>> updates;
  for (const CommitRecord& record : journal_.records) {
    if (record.round < version) updates.push_back(record.micro_batches);
  }
  return {.version = version, .loss = TestLoss(all, updates)};
}

std::string Device::OnEvaluated(const Evaluated& evaluated, const Promises& promises) {
  const std::string what = "the test of " + Name(evaluated.version);
  if (evaluated.samples != promises.test.sample_count) {
    return what + " counts " + std::to_string(evaluated.samples) + " samples";
  }
  const double wanted = TestByJournal(evaluated.version, promises).loss;
  if (evaluated.loss != wanted) {
    return what + " sums up to " + std::to_string(evaluated.loss) + ", where each sample once on that version gives " +
           std::to_string(wanted);
  }
  evaluated_ = evaluated.version;
  return {};
}

std::string Device::OnMerge(const Merge& merge) {
  Content part;
  if (std::string broken = Take(merge.payload, part); !broken.empty()) return broken;
  const auto* gradient = std::get_if<GradientSum>(&part);
  if (gradient == nullptr) return "merges what is not a gradient";
  Content& sum = payloads_[merge.sum];
  if (std::holds_alternative<std::monostate>(sum)) sum = GradientSum{};
  std::get<GradientSum>(sum).Add(*gradient);
  return {};
}

std::string Device::OnAdopt(const Adopt& adopt, const Promises& promises) {
  Stripes all;
  bool some_as_held = false;
  for (const Payload payload : adopt.shards) {
    if (payload == Payload{}) {
      some_as_held = true;
      continue;
    }
    Content content;
    if (std::string broken = Take(payload, content); !broken.empty()) return broken;
    const auto* stripes = std::get_if<Stripes>(&content);
    if (stripes == nullptr) return "adopts what is not parameters";
    all.insert(stripes->begin(), stripes->end());
  }
  const auto held = versions_.find(adopt.version);
  if (some_as_held) {
    if (held == versions_.end()) return "keeps its " + Name(adopt.version) + ", which it does not have";
    for (uint32_t i = 0; i < promises.stripe_count; ++i) all.emplace(Stripe{i}, held->second);
  }
  if (all.size() != promises.stripe_count) return "adopts " + Name(adopt.version) + " without all stripes";
  const Parameters& first = all.begin()->second;
  for (const auto& [stripe, parameters] : all) {
    if (parameters == first) continue;
    return "adopts a torn " + Name(adopt.version) + ": " + Name(all.begin()->first) + " is " + first.ToString() + ", " +
           Name(stripe) + " is " + parameters.ToString();
  }
  if (first.version() != adopt.version) return "adopts " + first.ToString() + " as " + Name(adopt.version);
  versions_[adopt.version] = first;
  return {};
}

std::string Device::OnFold(const Fold& fold) {
  Content content;
  if (std::string broken = Take(fold.payload, content); !broken.empty()) return broken;
  const auto* gradient = std::get_if<GradientSum>(&content);
  if (gradient == nullptr) return "folds what is not a gradient";
  accumulators_[fold.round].Add(*gradient);
  return {};
}

std::string Device::OnApply(const Apply& apply, const Promises& promises) {
  const auto it = accumulators_.find(apply.record.round);
  if (it == accumulators_.end()) return "applies round " + std::to_string(ToInt(apply.record.round)) + " without a sum";
  const GradientSum sum = std::move(it->second);
  accumulators_.erase(it);
  if (std::string broken = Step(Role::kOwn, apply.record, sum, promises); !broken.empty()) return broken;
  payloads_[apply.slice] = sum;
  return {};
}

std::string Device::OnApplyBackup(const ApplyBackup& apply, const Promises& promises) {
  Content content;
  if (std::string broken = Take(apply.slice, content); !broken.empty()) return broken;
  const auto* sum = std::get_if<GradientSum>(&content);
  if (sum == nullptr) return "applies what is not a gradient";
  return Step(Role::kBackup, apply.record, *sum, promises);
}

std::string Device::Step(Role role, const CommitRecord& record, const GradientSum& sum, const Promises& promises) {
  const std::string round = "round " + std::to_string(ToInt(record.round));
  if (sum.micro_batches != record.micro_batches) {
    return "applies " + ToString(sum.micro_batches) + " in " + round + ", which is committed with " +
           ToString(record.micro_batches);
  }
  for (size_t i = 1; i < sum.micro_batches.size(); ++i) {
    if (sum.micro_batches[i] == sum.micro_batches[i - 1]) return "applies a micro-batch twice in " + round;
  }
  if (sum.samples != record.samples || std::abs(record.scale * static_cast<double>(sum.samples) - 1) > 1e-12) {
    return round + " has " + std::to_string(sum.samples) + " samples, is counted as " + std::to_string(record.samples) +
           " and scaled by " + std::to_string(record.scale);
  }
  bool any = false;
  for (auto& [stripe, state] : stripes_) {
    if (state.role != role) continue;
    any = true;
    if (state.versions.empty() || state.versions.rbegin()->first != record.round) {
      return Name(stripe) + " is not at " + Name(record.round) + " when that round is applied";
    }
    Parameters next = state.versions.rbegin()->second;
    if (record.step != next.updates.size() + 1) {
      return round + " is step " + std::to_string(next.updates.size() + 1) + " of the optimizer, not " +
             std::to_string(record.step);
    }
    int64_t samples_done = 0;
    for (const Update& update : next.updates) samples_done += promises.CountSamples(update.micro_batches);
    if (record.learning_rate != promises.LearningRate(samples_done, record.samples)) {
      return round + " has a wrong learning rate";
    }
    for (const MicroBatch mb : record.micro_batches) {
      if (next.Contains(mb)) return "micro-batch " + std::to_string(ToInt(mb)) + " is applied in " + round + " again";
    }
    for (const Parameters& base : sum.bases) {
      if (!next.BeginsWith(base))
        return round + " has gradients of " + base.ToString() + ", which " + next.ToString() + " does not come from";
      if (!IsAllowedBase(promises.rule, base.version(), record.round))
        return round + " has gradients of " + Name(base.version());
    }
    next.updates.push_back({.micro_batches = record.micro_batches, .step = record.step});
    std::erase_if(state.versions, [&](const auto& entry) { return entry.first < record.round; });
    state.versions.emplace(Next(record.round), std::move(next));
  }
  return any ? "" : "applies " + round + " to nothing";
}

CheckpointSaved Device::FinishSave() {
  const Version version = pending_.saving.front();
  pending_.saving.erase(pending_.saving.begin());
  journal_.checkpoint = version;
  journal_.saved = gathered_.at(version);
  durable_ = journal_.records.size();
  std::erase_if(gathered_, [version](const auto& entry) { return entry.first < version; });
  return {version};
}

void Device::KeepPart(Version version, Payload payload) {
  const auto it = payloads_.find(payload);
  if (it == payloads_.end()) return;
  for (const auto& [stripe, parameters] : std::get<Stripes>(it->second)) {
    gathered_[version].insert_or_assign(stripe, parameters);
  }
  payloads_.erase(it);
}

std::string Device::OnSnapshot(const Snapshot& snapshot) {
  Stripes stripes;
  const auto gathered = gathered_.find(snapshot.version);
  const bool on_disk = ToInt(snapshot.version) > 0 && snapshot.version == journal_.checkpoint;
  if (gathered != gathered_.end() || on_disk) {
    const Stripes& all = gathered != gathered_.end() ? gathered->second : journal_.saved;
    for (const Stripe stripe : ListStripes(snapshot.stripes)) {
      if (!all.contains(stripe)) return "gives away " + Name(stripe) + ", which its checkpoint lacks";
      stripes.emplace(stripe, all.at(stripe));
    }
    payloads_[snapshot.payload] = std::move(stripes);
    return {};
  }
  for (const Stripe stripe : ListStripes(snapshot.stripes)) {
    const auto state = stripes_.find(stripe);
    const bool held = state != stripes_.end() && state->second.versions.contains(snapshot.version);
    if (!held) return "gives away " + Name(stripe) + " of " + Name(snapshot.version) + ", which it does not have";
    stripes.emplace(stripe, state->second.versions.at(snapshot.version));
  }
  payloads_[snapshot.payload] = std::move(stripes);
  return {};
}

std::string Device::OnLoad(const Load& load) {
  Stripes stripes;
  if (load.payload != Payload{}) {
    Content content;
    if (std::string broken = Take(load.payload, content); !broken.empty()) return broken;
    if (!std::holds_alternative<Stripes>(content)) return "loads what is not parameters";
    stripes = std::get<Stripes>(content);
  }
  for (const Stripe stripe : ListStripes(load.stripes)) {
    StripeState& state = stripes_[stripe];
    if (load.payload == Payload{}) {
      const auto here = state.versions.find(load.version);
      if (here != state.versions.end()) {
        stripes[stripe] = here->second;
      } else if (load.version == Version{0}) {
        stripes[stripe] = {};
      } else {
        return "keeps " + Name(stripe) + " of " + Name(load.version) + ", which it does not have";
      }
    }
    const auto it = stripes.find(stripe);
    if (it == stripes.end()) return "loads " + Name(stripe) + " from bytes that do not have it";
    if (it->second.version() != load.version) return "loads " + it->second.ToString() + " as " + Name(load.version);
    state.role = load.backup ? Role::kBackup : Role::kOwn;
    state.versions.insert_or_assign(load.version, it->second);
  }
  pending_.loading.push_back({.stripes = load.stripes, .version = load.version, .backup = load.backup});
  return {};
}

std::string Device::OnExport(const Export& action) {
  Stripes stripes;
  for (const auto& [stripe, state] : stripes_) {
    if (state.role != Role::kOwn) continue;
    const auto version = state.versions.find(action.version);
    if (version == state.versions.end()) return "publishes " + Name(action.version) + ", which it does not have";
    stripes.emplace(stripe, version->second);
  }
  payloads_[action.payload] = std::move(stripes);
  return {};
}

std::string Device::OnJournal(const CommitRecord& record) {
  const bool follows =
      journal_.records.empty() ? record.round == Version{0} : record.round == Next(journal_.records.back().round);
  if (!follows) return "writes round " + std::to_string(ToInt(record.round)) + " to a journal that does not go so far";
  journal_.records.push_back(record);
  return {};
}

Sealed Device::FinishSeal() {
  const Sealed sealed = pending_.sealing.front();
  pending_.sealing.erase(pending_.sealing.begin());
  return sealed;
}

Loaded Device::FinishLoad() {
  const Loaded loaded = pending_.loading.front();
  pending_.loading.erase(pending_.loading.begin());
  return loaded;
}

Journaled Device::SyncJournal() {
  durable_ = journal_.records.size();
  return {.below = Next(journal_.records.back().round)};
}

Device Device::NextLife(bool tail_lost) const {
  Device next;
  next.journal_ = journal_;
  if (tail_lost) next.journal_.records.resize(durable_);
  next.durable_ = next.journal_.records.size();
  return next;
}

Started Device::Restart() const {
  return {.records = journal_.records,
          .checkpoint = journal_.checkpoint,
          .last_view = journal_.last_view,
          .view = journal_.view,
          .version = journal_.version,
          .map = journal_.map,
          .histories = journal_.histories};
}

Stripes Device::HoldingAt(Version version) const {
  Stripes holding;
  for (const auto& [stripe, state] : stripes_) {
    if (const auto it = state.versions.find(version); it != state.versions.end()) holding.emplace(stripe, it->second);
  }
  return holding;
}

PayloadDigests Device::DigestPayloads(const Names& names) const {
  PayloadDigests digests;
  for (const auto& [payload, content] : payloads_) {
    Digest digest(names);
    digest.Add(content);
    digests.emplace(payload, digest.value());
  }
  return digests;
}

void Device::AddTo(Digest& digest) const {
  std::vector<Payload> payloads;
  for (const auto& [payload, content] : payloads_) payloads.push_back(payload);
  digest.AddUnordered(payloads, [](Digest& part, Payload payload) { part.Add(payload); });
  digest.Add(pending_, computing_on_, versions_, stripes_, accumulators_, journal_, durable_, gathered_, whole_,
             evaluated_);
}

}  // namespace eddl::net::model_check
