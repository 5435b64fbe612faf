// Runs a kernel launch, an instruction at a time, and checks every access to memory.
//
// Blocks run one after the other; the threads of a block run each up to the next barrier, in an order that is shuffled
// by the seed, so that a result cannot depend on it unnoticed. What it finds: accesses outside of allocations or of
// shared memory, misaligned ones, reads of shared memory that nobody wrote, races (race_shadow.h, device_memory.h),
// barriers that some threads do not reach, kernels that do not end. Memory is sequentially consistent here, which a
// GPU's is not; so our kernels talk between blocks only by ending.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "tests/cuda_emulator/device_memory.h"
#include "tests/cuda_emulator/ptx.h"

namespace eddl::cuda_emulator {

struct Dimensions {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

struct Launch {
  Dimensions grid, block;
  std::vector<std::byte> parameters;  // as Kernel::parameters lays them out
  uint64_t seed = 1;
  // Of a block; far above what any of our kernels needs on the sizes of a test. More: "the kernel does not end".
  uint64_t instructions_max = uint64_t{1} << 32;
};

class Interpreter {
 public:
  // The arguments outlive the object.
  Interpreter(const Module& module, const Kernel& kernel, DeviceMemory& memory, const OperationId& operation);

  // Throws Violation, with block, thread and PTX line.
  void Run(const Launch& launch);

  uint64_t instruction_count() const { return instruction_count_; }

 private:
  enum class State : uint8_t { kRunning, kAtBarrier, kExited };
  struct Thread {
    State state = State::kRunning;
    int32_t next = 0;  // index of an instruction
  };

  void StartBlock(uint64_t block);
  void RunBlock();
  void RunThread(int32_t thread);
  void MeetAtBarrier();
  void Load(const Instruction& instruction, uint64_t* registers);
  void Store(const Instruction& instruction, const uint64_t* registers);
  void Atomic(const Instruction& instruction, uint64_t* registers);
  std::byte* Resolve(const Instruction& instruction, const uint64_t* registers, AccessKind kind);
  std::byte* ResolveGlobal(const Instruction& instruction, uint64_t address, uint32_t size, AccessKind kind);
  std::byte* ResolveShared(uint64_t offset, uint32_t size, AccessKind kind);
  [[noreturn]] void Fail(int32_t thread, const Instruction& instruction, const std::string& why) const;

  const Module& module_;
  const Kernel& kernel_;
  DeviceMemory& memory_;
  const OperationId& operation_;
  Launch launch_;
  std::mt19937_64 random_;
  uint64_t instruction_count_ = 0;
  uint64_t instruction_limit_ = 0;  // of the block at hand
  // Of the block at hand.
  Dimensions block_;
  ThreadPoint point_;                      // who runs
  std::vector<uint64_t> first_registers_;  // what a thread begins with
  std::vector<uint64_t> registers_;        // thread-major
  std::vector<Thread> threads_;
  std::vector<std::byte> shared_;
  std::vector<bool> shared_written_;
  RaceShadow shared_races_;
  std::vector<Allocation*> last_allocation_;  // by instruction: where its last access went
};

}  // namespace eddl::cuda_emulator
