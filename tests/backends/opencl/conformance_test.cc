// The conformance suite on the first OpenCL device; PoCL, where there is no GPU.
#include <gtest/gtest.h>

#include "backends/checked/checked.h"
#include "backends/sdk/conformance/conformance.h"
#include "tests/backends/opencl/opencl_backend.h"

namespace eddl::conformance {
namespace {

TEST(OpenclConformanceTest, PassesTheSuite) {
  EDDL_NEEDS_OPENCL(backend);
  const Report report = RunConformance(backend->table(), 0, {.seed = 1});
  EXPECT_TRUE(report.ok()) << FormatReport(report);
}

TEST(OpenclConformanceTest, LacksOnlyGroupsAndWhatNeedsMemoryThatTheHostSees) {
  EDDL_NEEDS_OPENCL(backend);
  for (const CaseResult& one : RunConformance(backend->table(), 0, {.seed = 2}).cases) {
    if (one.outcome != Outcome::kLacking || one.kind == "group") continue;
    EXPECT_TRUE(one.name == "interface/imports host memory" || one.name == "interface/shows host pointers")
        << one.name << ": " << one.message;
  }
}

TEST(OpenclConformanceTest, PassesBehindTheCheckedDecorator) {
  EDDL_NEEDS_OPENCL(backend);
  std::string violations;
  const CheckedBackend checked(backend->table(), [&](const std::string& message) { violations += message + "\n"; });
  const Report report = RunConformance(checked.table(), 0, {.seed = 3});
  EXPECT_TRUE(report.ok()) << FormatReport(report);
  EXPECT_EQ(violations, "");
}

}  // namespace
}  // namespace eddl::conformance
