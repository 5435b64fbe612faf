// The conformance suite on the first CUDA device, and on all where there are several.
#include <gtest/gtest.h>

#include "backends/checked/checked.h"
#include "backends/sdk/conformance/conformance.h"
#include "tests/backends/cuda/cuda_backend.h"

namespace eddl::conformance {
namespace {

TEST(CudaConformanceTest, PassesTheSuiteBehindTheCheckedDecorator) {
  EDDL_NEEDS_CUDA(backend);
  std::string violations;
  const CheckedBackend checked(backend->table(), [&](const std::string& message) { violations += message + "\n"; });
  const Report report = RunConformance(checked.table(), 0, {.seed = 1});
  EXPECT_TRUE(report.ok()) << FormatReport(report);
  EXPECT_EQ(violations, "");
  const bool has_groups = backend->table().group_create != nullptr && backend->Devices()->size() > 1;
  for (const CaseResult& one : report.cases) {
    if (one.outcome != Outcome::kLacking || (one.kind == "group" && !has_groups)) continue;
    EXPECT_TRUE(one.name == "interface/imports host memory" || one.name == "interface/shows host pointers")
        << one.name << ": " << one.message;
  }
}

}  // namespace
}  // namespace eddl::conformance
