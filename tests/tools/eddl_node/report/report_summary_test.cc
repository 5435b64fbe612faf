#include "tools/eddl_node/report/report_summary.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

Json History() {
  return {{"run",
           {{"samples_per_second", {nullptr, 0, 80, 120}}, {"predicted_samples_per_second", {nullptr, 200, 200, 200}}}},
          {"devices",
           {{{"node", 1},
             {"name", "slow"},
             {"totals", {{"samples", 100}, {"leases", 4}, {"compute_seconds", 3.5}, {"looks", {30, 10, 10, 50}}}}},
            {{"node", 2}, {"name", "fast"}, {"totals", {{"samples", 300}, {"looks", {100, 0, 0, 0}}}}},
            {{"node", 3}, {"name", "never"}, {"totals", {{"samples", 0}, {"looks", {0, 0, 0, 0}}}}}}}};
}

TEST(ReportSummaryTest, SharesTimeAndSamplesOutAmongDevices) {
  const Json rows = DeviceRows(History());
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["name"], "fast");
  EXPECT_EQ(rows[0]["share"], 0.75);
  EXPECT_EQ(rows[0]["samples_per_second"], 30);  // 300 in 100 looks of a tenth of a second
  EXPECT_EQ(rows[1]["time"].dump(), R"({"compute":0.3,"exchange":0.1,"wait":0.1,"away":0.5})");
  EXPECT_EQ(rows[1]["seconds"], 10);
  EXPECT_TRUE(rows[2]["time"].is_null());
  EXPECT_TRUE(rows[2]["samples_per_second"].is_null());
}

TEST(ReportSummaryTest, ComparesWhatWasMeasuredWithWhatWasPredicted) {
  const Json epochs = {{{"epoch", 1}, {"samples", 500}, {"seconds", 4}, {"test_accuracy", 0.9}},
                       {{"epoch", 2}, {"samples", 1000}, {"seconds", 10}, {"test_accuracy", 0.8}}};
  const Json summary = SummaryOf(epochs, History());
  EXPECT_EQ(summary["samples_per_second"], 100);
  EXPECT_EQ(summary["measured_against_predicted"], 0.5);
  EXPECT_EQ(summary["test_accuracy"], 0.8);
  EXPECT_EQ(summary["best_test_accuracy"], 0.9);
  EXPECT_EQ(summary["time"]["compute"], 0.65);
}

TEST(ReportSummaryTest, SaysNothingOfWhatIsNotKnown) {
  const Json summary = SummaryOf(Json::array(), Json());
  EXPECT_EQ(summary["epochs"], 0);
  for (const char* name : {"seconds", "samples", "samples_per_second", "test_accuracy", "best_test_accuracy",
                           "measured_against_predicted", "time"}) {
    EXPECT_TRUE(summary[name].is_null()) << name;
  }
  EXPECT_TRUE(DeviceRows(Json()).empty());
  // Damaged files: other types than expected.
  EXPECT_TRUE(DeviceRows(Json{{"devices", "none"}}).empty());
  EXPECT_EQ(DeviceRows(Json{{"devices", {{{"totals", {{"looks", "many"}, {"samples", "x"}}}}}}})[0]["samples"], 0);
}

}  // namespace
}  // namespace eddl
