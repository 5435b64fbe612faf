// A kernel as the interpreter runs it: PTX decoded once, every name resolved.
//
// All operands are registers. A thread's register file holds, in this order: the special registers (kSpecialNames),
// then in order of appearance the constants that the text writes as immediates and the registers that it declares. So
// the interpreter has one way to fetch an operand. Values only; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eddl::cuda_emulator {

// d = f(a, b, c): what an arithmetic instruction computes. Registers hold 64 bits; a narrower type uses the low ones.
using Evaluate = uint64_t (*)(uint64_t a, uint64_t b, uint64_t c);

// What the interpreter does with an instruction.
enum class Action : uint8_t {
  kEvaluate,  // destinations[0] = evaluate(sources 0..2)
  kUnpack,    // destinations = the parts of sources[0], low bits first
  kPack,      // destinations[0] = the sources, low bits first
  kLoad,      // destinations = what stands at address
  kStore,     // sources to address
  kAtomic,    // destinations[0] (may be -1) = what stood at address; there: evaluate(that, sources 0..1)
  kBranch,    // to target
  kBarrier,   // all threads of the block meet
  kExit,
};

enum class Space : uint8_t { kGlobal, kShared, kParam };

// base register + offset; base -1: offset alone.
struct Address {
  Space space = Space::kGlobal;
  int32_t base = -1;
  int64_t offset = 0;
};

struct Instruction {
  Action action = Action::kEvaluate;
  bool guard_negated = false;
  bool sign_extends = false;  // loads of signed types
  uint8_t element_bytes = 0;  // loads, stores, atomics, packs: of one of count elements
  uint8_t count = 1;
  int32_t guard = -1;  // predicate register that must be true, or false if negated; -1: always
  int32_t target = 0;  // branches: index of an instruction
  int32_t line = 0;    // in the PTX text, from 1
  Evaluate evaluate = nullptr;
  std::array<int32_t, 4> destinations = {-1, -1, -1, -1};
  std::array<int32_t, 4> sources = {0, 0, 0, 0};
  Address address;
};

struct Parameter {
  uint32_t offset = 0;
  uint32_t size_bytes = 0;
};

inline constexpr std::array<std::string_view, 12> kSpecialNames = {"%tid.x",   "%tid.y",    "%tid.z",    "%ntid.x",
                                                                   "%ntid.y",  "%ntid.z",   "%ctaid.x",  "%ctaid.y",
                                                                   "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z"};

struct Kernel {
  std::string name;
  std::vector<Parameter> parameters;
  uint32_t parameter_bytes = 0;
  uint32_t shared_bytes = 0;
  uint32_t threads_max = 1024;  // __launch_bounds__
  int32_t register_count = 0;
  std::vector<std::pair<int32_t, uint64_t>> constants;  // register, value
  std::vector<Instruction> code;
};

struct Module {
  std::map<std::string, Kernel> kernels;
  std::vector<std::string> lines;  // the text, for messages

  // The instruction as written; line counts from 1.
  std::string TextOf(int32_t line) const;
};

}  // namespace eddl::cuda_emulator
