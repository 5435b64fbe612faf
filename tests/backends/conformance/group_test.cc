// What the suite says of groups of devices: right ones, wrong ones, and none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/sdk/conformance/conformance.h"
#include "tests/backends/conformance/cpu.h"
#include "tests/backends/conformance/cpu_group.h"

namespace eddl::conformance {
namespace {

Report RunGroupCases(const eddl_backend& table) {
  return RunConformance(table, 0, {.filter = "group/", .thread_count = 1});
}

TEST(GroupConformanceTest, AGroupOfThreePasses) {
  const Report report = RunGroupCases(CpuGroupTable());
  EXPECT_TRUE(report.ok()) << FormatReport(report);
  ASSERT_EQ(Summarize(report).size(), 1u);
  EXPECT_EQ(Summarize(report)[0].passed, Summarize(report)[0].cases);
  EXPECT_GE(Summarize(report)[0].cases, 5);
}

TEST(GroupConformanceTest, EachMistakeIsFound) {
  for (const GroupMistake mistake : {GroupMistake::kForgetsTheLastElement, GroupMistake::kForgetsTheLastMember,
                                     GroupMistake::kLeavesOneMemberAsItWas, GroupMistake::kWritesBesideTheTarget,
                                     GroupMistake::kAddsInEachMembersOwnOrder, GroupMistake::kKeepsTheFirstSum,
                                     GroupMistake::kDropsNan, GroupMistake::kAddsAnyDtype}) {
    const Report report = RunGroupCases(CpuGroupTable(mistake));
    EXPECT_FALSE(report.ok()) << "mistake " << static_cast<int>(mistake) << "\n" << FormatReport(report);
  }
}

TEST(GroupConformanceTest, WithoutGroupsOrTheirLibraryItIsLacking) {
  const Report none = RunGroupCases(CpuTable());
  EXPECT_TRUE(none.ok());
  EXPECT_EQ(none.cases.front().message, "no groups of devices");
  const Report absent = RunGroupCases(CpuGroupTable(GroupMistake::kIsNotInstalled));
  EXPECT_TRUE(absent.ok()) << FormatReport(absent);
  EXPECT_EQ(absent.cases.front().outcome, Outcome::kLacking);
  EXPECT_EQ(absent.cases.front().message, "the library is not installed");
}

}  // namespace
}  // namespace eddl::conformance
