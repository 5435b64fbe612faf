// The suite on the cpu backend, as it is and behind the checked decorator; and what the suite says of a backend that
// lacks ops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/checked/checked.h"
#include "backends/sdk/conformance/conformance.h"
#include "tests/backends/conformance/cpu.h"
#include "tests/backends/conformance/mutant.h"

namespace eddl::conformance {
namespace {

Report RunOnCpu(uint64_t seed, uint32_t thread_count) {
  return RunConformance(CpuTable(), 0, {.seed = seed, .thread_count = thread_count});
}

TEST(ConformanceTest, TheCpuBackendPassesWithOneThread) {
  const Report report = RunOnCpu(1, 1);
  EXPECT_TRUE(report.ok()) << FormatReport(report);
}

TEST(ConformanceTest, TheCpuBackendPassesWithTwoThreads) {
  const Report report = RunOnCpu(2, 2);
  EXPECT_TRUE(report.ok()) << FormatReport(report);
}

TEST(ConformanceTest, TheCpuBackendLacksNothingButGroups) {
  for (const KindSummary& kind : Summarize(RunOnCpu(1, 1))) {
    EXPECT_EQ(kind.lacking, kind.kind == "group" ? kind.cases : 0) << kind.kind;
  }
}

// The decorator watches both sides: that the backend passes means that the suite breaks no rule of the interface
// either.
TEST(ConformanceTest, TheCpuBackendPassesBehindTheCheckedDecorator) {
  std::string violations;
  const CheckedBackend checked(CpuTable(), [&](const std::string& message) { violations += message + "\n"; });
  const Report report = RunConformance(checked.table(), 0, {.thread_count = 1});
  EXPECT_TRUE(report.ok()) << FormatReport(report);
  EXPECT_EQ(violations, "");
}

TEST(ConformanceTest, TheFilterChoosesCasesByTheBeginningOfTheirNames) {
  std::vector<std::string> seen;
  const Report report = RunConformance(CpuTable(), 0, {.filter = "abs_max/1", .thread_count = 1},
                                       [&](const CaseResult& one) { seen.push_back(one.name); });
  EXPECT_THAT(seen, testing::ElementsAre("abs_max/1", "abs_max/10", "abs_max/11", "abs_max/12", "abs_max/13"));
  EXPECT_EQ(report.cases.size(), seen.size());
}

TEST(ConformanceTest, AWholeNameChoosesOneCase) {
  std::vector<std::string> begun;
  const Report report = RunConformance(CpuTable(), 0,
                                       {.filter = "abs_max/1",
                                        .filter_is_name = true,
                                        .on_start = [&](const std::string& name) { begun.push_back(name); },
                                        .thread_count = 1});
  ASSERT_EQ(report.cases.size(), 1u);
  EXPECT_EQ(report.cases[0].name, "abs_max/1");
  EXPECT_THAT(begun, testing::ElementsAre("interface/opens", "abs_max/1"));
}

TEST(ConformanceTest, ARefusalIsLackingAndNotAFailure) {
  const MutantBackend without_tanh(CpuTable(),
                                   {.name = "has_no_tanh", .filter = "tanh/", .describe = [](kernels::Op& op) {
                                      if (op.kind == EDDL_OP_TANH) op.kind = 9999;
                                    }});
  const Report report = RunConformance(without_tanh.table(), 0, {.filter = "tanh/", .thread_count = 1});
  ASSERT_EQ(Summarize(report).size(), 1u);
  const KindSummary kind = Summarize(report)[0];
  EXPECT_TRUE(report.ok()) << FormatReport(report);
  EXPECT_EQ(kind.lacking, kind.cases);
  EXPECT_GT(kind.cases, 5);
}

TEST(ConformanceTest, AFailureSaysWhatToLookAt) {
  const MutantBackend mutant(CpuTable(), {.name = "negates", .filter = "relu/", .after = [](Enqueued& call) {
                                            for (int64_t i = 0; i < call.out_size(0); ++i) call.out(0)[i] = -1;
                                          }});
  const Report report = RunConformance(mutant.table(), 0, {.seed = 5, .filter = "relu/1", .thread_count = 1});
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.cases[0].reproducer, testing::StartsWith("case relu/1, seed 5\n  relu(f32["));
  EXPECT_THAT(report.cases[0].reproducer, testing::HasSubstr("output 0 'y' at ["));
  EXPECT_THAT(report.cases[0].reproducer, testing::HasSubstr("got -1, expected "));
  EXPECT_THAT(FormatReport(report), testing::HasSubstr(report.cases[0].reproducer));
}

TEST(ConformanceTest, ADeviceThatCannotBeOpenedIsAFailure) {
  const Report report = RunConformance(CpuTable(), 99, {.filter = "relu/"});
  ASSERT_EQ(report.cases.size(), 1u);
  EXPECT_EQ(report.cases[0].name, "interface/opens");
  EXPECT_FALSE(report.ok());
}

}  // namespace
}  // namespace eddl::conformance
