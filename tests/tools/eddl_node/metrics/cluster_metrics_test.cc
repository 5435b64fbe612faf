#include "tools/eddl_node/metrics/cluster_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include <nlohmann/json.hpp>

#include "tools/eddl_node/metrics/metric_page.h"
#include "tools/eddl_node/vitals/node_vitals.h"

namespace eddl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

TEST(MetricPageTest, WritesFamiliesTogetherAndLeavesOutWhatIsNotKnown) {
  MetricPage page;
  page.Gauge("b_ratio", "Of b.", 0.5);
  page.Counter("a_total", "Of a.", 3, {{"node", "1"}});
  page.Gauge("c_seconds", "Of c.", std::numeric_limits<double>::quiet_NaN());
  page.Counter("a_total", "Of a.", 4, {{"node", "2"}});
  EXPECT_EQ(page.Text(),
            "# HELP a_total Of a.\n# TYPE a_total counter\na_total{node=\"1\"} 3\na_total{node=\"2\"} 4\n"
            "# HELP b_ratio Of b.\n# TYPE b_ratio gauge\nb_ratio 0.5\n");
}

TEST(MetricPageTest, EscapesWhatStrangersCallThemselves) {
  MetricPage page;
  page.Gauge("a", "A.", 1, {{"name", "x\"} 1\nfake 2\\"}});
  EXPECT_THAT(page.Text(), HasSubstr(R"(a{name="x\"} 1\nfake 2\\"} 1)"));
}

TEST(ClusterMetricsTest, TellsOfTheJobAndItsMembers) {
  const Json status = {
      {"job", "j"},
      {"model", "m"},
      {"phase", "running"},
      {"samples", 640},
      {"round", 10},
      {"loss", 0.25},
      {"members", {{{"node", 3}, {"name", "board"}, {"state", "parked"}, {"samples", 32}, {"staleness", 1.5}}}}};
  const std::string text = ManagerMetrics(status);
  EXPECT_THAT(text, HasSubstr("eddl_job_samples_committed_total 640\n"));
  EXPECT_THAT(text, HasSubstr("eddl_job_loss 0.25\n"));
  EXPECT_THAT(text, HasSubstr("eddl_member_working{node=\"3\",name=\"board\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("eddl_member_samples_total{node=\"3\",name=\"board\"} 32\n"));
  EXPECT_THAT(text, HasSubstr("eddl_member_staleness_versions{node=\"3\",name=\"board\"} 1.5\n"));
  EXPECT_THAT(text, HasSubstr("process_cpu_seconds_total "));
  // Not measured: not there.
  EXPECT_THAT(text, Not(HasSubstr("eddl_member_temperature_celsius")));
  EXPECT_THAT(text, Not(HasSubstr("eddl_job_test_accuracy_ratio")));
  EXPECT_THAT(text, Not(HasSubstr("eddl_job_accuracy_ratio"))) << "of an epoch that has just begun";
}

TEST(ClusterMetricsTest, TellsOfOneMember) {
  const std::string text = MemberMetrics({.node = 4, .job = "j", .connected = true, .samples = 99, .sent_bytes = 1000});
  EXPECT_THAT(text, HasSubstr("eddl_node_info{job=\"j\",node=\"4\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("eddl_node_samples_total 99\n"));
  EXPECT_THAT(text, HasSubstr("eddl_node_sent_bytes_total 1000\n"));
}

TEST(NodeVitalsTest, RatesComeFromTotalsAndTheFirstReadingKnowsNone) {
  VitalsReader reader;
  const NodeVitals first = reader.Read(Instant{1'000'000'000}, 100, 200);
  EXPECT_TRUE(std::isnan(first.sent_bytes_per_second));
  EXPECT_GT(first.resident_bytes, 0);
  const NodeVitals second = reader.Read(Instant{3'000'000'000}, 300, 1200);
  EXPECT_EQ(second.sent_bytes_per_second, 100);
  EXPECT_EQ(second.received_bytes_per_second, 500);
  EXPECT_GE(second.cpu_cores, 0);
}

TEST(NodeVitalsTest, NumbersThatNoMachineHasAreNotBelieved) {
  const NodeVitals vitals = Plausible({.cpu_cores = -1,
                                       .celsius = 1e9,
                                       .resident_bytes = -5,
                                       .sent_bytes_per_second = std::numeric_limits<double>::infinity(),
                                       .received_bytes_per_second = 5});
  EXPECT_TRUE(std::isnan(vitals.cpu_cores));
  EXPECT_TRUE(std::isnan(vitals.celsius));
  EXPECT_EQ(vitals.resident_bytes, 0);
  EXPECT_TRUE(std::isnan(vitals.sent_bytes_per_second));
  EXPECT_EQ(vitals.received_bytes_per_second, 5);
}

}  // namespace
}  // namespace eddl
