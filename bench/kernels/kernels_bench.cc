// Times single ops of one backend, by shape: bench_kernels --benchmark_filter=Conv2d.
//
// EDDL_BACKEND (cpu, opencl, ...) or EDDL_BACKEND_PATH chooses the plugin, EDDL_THREADS the device's threads (default
// 1). The label of a row is the implementation that the backend chose.
#include <benchmark/benchmark.h>

#include <memory>

#include "bench/kernels/cases.h"

namespace eddl::bench {
namespace {

// Sets a share of the values to zero, evenly spread, as in binary features.
void Thin(OpRunner& runner, double zero_share) {
  std::vector<float> values = runner.Input(0);
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform;
  for (float& value : values) value = uniform(random) < zero_share ? 0.0f : 1.0f;
  runner.Write(runner.inputs()[0], values);
}

void RunCase(benchmark::State& state, const Session& session, const Case& c) {
  std::unique_ptr<OpRunner> forward;
  if (c.forward.kind != 0) {
    forward = std::make_unique<OpRunner>(session, c.forward);
    forward->Run();
  }
  OpRunner runner(session, c.spec, forward.get());
  if (c.zero_share > 0) Thin(runner, c.zero_share);
  runner.Run();  // the first run may still allocate
  for (auto _ : state) runner.Run();
  state.SetLabel(runner.info().implementation);
  using benchmark::Counter;
  if (c.work.flops() > 0) state.counters["FLOP/s"] = Counter(c.work.flops(), Counter::kIsIterationInvariantRate);
  if (c.work.bytes > 0) {
    state.counters["bytes/s"] = Counter(c.work.bytes, Counter::kIsIterationInvariantRate, Counter::kIs1024);
  }
}

void Register(const Session& session, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    benchmark::RegisterBenchmark(("BM_" + c.name).c_str(),
                                 [&session, &c](benchmark::State& state) { RunCase(state, session, c); })
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
  }
}

}  // namespace

void RunAll() {
  const char* threads = std::getenv("EDDL_THREADS");
  const eddl_backend* backend = LoadBackend(EDDL_DEFAULT_BACKEND_DIR);
  const Session session(backend, threads != nullptr ? static_cast<uint32_t>(std::atoi(threads)) : 1);
  const std::vector<Case> cases = AllCases();
  Register(session, cases);
  benchmark::AddCustomContext("backend", std::string(backend->name) + " " + backend->version);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}

}  // namespace eddl::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  eddl::bench::RunAll();
  return 0;
}
