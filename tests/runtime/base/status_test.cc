#include "runtime/base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace eddl {
namespace {

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument(std::to_string(value) + " is odd");
  return value / 2;
}

absl::Status CheckQuarter(int value, int* steps) {
  EDDL_ASSIGN_OR_RETURN(const int half, Half(value));
  ++*steps;
  EDDL_RETURN_IF_ERROR(Half(half).status());
  ++*steps;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<int>> Boxed(int value) {
  EDDL_ASSIGN_OR_RETURN(std::unique_ptr<int> box, absl::StatusOr<std::unique_ptr<int>>(std::make_unique<int>(value)));
  return box;
}

TEST(StatusTest, MacrosReturnTheFirstErrorAndStopThere) {
  int steps = 0;
  EXPECT_EQ(CheckQuarter(8, &steps), absl::OkStatus());
  EXPECT_EQ(steps, 2);
  steps = 0;
  EXPECT_EQ(CheckQuarter(6, &steps), InvalidArgument("3 is odd"));
  EXPECT_EQ(steps, 1);
  steps = 0;
  EXPECT_EQ(CheckQuarter(5, &steps), InvalidArgument("5 is odd"));
  EXPECT_EQ(steps, 0);
}

TEST(StatusTest, AssignOrReturnMovesWhatCannotBeCopied) {
  const auto box = Boxed(7);
  ASSERT_TRUE(box.ok());
  EXPECT_EQ(**box, 7);
}

TEST(StatusTest, ReturnIfErrorDoesNotSwallowAnElse) {
  const auto run = [](bool first) -> absl::Status {
    if (first)
      EDDL_RETURN_IF_ERROR(NotFound("first"));
    else
      EDDL_RETURN_IF_ERROR(NotFound("second"));
    return absl::OkStatus();
  };
  EXPECT_EQ(run(true), NotFound("first"));
  EXPECT_EQ(run(false), NotFound("second"));
}

TEST(StatusTest, WithContextKeepsTheCodeAndLeavesOkAlone) {
  EXPECT_EQ(WithContext(NotFound("no such file"), "reading job.toml"), NotFound("reading job.toml: no such file"));
  EXPECT_EQ(WithContext(absl::OkStatus(), "reading job.toml"), absl::OkStatus());
}

TEST(StatusTest, EachConstructorHasItsCode) {
  EXPECT_EQ(InvalidArgument("").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FailedPrecondition("").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DataLoss("").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(NotFound("").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ResourceExhausted("").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Unavailable("").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Unimplemented("").code(), absl::StatusCode::kUnimplemented);
}

TEST(StatusTest, MessagesKeepTheirBytes) {
  const std::string text("with\0zero", 9);
  EXPECT_EQ(MessageOf(NotFound(text)), text);
}

}  // namespace
}  // namespace eddl
