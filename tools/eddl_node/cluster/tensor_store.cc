#include "tools/eddl_node/cluster/tensor_store.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/graph/op.h"
#include "tools/eddl_node/cluster/flat_sums.h"

namespace eddl::cluster {
namespace {

using net::Payload;
using net::StripeRange;
using net::ToInt;
using net::Version;

// Elements that are stepped at once: what the optimizer touches of them stays in the cache.
constexpr int64_t kPieceElements = 16384;
// Pieces have few lengths: a stripe's, some stripes' together, and those across the end of the trainable parameters.
constexpr size_t kSteppersMax = 64;
// Versions that are put together as they arrive: of a fast leader the next one may come before a slow one's present
// one.
constexpr size_t kArrivingMax = 2;
// Elements that are converted to halves, or from them, at once.
constexpr size_t kHalfBlock = 16384;

template <typename T>
std::span<const T> As(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <typename T>
std::span<T> AsWritable(std::span<std::byte> bytes) {
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <typename T>
void Append(std::span<const T> values, std::vector<std::byte>& bytes) {
  const auto raw = std::as_bytes(values);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
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
  EDDL_ASSIGN_OR_RETURN(Stepper* const probe, store->StepperOf(0, StripeLayout::kBlock));
  store->state_names_ = probe->shard->StateNames();
  store->state_count_ = store->state_names_.size();
  EDDL_ASSIGN_OR_RETURN(store->half_floats_, Buffer::Create(device, kHalfBlock * sizeof(float)));
  EDDL_ASSIGN_OR_RETURN(store->halves_, Buffer::Create(device, kHalfBlock * sizeof(uint16_t)));
  return store;
}

TensorStore::TensorStore(const ParamLayout& layout, const StripeLayout& stripes, Device& device,
                         const TensorStoreOptions& options, std::vector<float> initial)
    : layout_(layout), stripes_(stripes), device_(device), options_(options), initial_(std::move(initial)) {}

void TensorStore::EnterView(const net::ShardMap& map, net::NodeId self, net::Codec codec) {
  int64_t elements = 0;
  for (const net::Shard& shard : map.shards) {
    EDDL_CHECK(AreStripes(shard.stripes)) << "node " << ToInt(shard.leader) << " leads stripes that there are not";
    elements += stripes_.CountElements(shard.stripes);
  }
  EDDL_CHECK(elements == stripes_.element_count()) << "a map of " << elements << " elements";
  EDDL_CHECK((codec == net::Codec::kExact) == options_.exact) << "codec " << static_cast<int>(codec);
  map_ = map;
  self_ = self;
  codec_ = codec;
  arriving_.clear();
  const auto own = map_.LedBy(self);
  const auto backup = map_.BackedUpBy(self);
  own_ = own ? map_.shards[*own].stripes : std::vector<StripeRange>{};
  backup_ = backup ? map_.shards[*backup].stripes : std::vector<StripeRange>{};
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
  for (const auto& [version, base] : arriving_) bytes += base.values()->size() * sizeof(float);
  for (const auto& [round, accumulator] : accumulators_) bytes += accumulator.sum.size();
  for (const auto& versions : states_) {
    for (const StripeState& state : versions) bytes += state.values.size() * sizeof(float);
  }
  for (const auto& [shape, stepper] : steppers_) {
    bytes += stepper.parameters.size_bytes() + stepper.gradients.size_bytes();
    for (const std::vector<float>& state : stepper.state) bytes += 2 * state.size() * sizeof(float);
  }
  bytes += initial_.size() * sizeof(float) + half_floats_.size_bytes() + halves_.size_bytes();
  return static_cast<int64_t>(bytes);
}

bool TensorStore::AreStripes(std::span<const StripeRange> ranges) const {
  net::Stripe end{};
  for (const StripeRange& range : ranges) {
    if (range.begin < end || range.begin >= range.end) return false;
    end = range.end;
  }
  return !ranges.empty() && ToInt(end) <= stripes_.stripe_count();
}

int64_t TensorStore::ElementSize(net::Codec codec) const {
  return codec == net::Codec::kExact ? 8 : codec == net::Codec::kF16 ? 2 : 4;
}

absl::Status TensorStore::Check(net::NodeId from, const net::Body& body, const net::Bytes& bytes) const {
  int64_t expected = -1;
  if (std::holds_alternative<net::Push>(body)) {
    if (!own_.empty()) expected = stripes_.CountElements(own_) * ElementSize(codec_);
  } else if (std::holds_alternative<net::Publish>(body)) {
    const net::Codec codec = codec_ == net::Codec::kF16 ? net::Codec::kF16 : net::Codec::kF32;
    if (const auto shard = map_.LedBy(from)) {
      expected = stripes_.CountElements(map_.shards[*shard].stripes) * ElementSize(codec);
    }
  } else if (std::holds_alternative<net::Replica>(body)) {
    const net::Codec codec = options_.exact ? net::Codec::kExact : net::Codec::kF32;
    const auto shard = map_.BackedUpBy(self_);
    if (shard && map_.shards[*shard].leader == from) {
      expected = stripes_.CountElements(backup_) * ElementSize(codec);
    }
  } else if (const auto* move = std::get_if<net::Move>(&body)) {
    if (AreStripes(move->stripes)) expected = StateBytes(move->stripes);
  }
  if (expected < 0) return DataLoss("a " + net::NameOf(body) + " that nobody here waits for");
  if (static_cast<int64_t>(bytes->size()) != expected) {
    return DataLoss("a " + net::NameOf(body) + " of " + std::to_string(bytes->size()) + " bytes, not " +
                    std::to_string(expected));
  }
  return absl::OkStatus();
}

bool TensorStore::IsPoison(const net::Body& body, const net::Bytes& bytes) const {
  if (!std::holds_alternative<net::Push>(body) || codec_ == net::Codec::kExact) return false;
  if (codec_ == net::Codec::kF32) return !AllFinite(As<float>(*bytes));
  constexpr uint16_t kInfinity = 0x7c00;
  uint16_t largest = 0;
  for (const uint16_t half : As<uint16_t>(*bytes)) largest = std::max<uint16_t>(largest, half & 0x7fff);
  return largest > kInfinity;
}

net::Bytes TensorStore::WireOf(net::NodeId to, const net::Body& body) {
  Entry& entry = EntryOf(net::PayloadOf(body));
  if (!std::holds_alternative<net::Push>(body)) return std::get<net::Bytes>(entry);
  const auto shard = map_.LedBy(to);
  EDDL_CHECK(shard.has_value()) << "a push to node " << ToInt(to) << ", which does not lead";
  return PushBytes(std::get<GradientSum>(entry), map_.shards[*shard].stripes);
}

net::Bytes TensorStore::PushBytes(const GradientSum& sum, std::span<const StripeRange> ranges) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  bytes->reserve(static_cast<size_t>(stripes_.CountElements(ranges) * ElementSize(codec_)));
  for (const StripeRange& range : ranges) {
    const auto begin = static_cast<size_t>(stripes_.Begin(range));
    const auto count = static_cast<size_t>(stripes_.End(range)) - begin;
    if (const auto* fixed = std::get_if<std::vector<int64_t>>(&sum)) {
      Append(std::span(*fixed).subspan(begin, count), *bytes);
    } else {
      AppendFloats(std::span(std::get<std::vector<float>>(sum)).subspan(begin, count), *bytes);
    }
  }
  return bytes;
}

void TensorStore::AppendFloats(std::span<const float> values, std::vector<std::byte>& bytes) {
  if (codec_ != net::Codec::kF16) return Append(values, bytes);
  const size_t at = bytes.size();
  bytes.resize(at + values.size() * sizeof(uint16_t));
  ToHalf(values, std::span(bytes).subspan(at));
}

// Worker.

void TensorStore::Arrive(net::NodeId from, Version version, uint64_t offset, std::span<const std::byte> bytes) {
  const auto shard = map_.LedBy(from);
  const bool is_past = !adopted_.empty() && adopted_.rbegin()->first >= version;
  if (!shard || is_past || (!arriving_.contains(version) && arriving_.size() >= kArrivingMax)) return;
  const auto [it, is_new] = arriving_.try_emplace(version, stripes_, map_, PublishElementSize());
  it->second.Add(*shard, offset, bytes,
                 [this](std::span<const std::byte> some, std::span<float> values) { ToFloats(some, values); });
}

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
    AddFloats(*floats, std::get<std::vector<float>>(part));
  } else {
    auto& fixed = std::get<std::vector<int64_t>>(total);
    // Leaders can tell: nothing that is added to this number is within the limit.
    if (!AddFixed(fixed, std::get<std::vector<int64_t>>(part))) fixed[0] = std::numeric_limits<int64_t>::min();
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
  for (size_t i = 0; i < action.shards.size(); ++i) {
    if (action.shards[i] == Payload{}) continue;
    const net::Bytes bytes = TakeBytes(action.shards[i]);
    std::span<const std::byte> rest = *bytes;
    for (const StripeRange& range : map_.shards[i].stripes) {
      const auto to = std::span(*whole).subspan(static_cast<size_t>(stripes_.Begin(range)),
                                                static_cast<size_t>(stripes_.End(range) - stripes_.Begin(range)));
      const size_t size = to.size() * PublishElementSize();
      EDDL_CHECK(size <= rest.size()) << "a shard of other stripes";
      ToFloats(rest.first(size), to);
      rest = rest.subspan(size);
    }
  }
  // Who computes on what arrived has computed on the version only if nothing was sent twice, and otherwise.
  const auto arrived = arriving_.find(action.version);
  const bool is_it = arrived != arriving_.end() && arrived->second.ready() == stripes_.element_count() &&
                     std::memcmp(arrived->second.values()->data(), whole->data(), whole->size() * sizeof(float)) == 0;
  adopted_[action.version] = is_it ? arrived->second.values() : std::move(whole);
  std::erase_if(arriving_, [&](const auto& entry) { return entry.first <= action.version; });
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
  const auto [it, is_first] = accumulators_.try_emplace(action.round);
  Accumulator& accumulator = it->second;
  const auto count = static_cast<size_t>(stripes_.CountElements(own_));
  const size_t size = count * (options_.exact ? sizeof(int64_t) : sizeof(float));
  if (is_first) accumulator.sum.reserve(size);
  EDDL_CHECK((is_first || accumulator.sum.size() == size) &&
             static_cast<int64_t>(bytes->size()) == static_cast<int64_t>(count) * ElementSize(codec_))
      << "contributions to round " << ToInt(action.round) << " of other stripes";
  if (options_.exact) {
    accumulator.sum.resize(size);
    if (!AddFixed(AsWritable<int64_t>(accumulator.sum), As<int64_t>(*bytes))) accumulator.overflowed = true;
    return;
  }
  // The first is copied, not added to zeros, which would make zeros of negative ones.
  if (codec_ == net::Codec::kF16) {
    FromHalf(*bytes, [&](size_t at, std::span<const float> floats) {
      if (is_first) return Append(floats, accumulator.sum);
      AddFloats(AsWritable<float>(accumulator.sum).subspan(at, floats.size()), floats);
    });
  } else if (is_first) {
    Append(As<float>(*bytes), accumulator.sum);
  } else {
    AddFloats(AsWritable<float>(accumulator.sum), As<float>(*bytes));
  }
}

void TensorStore::ClearFold(const net::ClearFold& action) { accumulators_.erase(action.round); }

net::Sealed TensorStore::Seal(const net::Seal& action) {
  net::Sealed sealed{.round = action.round, .attempt = action.attempt};
  const auto it = accumulators_.find(action.round);
  if (it == accumulators_.end()) return sealed;
  const Accumulator& accumulator = it->second;
  // Of the trainable parameters, as one device takes it.
  const auto add_squares = [&](auto values) {
    for (const StripeRange& range : own_) {
      sealed.norm2 += SumSquares(values.first(static_cast<size_t>(TrainableIn(range))));
      values = values.subspan(static_cast<size_t>(stripes_.End(range) - stripes_.Begin(range)));
    }
  };
  if (options_.exact) {
    sealed.finite = !accumulator.overflowed;
    add_squares(As<int64_t>(accumulator.sum));
  } else {
    sealed.finite = AllFinite(As<float>(accumulator.sum));
    add_squares(As<float>(accumulator.sum));
  }
  return sealed;
}

absl::Status TensorStore::Apply(const net::Apply& action) {
  const auto it = accumulators_.find(action.record.round);
  EDDL_CHECK(it != accumulators_.end()) << "nothing is folded for round " << ToInt(action.record.round);
  const auto slice = std::make_shared<const std::vector<std::byte>>(std::move(it->second.sum));
  accumulators_.erase(it);
  Put(action.slice, slice);
  return StepAll(action.record, own_, slice);
}

absl::Status TensorStore::ApplyBackup(const net::ApplyBackup& action) {
  return StepAll(action.record, backup_, TakeBytes(action.slice));
}

absl::Status TensorStore::StepAll(const net::CommitRecord& record, std::span<const StripeRange> ranges,
                                  const net::Bytes& slice) {
  const size_t size = options_.exact ? sizeof(int64_t) : sizeof(float);
  std::span<const std::byte> gradient = *slice;
  EDDL_CHECK(static_cast<int64_t>(gradient.size() / size) == stripes_.CountElements(ranges)) << gradient.size();
  for (const StripeRange& range : ranges) {
    for (uint32_t begin = ToInt(range.begin); begin < ToInt(range.end);) {
      uint32_t end = begin + 1;
      while (end < ToInt(range.end) && stripes_.Begin(end + 1) - stripes_.Begin(begin) <= kPieceElements) ++end;
      const StripeRange piece{net::Stripe{begin}, net::Stripe{end}};
      const size_t bytes = static_cast<size_t>(stripes_.End(piece) - stripes_.Begin(piece)) * size;
      EDDL_RETURN_IF_ERROR(StepPiece(record, piece, gradient.first(bytes)));
      gradient = gradient.subspan(bytes);
      begin = end;
    }
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

absl::StatusOr<TensorStore::Stepper*> TensorStore::StepperOf(int64_t begin, int64_t end) {
  const int64_t trainable = std::clamp(layout_.trainable_end(), begin, end) - begin;
  const auto shape = std::pair(end - begin, trainable);
  if (!steppers_.contains(shape) && steppers_.size() >= kSteppersMax) steppers_.clear();
  Stepper& stepper = steppers_[shape];
  if (stepper.shard) return &stepper;
  const auto bytes = static_cast<uint64_t>(end - begin) * sizeof(float);
  EDDL_ASSIGN_OR_RETURN(stepper.parameters, Buffer::Create(device_, bytes));
  EDDL_ASSIGN_OR_RETURN(stepper.gradients, Buffer::Create(device_, bytes));
  EDDL_ASSIGN_OR_RETURN(ParamShard shard,
                        ParamShard::Create(device_, queue_, layout_, {.begin = begin, .end = end}, options_.optimizer,
                                           stepper.parameters, stepper.gradients));
  stepper.state.assign(shard.StateNames().size(), std::vector<float>(static_cast<size_t>(trainable)));
  stepper.shard.emplace(std::move(shard));
  return &stepper;
}

absl::Status TensorStore::StepPiece(const net::CommitRecord& record, const StripeRange& piece,
                                    std::span<const std::byte> gradient) {
  const int64_t first = stripes_.Begin(piece);
  EDDL_ASSIGN_OR_RETURN(Stepper* const stepper, StepperOf(first, stripes_.End(piece)));
  auto* const parameters = reinterpret_cast<float*>(stepper->parameters.host_data());
  auto* const gradients = reinterpret_cast<float*>(stepper->gradients.host_data());
  if (options_.exact) {
    FixedToFloats(As<int64_t>(gradient), {gradients, gradient.size() / sizeof(int64_t)});
  } else {
    std::memcpy(gradients, gradient.data(), gradient.size());
  }
  std::vector<std::vector<float>>& states = stepper->state;
  ForEachStripe(piece, [&](uint32_t stripe, int64_t count, int64_t moving) {
    const StripeState* const before = Find(stripe, record.round);
    EDDL_CHECK(before != nullptr) << "stripe " << stripe << " of version " << ToInt(record.round) << " is not here";
    const float* from = before->values.data();
    const int64_t at = stripes_.Begin(stripe) - first;
    std::copy_n(from, count, parameters + at);
    for (size_t i = 0; i < state_count_; ++i) {
      std::copy_n(from + count + static_cast<int64_t>(i) * moving, moving, states[i].data() + at);
    }
  });
  for (size_t i = 0; i < state_count_; ++i) EDDL_RETURN_IF_ERROR(stepper->shard->WriteState(i, states[i]));
  EDDL_RETURN_IF_ERROR(
      stepper->shard->Apply({.learning_rate = record.learning_rate,
                             .gradient_scale = record.scale,
                             .statistic_scale = record.samples > 0 ? 1.0 / static_cast<double>(record.samples) : 0.0,
                             .step = static_cast<int64_t>(record.step)}));
  EDDL_RETURN_IF_ERROR(queue_.Wait());
  for (size_t i = 0; i < state_count_; ++i) EDDL_RETURN_IF_ERROR(stepper->shard->ReadState(i, states[i]));
  ForEachStripe(piece, [&](uint32_t stripe, int64_t count, int64_t moving) {
    const int64_t at = stripes_.Begin(stripe) - first;
    // The version that goes leaves its memory to the one that comes.
    std::vector<float> after;
    std::erase_if(states_[stripe], [&](StripeState& old) {
      if (old.version >= record.round) return false;
      after = std::move(old.values);
      return true;
    });
    after.clear();
    after.reserve(static_cast<size_t>(StateSize(stripe)));
    after.insert(after.end(), parameters + at, parameters + at + count);
    for (const std::vector<float>& state : states) {
      after.insert(after.end(), state.begin() + at, state.begin() + at + moving);
    }
    PutStripe(stripe, Next(record.round), std::move(after));
  });
  return absl::OkStatus();
}

template <typename Visit>
void TensorStore::ForEachStripe(const StripeRange& range, const Visit& visit) const {
  for (uint32_t stripe = ToInt(range.begin); stripe < ToInt(range.end); ++stripe) {
    const int64_t count = stripes_.Begin(stripe + 1) - stripes_.Begin(stripe);
    visit(stripe, count, TrainableIn({net::Stripe{stripe}, net::Stripe{stripe + 1}}));
  }
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
  versions.push_back({.version = version, .values = std::move(values)});
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

int64_t TensorStore::StateBytes(std::span<const StripeRange> ranges) const {
  int64_t count = stripes_.CountElements(ranges);
  for (const StripeRange& range : ranges) count += static_cast<int64_t>(state_count_) * TrainableIn(range);
  return count * static_cast<int64_t>(sizeof(float));
}

net::Bytes TensorStore::ReadState(Version version, std::span<const StripeRange> ranges) const {
  auto bytes = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(StateBytes(ranges)));
  std::byte* to = bytes->data();
  // All parameters, then all of the first state vector, then all of the second.
  for (size_t part = 0; part <= state_count_; ++part) {
    for (const StripeRange& range : ranges) {
      ForEachStripe(range, [&](uint32_t stripe, int64_t count, int64_t moving) {
        const StripeState* const state = Find(stripe, version);
        EDDL_CHECK(state != nullptr) << "stripe " << stripe << " of version " << ToInt(version) << " is not here";
        const int64_t at = part == 0 ? 0 : count + static_cast<int64_t>(part - 1) * moving;
        const size_t size = static_cast<size_t>(part == 0 ? count : moving) * sizeof(float);
        std::memcpy(to, state->values.data() + at, size);
        to += size;
      });
    }
  }
  return bytes;
}

void TensorStore::Snapshot(const net::Snapshot& action) {
  Put(action.payload, ReadState(action.version, action.stripes));
}

void TensorStore::Export(const net::Export& action) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  const int64_t size = codec_ == net::Codec::kF16 ? sizeof(uint16_t) : sizeof(float);
  bytes->reserve(static_cast<size_t>(stripes_.CountElements(own_) * size));
  for (const StripeRange& range : own_) {
    ForEachStripe(range, [&](uint32_t stripe, int64_t count, int64_t) {
      const StripeState* const state = Find(stripe, action.version);
      EDDL_CHECK(state != nullptr) << "stripe " << stripe << " of version " << ToInt(action.version) << " is not here";
      AppendFloats(std::span(state->values).first(static_cast<size_t>(count)), *bytes);
    });
  }
  Put(action.payload, std::move(bytes));
}

net::Loaded TensorStore::Load(const net::Load& action) {
  EDDL_CHECK(AreStripes(action.stripes)) << "a load of stripes that there are not";
  if (action.payload == Payload{}) {
    LoadHere(action);
  } else {
    LoadBytes(action, *TakeBytes(action.payload));
  }
  return {.stripes = action.stripes, .version = action.version, .backup = action.backup};
}

void TensorStore::LoadHere(const net::Load& action) {
  for (const StripeRange& range : action.stripes) {
    ForEachStripe(range, [&](uint32_t stripe, int64_t count, int64_t) {
      if (Find(stripe, action.version) != nullptr) return;
      EDDL_CHECK(ToInt(action.version) == 0)
          << "stripe " << stripe << " of version " << ToInt(action.version) << " is said to be here, and is not";
      const auto from = initial_.begin() + stripes_.Begin(stripe);
      std::vector<float> values(from, from + count);
      values.resize(static_cast<size_t>(StateSize(stripe)));
      PutStripe(stripe, action.version, std::move(values));
    });
  }
}

void TensorStore::LoadBytes(const net::Load& action, std::span<const std::byte> bytes) {
  EDDL_CHECK(static_cast<int64_t>(bytes.size()) == StateBytes(action.stripes)) << bytes.size();
  // Where the next stripe's parameters lie, and its pieces of each state vector.
  std::span<const float> rest = As<float>(bytes);
  std::vector<std::span<const float>> parts;
  parts.push_back(rest.first(static_cast<size_t>(stripes_.CountElements(action.stripes))));
  rest = rest.subspan(parts[0].size());
  for (size_t i = 0; i < state_count_; ++i) parts.push_back(rest.subspan(i * rest.size() / state_count_));
  for (const StripeRange& range : action.stripes) {
    ForEachStripe(range, [&](uint32_t stripe, int64_t count, int64_t moving) {
      std::vector<float> values;
      values.reserve(static_cast<size_t>(StateSize(stripe)));
      for (std::span<const float>& part : parts) {
        const auto size = static_cast<size_t>(&part == &parts[0] ? count : moving);
        values.insert(values.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(size));
        part = part.subspan(size);
      }
      PutStripe(stripe, action.version, std::move(values));
    });
  }
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
    std::copy_n(state->values.begin(), count, whole.parameters.begin() + begin);
    for (size_t i = 0; i < state_count_; ++i) {
      std::copy_n(state->values.begin() + count + static_cast<int64_t>(i) * moving, moving,
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

TensorStore::HalfOps& TensorStore::HalfOpsOf(size_t count) {
  HalfOps& ops = half_ops_[count];
  if (ops.is_ready) return ops;
  const TensorDesc floats = {.shape = {static_cast<int64_t>(count)}, .dtype = DType::kF32};
  const TensorDesc halves = {.shape = {static_cast<int64_t>(count)}, .dtype = DType::kF16};
  const auto prepare = [&]() -> absl::Status {
    const OpDescription pack = {.kind = EDDL_OP_PACK_F16, .inputs = {floats}, .outputs = {halves}};
    const OpDescription unpack = {.kind = EDDL_OP_UNPACK_F16, .inputs = {halves}, .outputs = {floats}};
    EDDL_ASSIGN_OR_RETURN(ops.pack, PreparedOp::Create(device_, AbiOpDesc(pack).get()));
    EDDL_ASSIGN_OR_RETURN(ops.unpack, PreparedOp::Create(device_, AbiOpDesc(unpack).get()));
    return absl::OkStatus();
  };
  const absl::Status status = prepare();
  EDDL_CHECK(status.ok()) << MessageOf(status);
  ops.is_ready = true;
  return ops;
}

void TensorStore::ToHalf(std::span<const float> values, std::span<std::byte> bytes) {
  for (size_t at = 0; at < values.size(); at += kHalfBlock) {
    const std::span<const float> block = values.subspan(at, std::min(kHalfBlock, values.size() - at));
    std::memcpy(half_floats_.host_data(), block.data(), block.size_bytes());
    Convert(HalfOpsOf(block.size()).pack, half_floats_, halves_);
    std::memcpy(bytes.data() + at * sizeof(uint16_t), halves_.host_data(), block.size() * sizeof(uint16_t));
  }
}

void TensorStore::ToFloats(std::span<const std::byte> bytes, std::span<float> values) {
  if (codec_ != net::Codec::kF16) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return;
  }
  FromHalf(bytes, [&](size_t at, std::span<const float> floats) {
    std::copy(floats.begin(), floats.end(), values.begin() + static_cast<ptrdiff_t>(at));
  });
}

template <typename Take>
void TensorStore::FromHalf(std::span<const std::byte> bytes, const Take& take) {
  const size_t count = bytes.size() / sizeof(uint16_t);
  for (size_t at = 0; at < count; at += kHalfBlock) {
    const size_t size = std::min(kHalfBlock, count - at);
    std::memcpy(halves_.host_data(), bytes.data() + at * sizeof(uint16_t), size * sizeof(uint16_t));
    Convert(HalfOpsOf(size).unpack, halves_, half_floats_);
    take(at, std::span(reinterpret_cast<const float*>(half_floats_.host_data()), size));
  }
}

void TensorStore::Convert(const PreparedOp& op, const Buffer& from, const Buffer& to) {
  const eddl_binding input = {from.raw(), 0};
  const eddl_binding output = {to.raw(), 0};
  absl::Status status = queue_.Enqueue(op, {.struct_size = sizeof(eddl_op_args), .inputs = &input, .outputs = &output});
  if (status.ok()) status = queue_.Wait();
  EDDL_CHECK(status.ok()) << MessageOf(status);
}

}  // namespace eddl::cluster
