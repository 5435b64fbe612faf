#include "tests/cuda_emulator/race_shadow.h"

#include <gtest/gtest.h>

namespace eddl::cuda_emulator {
namespace {

constexpr AccessKind kRead = AccessKind::kRead, kWrite = AccessKind::kWrite, kAtomic = AccessKind::kAtomic;

class RaceShadowTest : public testing::Test {
 protected:
  RaceShadowTest() { shadow_.Reset(64); }
  std::string At(int32_t block, int32_t thread, int32_t phase, AccessKind kind, uint64_t offset = 0,
                 uint32_t size = 4) {
    return shadow_.Record(offset, size, kind, {.block = block, .thread = thread, .phase = phase});
  }
  RaceShadow shadow_;
};

TEST_F(RaceShadowTest, AThreadDoesNotRaceWithItself) {
  EXPECT_EQ(At(0, 1, 0, kWrite) + At(0, 1, 0, kRead) + At(0, 1, 0, kWrite), "");
}

TEST_F(RaceShadowTest, ReadsDoNotRace) { EXPECT_EQ(At(0, 1, 0, kRead) + At(0, 2, 0, kRead) + At(7, 2, 0, kRead), ""); }

TEST_F(RaceShadowTest, FindsReadAfterWrite) {
  At(0, 1, 0, kWrite);
  EXPECT_EQ(At(0, 2, 0, kRead), "write by thread 1 of block 0, with no barrier between");
}

TEST_F(RaceShadowTest, FindsWriteAfterWrite) {
  At(0, 1, 0, kWrite);
  EXPECT_EQ(At(0, 2, 0, kWrite), "write by thread 1 of block 0, with no barrier between");
}

// The reader who is not the last one counts too.
TEST_F(RaceShadowTest, FindsWriteAfterAnEarlierRead) {
  At(0, 1, 0, kRead);
  At(0, 2, 0, kRead);
  EXPECT_EQ(At(0, 2, 0, kWrite), "read by several threads of block 0, with no barrier between");
}

TEST_F(RaceShadowTest, ABarrierOrdersWithinTheBlock) {
  At(0, 1, 0, kWrite);
  At(0, 2, 1, kRead);
  EXPECT_EQ(At(0, 3, 2, kWrite), "");
}

TEST_F(RaceShadowTest, NothingOrdersBlocks) {
  At(0, 1, 0, kWrite);
  EXPECT_EQ(At(1, 1, 5, kRead), "write by thread 1 of block 0, with no barrier between");
  shadow_.Reset(64);
  At(0, 1, 0, kRead);
  At(1, 1, 0, kRead);
  EXPECT_EQ(At(1, 1, 3, kWrite), "read by several blocks");
}

TEST_F(RaceShadowTest, AtomicsRaceWithPlainAccessesOnly) {
  EXPECT_EQ(At(0, 1, 0, kAtomic) + At(1, 2, 0, kAtomic), "");
  EXPECT_EQ(At(1, 2, 0, kRead), "atomic by several blocks");
}

TEST_F(RaceShadowTest, ANewLaunchForgets) {
  At(0, 1, 0, kWrite);
  shadow_.Reset(64);
  EXPECT_EQ(At(1, 2, 0, kWrite), "");
}

TEST_F(RaceShadowTest, NeighboursOfFewBytesDoNotDisturbEachOther) {
  At(0, 0, 0, kRead, /*offset=*/8, /*size=*/8);
  EXPECT_EQ(At(0, 1, 0, kWrite, 0, 1) + At(0, 2, 0, kWrite, 1, 1) + At(0, 3, 0, kWrite, 2, 2), "");
  EXPECT_EQ(At(0, 3, 0, kWrite, 1, 1), "write by thread 2 of block 0, with no barrier between");
  EXPECT_EQ(At(0, 3, 0, kWrite, 15, 1), "read by thread 0 of block 0, with no barrier between");
}

}  // namespace
}  // namespace eddl::cuda_emulator
