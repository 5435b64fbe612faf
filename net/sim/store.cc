#include "net/sim/store.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net::sim {
namespace {

// Exact mode's scale: 2^40 leaves 2^23 for the sum of a round.
constexpr double kFixedScale = 1099511627776.0;
constexpr double kBeta2 = 0.999;
constexpr double kEpsilon = 1e-8;

// `values` as 16-bit floats with one power of two as common scale bring them: 11 bits, and nothing below 2^-24 of the
// range.
void RoundToHalf(std::vector<double>& values) {
  double greatest = 0;
  for (const double value : values) greatest = std::max(greatest, std::abs(value));
  if (greatest == 0 || !std::isfinite(greatest)) return;
  int top = 0;
  std::frexp(greatest, &top);
  constexpr int kBits = 11;
  constexpr int kRange = 40;  // exponents from 2^15 down to the last bit of the subnormals, 2^-24
  for (double& value : values) {
    int exponent = 0;
    std::frexp(value, &exponent);
    const int last = std::max(exponent - kBits, top - kRange);
    value = std::ldexp(std::nearbyint(std::ldexp(value, -last)), last);
  }
}

void AddOrigin(Origin& sum, const Origin& part) {
  sum.cover += part.cover;
  sum.samples += part.samples;
  if (sum.oldest_base == kNoVersion) sum.oldest_base = part.oldest_base;
  sum.oldest_base = std::min(sum.oldest_base, part.oldest_base);
  sum.newest_base = std::max(sum.newest_base, part.newest_base);
  sum.damaged = sum.damaged || part.damaged;
}

void AddNumbers(Buffer& sum, const Buffer& part) {
  EDDL_CHECK(sum.values.size() == part.values.size() && sum.fixed.size() == part.fixed.size())
      << "sums of " << sum.values.size() << " and " << part.values.size() << " numbers do not add up";
  for (size_t i = 0; i < part.values.size(); ++i) sum.values[i] += part.values[i];
  for (size_t i = 0; i < part.fixed.size(); ++i) sum.fixed[i] += part.fixed[i];
}

}  // namespace

std::vector<Store::Named>::const_iterator Store::Find(Payload payload) const {
  return std::find_if(payloads_.begin(), payloads_.end(),
                      [payload](const Named& named) { return named.payload == payload; });
}

std::vector<BufferRef>::const_iterator Store::FindAdopted(Version version) const {
  return std::find_if(adopted_.begin(), adopted_.end(),
                      [version](const BufferRef& whole) { return whole->version == version; });
}

void Store::Put(Payload payload, BufferRef buffer) {
  EDDL_CHECK(!Has(payload)) << "payload " << ToInt(payload) << " is named twice";
  payloads_.push_back({.payload = payload, .buffer = std::move(buffer)});
}

BufferRef Store::Get(Payload payload) const {
  const auto it = Find(payload);
  EDDL_CHECK(it != payloads_.end()) << "payload " << ToInt(payload) << " is not here";
  return it->buffer;
}

bool Store::Has(Payload payload) const { return Find(payload) != payloads_.end(); }

BufferRef Store::Take(Payload payload) {
  const auto it = payloads_.begin() + (Find(payload) - payloads_.cbegin());
  EDDL_CHECK(it != payloads_.end()) << "payload " << ToInt(payload) << " is used up, and is not here";
  BufferRef buffer = std::move(it->buffer);
  *it = std::move(payloads_.back());
  payloads_.pop_back();
  return buffer;
}

void Store::Release(Payload payload) { Take(payload); }

size_t Store::BeginOf(uint32_t stripe) const {
  if (!learns()) return 0;
  return static_cast<size_t>(context_->task->parameter_count()) * stripe / context_->stripe_count;
}

BufferRef Store::Slice(const BufferRef& sum, std::span<const StripeRange> stripes, Codec codec) const {
  if (!learns()) return sum;
  auto slice = std::make_shared<Buffer>();
  static_cast<Origin&>(*slice) = *sum;
  slice->stripes.assign(stripes.begin(), stripes.end());
  for (const StripeRange& range : stripes) {
    const auto begin = static_cast<ptrdiff_t>(BeginOf(ToInt(range.begin)));
    const auto end = static_cast<ptrdiff_t>(BeginOf(ToInt(range.end)));
    if (!sum->values.empty()) {
      slice->values.insert(slice->values.end(), sum->values.begin() + begin, sum->values.begin() + end);
    }
    if (!sum->fixed.empty()) {
      slice->fixed.insert(slice->fixed.end(), sum->fixed.begin() + begin, sum->fixed.begin() + end);
    }
  }
  if (codec == Codec::kF16) RoundToHalf(slice->values);
  return slice;
}

BufferRef Store::Encode(const BufferRef& buffer, Codec codec) {
  if (codec != Codec::kF16 || buffer->values.empty()) return buffer;
  auto encoded = std::make_shared<Buffer>(*buffer);
  RoundToHalf(encoded->values);
  return encoded;
}

BufferRef Store::Base(Version version) const {
  const auto it = FindAdopted(version);
  EDDL_CHECK(it != adopted_.end()) << "version " << ToInt(version) << " is computed on, and is not here";
  return *it;
}

TestSums Store::Test(const StoreContext& context, const Buffer& base, std::span<const MicroBatch> mbs) {
  TestSums sums;
  for (const MicroBatch mb : mbs) {
    const std::vector<int64_t> samples = context.test.Samples(mb);
    sums.samples += static_cast<int64_t>(samples.size());
    if (context.task != nullptr) {
      const Task::Sums some = context.task->Evaluate(base.values, samples);
      sums.loss += some.loss;
      sums.correct += some.correct;
      continue;
    }
    for (const int64_t sample : samples) {
      sums.loss += static_cast<double>(sample + 1);
      sums.correct += static_cast<int64_t>(Mix(ToInt(base.lineage) ^ Mix(static_cast<uint64_t>(sample))) & 1);
    }
  }
  return sums;
}

std::shared_ptr<Buffer> Store::Compute(const Grant& grant, const BufferRef& base, Done& done) const {
  if (grant.kind == LeaseKind::kEvaluate) {
    const TestSums sums = Test(*context_, *base, grant.micro_batches);
    done.loss_sum = sums.loss;
    done.correct = sums.correct;
    done.samples = sums.samples;
    done.finite = std::isfinite(sums.loss);
    return nullptr;
  }
  done.loss_sum = 0;
  done.correct = 0;
  auto result = std::make_shared<Buffer>();
  result->cover = CoverHash(grant.micro_batches);
  result->oldest_base = result->newest_base = base->version;
  const size_t count = learns() ? static_cast<size_t>(context_->task->parameter_count()) : 0;
  std::vector<double> gradient(count, 0);
  if (learns() && context_->exact) result->fixed.assign(count, 0);
  for (const MicroBatch mb : grant.micro_batches) {
    result->samples += context_->ledger->SampleCount(mb);
    if (!learns()) continue;
    const std::vector<int64_t> samples = context_->ledger->Samples(mb);
    const Task::Sums sums = context_->task->AddGradient(base->values, samples, gradient);
    done.loss_sum += sums.loss;
    done.correct += sums.correct;
    if (!context_->exact) continue;
    for (size_t i = 0; i < count; ++i) result->fixed[i] += std::llrint(gradient[i] * kFixedScale);
    std::fill(gradient.begin(), gradient.end(), 0);
  }
  done.samples = result->samples;
  const auto samples = static_cast<double>(result->samples);
  done.gradient_norm2 = learns() ? 0 : samples * samples + context_->noise_scale * samples;
  for (size_t i = 0; i < count; ++i) {
    const double value = context_->exact ? static_cast<double>(result->fixed[i]) / kFixedScale : gradient[i];
    done.gradient_norm2 += value * value;
  }
  done.finite = std::isfinite(done.gradient_norm2) && std::isfinite(done.loss_sum);
  if (!context_->exact) result->values = std::move(gradient);
  return result;
}

void Store::Merge(Payload sum, Payload payload) {
  BufferRef part = Take(payload);
  if (!Has(sum)) return Put(sum, std::move(part));
  const BufferRef before = Take(sum);
  EDDL_CHECK(before.use_count() == 1) << "a sum that is on its way changes";
  auto total = std::make_shared<Buffer>(*before);
  AddOrigin(*total, *part);
  AddNumbers(*total, *part);
  Put(sum, std::move(total));
}

std::vector<BufferRef> Store::Adopt(const eddl::net::Adopt& action) {
  const auto held = FindAdopted(action.version);
  const bool is_held = held != adopted_.end();
  auto whole = is_held ? std::make_shared<Buffer>(**held) : std::make_shared<Buffer>();
  if (is_held) adopted_.erase(held);
  whole->version = action.version;
  if (learns()) whole->values.resize(static_cast<size_t>(context_->task->parameter_count()));
  std::vector<BufferRef> shards;
  for (const Payload payload : action.shards) {
    if (payload == Payload{}) {
      EDDL_CHECK(is_held) << "version " << ToInt(action.version) << " is said to be here, and is not";
      shards.push_back(nullptr);
      continue;
    }
    const BufferRef shard = Take(payload);
    size_t at = 0;
    for (const StripeRange& range : shard->stripes) {
      const size_t begin = BeginOf(ToInt(range.begin));
      const size_t length = BeginOf(ToInt(range.end)) - begin;
      for (size_t i = 0; i < length; ++i) whole->values[begin + i] = shard->values[at + i];
      at += length;
    }
    whole->lineage = shard->lineage;
    shards.push_back(shard);
  }
  adopted_.push_back(std::move(whole));
  return shards;
}

void Store::Discard(Version version) {
  const auto it = FindAdopted(version);
  EDDL_CHECK(it != adopted_.end()) << "version " << ToInt(version) << " is discarded, and is not here";
  adopted_.erase(it);
}

void Store::Fold(Version round, Payload payload) {
  const BufferRef part = Take(payload);
  std::shared_ptr<Buffer>& total = accumulators_[round];
  if (total == nullptr) {
    total = std::make_shared<Buffer>(*part);
  } else {
    EDDL_CHECK(total->stripes == part->stripes) << "contributions to round " << ToInt(round) << " of other stripes";
    AddOrigin(*total, *part);
    AddNumbers(*total, *part);
  }
}

void Store::ClearFold(Version round) { accumulators_.erase(round); }

BufferRef Store::AccumulatorOf(Version round) const {
  const auto it = accumulators_.find(round);
  return it == accumulators_.end() ? nullptr : it->second;
}

Sealed Store::Seal(const eddl::net::Seal& action, double fraction) const {
  const BufferRef total = AccumulatorOf(action.round);
  Sealed sealed{.round = action.round, .attempt = action.attempt};
  if (total == nullptr) return sealed;
  for (const double value : total->values) sealed.norm2 += value * value;
  for (const int64_t value : total->fixed) {
    sealed.norm2 += static_cast<double>(value) / kFixedScale * (static_cast<double>(value) / kFixedScale);
  }
  const auto samples = static_cast<double>(total->samples);
  if (!learns()) sealed.norm2 = fraction * (samples * samples + context_->noise_scale * samples);
  sealed.finite = std::isfinite(sealed.norm2);
  return sealed;
}

Store::Step Store::Apply(const eddl::net::Apply& action, std::span<const StripeRange> stripes) {
  const auto it = accumulators_.find(action.record.round);
  EDDL_CHECK(it != accumulators_.end()) << "nothing is folded for round " << ToInt(action.record.round);
  std::shared_ptr<Buffer> gradient = std::move(it->second);
  accumulators_.erase(it);
  const Step step = StepAll(action.record, stripes, gradient);
  Put(action.slice, std::move(gradient));
  return step;
}

Store::Step Store::ApplyBackup(const eddl::net::ApplyBackup& action, std::span<const StripeRange> stripes) {
  const BufferRef gradient = Take(action.slice);
  return StepAll(action.record, stripes, gradient);
}

Store::Step Store::StepAll(const CommitRecord& record, std::span<const StripeRange> stripes, BufferRef gradient) {
  Step step{.gradient = gradient};
  std::vector<double> decoded;
  for (const int64_t value : gradient->fixed) decoded.push_back(static_cast<double>(value) / kFixedScale);
  const std::span<const double> numbers = decoded.empty() ? gradient->values : decoded;
  size_t at = 0;
  bool first = true;
  for (const StripeRange& range : stripes) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
      const BufferRef before = StripeAt(Stripe{stripe}, record.round);
      if (before == nullptr) {
        step.whole = false;
        continue;
      }
      if (!first && before->lineage != step.before) step.whole = false;
      first = false;
      const size_t length = BeginOf(stripe + 1) - BeginOf(stripe);
      auto after = std::make_shared<Buffer>(StepOne(record, gradient->cover, *before, numbers.subspan(at, length)));
      at += length;
      step.before = before->lineage;
      step.after = after->lineage;
      StripeVersions& versions = stripes_[stripe];
      std::erase_if(versions, [&](const BufferRef& old) { return old->version < record.round; });
      PutStripe(stripe, std::move(after));
    }
  }
  return step;
}

Buffer Store::StepOne(const CommitRecord& record, uint64_t cover, const Buffer& before,
                      std::span<const double> gradient) const {
  Buffer after;
  after.version = Next(record.round);
  after.lineage = Lineage{DeriveSeed(ToInt(before.lineage) ^ Mix(cover), std::bit_cast<uint64_t>(record.scale),
                                     std::bit_cast<uint64_t>(record.learning_rate) ^ Mix(record.step))};
  if (!learns()) return after;
  after.values = before.values;
  after.first_moment = before.first_moment;
  after.second_moment = before.second_moment;
  if (context_->optimizer != OptimizerKind::kSgd) after.first_moment.resize(gradient.size());
  if (context_->optimizer == OptimizerKind::kAdam) after.second_moment.resize(gradient.size());
  const double lr = record.learning_rate;
  const double beta = context_->momentum;
  const double unbias1 = 1 - std::pow(beta, static_cast<double>(record.step));
  const double unbias2 = 1 - std::pow(kBeta2, static_cast<double>(record.step));
  for (size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i] * record.scale;
    switch (context_->optimizer) {
      case OptimizerKind::kSgd:
        after.values[i] -= lr * g;
        break;
      case OptimizerKind::kMomentum:
        after.first_moment[i] = beta * after.first_moment[i] + g;
        after.values[i] -= lr * after.first_moment[i];
        break;
      case OptimizerKind::kAdam:
        after.first_moment[i] = beta * after.first_moment[i] + (1 - beta) * g;
        after.second_moment[i] = kBeta2 * after.second_moment[i] + (1 - kBeta2) * g * g;
        after.values[i] -=
            lr * (after.first_moment[i] / unbias1) / (std::sqrt(after.second_moment[i] / unbias2) + kEpsilon);
        break;
    }
  }
  return after;
}

void Store::Rollback(Version version) {
  for (StripeVersions& versions : stripes_) {
    std::erase_if(versions, [&](const BufferRef& state) { return state->version > version; });
  }
}

void Store::Forget(std::span<const StripeRange> stripes) {
  for (const StripeRange& range : stripes) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end) && stripe < stripes_.size(); ++stripe) {
      stripes_[stripe].clear();
    }
  }
}

BufferRef Store::Gather(Version version, std::span<const StripeRange> stripes, bool with_moments) const {
  auto all = std::make_shared<Buffer>();
  all->version = version;
  if (learns()) all->stripes.assign(stripes.begin(), stripes.end());
  bool first = true;
  for (const StripeRange& range : stripes) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
      const BufferRef state = StripeAt(Stripe{stripe}, version);
      EDDL_CHECK(state != nullptr) << "stripe " << stripe << " of version " << ToInt(version) << " is not here";
      // Torn: no lineage, so that whoever takes it in finds out.
      all->lineage = first || all->lineage == state->lineage ? state->lineage : Lineage{};
      first = false;
      const auto append = [](std::vector<double>& to, const std::vector<double>& from) {
        to.insert(to.end(), from.begin(), from.end());
      };
      append(all->values, state->values);
      if (!with_moments) continue;
      append(all->first_moment, state->first_moment);
      append(all->second_moment, state->second_moment);
    }
  }
  return all;
}

void Store::Snapshot(const eddl::net::Snapshot& action) {
  Put(action.payload, Gather(action.version, action.stripes, /*with_moments=*/true));
}

void Store::Export(const eddl::net::Export& action, std::span<const StripeRange> stripes) {
  Put(action.payload, Gather(action.version, stripes, /*with_moments=*/false));
}

void Store::Load(const eddl::net::Load& action) {
  if (action.payload == Payload{}) {
    for (const StripeRange& range : action.stripes) {
      for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
        if (StripeAt(Stripe{stripe}, action.version) != nullptr) continue;
        EDDL_CHECK(ToInt(action.version) == 0)
            << "stripe " << stripe << " of version " << ToInt(action.version) << " is said to be here, and is not";
        PutStripe(stripe, InitialState(stripe));
      }
    }
    return;
  }
  const BufferRef all = Get(action.payload);
  EDDL_CHECK((!learns() || all->stripes == action.stripes) && all->version == action.version)
      << "a load of version " << ToInt(action.version) << " from bytes of version " << ToInt(all->version);
  size_t at = 0;
  for (const StripeRange& range : action.stripes) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
      auto state = std::make_shared<Buffer>();
      state->version = all->version;
      state->lineage = all->lineage;
      const auto begin = static_cast<ptrdiff_t>(at);
      at += BeginOf(stripe + 1) - BeginOf(stripe);
      const auto take = [&](std::vector<double>& to, const std::vector<double>& from) {
        if (!from.empty()) to.assign(from.begin() + begin, from.begin() + static_cast<ptrdiff_t>(at));
      };
      take(state->values, all->values);
      take(state->first_moment, all->first_moment);
      take(state->second_moment, all->second_moment);
      PutStripe(stripe, std::move(state));
    }
  }
  Release(action.payload);
}

BufferRef Store::StripeAt(Stripe stripe, Version version) const {
  if (ToInt(stripe) >= stripes_.size()) return nullptr;
  for (const BufferRef& state : stripes_[ToInt(stripe)]) {
    if (state->version == version) return state;
  }
  return nullptr;
}

void Store::PutStripe(uint32_t stripe, BufferRef state) {
  if (stripes_.empty()) stripes_.resize(context_->stripe_count);
  StripeVersions& versions = stripes_[stripe];
  std::erase_if(versions, [&](const BufferRef& old) { return old->version >= state->version; });
  versions.push_back(std::move(state));
}

BufferRef Store::InitialState(uint32_t stripe) const {
  auto state = std::make_shared<Buffer>();
  state->version = Version{0};
  state->lineage = Lineage{Mix(context_->seed)};
  if (!learns()) return state;
  const std::vector<double> all = context_->task->InitialParameters();
  state->values.assign(all.begin() + static_cast<ptrdiff_t>(BeginOf(stripe)),
                       all.begin() + static_cast<ptrdiff_t>(BeginOf(stripe + 1)));
  return state;
}

}  // namespace eddl::net::sim
