// What a leader, its backup and a worker do with 2^20 parameters in a round, besides training: bench_aggregation.
//
// BM_Fold/CODEC           a push's bytes into the sum of its round (not the first one, which is a copy)
// BM_Seal/CODEC           the norm of the sum, and whether it is finite
// BM_Apply/OPT/CODEC      the optimizer's step on the shard, two versions kept
// BM_FirstApply           the same, of a sixteenth, in a new store
// BM_Publish/CODEC        a version's bytes for all workers
// BM_Push/CODEC           the bytes of a worker's sum for one leader of two
// BM_Merge, BM_Adopt      a worker adds up its leases, and puts a version together from two leaders' bytes
// BM_AddRounded           exact mode's conversion of a micro-batch's gradients
// BM_Copy                 memcpy of as many floats: what the memory gives
//
// bytes/s counts the bytes that the message has, or 4 for each parameter where there is none. One thread.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"
#include "tools/eddl_node/cluster/flat_sums.h"
#include "tools/eddl_node/cluster/tensor_store.h"

namespace eddl::bench {
namespace {

using cluster::StripeLayout;
using cluster::TensorStore;
using net::Codec;
using net::Payload;
using net::Version;

constexpr int64_t kCount = int64_t{1} << 20;
constexpr net::NodeId kA{1};
constexpr net::NodeId kB{2};

int64_t SizeOf(Codec codec) { return codec == Codec::kF16 ? 2 : codec == Codec::kExact ? 8 : 4; }

const char* NameOf(Codec codec) { return codec == Codec::kF16 ? "f16" : codec == Codec::kExact ? "exact" : "f32"; }

std::vector<float> Random() {
  Rng rng(1);
  std::vector<float> values(kCount);
  for (float& value : values) value = static_cast<float>(rng.Uniform(-1, 1));
  return values;
}

void SetBytes(benchmark::State& state, int64_t bytes) {
  state.counters["bytes/s"] =
      benchmark::Counter(static_cast<double>(bytes), benchmark::Counter::kIsIterationInvariantRate);
}

// The first of so many leaders, with equal shares.
class Bench {
 public:
  Bench(Device& device, Codec codec, uint32_t leader_count, OptimizerKind optimizer = OptimizerKind::kSgd)
      : layout_(std::vector<Parameter>{{.name = "weight", .shape = {kCount}}}),
        stripes_(kCount, StripeLayout::ChooseCount(kCount)),
        gradient_(Random()) {
    auto store = TensorStore::Create(layout_, stripes_, device,
                                     {.optimizer = {.kind = optimizer}, .exact = codec == Codec::kExact}, gradient_);
    EDDL_CHECK(store.ok()) << MessageOf(store.status());
    store_ = *std::move(store);
    std::vector<net::LeaderShare> leaders;
    for (uint32_t i = 1; i <= leader_count; ++i) leaders.push_back({.node = net::NodeId{i}, .fraction = 1});
    map_ = net::DealStripes(leaders, stripes_.stripe_count(), kB);
    store_->EnterView(map_, kA, codec);
    store_->Load({.stripes = map_.shards[0].stripes});
  }

  TensorStore& store() { return *store_; }
  const net::ShardMap& map() const { return map_; }
  const std::vector<float>& gradient() const { return gradient_; }
  cluster::GradientSum Gradient(Codec codec) const {
    if (codec != Codec::kExact) return gradient_;
    std::vector<int64_t> fixed(gradient_.size(), 0);
    EDDL_CHECK(cluster::AddRounded(fixed, gradient_));
    return fixed;
  }
  // What a worker would push to A.
  net::Bytes Pushed(Codec codec) {
    const Payload payload = store_->NewPayload();
    store_->PutGradient(payload, Gradient(codec));
    net::Bytes bytes = store_->WireOf(kA, net::Push{.payload = payload});
    store_->Release(payload);
    return bytes;
  }
  void Fold(uint64_t round, const net::Bytes& bytes) {
    const Payload payload = store_->NewPayload();
    store_->PutWire(payload, bytes);
    store_->Fold({.round = Version{round}, .payload = payload});
  }

 private:
  ParamLayout layout_;
  StripeLayout stripes_;
  std::vector<float> gradient_;
  std::unique_ptr<TensorStore> store_;
  net::ShardMap map_;
};

void RunCopy(benchmark::State& state) {
  const std::vector<float> from = Random();
  std::vector<float> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size() * sizeof(float));
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  SetBytes(state, kCount * 4);
}

void RunFold(benchmark::State& state, Device& device, Codec codec) {
  Bench bench(device, codec, /*leader_count=*/1);
  const net::Bytes bytes = bench.Pushed(codec);
  bench.Fold(0, bytes);
  for (auto _ : state) bench.Fold(0, bytes);
  SetBytes(state, kCount * SizeOf(codec));
}

void RunSeal(benchmark::State& state, Device& device, Codec codec) {
  Bench bench(device, codec, /*leader_count=*/1);
  bench.Fold(0, bench.Pushed(codec));
  for (auto _ : state) benchmark::DoNotOptimize(bench.store().Seal({}));
  SetBytes(state, kCount * SizeOf(codec));
}

void RunApply(benchmark::State& state, Device& device, OptimizerKind optimizer, Codec codec) {
  Bench bench(device, codec, /*leader_count=*/1, optimizer);
  const net::Bytes bytes = bench.Pushed(codec);
  uint64_t round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    bench.Fold(round, bytes);
    const Payload slice = bench.store().NewPayload();
    const net::CommitRecord record = {
        .round = Version{round}, .samples = 1, .learning_rate = 1e-6, .scale = 1, .step = round + 1};
    state.ResumeTiming();
    EDDL_CHECK(bench.store().Apply({.record = record, .slice = slice}).ok());
    state.PauseTiming();
    bench.store().Release(slice);
    ++round;
    state.ResumeTiming();
  }
  SetBytes(state, kCount * 4);
}

// A view's first step on a sixteenth of the parameters: what it needs for ranges of these lengths is made anew.
void RunFirstApply(benchmark::State& state, Device& device) {
  constexpr uint32_t kLeaders = 16;
  for (auto _ : state) {
    state.PauseTiming();
    auto bench = std::make_unique<Bench>(device, Codec::kF32, kLeaders, OptimizerKind::kAdam);
    bench->Fold(0, bench->Pushed(Codec::kF32));
    const Payload slice = bench->store().NewPayload();
    const net::CommitRecord record = {.samples = 1, .learning_rate = 1e-6, .scale = 1, .step = 1};
    state.ResumeTiming();
    EDDL_CHECK(bench->store().Apply({.record = record, .slice = slice}).ok());
    state.PauseTiming();
    bench.reset();
    state.ResumeTiming();
  }
  SetBytes(state, kCount / kLeaders * 4);
}

void RunPublish(benchmark::State& state, Device& device, Codec codec) {
  Bench bench(device, codec, /*leader_count=*/1);
  for (auto _ : state) {
    const Payload payload = bench.store().NewPayload();
    bench.store().Export({.payload = payload});
    benchmark::DoNotOptimize(bench.store().WireOf(kB, net::Publish{.payload = payload}));
    bench.store().Release(payload);
  }
  SetBytes(state, kCount * (codec == Codec::kF16 ? 2 : 4));
}

void RunPush(benchmark::State& state, Device& device, Codec codec) {
  Bench bench(device, codec, /*leader_count=*/2);
  bench.store().PutGradient(Payload{1}, bench.Gradient(codec));
  for (auto _ : state) benchmark::DoNotOptimize(bench.store().WireOf(kA, net::Push{.payload = Payload{1}}));
  SetBytes(state, kCount / 2 * SizeOf(codec));
}

void RunMerge(benchmark::State& state, Device& device) {
  Bench bench(device, Codec::kF32, /*leader_count=*/1);
  bench.store().PutGradient(Payload{1}, bench.gradient());
  for (auto _ : state) {
    state.PauseTiming();
    bench.store().PutGradient(Payload{2}, bench.gradient());
    state.ResumeTiming();
    bench.store().Merge({.sum = Payload{1}, .payload = Payload{2}});
  }
  SetBytes(state, kCount * 4);
}

void RunAdopt(benchmark::State& state, Device& device, Codec codec) {
  Bench bench(device, codec, /*leader_count=*/2);
  const auto half = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(kCount / 2 * SizeOf(codec)));
  for (auto _ : state) {
    const Payload shards[] = {bench.store().NewPayload(), bench.store().NewPayload()};
    for (const Payload shard : shards) bench.store().PutWire(shard, half);
    bench.store().Adopt({.version = Version{1}, .shards = {shards[0], shards[1]}});
    bench.store().Discard({Version{1}});
  }
  SetBytes(state, kCount * SizeOf(codec));
}

void RunAddRounded(benchmark::State& state) {
  const std::vector<float> from = Random();
  std::vector<int64_t> to(from.size(), 0);
  for (auto _ : state) {
    benchmark::DoNotOptimize(cluster::AddRounded(to, from));
    state.PauseTiming();
    to.assign(to.size(), 0);
    state.ResumeTiming();
  }
  SetBytes(state, kCount * 4);
}

template <typename Function>
void Register(const std::string& name, Function function) {
  benchmark::RegisterBenchmark(name.c_str(), function)->Unit(benchmark::kMicrosecond)->UseRealTime();
}

void RegisterAll(Device& device) {
  Register("BM_Copy", RunCopy);
  for (const Codec codec : {Codec::kF32, Codec::kF16, Codec::kExact}) {
    const std::string name = NameOf(codec);
    Register("BM_Fold/" + name, [&device, codec](benchmark::State& state) { RunFold(state, device, codec); });
    Register("BM_Push/" + name, [&device, codec](benchmark::State& state) { RunPush(state, device, codec); });
    for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
      if (codec == Codec::kF16) continue;  // leaders keep floats
      Register("BM_Apply/" + eddl::NameOf(kind) + "/" + name,
               [&device, kind, codec](benchmark::State& state) { RunApply(state, device, kind, codec); });
    }
    if (codec != Codec::kF16) {
      Register("BM_Seal/" + name, [&device, codec](benchmark::State& state) { RunSeal(state, device, codec); });
    }
    if (codec != Codec::kExact) {
      Register("BM_Publish/" + name, [&device, codec](benchmark::State& state) { RunPublish(state, device, codec); });
      Register("BM_Adopt/" + name, [&device, codec](benchmark::State& state) { RunAdopt(state, device, codec); });
    }
  }
  Register("BM_FirstApply/adam", [&device](benchmark::State& state) { RunFirstApply(state, device); });
  Register("BM_Merge", [&device](benchmark::State& state) { RunMerge(state, device); });
  Register("BM_AddRounded", RunAddRounded);
}

}  // namespace
}  // namespace eddl::bench

int main(int argc, char** argv) {
  eddl::BackendRegistry registry;
  registry.LoadFolder(eddl::DefaultBackendFolder());
  const auto backend = registry.Find("cpu");
  EDDL_CHECK(backend.ok()) << eddl::MessageOf(backend.status());
  const auto device = eddl::Device::Open(**backend, 0, {.thread_count = 1});
  EDDL_CHECK(device.ok()) << eddl::MessageOf(device.status());
  eddl::bench::RegisterAll(**device);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
