// Trains with EDDL for the comparisons: told by lines on standard input, answers with JSON lines on standard output.
//
//   compare_eddl --model lenet5 --data FILE.npz --batch 128 [--threads N] [--learning-rate LR] [--sparse] [--device D]
//     [--plan-sum]
//
// Data are x_train (float32) and y_train, read before the first answer. Commands:
//   steps N      N training steps: {"seconds", "cpu_seconds", "loss"}
//                with --plan-sum: N runs of a step's plan, op by op (bench/step/plan_sum.h); no loss
//   losses N     the mean loss of each of the next N steps: {"losses"}
//   export FILE  the parameters as raw float32: {"parameters": [{"name", "shape", "begin"}]}, begin in elements
#include <CLI/CLI.hpp>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "bench/step/plan_sum.h"
#include "bench/step/training.h"
#include "runtime/base/time.h"
#include "runtime/data/open.h"
#include "runtime/device/backend.h"

namespace eddl::bench {
namespace {

using nlohmann::json;

double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

Samples ReadSamples(const std::string& path) {
  const DataSplit data = Need(OpenData({.path = path, .format = "npz", .test_fraction = 0.0, .scale = "none"}));
  Need(data.train.WaitFor(data.train.size()));
  Samples samples = {.sample_shape = data.info.sample_shape, .class_count = data.info.class_count};
  const auto features = static_cast<size_t>(samples.sample_shape.elements());
  samples.x.resize(static_cast<size_t>(data.train.size()) * features);
  for (int64_t i = 0; i < data.train.size(); ++i) {
    std::memcpy(samples.x.data() + static_cast<size_t>(i) * features, data.train.Row(i).data(),
                features * sizeof(float));
    samples.labels.push_back(data.train.Label(i));
  }
  return samples;
}

// What one run of the program trains with.
struct Session {
  Training training;
  std::optional<PlanSum> sum;  // run instead of steps
};

json Steps(Session& session, int64_t count) {
  double loss = 0.0;
  const double cpu_begin = CpuSeconds();
  const Instant begin = Now();
  for (int64_t i = 0; i < count; ++i) {
    if (session.sum.has_value()) {
      session.sum->Run();
    } else {
      loss = session.training.Step();
    }
  }
  session.training.Wait();
  return {{"seconds", (Now() - begin).seconds()}, {"cpu_seconds", CpuSeconds() - cpu_begin}, {"loss", loss}};
}

json Losses(Training& training, int64_t count) {
  json losses = json::array();
  for (int64_t i = 0; i < count; ++i) losses.push_back(training.Step());
  return {{"losses", losses}};
}

json Export(Training& training, const std::string& path) {
  const ParamLayout& layout = training.replica().layout();
  std::vector<float> values(static_cast<size_t>(layout.total()));
  Need(training.replica().ReadParameters(values));
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  file.flush();
  if (!file) Need(FailedPrecondition("cannot write the parameters to " + path));
  json parameters = json::array();
  for (const ParamSlice& slice : layout.slices()) {
    const std::span<const int64_t> dims = slice.parameter.shape.dims();
    parameters.push_back({{"name", slice.parameter.name},
                          {"shape", std::vector<int64_t>(dims.begin(), dims.end())},
                          {"begin", slice.begin}});
  }
  return {{"parameters", parameters}};
}

json Answer(Session& session, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  words >> command;
  if (command == "export") {
    std::string path;
    words >> path;
    return Export(session.training, path);
  }
  int64_t count = 0;
  words >> count;
  if (command == "steps") return Steps(session, count);
  if (command == "losses") return Losses(session.training, count);
  return {{"error", "no command '" + line + "' (there are: steps N, losses N, export FILE)"}};
}

int Main(int argc, char** argv) {
  CLI::App app("Trains with EDDL, told by lines on standard input");
  TrainingOptions options;
  std::string data_path;
  std::string device_spec = "cpu";
  uint32_t threads = 1;
  bool plan_sum = false;
  app.add_option("--model", options.model.name, "a model of the zoo")->required();
  app.add_option("--data", data_path, "an .npz file with x_train and y_train")->required();
  app.add_option("--batch", options.batch, "samples a step");
  app.add_option("--threads", threads, "threads that compute");
  app.add_option("--learning-rate", options.learning_rate, "of SGD with momentum 0.9");
  app.add_option("--device", device_spec, "a device: cpu, opencl:0");
  app.add_flag("--sparse", options.model.sparse_input, "the first dense layer skips zeros");
  app.add_flag("--plan-sum", plan_sum, "run the ops of a step's plan one by one instead of steps");
  CLI11_PARSE(app, argc, argv);

  BackendRegistry registry;
  registry.LoadFolder(DefaultBackendFolder());
  const std::unique_ptr<Device> device = Need(registry.Open(device_spec, {.thread_count = threads}));
  const std::string backend = device->info().backend;
  const std::unique_ptr<Device> fallback =
      backend == "cpu" ? nullptr : Need(registry.Open("cpu", {.thread_count = threads}));
  Session session = {.training = Training(*device, fallback.get(), options, ReadSamples(data_path)), .sum = {}};
  if (plan_sum) session.sum.emplace(session.training);
  const json ready = {{"program", "EDDL"}, {"version", Need(registry.Find(backend))->version()}};
  std::cout << ready.dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) std::cout << Answer(session, line).dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace eddl::bench

int main(int argc, char** argv) { return eddl::bench::Main(argc, argv); }
