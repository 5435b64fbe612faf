// Times whole training steps, and beside each the sum of its plan's own ops: bench_step --device=cpu --threads=1.
//
// BM_Step/MODEL/batch:N     forward, loss, backward and optimizer, on batches in memory
// BM_PlanSum/MODEL/batch:N  the ops of that step's plan on buffers of their own, in plan order (plan_sum.h)
// BM_PlanOp/MODEL/batch:N/OP, with --ops: each of them alone, over and over; the label is its implementation
//
// EDDL_DEVICE and EDDL_THREADS stand in for the options. Order is random and repetitions are 9 unless Google
// Benchmark's own options say otherwise.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bench/step/plan_sum.h"
#include "bench/step/training.h"
#include "runtime/device/backend.h"

namespace eddl::bench {
namespace {

constexpr int64_t kBatches = 16;          // that a training goes round
constexpr double kDrebinDensity = 0.155;  // of the Drebin-215 malware data, measured

struct Arguments {
  std::string device = "cpu";
  uint32_t threads = 1;
  bool ops = false;
  std::vector<char*> rest;  // Google Benchmark's
};

// A model at one batch size. Made by the first benchmark that needs it, since preparing all at once costs memory.
class Case {
 public:
  Case(Device& device, Device* fallback, std::string name, ModelSpec model, int64_t batch)
      : device_(device), fallback_(fallback), name_(std::move(name)), model_(std::move(model)), batch_(batch) {}

  std::string Name() const { return name_ + "/batch:" + std::to_string(batch_); }
  int64_t batch() const { return batch_; }
  Training& training() {
    if (training_ == nullptr) {
      const bool features = model_.name == "pernet";
      training_ = std::make_unique<Training>(
          device_, fallback_, TrainingOptions{.model = model_, .batch = batch_},
          features ? RandomFeatures(kBatches * batch_, kDrebinDensity) : RandomImages(kBatches * batch_, 28, 1));
    }
    return *training_;
  }
  PlanSum& sum() {
    if (sum_ == nullptr) sum_ = std::make_unique<PlanSum>(training());
    return *sum_;
  }

 private:
  Device& device_;
  Device* fallback_;
  std::string name_;
  ModelSpec model_;
  int64_t batch_;
  std::unique_ptr<Training> training_;
  std::unique_ptr<PlanSum> sum_;
};

void SetSamples(benchmark::State& state, const Case& c) {
  state.counters["samples/s"] =
      benchmark::Counter(static_cast<double>(c.batch()), benchmark::Counter::kIsIterationInvariantRate);
}

void RunStep(benchmark::State& state, Case& c) {
  Training& training = c.training();
  training.Step();  // the first one allocates
  training.Wait();
  for (auto _ : state) training.Step();
  training.Wait();
  SetSamples(state, c);
}

void RunSum(benchmark::State& state, Case& c) {
  const Plan& plan = *Need(c.training().replica().PlanFor(c.batch(), Mode::kTrain));
  if (plan.fallback_ops() > 0) {
    state.SkipWithError(("the device lacks " + std::to_string(plan.fallback_ops()) + " ops of the plan").c_str());
    return;
  }
  PlanSum& sum = c.sum();
  sum.Run();
  for (auto _ : state) sum.Run();
  SetSamples(state, c);
}

void RunOp(benchmark::State& state, PlanSum& sum, size_t op) {
  sum.RunOp(op);
  for (auto _ : state) sum.RunOp(op);
  state.SetLabel(sum.Implementation(op));
}

template <typename Function>
void Register(const std::string& name, Function function) {
  benchmark::RegisterBenchmark(name.c_str(), function)->Unit(benchmark::kMicrosecond)->UseRealTime();
}

void RegisterCase(Case& c, bool ops) {
  Register("BM_Step/" + c.Name(), [&c](benchmark::State& state) { RunStep(state, c); });
  Register("BM_PlanSum/" + c.Name(), [&c](benchmark::State& state) { RunSum(state, c); });
  for (size_t i = 0; ops && i < c.sum().op_count(); ++i) {
    Register("BM_PlanOp/" + c.Name() + "/" + c.sum().OpName(i),
             [&c, i](benchmark::State& state) { RunOp(state, c.sum(), i); });
  }
}

std::vector<Case> Cases(Device& device, Device* fallback) {
  std::vector<Case> cases;
  cases.emplace_back(device, fallback, "pernet", ModelSpec{.name = "pernet"}, 32);
  cases.emplace_back(device, fallback, "pernet", ModelSpec{.name = "pernet"}, 128);
  cases.emplace_back(device, fallback, "pernet_sparse", ModelSpec{.name = "pernet", .sparse_input = true}, 128);
  cases.emplace_back(device, fallback, "lenet5", ModelSpec{.name = "lenet5"}, 128);
  cases.emplace_back(device, fallback, "inception_small", ModelSpec{.name = "inception_small"}, 128);
  cases.emplace_back(device, fallback, "resnet20", ModelSpec{.name = "resnet20"}, 128);
  cases.emplace_back(device, fallback, "mobilenet_small", ModelSpec{.name = "mobilenet_small"}, 128);
  return cases;
}

Arguments Parse(int argc, char** argv) {
  Arguments arguments;
  if (const char* device = std::getenv("EDDL_DEVICE")) arguments.device = device;
  if (const char* threads = std::getenv("EDDL_THREADS")) arguments.threads = static_cast<uint32_t>(std::atoi(threads));
  static char interleaving[] = "--benchmark_enable_random_interleaving=true";
  static char repetitions[] = "--benchmark_repetitions=9";
  arguments.rest = {argv[0], interleaving, repetitions};  // the user's options come after these, and win
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--device=")) {
      arguments.device = argument.substr(9);
    } else if (argument.starts_with("--threads=")) {
      arguments.threads = static_cast<uint32_t>(std::atoi(argument.c_str() + 10));
    } else if (argument == "--ops") {
      arguments.ops = true;
    } else {
      arguments.rest.push_back(argv[i]);
    }
  }
  return arguments;
}

int Main(int argc, char** argv) {
  Arguments arguments = Parse(argc, argv);
  int rest_count = static_cast<int>(arguments.rest.size());
  benchmark::Initialize(&rest_count, arguments.rest.data());
  if (benchmark::ReportUnrecognizedArguments(rest_count, arguments.rest.data())) return 1;

  BackendRegistry registry;
  registry.LoadFolder(DefaultBackendFolder());
  const DeviceOptions options = {.thread_count = arguments.threads};
  const std::unique_ptr<Device> device = Need(registry.Open(arguments.device, options));
  const std::unique_ptr<Device> fallback =
      device->info().backend == "cpu" ? nullptr : Need(registry.Open("cpu", options));
  std::vector<Case> cases = Cases(*device, fallback.get());
  for (Case& c : cases) RegisterCase(c, arguments.ops);
  benchmark::AddCustomContext("device", device->info().Id() + " " + device->info().name);
  benchmark::AddCustomContext("threads", std::to_string(arguments.threads));
  benchmark::AddCustomContext("backend", Need(registry.Find(device->info().backend))->version());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace eddl::bench

int main(int argc, char** argv) { return eddl::bench::Main(argc, argv); }
