// The suite can fail: every mutation of a working backend is noticed, and the wrapping alone is not.
#include <gtest/gtest.h>

#include <set>

#include "backends/sdk/conformance/conformance.h"
#include "tests/backends/conformance/cpu.h"
#include "tests/backends/conformance/mutations.h"

namespace eddl::conformance {
namespace {

std::vector<Mutation> AllMutations() {
  std::vector<Mutation> all = DescriptionMutations();
  for (auto& more : {ResultMutations(), TableMutations()}) all.insert(all.end(), more.begin(), more.end());
  return all;
}

class MutantTest : public testing::TestWithParam<Mutation> {};

TEST_P(MutantTest, IsNoticed) {
  const MutantBackend mutant(CpuTable(), GetParam());
  const Report report = RunConformance(mutant.table(), 0, {.filter = GetParam().filter, .thread_count = 1});
  EXPECT_FALSE(report.ok()) << FormatReport(report);
}

INSTANTIATE_TEST_SUITE_P(Conformance, MutantTest, testing::ValuesIn(AllMutations()),
                         [](const auto& test) { return test.param.name; });

// Without a mutation the same cases pass: what is noticed above is the mutation and nothing else.
TEST(MutantsTest, AMutantWithoutMutationPasses) {
  std::set<std::string> filters;
  for (const Mutation& mutation : AllMutations()) filters.insert(mutation.filter);
  const MutantBackend mutant(CpuTable(), {.name = "none", .filter = ""});
  for (const std::string& filter : filters) {
    const Report report = RunConformance(mutant.table(), 0, {.filter = filter, .thread_count = 1});
    EXPECT_TRUE(report.ok()) << FormatReport(report);
    EXPECT_GT(report.cases.size(), 0u) << filter;
  }
}

}  // namespace
}  // namespace eddl::conformance
