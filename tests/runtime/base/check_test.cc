#include "runtime/base/check.h"

#include <gtest/gtest.h>

namespace eddl {
namespace {

TEST(CheckTest, EndsTheProcessWithFileLineConditionAndValues) {
  const int count = -3;
  EXPECT_DEATH(EDDL_CHECK(count >= 0) << "count " << count, "check_test.cc:[0-9]+: check failed: count >= 0 count -3");
}

TEST(CheckTest, ValuesOfAConditionThatHoldsAreNotEvaluated) {
  int evaluations = 0;
  EDDL_CHECK(true) << ++evaluations;
  EXPECT_EQ(evaluations, 0);
}

TEST(CheckTest, IsOneStatement) {
  const auto run = [](bool guarded) {
    if (guarded)
      EDDL_CHECK(guarded) << "holds";
    else
      return 1;
    return 2;
  };
  EXPECT_EQ(run(true), 2);
  EXPECT_EQ(run(false), 1);
}

}  // namespace
}  // namespace eddl
