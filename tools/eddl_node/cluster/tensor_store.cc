#include "tools/eddl_node/cluster/tensor_store.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/graph/op.h"

namespace eddl::cluster {
namespace {

using net::Payload;
using net::StripeRange;
using net::ToInt;
using net::Version;

constexpr float kFixedInverse = static_cast<float>(1 / kFixedScale);
// A view has at most a few hundred ranges; what older views had goes when there are more.
constexpr size_t kSteppersMax = 4096;

template <typename T>
std::span<const T> As(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <typename T>
std::span<T> AsWritable(std::vector<std::byte>& bytes) {
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <typename T>
net::Bytes Copy(std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  return std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
}

void Add(std::span<float> to, std::span<const float> from) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

// False if a sum left the range of int64.
bool Add(std::span<int64_t> to, std::span<const int64_t> from) {
  int64_t overflows = 0;
  for (size_t i = 0; i < to.size(); ++i) {
    const auto sum = static_cast<int64_t>(static_cast<uint64_t>(to[i]) + static_cast<uint64_t>(from[i]));
    overflows |= (to[i] ^ sum) & (from[i] ^ sum);
    to[i] = sum;
  }
  return overflows >= 0;
}

// Exponent bits all set: infinite or not a number. Branch-free, so that it vectorises.
bool AllFinite(std::span<const float> values) {
  uint32_t worst = 0;
  for (const float value : values) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    worst = std::max(worst, bits & 0x7f800000u);
  }
  return worst != 0x7f800000u;
}

bool AllHalvesFinite(std::span<const uint16_t> values) {
  uint16_t worst = 0;
  for (const uint16_t value : values) worst = std::max<uint16_t>(worst, value & 0x7c00u);
  return worst != 0x7c00u;
}

double SumSquares(std::span<const float> values) {
  std::array<double, 8> sums{};
  size_t i = 0;
  for (; i + sums.size() <= values.size(); i += sums.size()) {
    for (size_t k = 0; k < sums.size(); ++k) sums[k] += static_cast<double>(values[i + k]) * values[i + k];
  }
  double sum = 0;
  for (const double one : sums) sum += one;
  for (; i < values.size(); ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum;
}

void ToFloats(std::span<const int64_t> fixed, std::span<float> floats) {
  // Rounded once: the conversion rounds, and the factor is a power of two.
  for (size_t i = 0; i < floats.size(); ++i) floats[i] = static_cast<float>(fixed[i]) * kFixedInverse;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TensorStore>> TensorStore::Create(const ParamLayout& layout, const StripeLayout& stripes,
                                                                 Device& device, const TensorStoreOptions& options,
                                                                 std::vector<float> initial) {
  EDDL_CHECK(static_cast<int64_t>(initial.size()) == layout.gradient_end() &&
             stripes.element_count() == layout.gradient_end())
      << initial.size();
  EDDL_CHECK(device.host_visible()) << "a store on " << device.info().Id();
  EDDL_RETURN_IF_ERROR(Validate(options.optimizer));
  auto store = std::unique_ptr<TensorStore>(new TensorStore(layout, stripes, device, options, std::move(initial)));
  EDDL_ASSIGN_OR_RETURN(store->queue_, Queue::Create(device));
  // One block tells what state the optimizer has.
  EDDL_ASSIGN_OR_RETURN(Stepper* const probe, store->StepperOf({net::Stripe{0}, net::Stripe{1}}));
  store->state_names_ = probe->shard->StateNames();
  store->state_count_ = store->state_names_.size();
  return store;
}

TensorStore::TensorStore(const ParamLayout& layout, const StripeLayout& stripes, Device& device,
                         const TensorStoreOptions& options, std::vector<float> initial)
    : layout_(layout), stripes_(stripes), device_(device), options_(options), initial_(std::move(initial)) {}

void TensorStore::EnterView(const net::ShardMap& map, net::NodeId self, net::Codec codec) {
  map_ = map;
  self_ = self;
  codec_ = codec;
  const auto own = map_.LedBy(self);
  const auto backup = map_.BackedUpBy(self);
  own_ = own ? map_.shards[*own].stripes : std::vector<StripeRange>{};
  backup_ = backup ? map_.shards[*backup].stripes : std::vector<StripeRange>{};
  if (steppers_.size() > kSteppersMax) steppers_.clear();
  half_stages_.clear();
}

// Payloads.

Payload TensorStore::NewPayload() { return Payload{uint64_t{1} << 63 | ++payload_count_}; }

void TensorStore::Put(Payload payload, Entry entry) {
  const bool is_new = payloads_.emplace(ToInt(payload), std::move(entry)).second;
  EDDL_CHECK(is_new) << "payload " << ToInt(payload) << " is named twice";
}

void TensorStore::PutWire(Payload payload, net::Bytes bytes) { Put(payload, std::move(bytes)); }

void TensorStore::PutGradient(Payload payload, GradientSum sum) { Put(payload, std::move(sum)); }

TensorStore::Entry& TensorStore::EntryOf(Payload payload) {
  const auto it = payloads_.find(ToInt(payload));
  EDDL_CHECK(it != payloads_.end()) << "payload " << ToInt(payload) << " is not here";
  return it->second;
}

net::Bytes TensorStore::TakeBytes(Payload payload) {
  net::Bytes bytes = std::get<net::Bytes>(EntryOf(payload));
  payloads_.erase(ToInt(payload));
  return bytes;
}

void TensorStore::Release(Payload payload) {
  EDDL_CHECK(payloads_.erase(ToInt(payload)) == 1) << "payload " << ToInt(payload) << " is released, and is not here";
}

size_t TensorStore::payload_count() const { return payloads_.size(); }

int64_t TensorStore::held_bytes() const {
  size_t bytes = 0;
  const auto count = [&bytes](const GradientSum& sum) {
    std::visit([&bytes](const auto& values) { bytes += values.size() * sizeof(values[0]); }, sum);
  };
  for (const auto& [name, entry] : payloads_) {
    if (const auto* wire = std::get_if<net::Bytes>(&entry)) {
      bytes += (*wire)->size();
    } else {
      count(std::get<GradientSum>(entry));
    }
  }
  for (const auto& [version, base] : adopted_) bytes += base->size() * sizeof(float);
  for (const auto& [round, accumulator] : accumulators_) count(accumulator.sum);
  for (const auto& versions : states_) {
    for (const StripeState& state : versions) bytes += state.values->size() * sizeof(float);
  }
  return static_cast<int64_t>(bytes);
}

int64_t TensorStore::ElementSize(net::Codec codec) const {
  return codec == net::Codec::kExact ? 8 : codec == net::Codec::kF16 ? 2 : 4;
}

absl::Status TensorStore::Check(net::NodeId from, const net::Body& body, const net::Bytes& bytes) const {
  int64_t expected = -1;
  net::Codec codec = net::Codec::kF32;
  if (std::holds_alternative<net::Push>(body)) {
    codec = codec_;
    if (!own_.empty()) expected = stripes_.CountElements(own_) * ElementSize(codec);
  } else if (std::holds_alternative<net::Publish>(body)) {
    codec = codec_ == net::Codec::kF16 ? net::Codec::kF16 : net::Codec::kF32;
    if (const auto shard = map_.LedBy(from)) {
      expected = stripes_.CountElements(map_.shards[*shard].stripes) * ElementSize(codec);
    }
  } else if (std::holds_alternative<net::Replica>(body)) {
    codec = options_.exact ? net::Codec::kExact : net::Codec::kF32;
    const auto shard = map_.BackedUpBy(self_);
    if (shard && map_.shards[*shard].leader == from) {
      expected = stripes_.CountElements(backup_) * ElementSize(codec);
    }
  } else if (const auto* move = std::get_if<net::Move>(&body)) {
    if (ToInt(move->stripes.back().end) <= stripes_.stripe_count()) {
      expected = 0;
      for (const StripeRange& range : move->stripes) {
        const int64_t elements = stripes_.End(range) - stripes_.Begin(range);
        expected += 4 * (elements + static_cast<int64_t>(state_count_) * TrainableIn(range));
      }
    }
  }
  if (expected < 0) return DataLoss("a " + net::NameOf(body) + " that nobody here waits for");
  if (static_cast<int64_t>(bytes->size()) != expected) {
    return DataLoss("a " + net::NameOf(body) + " of " + std::to_string(bytes->size()) + " bytes, not " +
                    std::to_string(expected));
  }
  const bool finite = codec == net::Codec::kExact || (codec == net::Codec::kF16 ? AllHalvesFinite(As<uint16_t>(*bytes))
                                                                                : AllFinite(As<float>(*bytes)));
  return finite ? absl::OkStatus() : DataLoss("a " + net::NameOf(body) + " with numbers that are not finite");
}

net::Bytes TensorStore::WireOf(net::NodeId to, const net::Body& body) {
  Entry& entry = EntryOf(net::PayloadOf(body));
  if (!std::holds_alternative<net::Push>(body)) return std::get<net::Bytes>(entry);
  const auto shard = map_.LedBy(to);
  EDDL_CHECK(shard.has_value()) << "a push to node " << ToInt(to) << ", which does not lead";
  return PushBytes(std::get<GradientSum>(entry), map_.shards[*shard].stripes);
}

net::Bytes TensorStore::Encode(std::span<const float> values, net::Codec codec) {
  if (codec != net::Codec::kF16) return Copy(values);
  auto bytes = std::make_shared<std::vector<std::byte>>(values.size() * sizeof(uint16_t));
  ToHalf(values, *bytes);
  return bytes;
}

net::Bytes TensorStore::PushBytes(const GradientSum& sum, std::span<const StripeRange> ranges) {
  return std::visit(
      [&](const auto& values) -> net::Bytes {
        std::remove_cvref_t<decltype(values)> slice;
        slice.reserve(static_cast<size_t>(stripes_.CountElements(ranges)));
        for (const StripeRange& range : ranges) {
          slice.insert(slice.end(), values.begin() + stripes_.Begin(range), values.begin() + stripes_.End(range));
        }
        if constexpr (std::is_same_v<decltype(slice), std::vector<float>>) {
          return Encode(slice, codec_);
        } else {
          return Copy(std::span<const int64_t>(slice));
        }
      },
      sum);
}

// Worker.

void TensorStore::Merge(const net::Merge& action) {
  auto& part = std::get<GradientSum>(EntryOf(action.payload));
  const auto it = payloads_.find(ToInt(action.sum));
  if (it == payloads_.end()) {
    GradientSum first = std::move(part);
    payloads_.erase(ToInt(action.payload));
    return Put(action.sum, std::move(first));
  }
  auto& total = std::get<GradientSum>(it->second);
  if (auto* floats = std::get_if<std::vector<float>>(&total)) {
    Add(*floats, std::get<std::vector<float>>(part));
  } else {
    auto& fixed = std::get<std::vector<int64_t>>(total);
    const bool in_range = Add(fixed, std::get<std::vector<int64_t>>(part));
    EDDL_CHECK(in_range) << "a sum of gradients beyond the range of fixed point";
  }
  payloads_.erase(ToInt(action.payload));
}

void TensorStore::Adopt(const net::Adopt& action) {
  const auto here = adopted_.find(action.version);
  const bool is_kept =
      std::all_of(action.shards.begin(), action.shards.end(), [](Payload p) { return p == Payload{}; });
  if (is_kept) {
    EDDL_CHECK(here != adopted_.end()) << "version " << ToInt(action.version) << " is said to be here, and is not";
    return;
  }
  auto whole = here == adopted_.end() ? std::make_shared<std::vector<float>>(initial_.size())
                                      : std::make_shared<std::vector<float>>(*here->second);
  std::vector<float> floats;
  for (size_t i = 0; i < action.shards.size(); ++i) {
    if (action.shards[i] == Payload{}) continue;
    const net::Bytes bytes = TakeBytes(action.shards[i]);
    const std::vector<StripeRange>& ranges = map_.shards[i].stripes;
    std::span<const float> values = As<float>(*bytes);
    if (codec_ == net::Codec::kF16) {
      floats.resize(static_cast<size_t>(stripes_.CountElements(ranges)));
      FromHalf(*bytes, floats);
      values = floats;
    }
    for (const StripeRange& range : ranges) {
      const auto count = static_cast<size_t>(stripes_.End(range) - stripes_.Begin(range));
      std::copy_n(values.begin(), count, whole->begin() + stripes_.Begin(range));
      values = values.subspan(count);
    }
  }
  adopted_[action.version] = std::move(whole);
}

void TensorStore::Discard(const net::Discard& action) {
  EDDL_CHECK(adopted_.erase(action.version) == 1) << "version " << ToInt(action.version) << " is not here";
}

std::shared_ptr<const std::vector<float>> TensorStore::Base(Version version) const {
  const auto it = adopted_.find(version);
  EDDL_CHECK(it != adopted_.end()) << "version " << ToInt(version) << " is computed on, and is not here";
  return it->second;
}

// Leader and backup.

void TensorStore::Fold(const net::Fold& action) {
  const net::Bytes bytes = TakeBytes(action.payload);
  const auto count = static_cast<size_t>(stripes_.CountElements(own_));
  const bool is_first = !accumulators_.contains(action.round);
  Accumulator& accumulator = accumulators_[action.round];
  if (codec_ == net::Codec::kExact) {
    if (is_first) accumulator.sum = std::vector<int64_t>(count);
    auto& sum = std::get<std::vector<int64_t>>(accumulator.sum);
    if (!Add(sum, As<int64_t>(*bytes))) accumulator.overflowed = true;
    return;
  }
  if (is_first) accumulator.sum = std::vector<float>(count);
  auto& sum = std::get<std::vector<float>>(accumulator.sum);
  if (codec_ == net::Codec::kF32) return Add(sum, As<float>(*bytes));
  std::vector<float> floats(count);
  FromHalf(*bytes, floats);
  Add(sum, floats);
}

void TensorStore::ClearFold(const net::ClearFold& action) { accumulators_.erase(action.round); }

net::Sealed TensorStore::Seal(const net::Seal& action) {
  net::Sealed sealed{.round = action.round, .attempt = action.attempt};
  const auto it = accumulators_.find(action.round);
  if (it == accumulators_.end()) return sealed;
  std::vector<float> decoded;
  std::span<const float> values;
  if (const auto* fixed = std::get_if<std::vector<int64_t>>(&it->second.sum)) {
    decoded.resize(fixed->size());
    ToFloats(*fixed, decoded);
    values = decoded;
  } else {
    values = std::get<std::vector<float>>(it->second.sum);
  }
  sealed.finite = !it->second.overflowed && AllFinite(values);
  for (const StripeRange& range : own_) {
    // Of the trainable parameters, as one device takes it.
    sealed.norm2 += SumSquares(values.first(static_cast<size_t>(TrainableIn(range))));
    values = values.subspan(static_cast<size_t>(stripes_.End(range) - stripes_.Begin(range)));
  }
  return sealed;
}

absl::Status TensorStore::Apply(const net::Apply& action) {
  const auto it = accumulators_.find(action.record.round);
  EDDL_CHECK(it != accumulators_.end()) << "nothing is folded for round " << ToInt(action.record.round);
  const net::Bytes slice =
      std::visit([](const auto& values) { return Copy(std::span(std::as_const(values))); }, it->second.sum);
  accumulators_.erase(it);
  Put(action.slice, slice);
  return StepAll(action.record, own_, slice);
}

absl::Status TensorStore::ApplyBackup(const net::ApplyBackup& action) {
  return StepAll(action.record, backup_, TakeBytes(action.slice));
}

absl::Status TensorStore::StepAll(const net::CommitRecord& record, std::span<const StripeRange> ranges,
                                  const net::Bytes& slice) {
  std::vector<float> decoded;
  std::span<const float> gradient = As<float>(*slice);
  if (options_.exact) {
    const std::span<const int64_t> fixed = As<int64_t>(*slice);
    decoded.resize(fixed.size());
    ToFloats(fixed, decoded);
    gradient = decoded;
  }
  for (const StripeRange& range : ranges) {
    const auto count = static_cast<size_t>(stripes_.End(range) - stripes_.Begin(range));
    EDDL_RETURN_IF_ERROR(StepRange(record, range, gradient.first(count)));
    gradient = gradient.subspan(count);
  }
  return absl::OkStatus();
}

int64_t TensorStore::TrainableIn(const StripeRange& range) const {
  return std::clamp(layout_.trainable_end(), stripes_.Begin(range), stripes_.End(range)) - stripes_.Begin(range);
}

int64_t TensorStore::StateSize(uint32_t stripe) const {
  const StripeRange range{net::Stripe{stripe}, net::Stripe{stripe + 1}};
  return stripes_.End(range) - stripes_.Begin(range) + static_cast<int64_t>(state_count_) * TrainableIn(range);
}

absl::StatusOr<TensorStore::Stepper*> TensorStore::StepperOf(const StripeRange& range) {
  Stepper& stepper = steppers_[range];
  if (stepper.shard) return &stepper;
  const auto bytes = static_cast<uint64_t>(stripes_.End(range) - stripes_.Begin(range)) * sizeof(float);
  EDDL_ASSIGN_OR_RETURN(stepper.parameters, Buffer::Create(device_, bytes));
  EDDL_ASSIGN_OR_RETURN(stepper.gradients, Buffer::Create(device_, bytes));
  EDDL_ASSIGN_OR_RETURN(
      ParamShard shard,
      ParamShard::Create(device_, queue_, layout_, {.begin = stripes_.Begin(range), .end = stripes_.End(range)},
                         options_.optimizer, stepper.parameters, stepper.gradients));
  stepper.shard.emplace(std::move(shard));
  return &stepper;
}

absl::Status TensorStore::StepRange(const net::CommitRecord& record, const StripeRange& range,
                                    std::span<const float> gradient) {
  EDDL_ASSIGN_OR_RETURN(Stepper* const stepper, StepperOf(range));
  const int64_t begin = stripes_.Begin(range);
  const auto trainable = static_cast<size_t>(TrainableIn(range));
  auto* const parameters = reinterpret_cast<float*>(stepper->parameters.host_data());
  std::copy(gradient.begin(), gradient.end(), reinterpret_cast<float*>(stepper->gradients.host_data()));
  std::vector<std::vector<float>> states(state_count_, std::vector<float>(trainable));
  // Where each stripe's pieces lie.
  const auto for_each = [&](const auto& visit) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
      const int64_t at = stripes_.Begin(stripe) - begin;
      const int64_t count = stripes_.Begin(stripe + 1) - stripes_.Begin(stripe);
      const int64_t moving = TrainableIn({net::Stripe{stripe}, net::Stripe{stripe + 1}});
      visit(stripe, at, count, moving);
    }
  };
  for_each([&](uint32_t stripe, int64_t at, int64_t count, int64_t moving) {
    const StripeState* const before = Find(stripe, record.round);
    EDDL_CHECK(before != nullptr) << "stripe " << stripe << " of version " << ToInt(record.round) << " is not here";
    const float* from = before->values->data();
    std::copy_n(from, count, parameters + at);
    for (size_t i = 0; i < state_count_; ++i) {
      std::copy_n(from + count + static_cast<int64_t>(i) * moving, moving, states[i].data() + at);
    }
  });
  for (size_t i = 0; i < state_count_ && trainable > 0; ++i) {
    EDDL_RETURN_IF_ERROR(stepper->shard->WriteState(i, states[i]));
  }
  EDDL_RETURN_IF_ERROR(
      stepper->shard->Apply({.learning_rate = record.learning_rate,
                             .gradient_scale = record.scale,
                             .statistic_scale = record.samples > 0 ? 1.0 / static_cast<double>(record.samples) : 0.0,
                             .step = static_cast<int64_t>(record.step)}));
  EDDL_RETURN_IF_ERROR(queue_.Wait());
  for (size_t i = 0; i < state_count_ && trainable > 0; ++i) {
    EDDL_RETURN_IF_ERROR(stepper->shard->ReadState(i, states[i]));
  }
  for_each([&](uint32_t stripe, int64_t at, int64_t count, int64_t moving) {
    std::vector<float> after(parameters + at, parameters + at + count);
    for (const std::vector<float>& state : states) {
      after.insert(after.end(), state.begin() + at, state.begin() + at + moving);
    }
    std::erase_if(states_[stripe], [&](const StripeState& old) { return old.version < record.round; });
    PutStripe(stripe, Next(record.round), std::move(after));
  });
  return absl::OkStatus();
}

const TensorStore::StripeState* TensorStore::Find(uint32_t stripe, Version version) const {
  if (stripe >= states_.size()) return nullptr;
  for (const StripeState& state : states_[stripe]) {
    if (state.version == version) return &state;
  }
  return nullptr;
}

void TensorStore::PutStripe(uint32_t stripe, Version version, std::vector<float> values) {
  if (states_.empty()) states_.resize(stripes_.stripe_count());
  std::vector<StripeState>& versions = states_[stripe];
  std::erase_if(versions, [version](const StripeState& old) { return old.version >= version; });
  versions.push_back({.version = version, .values = std::make_shared<const std::vector<float>>(std::move(values))});
}

void TensorStore::Rollback(const net::Rollback& action) {
  for (std::vector<StripeState>& versions : states_) {
    std::erase_if(versions, [&](const StripeState& state) { return state.version > action.version; });
  }
}

void TensorStore::Forget(const net::Forget& action) {
  for (const StripeRange& range : action.stripes) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end) && stripe < states_.size(); ++stripe) {
      states_[stripe].clear();
    }
  }
}

net::Bytes TensorStore::StateBytes(Version version, std::span<const StripeRange> ranges) const {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  const auto append = [&bytes](const float* from, int64_t count) {
    const auto* raw = reinterpret_cast<const std::byte*>(from);
    bytes->insert(bytes->end(), raw, raw + count * static_cast<int64_t>(sizeof(float)));
  };
  // All parameters, then all of the first state vector, then all of the second.
  for (size_t part = 0; part <= state_count_; ++part) {
    for (const StripeRange& range : ranges) {
      for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
        const StripeState* const state = Find(stripe, version);
        EDDL_CHECK(state != nullptr) << "stripe " << stripe << " of version " << ToInt(version) << " is not here";
        const int64_t count = stripes_.Begin(stripe + 1) - stripes_.Begin(stripe);
        const int64_t moving = TrainableIn({net::Stripe{stripe}, net::Stripe{stripe + 1}});
        const int64_t at = part == 0 ? 0 : count + static_cast<int64_t>(part - 1) * moving;
        append(state->values->data() + at, part == 0 ? count : moving);
      }
    }
  }
  return bytes;
}

void TensorStore::Snapshot(const net::Snapshot& action) {
  Put(action.payload, StateBytes(action.version, action.stripes));
}

void TensorStore::Export(const net::Export& action) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(stripes_.CountElements(own_)));
  for (const StripeRange& range : own_) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
      const StripeState* const state = Find(stripe, action.version);
      EDDL_CHECK(state != nullptr) << "stripe " << stripe << " of version " << ToInt(action.version) << " is not here";
      const int64_t count = stripes_.Begin(stripe + 1) - stripes_.Begin(stripe);
      values.insert(values.end(), state->values->begin(), state->values->begin() + count);
    }
  }
  Put(action.payload, Encode(values, codec_));
}

net::Loaded TensorStore::Load(const net::Load& action) {
  net::Bytes bytes;
  if (action.payload != Payload{}) bytes = TakeBytes(action.payload);
  std::vector<std::vector<float>> loaded;  // by stripe, in order
  for (const StripeRange& range : action.stripes) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
      std::vector<float>& values = loaded.emplace_back();
      if (bytes != nullptr) continue;
      if (const StripeState* const here = Find(stripe, action.version)) {
        values = *here->values;
        continue;
      }
      EDDL_CHECK(ToInt(action.version) == 0)
          << "stripe " << stripe << " of version " << ToInt(action.version) << " is said to be here, and is not";
      values.assign(initial_.begin() + stripes_.Begin(stripe), initial_.begin() + stripes_.Begin(stripe + 1));
      values.resize(static_cast<size_t>(StateSize(stripe)));
    }
  }
  std::span<const float> rest = bytes == nullptr ? std::span<const float>() : As<float>(*bytes);
  for (size_t part = 0; part <= state_count_ && bytes != nullptr; ++part) {
    size_t i = 0;
    for (const StripeRange& range : action.stripes) {
      for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe, ++i) {
        const int64_t count = part == 0 ? stripes_.Begin(stripe + 1) - stripes_.Begin(stripe)
                                        : TrainableIn({net::Stripe{stripe}, net::Stripe{stripe + 1}});
        loaded[i].insert(loaded[i].end(), rest.begin(), rest.begin() + count);
        rest = rest.subspan(static_cast<size_t>(count));
      }
    }
  }
  size_t i = 0;
  for (const StripeRange& range : action.stripes) {
    for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe, ++i) {
      if (bytes == nullptr && Find(stripe, action.version) != nullptr) continue;
      PutStripe(stripe, action.version, std::move(loaded[i]));
    }
  }
  return {.stripes = action.stripes, .version = action.version, .backup = action.backup};
}

absl::StatusOr<TensorStore::Whole> TensorStore::ReadWhole(Version version) const {
  Whole whole = {.parameters = std::vector<float>(initial_.size())};
  for (const std::string& name : state_names_) {
    whole.optimizer.emplace_back(name, std::vector<float>(static_cast<size_t>(layout_.trainable_end())));
  }
  for (uint32_t stripe = 0; stripe < stripes_.stripe_count(); ++stripe) {
    const StripeState* const state = Find(stripe, version);
    if (state == nullptr) return NotFound("stripe " + std::to_string(stripe) + " is missing");
    const int64_t begin = stripes_.Begin(stripe);
    const int64_t count = stripes_.Begin(stripe + 1) - begin;
    const int64_t moving = TrainableIn({net::Stripe{stripe}, net::Stripe{stripe + 1}});
    std::copy_n(state->values->begin(), count, whole.parameters.begin() + begin);
    for (size_t i = 0; i < state_count_; ++i) {
      std::copy_n(state->values->begin() + count + static_cast<int64_t>(i) * moving, moving,
                  whole.optimizer[i].second.begin() + begin);
    }
  }
  return whole;
}

absl::Status TensorStore::LoadWhole(Version version, const Whole& whole) {
  if (whole.parameters.size() != initial_.size() || whole.optimizer.size() != state_count_) {
    return FailedPrecondition("it is of another model or optimizer");
  }
  for (size_t i = 0; i < state_count_; ++i) {
    const auto& [name, values] = whole.optimizer[i];
    if (name != state_names_[i] || static_cast<int64_t>(values.size()) != layout_.trainable_end()) {
      return FailedPrecondition("it is of another optimizer");
    }
  }
  for (uint32_t stripe = 0; stripe < stripes_.stripe_count(); ++stripe) {
    const int64_t begin = stripes_.Begin(stripe);
    const int64_t moving = TrainableIn({net::Stripe{stripe}, net::Stripe{stripe + 1}});
    std::vector<float> values(whole.parameters.begin() + begin, whole.parameters.begin() + stripes_.Begin(stripe + 1));
    for (const auto& [name, state] : whole.optimizer) {
      values.insert(values.end(), state.begin() + begin, state.begin() + begin + moving);
    }
    PutStripe(stripe, version, std::move(values));
  }
  return absl::OkStatus();
}

// Halves: the device's own conversion, so that they are those of every backend.

TensorStore::HalfStage& TensorStore::StageOf(int64_t count) {
  const auto [it, is_new] = half_stages_.try_emplace(count);
  HalfStage& stage = it->second;
  if (!is_new) return stage;
  const auto prepare = [&]() -> absl::Status {
    const TensorDesc floats = {.shape = {count}, .dtype = DType::kF32};
    const TensorDesc halves = {.shape = {count}, .dtype = DType::kF16};
    const OpDescription pack = {.kind = EDDL_OP_PACK_F16, .inputs = {floats}, .outputs = {halves}};
    const OpDescription unpack = {.kind = EDDL_OP_UNPACK_F16, .inputs = {halves}, .outputs = {floats}};
    EDDL_ASSIGN_OR_RETURN(stage.pack, PreparedOp::Create(device_, AbiOpDesc(pack).get()));
    EDDL_ASSIGN_OR_RETURN(stage.unpack, PreparedOp::Create(device_, AbiOpDesc(unpack).get()));
    const auto size = static_cast<uint64_t>(count);
    EDDL_ASSIGN_OR_RETURN(stage.floats, Buffer::Create(device_, size * sizeof(float)));
    EDDL_ASSIGN_OR_RETURN(stage.halves, Buffer::Create(device_, size * sizeof(uint16_t)));
    return absl::OkStatus();
  };
  const absl::Status status = prepare();
  EDDL_CHECK(status.ok()) << MessageOf(status);
  return stage;
}

void TensorStore::ToHalf(std::span<const float> values, std::span<std::byte> bytes) {
  if (values.empty()) return;
  HalfStage& stage = StageOf(static_cast<int64_t>(values.size()));
  std::memcpy(stage.floats.host_data(), values.data(), values.size_bytes());
  Convert(stage.pack, stage.floats, stage.halves);
  std::memcpy(bytes.data(), stage.halves.host_data(), bytes.size());
}

void TensorStore::FromHalf(std::span<const std::byte> bytes, std::span<float> values) {
  if (values.empty()) return;
  HalfStage& stage = StageOf(static_cast<int64_t>(values.size()));
  std::memcpy(stage.halves.host_data(), bytes.data(), bytes.size());
  Convert(stage.unpack, stage.halves, stage.floats);
  std::memcpy(values.data(), stage.floats.host_data(), values.size_bytes());
}

void TensorStore::Convert(const PreparedOp& op, const Buffer& from, const Buffer& to) {
  const eddl_binding input = {from.raw(), 0};
  const eddl_binding output = {to.raw(), 0};
  absl::Status status = queue_.Enqueue(op, {.struct_size = sizeof(eddl_op_args), .inputs = &input, .outputs = &output});
  if (status.ok()) status = queue_.Wait();
  EDDL_CHECK(status.ok()) << MessageOf(status);
}

}  // namespace eddl::cluster
