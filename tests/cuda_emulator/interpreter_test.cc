// Small kernels in PTX: what they compute, and what they are caught doing.
#include "tests/cuda_emulator/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/cuda_emulator/ptx_parser.h"
#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// A kernel k(u32* data) whose body begins with %rd1 = data, %r1 = thread, %r2 = block, %rd2 = &data[thread].
class InterpreterTest : public testing::Test {
 protected:
  InterpreterTest() {
    address_ = memory_.Allocate(0, kWords * sizeof(uint32_t));
    operation_.name = "kernel k";
    operation_.point = {.stream = 0, .tick = 1};
    operation_.clock.Set(operation_.point);
    std::fill(Words(), Words() + kWords, 0u);
  }

  uint32_t* Words() { return reinterpret_cast<uint32_t*>(memory_.FindStart(address_)->host); }

  void RunKernel(const std::string& body, uint32_t threads, uint32_t blocks = 1, uint64_t seed = 1) {
    const Module module = ParsePtx(
        ".visible .entry k(\n.param .u64 data\n)\n{\n.shared .align 8 .b8 s[64];\nld.param.u64 %rd0, [data];\n"
        "cvta.to.global.u64 %rd1, %rd0;\nmov.u32 %r1, %tid.x;\nmov.u32 %r2, %ctaid.x;\nmul.wide.u32 %rd3, %r1, 4;\n"
        "add.s64 %rd2, %rd1, %rd3;\n" +
        body + "ret;\n}\n");
    Launch launch = {
        .grid = {blocks, 1, 1}, .block = {threads, 1, 1}, .parameters = {}, .seed = seed, .instructions_max = 10'000};
    launch.parameters.resize(sizeof(address_));
    std::memcpy(launch.parameters.data(), &address_, sizeof(address_));
    memory_.Begin(&operation_);
    Interpreter(module, module.kernels.at("k"), memory_, operation_).Run(launch);
  }

  static constexpr size_t kWords = 8;
  DeviceMemory memory_;
  OperationId operation_;
  uint64_t address_ = 0;
};

TEST_F(InterpreterTest, EveryThreadWritesItsOwn) {
  RunKernel("shl.b32 %r3, %r1, 1;\nst.global.u32 [%rd2], %r3;\n", 8);
  EXPECT_THAT(std::vector(Words(), Words() + kWords), ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
}

TEST_F(InterpreterTest, GuardsSkipInstructions) {
  RunKernel("setp.lt.u32 %p1, %r1, 2;\nmov.u32 %r3, 7;\n@%p1 mov.u32 %r3, 1;\n@!%p1 st.global.u32 [%rd2], %r3;\n", 4);
  EXPECT_THAT(std::vector(Words(), Words() + 4), ElementsAre(0, 0, 7, 7));
}

TEST_F(InterpreterTest, LoopsAndVectors) {
  RunKernel(
      "mov.u32 %r3, 0;\n$L_1:\nadd.s32 %r3, %r3, 1;\nsetp.lt.s32 %p1, %r3, 5;\n@%p1 bra $L_1;\n"
      "st.global.v2.u32 [%rd1], {%r3, %r3};\nld.global.v2.u32 {%r4, %r5}, [%rd1];\nadd.s32 %r6, %r4, %r5;\n"
      "mov.b64 %rd4, {%r6, %r4};\nst.global.u64 [%rd1+8], %rd4;\nmov.b64 {%r7, %r8}, %rd4;\n"
      "st.global.u32 [%rd1+16], %r8;\n",
      1);
  EXPECT_THAT(std::vector(Words(), Words() + 5), ElementsAre(5, 5, 10, 5, 5));
}

TEST_F(InterpreterTest, LoadsOfSignedTypesKeepTheSign) {
  Words()[0] = 0xff80;
  RunKernel(
      "ld.global.s8 %r3, [%rd1];\nst.global.u32 [%rd1+4], %r3;\nld.global.u8 %r4, [%rd1];\nst.global.u32 [%rd1+8], "
      "%r4;\n",
      1);
  EXPECT_THAT(std::vector(Words(), Words() + 3), ElementsAre(0xff80, 0xffffff80, 0x80));
}

// Thread t writes s[t], waits, and takes its neighbour's.
constexpr const char* kNeighbour =
    "shl.b32 %r3, %r1, 2;\nst.shared.u32 [%r3], %r1;\nBARRIERxor.b32 %r4, %r3, 4;\nld.shared.u32 %r5, [%r4];\n"
    "st.global.u32 [%rd2], %r5;\n";

std::string Neighbour(const std::string& barrier) {
  std::string body = kNeighbour;
  return body.replace(body.find("BARRIER"), 7, barrier);
}

TEST_F(InterpreterTest, ABarrierOrdersSharedMemory) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    RunKernel(Neighbour("bar.sync 0;\n"), 4, 1, seed);
    EXPECT_THAT(std::vector(Words(), Words() + 4), ElementsAre(1, 0, 3, 2));
  }
}

TEST_F(InterpreterTest, FindsAMissingBarrier) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    EXPECT_THAT([&] { RunKernel(Neighbour(""), 4, 1, seed); },
                ThrowsMessage<Violation>(AllOf(HasSubstr("kernel k, block (0,0,0), thread ("),
                                               HasSubstr("shared memory"), HasSubstr("PTX line"))));
  }
}

TEST_F(InterpreterTest, FindsReadsOfSharedMemoryThatNobodyWrote) {
  EXPECT_THAT([&] { RunKernel("ld.shared.u32 %r3, [s+8];\n", 1); },
              ThrowsMessage<Violation>(HasSubstr("read of shared memory that nobody wrote")));
}

TEST_F(InterpreterTest, FindsAccessesOutOfBounds) {
  EXPECT_THAT([&] { RunKernel("st.global.u32 [%rd1+32], %r1;\n", 1); },
              ThrowsMessage<Violation>(HasSubstr("byte 32 after the start of one of 32")));
  EXPECT_THAT([&] { RunKernel("ld.global.u32 %r3, [%rd1+-4];\n", 1); },
              ThrowsMessage<Violation>(HasSubstr("is no device memory")));
  EXPECT_THAT([&] { RunKernel("st.shared.u32 [s+64], %r1;\n", 1); },
              ThrowsMessage<Violation>(HasSubstr("4 bytes at 64 are not in the 64 bytes of shared memory")));
  EXPECT_THAT([&] { RunKernel("ld.global.u32 %r3, [%rd9];\n", 1); },
              ThrowsMessage<Violation>(HasSubstr("is no device memory")));
}

TEST_F(InterpreterTest, FindsMisalignedAccesses) {
  EXPECT_THAT([&] { RunKernel("st.global.u32 [%rd1+2], %r1;\n", 1); },
              ThrowsMessage<Violation>(HasSubstr("misaligned access of 4 bytes")));
  EXPECT_THAT([&] { RunKernel("ld.global.v2.f32 {%f1, %f2}, [%rd1+4];\n", 1); },
              ThrowsMessage<Violation>(HasSubstr("misaligned access of 8 bytes")));
}

TEST_F(InterpreterTest, FindsRacesBetweenBlocks) {
  EXPECT_THAT([&] { RunKernel("st.global.u32 [%rd2], %r1;\n", 2, 2); },
              ThrowsMessage<Violation>(HasSubstr("race in global memory with a write by thread")));
  Words()[0] = 0;
  RunKernel("red.global.add.u32 [%rd1], 1;\n", 2, 3);
  EXPECT_EQ(Words()[0], 6u);
}

TEST_F(InterpreterTest, FindsBarriersThatSomeThreadsDoNotReach) {
  EXPECT_THAT([&] { RunKernel("setp.eq.s32 %p1, %r1, 1;\n@%p1 bra $L_1;\nbar.sync 0;\n$L_1:\n", 3); },
              ThrowsMessage<Violation>(HasSubstr("waits at a barrier that thread 1 does not reach: it has ended")));
  EXPECT_THAT(
      [&] {
        RunKernel("setp.eq.s32 %p1, %r1, 1;\n@%p1 bra $L_1;\nbar.sync 0;\nbra.uni $L_2;\n$L_1:\nbar.sync 0;\n$L_2:\n",
                  3);
      },
      ThrowsMessage<Violation>(HasSubstr("waits at a barrier while thread 1 waits at another")));
}

TEST_F(InterpreterTest, FindsAKernelThatDoesNotEnd) {
  EXPECT_THAT([&] { RunKernel("$L_1:\nbra.uni $L_1;\n", 2); },
              ThrowsMessage<Violation>(HasSubstr("the kernel does not end; PTX line")));
  EXPECT_THAT([&] { RunKernel("$L_1:\nbar.sync 0;\nbra.uni $L_1;\n", 2); },
              ThrowsMessage<Violation>(HasSubstr("the kernel does not end")));
}

TEST_F(InterpreterTest, FindsMemoryOfAnotherDevice) {
  address_ = memory_.Allocate(1, 64);
  EXPECT_THAT([&] { RunKernel("st.global.u32 [%rd2], %r1;\n", 1); },
              ThrowsMessage<Violation>(HasSubstr("is memory of device 1, used on device 0")));
}

}  // namespace
}  // namespace eddl::cuda_emulator
