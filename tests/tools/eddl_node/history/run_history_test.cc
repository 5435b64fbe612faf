#include "tools/eddl_node/history/run_history.h"

#include <gtest/gtest.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "tools/eddl_node/history/run_watch.h"

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

DeviceSample Device(uint32_t node, double rate, int64_t samples = 0) {
  return {.node = node,
          .name = "n" + std::to_string(node),
          .state = "working",
          .samples_per_second = rate,
          .samples = samples};
}

RunSample At(double seconds, double rate, std::vector<DeviceSample> devices = {}) {
  return {.seconds = seconds, .samples_per_second = rate, .mode = "sync", .devices = std::move(devices)};
}

// "joined 1: n1 joined; mode: sync → pipe"
std::string Events(const RunHistory& history) {
  std::string text;
  for (const RunEvent& event : history.events()) {
    text += (text.empty() ? "" : "; ") + event.kind;
    if (event.node > 0) text += " " + std::to_string(event.node);
    text += ": " + event.text;
  }
  return text;
}

std::string Rates(const Json& json) { return json["run"]["samples_per_second"].dump(); }

TEST(RunHistoryTest, AveragesWithinAFrameAndLeavesGapsWhereNothingWasKnown) {
  RunHistory history({.frame_seconds = 1});
  history.Add(At(0.1, 10));
  history.Add(At(0.6, 30));
  history.Add(At(3.2, 50));
  const Json json = history.ToJson(10);
  EXPECT_EQ(Rates(json), "[20,null,null,50]") << json.dump();
  EXPECT_EQ(json["run"]["loss"].dump(), "[null,null,null,null]");
  EXPECT_EQ(json["frames"], 4);
}

TEST(RunHistoryTest, MakesFramesTwiceAsLongWhenTheyRunOut) {
  RunHistory history({.frame_seconds = 1, .frames_max = 4});
  for (int i = 0; i < 5; ++i) history.Add(At(i, i));
  EXPECT_EQ(history.frame_seconds(), 2);
  EXPECT_EQ(Rates(history.ToJson(0)), "[0.5,2.5,4]");
  history.Add(At(5, 6));
  EXPECT_EQ(Rates(history.ToJson(0)), "[0.5,2.5,5]");
}

TEST(RunHistoryTest, StaysBoundedOverAWeekAndWhenAManagerSlept) {
  RunHistory history;
  double seconds = 0;
  for (int i = 0; i < 20000; ++i) history.Add(At(seconds += 0.5, 1, {Device(1, 1)}));
  history.Add(At(seconds += 3600 * 24 * 7, 1, {Device(1, 1)}));
  EXPECT_LT(history.frame_count(), 480U);
  const Json json = history.ToJson(10);
  EXPECT_EQ(json["run"]["samples_per_second"].size(), history.frame_count());
  EXPECT_EQ(json["devices"][0]["series"]["samples_per_second"].size(), history.frame_count());
  EXPECT_GE(history.frame_seconds() * static_cast<double>(history.frame_count()), seconds);
}

TEST(RunHistoryTest, ADeviceThatCameLateHasGapsBefore) {
  RunHistory history({.frame_seconds = 1});
  history.Add(At(0, 1, {Device(1, 7)}));
  history.Add(At(2, 1, {Device(1, 8), Device(2, 9)}));
  const Json json = history.ToJson(10);
  EXPECT_EQ(json["devices"][0]["series"]["samples_per_second"].dump(), "[7,null,8]");
  EXPECT_EQ(json["devices"][1]["series"]["samples_per_second"].dump(), "[null,null,9]");
}

TEST(RunHistoryTest, TellsWhatChangedBetweenSamples) {
  RunHistory history;
  DeviceSample leader = Device(1, 1);
  history.Add(At(0, 1, {leader}));
  leader.leader_share = 0.4;
  history.Add(At(1, 1, {leader, Device(2, 1)}));
  leader.state = "gone";
  leader.present = false;
  leader.leader_share = 0;
  DeviceSample parked = Device(2, 1);
  parked.state = "parked";
  RunSample last = At(2, 1, {leader, parked});
  last.mode = "pipe";
  history.Add(last);
  leader.present = true;
  leader.state = "working";
  history.Add(At(3, 1, {leader, parked}));
  EXPECT_EQ(
      Events(history),
      "joined 1: n1 joined; leader 1: n1 leads 40 %; joined 2: n2 joined; mode: sync → pipe; leader 1: n1 leads no "
      "more; state 2: n2: parked; mode: pipe → sync; joined 1: n1 is back");
}

TEST(RunHistoryTest, ADeviceThatIsAdmittedBeforeItConnectsJoinsOnce) {
  RunHistory history;
  DeviceSample device = Device(1, 0);
  device.present = false;
  history.Add(At(0, 0, {device}));
  device.present = true;
  history.Add(At(1, 0, {device}));
  EXPECT_EQ(Events(history), "joined 1: n1 joined");
}

TEST(RunHistoryTest, SortsWhatTheManagerExplains) {
  RunHistory history;
  history.AddExplained(1, "plan", "sync, f16 is better");
  history.AddExplained(2, "node 12", "removed: silent");
  history.AddExplained(3, "node 12", "left");
  history.AddExplained(4, "disk", "is full");
  history.Add(At(5, 1, {Device(2, 1)}));
  history.AddExplained(5, "node 2", "connection lost: it is gone");
  EXPECT_EQ(Events(history),
            "plan: sync, f16 is better; fenced 12: node 12: removed: silent; left 12: node 12: left; note: disk: "
            "is full; joined 2: n2 joined; lost 2: n2 (node 2): connection lost: it is gone");
}

TEST(RunHistoryTest, ForgetsSmallEventsBeforeGreatOnes) {
  RunHistory history({.events_max = 3});
  history.AddExplained(1, "node 1", "left");
  history.AddExplained(2, "checkpoint", "version 1 is safe");
  history.AddExplained(3, "node 2", "left");
  history.AddExplained(4, "node 3", "left");
  EXPECT_EQ(Events(history), "left 1: node 1: left; left 2: node 2: left; left 3: node 3: left");
  history.AddExplained(5, "node 4", "left");
  EXPECT_EQ(history.events().front().node, 2U);
}

TEST(RunHistoryTest, ShowsThoseThatComputedMostAndSumsUpTheRest) {
  RunHistory history({.frame_seconds = 1});
  history.Add(At(0, 6, {Device(1, 1, 10), Device(2, 2, 30), Device(3, 3, 20)}));
  const Json json = history.ToJson(1);
  ASSERT_EQ(json["devices"].size(), 1U);
  EXPECT_EQ(json["devices"][0]["node"], 2);
  EXPECT_EQ(json["others"].dump(), R"({"count":2,"samples_per_second":[4]})");
}

TEST(RunHistoryTest, TellsAViewerWhatIsNewInTheOpenFrame) {
  RunHistory history({.frame_seconds = 1});
  history.Add(At(0, 6));
  history.Add(At(1.5, 8));
  history.AddExplained(1.5, "plan", "is good");
  history.AddExplained(1.6, "node 4", "left");
  const Json latest = history.LatestJson();
  EXPECT_EQ(latest["frames"], 2);
  EXPECT_EQ(latest["run"]["samples_per_second"], 8);
  EXPECT_TRUE(latest["run"]["loss"].is_null());
  EXPECT_EQ(latest["events"][1].dump(), R"({"seconds":1.6,"kind":"left","node":4,"text":"node 4: left","sequence":2})");
}

TEST(RunHistoryTest, GivesSeriesToALimitedNumberOfDevices) {
  RunHistory history({.devices_max = 1});
  history.Add(At(0, 6, {Device(1, 1), Device(2, 2)}));
  EXPECT_FALSE(history.DeviceJson(1)["series"].empty());
  EXPECT_TRUE(history.DeviceJson(2)["series"].empty());
  EXPECT_TRUE(history.DeviceJson(3).is_null());
}

TEST(RunHistoryTest, GivesTheSeriesOfThoseThatWentToThoseThatCome) {
  RunHistory history({.devices_max = 2});
  history.Add(At(0, 6, {Device(1, 1, 50), Device(2, 2, 40), Device(3, 3, 30)}));
  EXPECT_TRUE(history.DeviceJson(3)["series"].empty()) << "there is no room";
  DeviceSample first_gone = Device(1, 0, 50);
  DeviceSample second_gone = Device(2, 0, 40);
  first_gone.present = second_gone.present = false;
  history.Add(At(1, 3, {first_gone, second_gone, Device(3, 3, 60)}));
  history.Add(At(2, 7, {first_gone, second_gone, Device(3, 3, 90), Device(4, 4)}));
  EXPECT_TRUE(history.DeviceJson(2)["series"].empty()) << "it computed least of those that went";
  EXPECT_EQ(history.DeviceJson(1)["series"]["samples_per_second"].dump(), "[1,0,0]");
  EXPECT_EQ(history.DeviceJson(4)["series"]["samples_per_second"].dump(), "[null,null,4]");
  EXPECT_EQ(history.DeviceJson(2)["totals"]["samples"], 40);
  // It comes back, and finds room where the other was.
  history.Add(At(3, 5, {first_gone, Device(2, 5, 10), Device(3, 3, 99), Device(4, 4)}));
  EXPECT_TRUE(history.DeviceJson(1)["series"].empty());
  EXPECT_EQ(history.DeviceJson(2)["series"]["samples_per_second"].dump(), "[null,null,null,5]");
}

TEST(RunHistoryTest, GoesOnFromWhatAnEarlierManagerWrote) {
  RunHistory first({.frame_seconds = 1});
  first.Add(At(0, 10, {Device(1, 10, 100)}));
  first.Add(At(1, 20, {Device(1, 20, 200)}));
  first.AddExplained(1, "plan", "is good");
  const Json json = first.ToJson(10);
  auto second = RunHistory::FromJson(json);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->seconds(), 2);
  second->Add(At(0, 30, {Device(1, 30, 50)}));
  const Json later = second->ToJson(10);
  EXPECT_EQ(Rates(later), "[10,20,30]");
  EXPECT_EQ(later["devices"][0]["totals"]["samples"], 250);
  EXPECT_EQ(Events(*second), "joined 1: n1 joined; plan: is good; joined 1: n1 is back");
}

TEST(RunWatchTest, TakesMeansBetweenSamplesAndKeepsTotals) {
  RunWatch watch;
  watch.OnRound(/*loss_sum=*/20, /*correct=*/5, /*samples=*/10);
  watch.OnRound(10, 5, 10);
  watch.OnLease(1, /*samples=*/8, /*compute_seconds=*/0.5, /*staleness=*/1);
  watch.OnLease(1, 8, 0.25, 4);
  watch.Look(1, Activity::kCompute);
  watch.Look(1, Activity::kWait);
  RunSample first = At(0, 1, {Device(1, 1), Device(2, 1)});
  watch.Fill(first);
  EXPECT_EQ(first.loss, 1.5);
  EXPECT_EQ(first.accuracy, 0.5);
  EXPECT_EQ(first.devices[0].staleness, 2.5);
  EXPECT_EQ(first.devices[0].compute_seconds, 0.75);
  EXPECT_TRUE(std::isnan(first.devices[1].staleness));
  watch.Look(1, Activity::kCompute);
  RunSample second = At(1, 1, {Device(1, 1)});
  watch.Fill(second);
  EXPECT_TRUE(std::isnan(second.loss));
  EXPECT_TRUE(std::isnan(second.devices[0].staleness));
  EXPECT_EQ(watch.StalenessOf(1), 2.5);
  EXPECT_EQ(second.devices[0].samples, 16);
  EXPECT_EQ(second.devices[0].looks, (std::array<int64_t, kActivities>{2, 0, 1, 0}));
}

TEST(RunHistoryTest, RefusesWhatIsNoHistory) {
  RunHistory history({.frame_seconds = 1});
  history.Add(At(0, 10, {Device(1, 10)}));
  const Json good = history.ToJson(10);
  ASSERT_TRUE(RunHistory::FromJson(good).ok());
  const auto broken = [&good](const char* pointer, const Json& value) {
    Json json = good;
    json[Json::json_pointer(pointer)] = value;
    return RunHistory::FromJson(json).status().code();
  };
  EXPECT_EQ(RunHistory::FromJson(Json()).status().code(), absl::StatusCode::kDataLoss);
  for (const auto& [pointer, value] : std::vector<std::pair<const char*, Json>>{{"/schema", "other"},
                                                                                {"/frames", 1e12},
                                                                                {"/frames", -1},
                                                                                {"/frame_seconds", 0},
                                                                                {"/frame_seconds", "long"},
                                                                                {"/seconds", 1e300},
                                                                                {"/devices/0", 3},
                                                                                {"/devices/0/node", -4},
                                                                                {"/events/0", "none"}}) {
    EXPECT_EQ(broken(pointer, value), absl::StatusCode::kDataLoss) << pointer;
  }
  // Series that are too short or not numbers are gaps.
  EXPECT_EQ(broken("/run/loss", Json::array({"x"})), absl::StatusCode::kOk);
}

}  // namespace
}  // namespace eddl
