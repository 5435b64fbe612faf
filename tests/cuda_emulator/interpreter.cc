#include "tests/cuda_emulator/interpreter.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

// What a register holds before something is written: no address of ours, no small number, NaN.
constexpr uint64_t kPoison = 0xfff7dea0fff7dea0;

std::string ToString(const Dimensions& d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

Dimensions At(uint64_t index, const Dimensions& size) {
  return {.x = static_cast<uint32_t>(index % size.x),
          .y = static_cast<uint32_t>(index / size.x % size.y),
          .z = static_cast<uint32_t>(index / size.x / size.y)};
}

uint64_t LoadElement(const std::byte* from, uint32_t bytes, bool sign_extends) {
  uint64_t value = 0;
  std::memcpy(&value, from, bytes);
  if (!sign_extends || bytes == 8) return value;
  const uint32_t shift = 64 - 8 * bytes;
  return static_cast<uint64_t>(static_cast<int64_t>(value << shift) >> shift);
}

}  // namespace

Interpreter::Interpreter(const Module& module, const Kernel& kernel, DeviceMemory& memory, const OperationId& operation)
    : module_(module), kernel_(kernel), memory_(memory), operation_(operation) {
  last_allocation_.resize(kernel.code.size());
  first_registers_.assign(static_cast<size_t>(kernel.register_count), kPoison);
  for (const auto& [index, value] : kernel.constants) first_registers_[static_cast<size_t>(index)] = value;
}

void Interpreter::Run(const Launch& launch) {
  launch_ = launch;
  random_.seed(launch.seed);
  threads_.resize(launch.block.count());
  registers_.resize(threads_.size() * first_registers_.size());
  shared_.resize(kernel_.shared_bytes);
  for (uint64_t block = 0; block < launch.grid.count(); ++block) {
    StartBlock(block);
    RunBlock();
  }
}

void Interpreter::StartBlock(uint64_t block) {
  block_ = At(block, launch_.grid);
  point_ = {.block = static_cast<int32_t>(block), .thread = 0, .phase = 0};
  // In the order of kSpecialNames, after tid.
  const std::array<uint32_t, 9> specials = {launch_.block.x, launch_.block.y, launch_.block.z, block_.x,      block_.y,
                                            block_.z,        launch_.grid.x,  launch_.grid.y,  launch_.grid.z};
  std::copy(specials.begin(), specials.end(), first_registers_.begin() + 3);
  for (size_t i = 0; i < threads_.size(); ++i) {
    threads_[i] = {};
    uint64_t* registers = registers_.data() + i * first_registers_.size();
    std::copy(first_registers_.begin(), first_registers_.end(), registers);
    const Dimensions thread = At(i, launch_.block);
    registers[0] = thread.x;
    registers[1] = thread.y;
    registers[2] = thread.z;
  }
  std::fill(shared_.begin(), shared_.end(), std::byte{0xff});
  shared_written_.assign(shared_.size(), false);
  shared_races_.Reset(shared_.size());
  instruction_limit_ = instruction_count_ + launch_.instructions_max;
}

void Interpreter::RunBlock() {
  std::vector<int32_t> order(threads_.size());
  std::iota(order.begin(), order.end(), 0);
  while (true) {
    std::shuffle(order.begin(), order.end(), random_);
    bool any = false;
    for (const int32_t thread : order) {
      if (threads_[static_cast<size_t>(thread)].state == State::kExited) continue;
      any = true;
      RunThread(thread);
    }
    if (!any) return;
    MeetAtBarrier();
  }
}

void Interpreter::MeetAtBarrier() {
  const auto waiting = std::find_if(threads_.begin(), threads_.end(),
                                    [](const Thread& thread) { return thread.state == State::kAtBarrier; });
  if (waiting == threads_.end()) return;
  const auto number = static_cast<int32_t>(waiting - threads_.begin());
  const Instruction& barrier = kernel_.code[static_cast<size_t>(waiting->next) - 1];
  for (size_t i = 0; i < threads_.size(); ++i) {
    if (threads_[i].state == State::kExited) {
      Fail(number, barrier, "waits at a barrier that thread " + std::to_string(i) + " does not reach: it has ended");
    }
    if (threads_[i].next != waiting->next) {
      Fail(number, barrier, "waits at a barrier while thread " + std::to_string(i) + " waits at another");
    }
  }
  for (Thread& thread : threads_) thread.state = State::kRunning;
  ++point_.phase;
}

void Interpreter::RunThread(int32_t number) {
  Thread& thread = threads_[static_cast<size_t>(number)];
  uint64_t* r = registers_.data() + static_cast<size_t>(number) * first_registers_.size();
  point_.thread = number;
  int32_t next = thread.next;
  while (true) {
    const Instruction& instruction = kernel_.code[static_cast<size_t>(next)];
    ++next;
    if (++instruction_count_ > instruction_limit_) Fail(number, instruction, "the kernel does not end");
    if (instruction.guard >= 0 && (r[instruction.guard] != 0) == instruction.guard_negated) continue;
    const auto& d = instruction.destinations;
    const auto& s = instruction.sources;
    switch (instruction.action) {
      case Action::kEvaluate:
        r[d[0]] = instruction.evaluate(r[s[0]], r[s[1]], r[s[2]]);
        break;
      case Action::kUnpack:
        for (uint32_t i = 0; i < instruction.count; ++i) {
          r[d[i]] = LoadElement(reinterpret_cast<const std::byte*>(&r[s[0]]) + i * instruction.element_bytes,
                                instruction.element_bytes, false);
        }
        break;
      case Action::kPack: {
        uint64_t packed = 0;
        for (uint32_t i = 0; i < instruction.count; ++i) {
          std::memcpy(reinterpret_cast<std::byte*>(&packed) + i * instruction.element_bytes, &r[s[i]],
                      instruction.element_bytes);
        }
        r[d[0]] = packed;
        break;
      }
      case Action::kLoad:
        Load(instruction, r);
        break;
      case Action::kStore:
        Store(instruction, r);
        break;
      case Action::kAtomic:
        Atomic(instruction, r);
        break;
      case Action::kBranch:
        next = instruction.target;
        break;
      case Action::kBarrier:
        thread = {.state = State::kAtBarrier, .next = next};
        return;
      case Action::kExit:
        thread = {.state = State::kExited, .next = next - 1};
        return;
    }
  }
}

void Interpreter::Load(const Instruction& instruction, uint64_t* registers) {
  const std::byte* from = Resolve(instruction, registers, AccessKind::kRead);
  for (uint32_t i = 0; i < instruction.count; ++i) {
    registers[instruction.destinations[i]] =
        LoadElement(from + i * instruction.element_bytes, instruction.element_bytes, instruction.sign_extends);
  }
}

void Interpreter::Store(const Instruction& instruction, const uint64_t* registers) {
  std::byte* to = Resolve(instruction, registers, AccessKind::kWrite);
  for (uint32_t i = 0; i < instruction.count; ++i) {
    std::memcpy(to + i * instruction.element_bytes, &registers[instruction.sources[i]], instruction.element_bytes);
  }
}

void Interpreter::Atomic(const Instruction& instruction, uint64_t* registers) {
  std::byte* at = Resolve(instruction, registers, AccessKind::kAtomic);
  const uint64_t before = LoadElement(at, instruction.element_bytes, false);
  const uint64_t after = instruction.evaluate(before, registers[instruction.sources[0]], 0);
  std::memcpy(at, &after, instruction.element_bytes);
  if (instruction.destinations[0] >= 0) registers[instruction.destinations[0]] = before;
}

std::byte* Interpreter::Resolve(const Instruction& instruction, const uint64_t* registers, AccessKind kind) {
  const Address& where = instruction.address;
  const uint64_t address = (where.base < 0 ? 0 : registers[where.base]) + static_cast<uint64_t>(where.offset);
  const uint32_t size = uint32_t{instruction.element_bytes} * instruction.count;
  if (where.space == Space::kParam) {
    if (address + size > launch_.parameters.size()) Fail(point_.thread, instruction, "a parameter that is not there");
    return launch_.parameters.data() + address;
  }
  try {
    if (address % size != 0) throw Violation("misaligned access of " + std::to_string(size) + " bytes");
    if (where.space == Space::kShared) return ResolveShared(static_cast<uint32_t>(address), size, kind);
    return ResolveGlobal(instruction, address, size, kind);
  } catch (const Violation& violation) {
    Fail(point_.thread, instruction, violation.what());
  }
}

std::byte* Interpreter::ResolveGlobal(const Instruction& instruction, uint64_t address, uint32_t size,
                                      AccessKind kind) {
  Allocation*& last = last_allocation_[static_cast<size_t>(&instruction - kernel_.code.data())];
  if (last == nullptr || address - last->address > last->size_bytes ||
      size > last->size_bytes - (address - last->address)) {
    last = &memory_.Find(address, size, operation_.device);
  }
  const uint64_t offset = address - last->address;
  last->RecordOperation(offset, size, kind != AccessKind::kRead, operation_, memory_.operations());
  if (last->races_for != operation_.serial) {
    last->races.Reset(last->size_bytes);
    last->races_for = operation_.serial;
  }
  if (const std::string race = last->races.Record(offset, size, kind, point_); !race.empty()) {
    throw Violation("race in global memory with a " + race);
  }
  return last->host + offset;
}

std::byte* Interpreter::ResolveShared(uint64_t offset, uint32_t size, AccessKind kind) {
  if (offset > shared_.size() || size > shared_.size() - offset) {
    throw Violation(std::to_string(size) + " bytes at " + std::to_string(offset) + " are not in the " +
                    std::to_string(shared_.size()) + " bytes of shared memory");
  }
  if (const std::string race = shared_races_.Record(offset, size, kind, point_); !race.empty()) {
    throw Violation("race in shared memory with a " + race);
  }
  for (uint64_t i = offset; i < offset + size; ++i) {
    if (kind != AccessKind::kWrite && !shared_written_[i]) throw Violation("read of shared memory that nobody wrote");
    shared_written_[i] = true;
  }
  return shared_.data() + offset;
}

void Interpreter::Fail(int32_t thread, const Instruction& instruction, const std::string& why) const {
  throw Violation("kernel " + kernel_.name + ", block " + ToString(block_) + ", thread " +
                  ToString(At(static_cast<uint64_t>(thread), launch_.block)) + ": " + why + "; PTX line " +
                  std::to_string(instruction.line) + ": " + module_.TextOf(instruction.line));
}

}  // namespace eddl::cuda_emulator
