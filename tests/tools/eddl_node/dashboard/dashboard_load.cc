// dashboard_load DEVICES: serves the dashboard of a run that is made up: so many devices, after an hour, until stdin
// ends. To measure the page.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/base/time.h"
#include "tools/eddl_node/dashboard/dashboard.h"
#include "tools/eddl_node/history/history_keeper.h"

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

RunSample MadeSample(double seconds, uint32_t devices) {
  RunSample sample = {.seconds = seconds, .round = static_cast<int64_t>(seconds), .mode = "sync"};
  sample.loss = 2 * std::exp(-seconds / 900);
  sample.accuracy = 1 - sample.loss / 2;
  for (uint32_t node = 1; node <= devices; ++node) {
    const double rate = 100 + 50 * std::sin(seconds / 60 + node);
    sample.devices.push_back({.node = node,
                              .name = "device-" + std::to_string(node),
                              .state = "working",
                              .samples_per_second = rate,
                              .predicted_samples_per_second = 160,
                              .leader_share = node <= 8 ? 0.125 : 0,
                              .staleness = 0.5,
                              .sent_bytes_per_second = 1e5,
                              .received_bytes_per_second = 1e5,
                              .samples = static_cast<int64_t>(100 * seconds)});
    sample.samples_per_second += rate;
  }
  sample.predicted_samples_per_second = 160.0 * devices;
  return sample;
}

Json StateOf(const RunSample& sample, const HistoryKeeper& history) {
  Json members = Json::array();
  for (const DeviceSample& device : sample.devices) {
    members.push_back({{"node", device.node},
                       {"name", device.name},
                       {"device", "cpu:0 (made up)"},
                       {"address", "192.168.1.1:40000"},
                       {"state", device.state},
                       {"reachable", true},
                       {"samples_per_second", device.samples_per_second},
                       {"samples", device.samples},
                       {"leader_share", device.leader_share},
                       {"backs_up", false},
                       {"last_heard_seconds", 0.2},
                       {"predicted_samples_per_second", device.predicted_samples_per_second},
                       {"sent_bytes_per_second", device.sent_bytes_per_second},
                       {"received_bytes_per_second", device.received_bytes_per_second},
                       {"cpu_cores", 0.9},
                       {"celsius", 51.0},
                       {"staleness", 0.5}});
  }
  return {{"phase", "running"},
          {"view", 3},
          {"round", sample.round},
          {"epoch", 2},
          {"epochs", 10},
          {"samples", 1000000},
          {"samples_total", 5000000},
          {"samples_per_second", sample.samples_per_second},
          {"loss", sample.loss},
          {"accuracy", sample.accuracy},
          {"plan", "sync, f16, 8 leaders, 0 parked"},
          {"why_plan", "made up"},
          {"paused", false},
          {"job", "load"},
          {"model", "made up"},
          {"members", std::move(members)},
          {"latest", history.LatestJson()}};
}

int Serve(uint32_t devices) {
  constexpr double kHour = 3600;
  RunHistory past;
  for (double seconds = 0; seconds < kHour; seconds += 5) past.Add(MadeSample(seconds, devices));
  HistoryKeeper history("/dev/null", std::move(past));
  const Instant begin = Now();
  auto dashboard = Dashboard::Start({.token = "made up"},
                                    {.state = [&]() -> absl::StatusOr<Json> {
                                       const RunSample sample = MadeSample(kHour + (Now() - begin).seconds(), devices);
                                       history.Add(sample);
                                       return StateOf(sample, history);
                                     },
                                     .history = [&] { return history.ToJson(12); },
                                     .device = [&](uint32_t node) { return history.DeviceJson(node); },
                                     .why = [](uint32_t) -> absl::StatusOr<Json> {
                                       return Json{{"decision", "made up"}, {"candidates", Json::array()}};
                                     },
                                     .metrics = [] { return std::string(); },
                                     .pause = [](uint32_t, bool) { return absl::OkStatus(); },
                                     .drain = [](uint32_t) { return absl::OkStatus(); },
                                     .stop = [] { return absl::OkStatus(); }});
  if (!dashboard.ok()) return 1;
  std::printf("%d\n", (*dashboard)->port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}

}  // namespace
}  // namespace eddl

int main(int argc, char** argv) {
  return eddl::Serve(argc > 1 ? static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10)) : 1000);
}
