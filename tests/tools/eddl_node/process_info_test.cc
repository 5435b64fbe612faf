#include "tools/eddl_node/process_info.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace eddl {
namespace {

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Blocks that stay, between those that went, keep a heap from shrinking by itself.
TEST(ProcessInfoTest, WhatIsFreeInTheMiddleOfAHeapIsGivenBack) {
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the heap is not glibc's";
#endif
  constexpr size_t kBlock = 16 << 10;
  constexpr size_t kCount = 4096;
  std::vector<std::unique_ptr<char[]>> blocks;
  for (size_t i = 0; i < kCount; ++i) {
    blocks.push_back(std::make_unique<char[]>(kBlock));
    std::memset(blocks.back().get(), 1, kBlock);
  }
  for (size_t i = 0; i < kCount; ++i) {
    if (i % 64 != 63) blocks[i].reset();
  }
  const int64_t before = ResidentBytes();
  ReturnFreeMemory();
  EXPECT_LT(ResidentBytes(), before - static_cast<int64_t>(kCount * kBlock / 2));
}

TEST(ProcessInfoTest, FreeMemoryIsGivenBackEveryTenSeconds) {
  FreeMemoryReturner memory;
  std::string looks;
  for (const int64_t seconds : {9, 10, 11, 19, 20, 29, 40}) {
    looks += memory.Look(Instant{seconds * 1'000'000'000}) ? "yes " : "no ";
  }
  EXPECT_EQ(looks, "no yes no no yes no yes ");
}

}  // namespace
}  // namespace eddl
