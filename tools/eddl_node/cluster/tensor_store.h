// TensorStore: the bytes of one node: what payload ids name, versions of parameters, accumulators, optimizer state.
//
// Carries out the actions of net/node that concern bytes (net/node/event.h says what each means); net/sim/store.h is
// its twin in the simulator. Floats on the host; the optimizer's step runs on the CPU backend through ParamShard, so
// that however the vector is cut among leaders, the bits are those of training on one device. One thread (the
// driver's).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/node/event.h"
#include "net/plan.h"
#include "net/shard_map.h"
#include "net/wire/parcel.h"
#include "runtime/device/device.h"
#include "runtime/graph/param_layout.h"
#include "runtime/train/param_shard.h"
#include "tools/eddl_node/cluster/arriving_base.h"
#include "tools/eddl_node/cluster/flat_sums.h"
#include "tools/eddl_node/cluster/stripe_layout.h"

namespace eddl::cluster {

// A sum of gradients over all stripes: floats, or fixed point in exact mode (flat_sums.h). [stripes.element_count()]
using GradientSum = std::variant<std::vector<float>, std::vector<int64_t>>;

struct TensorStoreOptions {
  OptimizerSpec optimizer;
  bool exact = false;
};

class TensorStore {
 public:
  // `layout`, `device` (of the cpu backend) outlive the store. `initial`: version 0 of the shared part,
  // [layout.gradient_end()]. kInvalidArgument: the optimizer's spec.
  static absl::StatusOr<std::unique_ptr<TensorStore>> Create(const ParamLayout& layout, const StripeLayout& stripes,
                                                             Device& device, const TensorStoreOptions& options,
                                                             std::vector<float> initial);

  // What the node's view says: its own shard's stripes, its predecessor's that it backs up (either may be empty), the
  // map and the codec of pushes and publishes. Called before the actions of a Start or Welcome. REQUIRES: the map has
  // every stripe once; the codec is kExact iff the job is exact.
  void EnterView(const net::ShardMap& map, net::NodeId self, net::Codec codec);

  // A name for bytes that came from outside, or that a computation made: top bit set, never used twice.
  net::Payload NewPayload();
  // Bytes that came with a Push, Replica, Publish or Move, as they are on the wire. Their length was checked by Check.
  void PutWire(net::Payload payload, net::Bytes bytes);
  void PutGradient(net::Payload payload, GradientSum sum);
  void Release(net::Payload payload);
  // How many payloads are held, and all bytes that the store holds: for status, and for tests of leaks.
  size_t payload_count() const;
  int64_t held_bytes() const;

  // Whether bytes of this length can be the payload of such a message in the present view, `from` being the sender;
  // before PutWire. kDataLoss says what was expected. Values are not looked at: who sends the same numbers again when
  // they are refused would never end. Folds of numbers that are not finite give Sealed::finite = false.
  absl::Status Check(net::NodeId from, const net::Body& body, const net::Bytes& bytes) const;
  // Whether a Push holds what no honest worker sends: those whose sums are not finite say so instead of pushing.
  // Infinite halves are honest: a finite sum may be beyond them. REQUIRES: Check was OK.
  bool IsPoison(const net::Body& body, const net::Bytes& bytes) const;
  // The bytes to send with such a message to that node, encoded once per payload and shared: of a Push the receiver's
  // stripes only.
  net::Bytes WireOf(net::NodeId to, const net::Body& body);

  // Worker. Bytes of a Publish of `version` that is not whole yet, or is: what is here of it can be computed on before
  // all is adopted. Bytes of nobody who leads, or of a version that is here, are passed over. REQUIRES: of this view.
  void Arrive(net::NodeId from, net::Version version, uint64_t offset, std::span<const std::byte> bytes);
  // The oldest version that arrives; none: null.
  const std::pair<const net::Version, ArrivingBase>* arriving() const {
    return arriving_.empty() ? nullptr : &*arriving_.begin();
  }
  void Merge(const net::Merge& action);
  // A version put together from shards' payloads (used up), or kept. If it is what arrived, number by number, it is
  // that very vector from now on.
  void Adopt(const net::Adopt& action);
  void Discard(const net::Discard& action);
  // [layout.gradient_end()]. Shared with computations that may outlive a Discard. REQUIRES: adopted.
  std::shared_ptr<const std::vector<float>> Base(net::Version version) const;

  // Leader and backup; as in event.h.
  void Fold(const net::Fold& action);
  void ClearFold(const net::ClearFold& action);
  net::Sealed Seal(const net::Seal& action);
  absl::Status Apply(const net::Apply& action);
  absl::Status ApplyBackup(const net::ApplyBackup& action);
  void Rollback(const net::Rollback& action);
  void Forget(const net::Forget& action);
  void Snapshot(const net::Snapshot& action);
  void Export(const net::Export& action);
  // The event that answers it.
  net::Loaded Load(const net::Load& action);

  // Parameters (and optimizer state, by name as ParamShard::StateNames) of a version, if every stripe of it is here:
  // for checkpoints and for the manager's own store of them.
  struct Whole {
    std::vector<float> parameters;                                      // [layout.gradient_end()]
    std::vector<std::pair<std::string, std::vector<float>>> optimizer;  // each [layout.trainable_end()]
  };
  absl::StatusOr<Whole> ReadWhole(net::Version version) const;
  // The inverse: every stripe of `version`, for a manager that restarts from a checkpoint.
  absl::Status LoadWhole(net::Version version, const Whole& whole);

 private:
  // A stripe at one version: parameters, then each optimizer state vector of its trainable part.
  struct StripeState {
    net::Version version{};
    std::vector<float> values;
  };
  // Steps so many elements, of which so many are trainable, wherever they lie in the vector.
  struct Stepper {
    Buffer parameters;
    Buffer gradients;
    std::optional<ParamShard> shard;
    std::vector<std::vector<float>> state;  // on its way to the shard and back
  };
  // Conversions of so many floats.
  struct HalfOps {
    bool is_ready = false;
    PreparedOp pack;
    PreparedOp unpack;
  };
  // One round's folded sum over the own shard's stripes, in their order: floats, or fixed point in exact mode.
  struct Accumulator {
    std::vector<std::byte> sum;
    bool overflowed = false;  // exact: a sum was beyond the limit
  };
  using Entry = std::variant<net::Bytes, GradientSum>;

  TensorStore(const ParamLayout& layout, const StripeLayout& stripes, Device& device, const TensorStoreOptions& options,
              std::vector<float> initial);

  Entry& EntryOf(net::Payload payload);
  net::Bytes TakeBytes(net::Payload payload);
  void Put(net::Payload payload, Entry entry);
  int64_t TrainableIn(const net::StripeRange& range) const;
  // Floats of a stripe's state.
  int64_t StateSize(uint32_t stripe) const;
  int64_t ElementSize(net::Codec codec) const;
  // Sorted, disjoint, none empty, all there.
  bool AreStripes(std::span<const net::StripeRange> ranges) const;
  // Calls visit(stripe, elements, trainable elements) for each.
  template <typename Visit>
  void ForEachStripe(const net::StripeRange& range, const Visit& visit) const;
  const StripeState* Find(uint32_t stripe, net::Version version) const;
  void PutStripe(uint32_t stripe, net::Version version, std::vector<float> values);
  // As the view's codec has floats.
  void AppendFloats(std::span<const float> values, std::vector<std::byte>& bytes);
  net::Bytes PushBytes(const GradientSum& sum, std::span<const net::StripeRange> ranges);
  // Bytes of a Move of these stripes, and the bytes themselves.
  int64_t StateBytes(std::span<const net::StripeRange> ranges) const;
  net::Bytes ReadState(net::Version version, std::span<const net::StripeRange> ranges) const;
  void LoadHere(const net::Load& action);
  void LoadBytes(const net::Load& action, std::span<const std::byte> bytes);
  // For elements [begin, end) of the vector.
  absl::StatusOr<Stepper*> StepperOf(int64_t begin, int64_t end);
  absl::Status StepAll(const net::CommitRecord& record, std::span<const net::StripeRange> ranges,
                       const net::Bytes& slice);
  absl::Status StepPiece(const net::CommitRecord& record, const net::StripeRange& piece,
                         std::span<const std::byte> gradient);
  // REQUIRES: the cpu backend, which has the conversions for every length.
  HalfOps& HalfOpsOf(size_t count);
  void ToHalf(std::span<const float> values, std::span<std::byte> bytes);
  // As a Publish has them.
  size_t PublishElementSize() const { return codec_ == net::Codec::kF16 ? sizeof(uint16_t) : sizeof(float); }
  void ToFloats(std::span<const std::byte> bytes, std::span<float> values);
  // Calls take(position, floats) block by block.
  template <typename Take>
  void FromHalf(std::span<const std::byte> bytes, const Take& take);
  void Convert(const PreparedOp& op, const Buffer& from, const Buffer& to);

  const ParamLayout& layout_;
  StripeLayout stripes_;
  Device& device_;
  TensorStoreOptions options_;
  std::vector<float> initial_;
  Queue queue_;
  std::vector<std::string> state_names_;
  size_t state_count_ = 0;

  net::ShardMap map_;
  net::NodeId self_{};
  net::Codec codec_ = net::Codec::kF32;
  std::vector<net::StripeRange> own_;
  std::vector<net::StripeRange> backup_;

  uint64_t payload_count_ = 0;
  std::unordered_map<uint64_t, Entry> payloads_;
  std::map<net::Version, std::shared_ptr<const std::vector<float>>> adopted_;
  std::map<net::Version, ArrivingBase> arriving_;  // of this view, at most kArrivingMax
  std::vector<std::vector<StripeState>> states_;   // by stripe, oldest first; empty until the node first leads
  std::map<net::Version, Accumulator> accumulators_;
  std::map<std::pair<int64_t, int64_t>, Stepper> steppers_;  // by elements, and trainable ones among them
  std::map<size_t, HalfOps> half_ops_;                       // by length: at most kHalfBlock / StripeLayout::kBlock
  Buffer half_floats_;                                       // [kHalfBlock]
  Buffer halves_;
};

}  // namespace eddl::cluster
