// Every action on a small vector: who forgets what when, what bytes look like, and what is refused.
#include "tools/eddl_node/cluster/tensor_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "tests/runtime/test_device.h"

namespace eddl::cluster {
namespace {

using net::Codec;
using net::NodeId;
using net::Payload;
using net::Stripe;
using net::StripeRange;
using net::Version;
using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr NodeId kWorker{7};

// Trainable [0, 448), statistics [448, 576), frozen behind them.
ParamLayout Layout() {
  const std::vector<Parameter> parameters = {
      {.name = "fc.weight", .shape = {20, 20}},
      {.name = "bn.running_mean", .shape = {30}, .role = ParamRole::kStatistic},
      {.name = "bn.running_var", .shape = {30}, .role = ParamRole::kStatistic},
      {.name = "old.weight", .shape = {5, 5}, .role = ParamRole::kFrozen},
  };
  return ParamLayout(parameters);
}

StripeRange Range(uint32_t begin, uint32_t end) { return {Stripe{begin}, Stripe{end}}; }

std::vector<float> Random(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  return values;
}

template <typename T>
net::Bytes BytesOf(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
}

template <typename T>
std::vector<T> ValuesOf(const net::Bytes& bytes) {
  std::vector<T> values(bytes->size() / sizeof(T));
  std::memcpy(values.data(), bytes->data(), bytes->size());
  return values;
}

// Nine stripes of one block. A leads 0-2 and 6-8 (trainable 0, 1, 6 and statistics 7, 8 among them), B 2-6.
class TensorStoreTest : public testing::Test {
 protected:
  static constexpr size_t kCount = 576;
  static constexpr size_t kStripe = 64;

  std::unique_ptr<TensorStore> Make(const OptimizerSpec& optimizer = {}, bool exact = false) {
    auto store = TensorStore::Create(layout_, stripes_, *cpu_, {.optimizer = optimizer, .exact = exact}, initial_);
    EXPECT_TRUE(store.ok()) << MessageOf(store.status());
    return *std::move(store);
  }
  // In a view with two leaders.
  std::unique_ptr<TensorStore> Member(NodeId self, Codec codec = Codec::kF32, const OptimizerSpec& optimizer = {}) {
    auto store = Make(optimizer, codec == Codec::kExact);
    store->EnterView(map_, self, codec);
    return store;
  }
  // The only leader, with version 0 loaded.
  std::unique_ptr<TensorStore> Alone(Codec codec = Codec::kF32, const OptimizerSpec& optimizer = {}) {
    auto store = Make(optimizer, codec == Codec::kExact);
    store->EnterView({.shards = {{.leader = kA, .backup = kA, .stripes = {Range(0, 9)}}}}, kA, codec);
    EXPECT_EQ(store->Load({.stripes = {Range(0, 9)}}).version, Version{0});
    return store;
  }

  template <typename T>
  static Payload PutBytes(TensorStore& store, const std::vector<T>& values) {
    const Payload payload = store.NewPayload();
    store.PutWire(payload, BytesOf(values));
    return payload;
  }
  template <typename T>
  static void Fold(TensorStore& store, Version round, const std::vector<T>& values) {
    store.Fold({.round = round, .payload = PutBytes(store, values)});
  }
  // Clipped: gradients are scaled by less than 1 / samples.
  static net::CommitRecord Record(uint64_t round) {
    return {.round = Version{round}, .samples = 4, .learning_rate = 0.1, .scale = 0.125, .step = round + 1};
  }
  // Folds a gradient and steps; the slice is released.
  static void Step(TensorStore& store, uint64_t round, const std::vector<float>& gradient) {
    Fold(store, Version{round}, gradient);
    const Payload slice = store.NewPayload();
    ASSERT_TRUE(store.Apply({.record = Record(round), .slice = slice}).ok());
    store.Release(slice);
  }
  static std::vector<float> Parameters(const TensorStore& store, uint64_t version) {
    const auto whole = store.ReadWhole(Version{version});
    return whole.ok() ? whole->parameters : std::vector<float>();
  }
  static bool Has(const TensorStore& store, uint64_t version) { return store.ReadWhole(Version{version}).ok(); }
  static std::vector<float> Slice(const std::vector<float>& values, std::initializer_list<StripeRange> ranges) {
    std::vector<float> slice;
    for (const StripeRange& range : ranges) {
      slice.insert(slice.end(), values.begin() + static_cast<ptrdiff_t>(kStripe * ToInt(range.begin)),
                   values.begin() + static_cast<ptrdiff_t>(kStripe * ToInt(range.end)));
    }
    return slice;
  }

  const std::unique_ptr<Device> cpu_ = test::OpenCpu();
  const ParamLayout layout_ = Layout();
  const StripeLayout stripes_{kCount, 9};
  const std::vector<float> initial_ = Random(kCount, 1);
  const net::ShardMap map_ = {.shards = {{.leader = kA, .backup = kB, .stripes = {Range(0, 2), Range(6, 9)}},
                                         {.leader = kB, .backup = kA, .stripes = {Range(2, 6)}}}};
};

TEST_F(TensorStoreTest, NamesItsPayloadsWithTheTopBitAndNeverTwice) {
  const auto store = Make();
  const Payload first = store->NewPayload();
  EXPECT_EQ(ToInt(first) >> 63, 1u);
  store->PutWire(first, BytesOf(std::vector<float>(3)));
  store->Release(first);
  EXPECT_NE(store->NewPayload(), first);
  EXPECT_EQ(store->payload_count(), 0u);
}

// Worker.

TEST_F(TensorStoreTest, TheFirstMergeIsThePartAndTheOthersAddUp) {
  const auto store = Member(kWorker);
  std::vector<float> parts[] = {Random(kCount, 2), Random(kCount, 3)};
  parts[0][5] = parts[1][6] = -0.0f;
  const Payload sum{17};
  for (const std::vector<float>& part : parts) {
    const Payload payload = store->NewPayload();
    store->PutGradient(payload, part);
    store->Merge({.sum = sum, .payload = payload});
    EXPECT_EQ(store->payload_count(), 1u);
    if (&part != &parts[0]) continue;
    const auto pushed = ValuesOf<float>(store->WireOf(kA, net::Push{.payload = sum}));
    EXPECT_EQ(pushed, Slice(part, {Range(0, 2), Range(6, 9)}));
    EXPECT_TRUE(std::signbit(pushed[5]));
  }
  std::vector<float> expected(kCount);
  for (size_t i = 0; i < kCount; ++i) expected[i] = parts[0][i] + parts[1][i];
  EXPECT_EQ(ValuesOf<float>(store->WireOf(kA, net::Push{.payload = sum})), Slice(expected, {Range(0, 2), Range(6, 9)}));
  EXPECT_EQ(ValuesOf<float>(store->WireOf(kB, net::Push{.payload = sum})), Slice(expected, {Range(2, 6)}));
  store->Release(sum);
  EXPECT_EQ(store->payload_count(), 0u);
}

TEST_F(TensorStoreTest, APartOutlivesAViewAndIsPushedAsTheNewOneSays) {
  const auto store = Member(kWorker);
  const std::vector<float> part = Random(kCount, 2);
  const Payload payload = store->NewPayload();
  store->PutGradient(payload, part);
  store->Merge({.sum = Payload{1}, .payload = payload});
  store->EnterView({.shards = {{.leader = kB, .backup = kA, .stripes = {Range(0, 9)}}}}, kWorker, Codec::kF16);
  EXPECT_EQ(store->WireOf(kB, net::Push{.payload = Payload{1}})->size(), 2 * kCount);
}

TEST_F(TensorStoreTest, AdoptPutsTheShardsOfAVersionTogether) {
  const auto store = Member(kWorker);
  const std::vector<float> all = Random(kCount, 4);
  const Payload a = PutBytes(*store, Slice(all, {Range(0, 2), Range(6, 9)}));
  const Payload b = PutBytes(*store, Slice(all, {Range(2, 6)}));
  store->Adopt({.version = Version{3}, .shards = {a, b}});
  EXPECT_EQ(store->payload_count(), 0u);
  const auto base = store->Base(Version{3});
  EXPECT_EQ(*base, all);

  // What is kept of it stays; a computation that still uses it sees no change.
  std::vector<float> next = Random(kCount, 5);
  const Payload next_b = PutBytes(*store, Slice(next, {Range(2, 6)}));
  store->Adopt({.version = Version{3}, .shards = {Payload{}, next_b}});
  EXPECT_EQ(*base, all);
  EXPECT_EQ(Slice(*store->Base(Version{3}), {Range(2, 6)}), Slice(next, {Range(2, 6)}));
  EXPECT_EQ(Slice(*store->Base(Version{3}), {Range(0, 2), Range(6, 9)}), Slice(all, {Range(0, 2), Range(6, 9)}));
  store->Adopt({.version = Version{3}, .shards = {Payload{}, Payload{}}});
  store->Discard({Version{3}});
  EXPECT_EQ(*base, all);
}

// Leader.

TEST_F(TensorStoreTest, WhatArrivedIsTheVersionOnlyIfItIsTheSame) {
  const std::vector<float> version = Random(kCount, 2);
  const std::vector<float> a = Slice(version, {Range(0, 2), Range(6, 9)});
  const std::vector<float> b = Slice(version, {Range(2, 6)});
  for (const bool is_same : {true, false}) {
    const auto store = Member(kWorker);
    EXPECT_EQ(store->arriving(), nullptr);
    store->Arrive(kWorker, Version{3}, 0, *BytesOf(a));
    EXPECT_EQ(store->arriving(), nullptr) << "it leads nothing";
    store->Arrive(kA, Version{3}, 0, *BytesOf(a));
    ASSERT_NE(store->arriving(), nullptr);
    EXPECT_EQ(store->arriving()->first, Version{3});
    EXPECT_EQ(store->arriving()->second.ready(), 2 * 64);
    std::vector<float> other = b;
    if (!is_same) other[7] += 1;
    store->Arrive(kB, Version{3}, 0, *BytesOf(other));
    EXPECT_EQ(store->arriving()->second.ready(), 576);
    const auto arrived = store->arriving()->second.values();

    store->Adopt({.version = Version{3}, .shards = {PutBytes(*store, a), PutBytes(*store, b)}});
    EXPECT_EQ(*store->Base(Version{3}), version);
    EXPECT_EQ(store->Base(Version{3}) == arrived, is_same);
    EXPECT_EQ(store->arriving(), nullptr);
    store->Arrive(kA, Version{3}, 0, *BytesOf(a));
    EXPECT_EQ(store->arriving(), nullptr) << "it is here";
    store->Arrive(kA, Version{4}, 0, *BytesOf(a));
    EXPECT_NE(store->arriving(), nullptr);
    store->EnterView(map_, kWorker, Codec::kF32);
    EXPECT_EQ(store->arriving(), nullptr) << "a new view may have other numbers";
  }
}

TEST_F(TensorStoreTest, FoldsAddUpInTheOrderOfArrival) {
  const auto store = Alone();
  std::vector<float> first(kCount, 1e8f);
  first[9] = -0.0f;
  const std::vector<float> second(kCount, -1e8f);
  const std::vector<float> third(kCount, 1.0f);
  Fold(*store, Version{0}, first);
  const Payload slice = store->NewPayload();
  Fold(*store, Version{0}, second);
  Fold(*store, Version{0}, third);
  ASSERT_TRUE(store->Apply({.record = Record(0), .slice = slice}).ok());
  EXPECT_EQ(ValuesOf<float>(store->WireOf(kB, net::Replica{.payload = slice}))[8], 1.0f);
  store->Release(slice);
  EXPECT_EQ(store->payload_count(), 0u);
}

TEST_F(TensorStoreTest, ASumOfOneIsThatOneToTheSignOfZero) {
  for (const Codec codec : {Codec::kF32, Codec::kF16}) {
    const auto store = Alone(codec);
    if (codec == Codec::kF32) Fold(*store, Version{0}, std::vector<float>(kCount, -0.0f));
    if (codec == Codec::kF16) Fold(*store, Version{0}, std::vector<uint16_t>(kCount, 0x8000));
    const Payload slice = store->NewPayload();
    ASSERT_TRUE(store->Apply({.record = Record(0), .slice = slice}).ok());
    EXPECT_TRUE(std::signbit(ValuesOf<float>(store->WireOf(kB, net::Replica{.payload = slice}))[70]));
  }
}

TEST_F(TensorStoreTest, RoundsAreFoldedApartAndAClearedOneBeginsAnew) {
  const auto store = Alone();
  Fold(*store, Version{0}, std::vector<float>(kCount, 1.0f));
  Fold(*store, Version{1}, std::vector<float>(kCount, 2.0f));
  EXPECT_EQ(store->Seal({.round = Version{0}, .attempt = 2}).norm2, 448.0);
  EXPECT_EQ(store->Seal({.round = Version{1}, .attempt = 1}).norm2, 4 * 448.0);
  store->ClearFold({Version{0}});
  Fold(*store, Version{0}, std::vector<float>(kCount, 3.0f));
  const net::Sealed sealed = store->Seal({.round = Version{0}, .attempt = 3});
  EXPECT_EQ(sealed.norm2, 9 * 448.0);
  EXPECT_EQ(sealed.round, Version{0});
  EXPECT_EQ(sealed.attempt, 3u);
  EXPECT_TRUE(sealed.finite);
}

// Of two leaders, the norms' squares add up to the whole's; running statistics do not count.
TEST_F(TensorStoreTest, TheNormIsThatOfTrainableParameters) {
  const std::vector<float> gradient = Random(kCount, 6);
  const auto a = Member(kA);
  const auto b = Member(kB);
  Fold(*a, Version{0}, Slice(gradient, {Range(0, 2), Range(6, 9)}));
  Fold(*b, Version{0}, Slice(gradient, {Range(2, 6)}));
  const double expected = SumSquares(std::span(gradient).first(448));
  EXPECT_NEAR(a->Seal({}).norm2 + b->Seal({}).norm2, expected, 1e-9 * expected);
}

TEST_F(TensorStoreTest, NumbersThatAreNotFiniteShowWhenTheSumIsSealed) {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    for (const size_t at : {size_t{0}, size_t{447}, kCount - 1}) {  // a statistic, too
      const auto store = Alone();
      std::vector<float> gradient(kCount, 1.0f);
      gradient[at] = bad;
      Fold(*store, Version{0}, gradient);
      Fold(*store, Version{0}, std::vector<float>(kCount, 1.0f));
      EXPECT_FALSE(store->Seal({}).finite) << bad << " at " << at;
    }
  }
  // Finite terms whose sum is not.
  const auto store = Alone();
  for (int i = 0; i < 2; ++i) Fold(*store, Version{0}, std::vector<float>(kCount, 3e38f));
  EXPECT_FALSE(store->Seal({}).finite);
}

TEST_F(TensorStoreTest, AFiniteGradientThatHalvesCannotHoldShowsWhenTheSumIsSealed) {
  for (const float large : {65519.0f, 65520.0f, -70000.0f}) {
    const auto worker = Member(kWorker, Codec::kF16);
    const auto leader = Member(kB, Codec::kF16);
    std::vector<float> gradient(kCount, 1.0f);
    gradient[3 * kStripe] = large;
    worker->PutGradient(Payload{1}, gradient);
    const net::Push push = {.payload = Payload{1}};
    const net::Bytes bytes = worker->WireOf(kB, push);
    ASSERT_TRUE(leader->Check(kWorker, push, bytes).ok());
    const Payload payload = leader->NewPayload();
    leader->PutWire(payload, bytes);
    leader->Fold({.payload = payload});
    EXPECT_EQ(leader->Seal({}).finite, large == 65519.0f) << large;
  }
}

TEST_F(TensorStoreTest, HalvesAreRoundedToNearestEven) {
  const auto worker = Member(kWorker, Codec::kF16);
  std::vector<float> gradient(kCount, 0.0f);
  const std::vector<std::pair<float, uint16_t>> cases = {
      {1.0f, 0x3c00},     {-2.0f, 0xc000},    {2049.0f, 0x6800},  {2051.0f, 0x6802},    {65504.0f, 0x7bff},
      {65520.0f, 0x7c00}, {0x1p-24f, 0x0001}, {0x1p-25f, 0x0000}, {0x1.8p-24f, 0x0002}, {-kInfinity, 0xfc00}};
  for (size_t i = 0; i < cases.size(); ++i) gradient[2 * kStripe + i] = cases[i].first;
  worker->PutGradient(Payload{1}, gradient);
  const auto halves = ValuesOf<uint16_t>(worker->WireOf(kB, net::Push{.payload = Payload{1}}));
  ASSERT_EQ(halves.size(), 4 * kStripe);
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(halves[i], cases[i].second) << cases[i].first;
}

TEST_F(TensorStoreTest, AnExactSumBeyondItsLimitShowsWhenItIsSealed) {
  const std::vector<int64_t> large(kCount, kFixedLimit - 2);
  const auto store = Alone(Codec::kExact);
  Fold(*store, Version{0}, large);
  EXPECT_TRUE(store->Seal({}).finite);
  Fold(*store, Version{0}, std::vector<int64_t>(kCount, 2));
  EXPECT_FALSE(store->Seal({}).finite);
  // Coming back does not make it right: what was lost depends on the order.
  Fold(*store, Version{0}, std::vector<int64_t>(kCount, -kFixedLimit));
  EXPECT_FALSE(store->Seal({}).finite);
  store->ClearFold({Version{0}});
  Fold(*store, Version{0}, std::vector<int64_t>(kCount, 1));
  EXPECT_TRUE(store->Seal({}).finite);
}

// A worker's own sum that was beyond the limit is not pushed as if it were a sum, even if it wrapped to a small number.
TEST_F(TensorStoreTest, AnExactPartBeyondTheLimitShowsAtALeader) {
  const auto worker = Member(kWorker, Codec::kExact);
  for (int i = 0; i < 4; ++i) {
    const Payload payload = worker->NewPayload();
    std::vector<int64_t> part(kCount, 1);
    part[500] = kFixedLimit - 1;
    worker->PutGradient(payload, part);
    worker->Merge({.sum = Payload{1}, .payload = payload});
  }
  bool finite = true;
  for (const NodeId to : {kA, kB}) {
    const auto leader = Member(to, Codec::kExact);
    const Payload payload = leader->NewPayload();
    leader->PutWire(payload, worker->WireOf(to, net::Push{.payload = Payload{1}}));
    leader->Fold({.payload = payload});
    finite = finite && leader->Seal({}).finite;
  }
  EXPECT_FALSE(finite);
}

TEST_F(TensorStoreTest, ExactSumsAreSteppedAsTheFloatsThatTheyStandFor) {
  const auto exact = Alone(Codec::kExact);
  const auto floats = Alone();
  const std::vector<float> gradient = Random(kCount, 8);
  std::vector<int64_t> fixed(kCount, 0);
  ASSERT_TRUE(AddRounded(fixed, gradient));
  std::vector<float> rounded(kCount);
  FixedToFloats(fixed, rounded);
  Fold(*exact, Version{0}, fixed);
  EXPECT_NEAR(exact->Seal({}).norm2, SumSquares(std::span(gradient).first(448)), 1e-6);
  const Payload slice = exact->NewPayload();
  ASSERT_TRUE(exact->Apply({.record = Record(0), .slice = slice}).ok());
  EXPECT_EQ(ValuesOf<int64_t>(exact->WireOf(kB, net::Replica{.payload = slice})), fixed);
  Step(*floats, 0, rounded);
  EXPECT_EQ(Parameters(*exact, 1), Parameters(*floats, 1));
  EXPECT_NE(Parameters(*exact, 1), Parameters(*exact, 0));
}

TEST_F(TensorStoreTest, StepsByTheFormulaAndAveragesStatistics) {
  const auto store = Alone(Codec::kF32, {.momentum = 0.9, .statistics_keep = 0.75});
  const std::vector<float> gradient = Random(kCount, 9);
  Step(*store, 0, gradient);
  Step(*store, 1, gradient);
  const std::vector<float> after = Parameters(*store, 2);
  for (size_t i = 0; i < kCount; ++i) {
    const double clipped = gradient[i] / 8.0;
    const double stepped = initial_[i] - 0.1 * clipped - 0.1 * (0.9 * clipped + clipped);
    const double mean = gradient[i] / 4.0;
    const double averaged = 0.75 * (0.75 * initial_[i] + 0.25 * mean) + 0.25 * mean;
    EXPECT_NEAR(after[i], i < 448 ? stepped : averaged, 1e-6) << i;
  }
}

TEST_F(TensorStoreTest, KeepsTwoVersionsAndGoesBackToTheOlder) {
  const auto store = Alone();
  std::vector<std::vector<float>> history = {initial_};
  for (uint64_t round = 0; round < 4; ++round) {
    Step(*store, round, Random(kCount, 20 + round));
    history.push_back(Parameters(*store, round + 1));
    EXPECT_EQ(Parameters(*store, round), history[round]);
    if (round > 0) {
      EXPECT_FALSE(Has(*store, round - 1));
    }
  }
  store->Rollback({Version{4}});
  EXPECT_TRUE(Has(*store, 4));
  store->Rollback({Version{3}});
  EXPECT_FALSE(Has(*store, 4));
  EXPECT_EQ(Parameters(*store, 3), history[3]);
  // The same step once more gives the same bits; another one, others.
  Step(*store, 3, Random(kCount, 23));
  EXPECT_EQ(Parameters(*store, 4), history[4]);
  store->Rollback({Version{3}});
  Step(*store, 3, Random(kCount, 99));
  EXPECT_NE(Parameters(*store, 4), history[4]);
}

TEST_F(TensorStoreTest, ForgetsStripesOnly) {
  const auto store = Alone();
  Step(*store, 0, Random(kCount, 20));
  const std::vector<float> before = Parameters(*store, 1);
  store->Snapshot({.version = Version{1}, .stripes = {Range(0, 3), Range(4, 9)}, .payload = Payload{5}});
  store->Forget({{Range(3, 4)}});
  EXPECT_FALSE(Has(*store, 1));
  EXPECT_FALSE(Has(*store, 0));
  store->Snapshot({.version = Version{1}, .stripes = {Range(0, 3), Range(4, 9)}, .payload = Payload{6}});
  EXPECT_EQ(*store->WireOf(kB, net::Move{.payload = Payload{5}}), *store->WireOf(kB, net::Move{.payload = Payload{6}}));
  // At version 0 it comes from the seed again.
  store->Rollback({Version{0}});
  store->Load({.stripes = {Range(0, 9)}});
  EXPECT_EQ(Parameters(*store, 0), initial_);
}

TEST_F(TensorStoreTest, BackupsStepLikeTheirOwners) {
  for (const Codec codec : {Codec::kF32, Codec::kExact}) {
    const OptimizerSpec adam = {.kind = OptimizerKind::kAdam};
    const auto owner = Member(kA, codec, adam);
    const auto backup = Member(kB, codec, adam);
    const std::vector<StripeRange> stripes = map_.shards[0].stripes;
    owner->Load({.stripes = stripes});
    EXPECT_TRUE(backup->Load({.stripes = stripes, .backup = true}).backup);
    for (uint64_t round = 0; round < 3; ++round) {
      const std::vector<float> gradient = Random(5 * kStripe, 30 + round);
      std::vector<int64_t> fixed(gradient.size(), 0);
      ASSERT_TRUE(AddRounded(fixed, gradient));
      codec == Codec::kExact ? Fold(*owner, Version{round}, fixed) : Fold(*owner, Version{round}, gradient);
      const Payload slice = owner->NewPayload();
      ASSERT_TRUE(owner->Apply({.record = Record(round), .slice = slice}).ok());
      const net::Replica replica = {.record = Record(round), .payload = slice};
      const net::Bytes bytes = owner->WireOf(kB, replica);
      ASSERT_TRUE(backup->Check(kA, replica, bytes).ok());
      const Payload arrived = backup->NewPayload();
      backup->PutWire(arrived, bytes);
      ASSERT_TRUE(backup->ApplyBackup({.record = Record(round), .slice = arrived}).ok());
      EXPECT_EQ(backup->payload_count(), 0u);
      owner->Release(slice);
    }
    for (const uint64_t version : {uint64_t{2}, uint64_t{3}}) {
      net::Bytes states[2];
      for (TensorStore* const store : {owner.get(), backup.get()}) {
        const Payload payload = store->NewPayload();
        store->Snapshot({.version = Version{version}, .stripes = stripes, .payload = payload});
        states[store == owner.get() ? 0 : 1] = store->WireOf(kB, net::Move{.payload = payload});
      }
      EXPECT_EQ(*states[0], *states[1]) << version;
    }
  }
}

TEST_F(TensorStoreTest, AMoveCarriesParametersThenEachStateVector) {
  const OptimizerSpec adam = {.kind = OptimizerKind::kAdam};
  const auto from = Alone(Codec::kF32, adam);
  Step(*from, 0, Random(kCount, 40));
  const auto whole = from->ReadWhole(Version{1});
  ASSERT_TRUE(whole.ok());
  const std::vector<StripeRange> stripes = {Range(1, 2), Range(5, 8)};  // 448 = 7 stripes are trainable
  net::Move move = {.stripes = stripes, .version = Version{1}, .payload = from->NewPayload()};
  from->Snapshot({.version = Version{1}, .stripes = stripes, .payload = move.payload});
  const net::Bytes bytes = from->WireOf(kB, move);
  std::vector<float> expected = Slice(whole->parameters, {Range(1, 2), Range(5, 8)});
  for (const auto& [name, values] : whole->optimizer) {
    const std::vector<float> part = Slice(values, {Range(1, 2), Range(5, 7)});
    expected.insert(expected.end(), part.begin(), part.end());
  }
  EXPECT_EQ(ValuesOf<float>(bytes), expected);

  // There, and back again.
  const auto to = Make(adam);
  ASSERT_TRUE(to->Check(kA, move, bytes).ok());
  to->PutWire(Payload{1}, bytes);
  const net::Loaded loaded =
      to->Load({.stripes = stripes, .version = Version{1}, .backup = true, .payload = Payload{1}});
  EXPECT_EQ(loaded.stripes, stripes);
  EXPECT_EQ(loaded.version, Version{1});
  EXPECT_TRUE(loaded.backup);
  EXPECT_EQ(to->payload_count(), 0u);
  to->Snapshot({.version = Version{1}, .stripes = stripes, .payload = Payload{2}});
  EXPECT_EQ(*to->WireOf(kA, net::Move{.payload = Payload{2}}), *bytes);
}

TEST_F(TensorStoreTest, WhatIsHereAlreadyIsNotLoadedAgain) {
  const auto store = Alone();
  Step(*store, 0, Random(kCount, 41));
  const std::vector<float> at_one = Parameters(*store, 1);
  store->Load({.stripes = {Range(0, 4)}, .version = Version{1}});
  store->Load({.stripes = {Range(2, 9)}, .version = Version{0}});
  EXPECT_EQ(Parameters(*store, 1), at_one);
  EXPECT_EQ(Parameters(*store, 0), initial_);
}

TEST_F(TensorStoreTest, ExportsTheOwnShardOfAVersion) {
  for (const Codec codec : {Codec::kF32, Codec::kF16, Codec::kExact}) {
    const auto leader = Member(kA, codec);
    const auto worker = Member(kWorker, codec);
    leader->Load({.stripes = map_.shards[0].stripes});
    const net::Publish publish = {.payload = leader->NewPayload()};
    leader->Export({.version = Version{0}, .payload = publish.payload});
    const net::Bytes bytes = leader->WireOf(kWorker, publish);
    EXPECT_EQ(bytes, leader->WireOf(kB, publish)) << "encoded twice";
    ASSERT_TRUE(worker->Check(kA, publish, bytes).ok());
    if (codec != Codec::kF16) {
      EXPECT_EQ(ValuesOf<float>(bytes), Slice(initial_, {Range(0, 2), Range(6, 9)}));
      continue;
    }
    EXPECT_EQ(bytes->size(), 2 * 5 * kStripe);
    const Payload a = worker->NewPayload();
    worker->PutWire(a, bytes);
    worker->Adopt({.shards = {a, PutBytes(*worker, std::vector<uint16_t>(4 * kStripe, 0x3c00))}});
    const std::vector<float>& base = *worker->Base(Version{0});
    for (size_t i = 0; i < 2 * kStripe; ++i) EXPECT_NEAR(base[i], initial_[i], std::abs(initial_[i]) / 2048 + 1e-7);
    for (size_t i = 2 * kStripe; i < 6 * kStripe; ++i) EXPECT_EQ(base[i], 1.0f);
  }
}

// What does not fit.

TEST_F(TensorStoreTest, BytesOfAnotherLengthAreRefused) {
  for (const auto& [codec, element] :
       {std::pair(Codec::kF32, 4u), std::pair(Codec::kF16, 2u), std::pair(Codec::kExact, 8u)}) {
    const auto store = Member(kA, codec);
    const size_t published = codec == Codec::kF16 ? 2 : 4;
    const size_t replicated = codec == Codec::kExact ? 8 : 4;
    const std::vector<std::pair<net::Body, size_t>> cases = {
        {net::Push{}, 5 * kStripe * element},
        {net::Publish{}, 4 * kStripe * published},
        {net::Replica{}, 4 * kStripe * replicated},
        // Parameters, and a velocity of the trainable ones.
        {net::Move{.stripes = {Range(1, 2), Range(6, 8)}}, (3 + 2) * kStripe * sizeof(float)},
    };
    for (const auto& [body, size] : cases) {
      const auto check = [&, &message = body](size_t length) {
        return store->Check(kB, message, std::make_shared<std::vector<std::byte>>(length));
      };
      EXPECT_TRUE(check(size).ok()) << net::NameOf(body) << ": " << MessageOf(check(size));
      for (const size_t wrong : {size_t{0}, size - 1, size + 1, size - 4, size + 64, 2 * size}) {
        EXPECT_TRUE(absl::IsDataLoss(check(wrong))) << net::NameOf(body) << " of " << wrong;
      }
      EXPECT_THAT(MessageOf(check(0)), HasSubstr("of 0 bytes, not " + std::to_string(size)));
    }
  }
}

TEST_F(TensorStoreTest, BytesThatNobodyWaitsForAreRefused) {
  const auto bytes = [](size_t count) { return BytesOf(std::vector<float>(count)); };
  const auto leader = Member(kA);
  const auto worker = Member(kWorker);
  EXPECT_TRUE(absl::IsDataLoss(worker->Check(kA, net::Push{}, bytes(0))));
  EXPECT_TRUE(absl::IsDataLoss(worker->Check(kA, net::Replica{}, bytes(5 * kStripe))));
  EXPECT_TRUE(absl::IsDataLoss(worker->Check(kWorker, net::Publish{}, bytes(4 * kStripe))));
  // Its predecessor is B: nobody else's gradients step the backup.
  EXPECT_TRUE(leader->Check(kB, net::Replica{}, bytes(4 * kStripe)).ok());
  EXPECT_TRUE(absl::IsDataLoss(leader->Check(kWorker, net::Replica{}, bytes(4 * kStripe))));
  EXPECT_TRUE(absl::IsDataLoss(leader->Check(kB, net::Pull{}, bytes(4))));
  for (const std::vector<StripeRange>& stripes : {std::vector<StripeRange>{},
                                                  {Range(8, 10)},
                                                  {Range(2, 2)},
                                                  {Range(3, 2)},
                                                  {Range(0, 2), Range(1, 3)},
                                                  {Range(2, 3), Range(0, 1)},
                                                  {Range(0xfffffff0u, 0xffffffffu)}}) {
    EXPECT_TRUE(absl::IsDataLoss(leader->Check(kB, net::Move{.stripes = stripes}, bytes(2 * kStripe))));
  }
}

TEST_F(TensorStoreTest, WrongOptimizersAndCheckpointsOfOthersAreRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(
      TensorStore::Create(layout_, stripes_, *cpu_, {.optimizer = {.momentum = 1.5}}, initial_).status()));
  const auto adam = Make({.kind = OptimizerKind::kAdam});
  const auto sgd = Alone();
  Step(*sgd, 0, Random(kCount, 50));
  TensorStore::Whole whole = *sgd->ReadWhole(Version{1});
  EXPECT_TRUE(absl::IsFailedPrecondition(adam->LoadWhole(Version{1}, whole)));
  EXPECT_TRUE(absl::IsNotFound(sgd->ReadWhole(Version{9}).status()));
  const auto other = Make();
  ASSERT_TRUE(other->LoadWhole(Version{1}, whole).ok());
  EXPECT_EQ(other->ReadWhole(Version{1})->parameters, whole.parameters);
  EXPECT_EQ(other->ReadWhole(Version{1})->optimizer, whole.optimizer);
  whole.optimizer[0].second.pop_back();
  EXPECT_TRUE(absl::IsFailedPrecondition(other->LoadWhole(Version{2}, whole)));
  whole.parameters.pop_back();
  EXPECT_TRUE(absl::IsFailedPrecondition(other->LoadWhole(Version{2}, whole)));
}

// All that a leader and worker does in a round, over and over.
TEST_F(TensorStoreTest, HoldsTheSameAfterTenThousandRounds) {
  for (const Codec codec : {Codec::kF32, Codec::kF16, Codec::kExact}) {
    const auto store = Alone(codec, {.kind = OptimizerKind::kAdam});
    int64_t after_three = 0;
    for (uint64_t round = 0; round < 10'000; ++round) {
      const Version version{round};
      for (int lease = 0; lease < 2; ++lease) {
        const Payload payload = store->NewPayload();
        if (codec == Codec::kExact) {
          store->PutGradient(payload, std::vector<int64_t>(kCount, 1));
        } else {
          store->PutGradient(payload, std::vector<float>(kCount, 0.5f));
        }
        store->Merge({.sum = Payload{round + 1}, .payload = payload});
      }
      const Payload pushed = store->NewPayload();
      store->PutWire(pushed, store->WireOf(kA, net::Push{.payload = Payload{round + 1}}));
      store->Release(Payload{round + 1});
      store->Fold({.round = version, .payload = pushed});
      ASSERT_TRUE(store->Seal({.round = version}).finite);
      const Payload slice = store->NewPayload();
      ASSERT_TRUE(store->Apply({.record = Record(round), .slice = slice}).ok());
      store->Release(slice);
      const Payload exported = store->NewPayload();
      store->Export({.version = Next(version), .payload = exported});
      const Payload published = store->NewPayload();
      store->PutWire(published, store->WireOf(kA, net::Publish{.payload = exported}));
      store->Release(exported);
      store->Adopt({.version = Next(version), .shards = {published}});
      if (round > 0) store->Discard({version});
      if (round == 2) after_three = store->held_bytes();
    }
    EXPECT_EQ(store->held_bytes(), after_three);
    EXPECT_EQ(store->payload_count(), 0u);
  }
}

// Views come and go, each with another cut: what was made for older cuts goes, too.
TEST_F(TensorStoreTest, HoldsTheSameAfterManyViews) {
  const auto store = Alone();
  std::vector<int64_t> held;
  for (uint64_t round = 0; round < 300; ++round) {
    const auto cut = static_cast<uint32_t>(1 + round % 8);
    store->EnterView({.shards = {{.leader = kA, .backup = kB, .stripes = {Range(0, cut)}},
                                 {.leader = kB, .backup = kA, .stripes = {Range(cut, 9)}}}},
                     kA, Codec::kF32);
    Fold(*store, Version{round}, std::vector<float>(cut * kStripe, 0.5f));
    const Payload slice = store->NewPayload();
    ASSERT_TRUE(store->Apply({.record = Record(round), .slice = slice}).ok());
    store->Release(slice);
    const Payload other = PutBytes(*store, std::vector<float>((9 - cut) * kStripe, 0.5f));
    ASSERT_TRUE(store->ApplyBackup({.record = Record(round), .slice = other}).ok());
    held.push_back(store->held_bytes());
  }
  EXPECT_EQ(held[299], held[299 - 8 * 10]);
  // However the vector was cut: the same gradient for all of it.
  const auto whole = Alone();
  for (uint64_t round = 0; round < 300; ++round) Step(*whole, round, std::vector<float>(kCount, 0.5f));
  EXPECT_EQ(Parameters(*store, 300), Parameters(*whole, 300));
}

}  // namespace
}  // namespace eddl::cluster
