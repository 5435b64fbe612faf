#include "tests/cuda_emulator/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::ThrowsMessage;
using ::testing::UnorderedElementsAre;

TEST(OptionsTest, ReadsEveryWord) {
  const Options options = ParseOptions(
      "order=random:7 devices=2 driver=12080  memory=1048576 hang_ms=50 leaks=0 fail=cudaMalloc:3,cudaFree:1 "
      "lose=ncclAllReduce:5");
  EXPECT_EQ(options.order, Order::kRandom);
  EXPECT_EQ(options.seed, 7u);
  EXPECT_EQ(options.device_count, 2);
  EXPECT_EQ(options.driver_version, 12080);
  EXPECT_EQ(options.memory_bytes, 1048576u);
  EXPECT_EQ(options.hang_ms, 50);
  EXPECT_FALSE(options.leaks);
  EXPECT_THAT(options.fail, UnorderedElementsAre(Pair("cudaMalloc", 3u), Pair("cudaFree", 1u)));
  EXPECT_THAT(options.lose, UnorderedElementsAre(Pair("ncclAllReduce", 5u)));
}

TEST(OptionsTest, IsLazyWithOneDeviceByDefault) {
  const Options options = ParseOptions("");
  EXPECT_EQ(options.order, Order::kLazy);
  EXPECT_EQ(options.device_count, 1);
  EXPECT_EQ(ParseOptions("order=eager").order, Order::kEager);
}

TEST(OptionsTest, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"ordr=eager", "order=late", "order=random:x", "devices=", "fail=cudaMalloc"}) {
    EXPECT_THAT([&] { ParseOptions(text); }, ThrowsMessage<Violation>(HasSubstr("EDDL_CUDA_EMULATOR"))) << text;
  }
}

}  // namespace
}  // namespace eddl::cuda_emulator
