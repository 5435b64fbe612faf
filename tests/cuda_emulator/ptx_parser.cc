#include "tests/cuda_emulator/ptx_parser.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>

#include "tests/cuda_emulator/opcodes.h"
#include "tests/cuda_emulator/ptx_tokens.h"
#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

using Words = std::vector<std::string_view>;

// "ld.global.v2.f32" -> ld, global, v2, f32.
Words SplitAtDots(std::string_view name) {
  Words words;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t dot = std::min(name.find('.', begin), name.size());
    if (dot > begin) words.push_back(name.substr(begin, dot - begin));
    begin = dot + 1;
  }
  return words;
}

// 0 for what is no data type.
uint8_t TypeBytes(std::string_view type) {
  if (type.size() < 2 || std::string_view("busf").find(type[0]) == std::string_view::npos) return 0;
  const std::string_view bits = type.substr(1);
  return bits == "8" ? 1 : bits == "16" ? 2 : bits == "32" ? 4 : bits == "64" ? 8 : 0;
}

uint32_t AlignUp(uint32_t offset, uint32_t alignment) { return (offset + alignment - 1) / alignment * alignment; }

// One pass over the tokens of a module; a kernel at a time.
class Parser {
 public:
  explicit Parser(const std::string& text) : tokens_(Tokenize(text)) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      module_.lines.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  Module Parse() {
    while (at_ < tokens_.size()) {
      const std::string_view word = Peek();
      if (word == ".version" || word == ".target" || word == ".address_size") {
        SkipLine();
      } else if (word == ".visible" || word == ".weak") {
        Take();
      } else if (word == ".entry") {
        ParseKernel();
      } else {
        Fail("not supported at module level: '" + std::string(word) +
             "' (functions and variables must be inlined away)");
      }
    }
    return std::move(module_);
  }

 private:
  // ---- Tokens. ----
  std::string_view Peek() const { return at_ < tokens_.size() ? tokens_[at_].text : std::string_view(); }
  std::string_view Take() {
    if (at_ >= tokens_.size()) Fail("the text ends early");
    return tokens_[at_++].text;
  }
  void Expect(std::string_view text) {
    if (const std::string_view got = Take(); got != text) {
      --at_;
      Fail("expected '" + std::string(text) + "', got '" + std::string(got) + "'");
    }
  }
  bool TakeIf(std::string_view text) {
    if (Peek() != text) return false;
    ++at_;
    return true;
  }
  void SkipLine() {
    const int32_t line = tokens_[at_].line;
    while (at_ < tokens_.size() && tokens_[at_].line == line) ++at_;
  }
  int32_t Line() const { return tokens_.empty() ? 0 : tokens_[std::min(at_, tokens_.size() - 1)].line; }
  [[noreturn]] void Fail(const std::string& why) const {
    throw Violation("PTX line " + std::to_string(Line()) + ": " + why + ": " + module_.TextOf(Line()));
  }
  uint32_t TakeNumber() {
    const std::string text(Take());
    char* end = nullptr;
    const unsigned long value = std::strtoul(text.c_str(), &end, 0);
    if (end == text.c_str() || *end != '\0') Fail("'" + text + "' is no number");
    return static_cast<uint32_t>(value);
  }

  // ---- Names. ----
  int32_t Register(std::string_view name) {
    const auto [found, added] = registers_.try_emplace(std::string(name), kernel_.register_count);
    if (added) ++kernel_.register_count;
    return found->second;
  }
  int32_t Constant(uint64_t value) {
    const auto [found, added] = constants_.try_emplace(value, kernel_.register_count);
    if (added) kernel_.constants.emplace_back(kernel_.register_count++, value);
    return found->second;
  }

  // ---- A kernel. ----
  void ParseKernel() {
    Take();
    kernel_ = {};
    registers_.clear();
    constants_.clear();
    shared_.clear();
    parameters_.clear();
    labels_.clear();
    jumps_.clear();
    for (const std::string_view name : kSpecialNames) Register(name);
    kernel_.name = Take();
    Expect("(");
    while (!TakeIf(")")) {
      ParseParameter();
      TakeIf(",");
    }
    while (!TakeIf("{")) ParsePerformanceDirective();
    while (!TakeIf("}")) ParseStatement();
    for (const auto& [index, label] : jumps_) {
      const auto target = labels_.find(label);
      if (target == labels_.end()) Fail("kernel " + kernel_.name + " jumps to " + label + ", which is nowhere");
      kernel_.code[index].target = target->second;
    }
    if (kernel_.code.empty() || (kernel_.code.back().action != Action::kExit &&
                                 (kernel_.code.back().action != Action::kBranch || kernel_.code.back().guard >= 0))) {
      Fail("kernel " + kernel_.name + " runs past its last instruction");
    }
    module_.kernels[kernel_.name] = std::move(kernel_);
  }

  struct Variable {
    std::string name;
    uint32_t bytes = 0;
    uint32_t alignment = 0;
  };

  // ".align 4 .b8 name[1024]" or ".u64 name", after .param or .shared.
  Variable ParseVariable() {
    Variable variable;
    uint32_t element_bytes = 0;
    while (Peek().starts_with(".")) {
      const std::string_view word = Take();
      if (word == ".align") {
        variable.alignment = std::max(variable.alignment, TakeNumber());
      } else if (const uint8_t bytes = TypeBytes(word.substr(1)); bytes > 0) {
        element_bytes = bytes;
      } else if (word == ".ptr") {  // what the pointer points to, and how that is aligned
        while (Peek() == ".global" || Peek() == ".align") {
          if (Take() == ".align") TakeNumber();
        }
      } else {
        Fail("'" + std::string(word) + "' is not known in a declaration");
      }
    }
    variable.name = Take();
    if (element_bytes == 0) Fail("'" + variable.name + "' has no known type");
    variable.bytes = element_bytes;
    if (TakeIf("[")) {
      variable.bytes *= TakeNumber();
      Expect("]");
    }
    variable.alignment = std::max(variable.alignment, element_bytes);
    return variable;
  }

  void ParseParameter() {
    Expect(".param");
    const Variable variable = ParseVariable();
    const uint32_t offset = AlignUp(kernel_.parameter_bytes, variable.alignment);
    parameters_[variable.name] = offset;
    kernel_.parameters.push_back({.offset = offset, .size_bytes = variable.bytes});
    kernel_.parameter_bytes = offset + variable.bytes;
  }

  void ParsePerformanceDirective() {
    const std::string_view word = Take();
    if (word == ".maxntid") {
      kernel_.threads_max = TakeNumber();
      while (TakeIf(",")) kernel_.threads_max *= TakeNumber();
    } else if (word == ".minnctapersm") {
      TakeNumber();
    } else {
      Fail("directive '" + std::string(word) + "' is not known");
    }
  }

  void ParseStatement() {
    const std::string_view word = Peek();
    if (word == ".reg") {
      while (Take() != ";") {
      }
    } else if (word == ".shared") {
      Take();
      const Variable variable = ParseVariable();
      const uint32_t offset = AlignUp(kernel_.shared_bytes, variable.alignment);
      shared_[variable.name] = offset;
      kernel_.shared_bytes = offset + variable.bytes;
      Expect(";");
    } else if (word == ".pragma" || word == ".loc") {
      SkipLine();
    } else if (word.starts_with("$")) {
      labels_[std::string(Take())] = static_cast<int32_t>(kernel_.code.size());
      Expect(":");
    } else {
      ParseInstruction();
    }
  }

  // ---- An instruction. ----
  void ParseInstruction() {
    Instruction instruction;
    instruction.line = Line();
    if (TakeIf("@")) {
      instruction.guard_negated = TakeIf("!");
      instruction.guard = Register(Take());
    }
    const size_t start = at_;
    const std::string_view name = Take();
    const Words words = SplitAtDots(name);
    if (words.empty()) Fail("no instruction");
    if (name == "bra" || name == "bra.uni") {
      instruction.action = Action::kBranch;
      jumps_.emplace_back(kernel_.code.size(), Take());
    } else if (name == "ret" || name == "exit") {
      instruction.action = Action::kExit;
    } else if (name == "bar.sync") {
      instruction.action = Action::kBarrier;
      if (Take() != "0") Fail("only barrier 0, of the whole block, is supported");
    } else if (words[0] == "ld" || words[0] == "st") {
      ParseAccess(words, &instruction);
    } else if (words[0] == "atom" || words[0] == "red") {
      ParseAtomic(words, &instruction);
    } else if (name == "cvta.to.global.u64") {
      ParseArithmetic("mov.u64", &instruction);  // generic addresses are global ones here
    } else if (words[0] == "mov" && (Peek() == "{" || BraceFollows())) {
      ParseVectorMove(words, &instruction);
    } else {
      ParseArithmetic(name, &instruction);
    }
    if (Peek() != ";") {
      at_ = start;
      Fail("operands of '" + std::string(name) + "' are not understood");
    }
    Take();
    kernel_.code.push_back(instruction);
  }

  bool BraceFollows() const { return at_ + 2 < tokens_.size() && tokens_[at_ + 2].text == "{"; }

  void ParseArithmetic(std::string_view name, Instruction* instruction) {
    const Opcode* opcode = FindOpcode(name);
    if (opcode == nullptr) {
      --at_;
      Fail("unknown opcode '" + std::string(name) + "'");
    }
    instruction->action = Action::kEvaluate;
    instruction->evaluate = opcode->evaluate;
    instruction->destinations[0] = Register(Take());
    for (int i = 0; i < opcode->source_count; ++i) {
      Expect(",");
      instruction->sources[static_cast<size_t>(i)] = Source();
    }
  }

  // ld.SPACE{.nc}{.vN}.TYPE and st alike.
  void ParseAccess(const Words& words, Instruction* instruction) {
    const bool load = words[0] == "ld";
    const std::string_view type = words.back();
    instruction->action = load ? Action::kLoad : Action::kStore;
    instruction->element_bytes = TypeBytes(type);
    instruction->sign_extends = type[0] == 's';
    if (instruction->element_bytes == 0) Fail("type '" + std::string(type) + "' is not known");
    for (size_t i = 1; i + 1 < words.size(); ++i) {
      if (words[i] == "v2" || words[i] == "v4") {
        instruction->count = static_cast<uint8_t>(words[i][1] - '0');
      } else if (words[i] == "global" || words[i] == "shared" || words[i] == "param") {
        instruction->address.space = SpaceOf(words[i]);
      } else if (words[i] != "nc") {
        Fail("'" + std::string(words[i]) + "' is not known in a load or store");
      }
    }
    if (words.size() < 3 || words[1] == "nc") Fail("a load or store without a state space");
    if (load) {
      ParseRegisters(instruction->count, &instruction->destinations);
      Expect(",");
      ParseAddress(instruction);
    } else {
      ParseAddress(instruction);
      Expect(",");
      ParseRegisters(instruction->count, &instruction->sources);
    }
  }

  // atom.global.add.f32 d, [a], b; red likewise without d.
  void ParseAtomic(const Words& words, Instruction* instruction) {
    if (words.size() != 4) Fail("this form of an atomic is not known");
    const std::string operation = std::string(words[2]) + "." + std::string(words[3]);
    instruction->action = Action::kAtomic;
    instruction->address.space = SpaceOf(words[1]);
    instruction->element_bytes = TypeBytes(words[3]);
    instruction->evaluate = FindAtomic(operation);
    if (instruction->evaluate == nullptr) Fail("unknown atomic '" + operation + "'");
    if (words[0] == "atom") {
      instruction->destinations[0] = Register(Take());
      Expect(",");
    }
    ParseAddress(instruction);
    Expect(",");
    instruction->sources[0] = Source();
  }

  // mov.b64 {%r1, %r2}, %rd1 and the reverse.
  void ParseVectorMove(const Words& words, Instruction* instruction) {
    const bool unpack = Peek() == "{";
    instruction->action = unpack ? Action::kUnpack : Action::kPack;
    instruction->count = 2;
    instruction->element_bytes = static_cast<uint8_t>(TypeBytes(words.back()) / 2);
    ParseRegisters(unpack ? 2 : 1, &instruction->destinations);
    Expect(",");
    ParseRegisters(unpack ? 1 : 2, &instruction->sources);
  }

  Space SpaceOf(std::string_view word) const {
    if (word == "global") return Space::kGlobal;
    if (word == "shared") return Space::kShared;
    if (word == "param") return Space::kParam;
    Fail("state space '" + std::string(word) + "' is not known");
  }

  // "%f1", "{%f1, %f2}".
  void ParseRegisters(uint8_t count, std::array<int32_t, 4>* registers) {
    const bool vector = TakeIf("{");
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) Expect(",");
      (*registers)[i] = Source();
    }
    if (vector) Expect("}");
  }

  // "[%rd1+4]", "[name]", "[name+-4]".
  void ParseAddress(Instruction* instruction) {
    Address& address = instruction->address;
    Expect("[");
    const std::string base(Take());
    const auto& names = address.space == Space::kParam ? parameters_ : shared_;
    if (base.starts_with("%")) {
      address.base = Register(base);
    } else if (const auto known = names.find(base); address.space != Space::kGlobal && known != names.end()) {
      address.offset = known->second;
    } else {
      Fail("'" + base + "' is no variable of that space");
    }
    if (TakeIf("+")) address.offset += static_cast<int32_t>(TakeNumber());
    Expect("]");
  }

  // A register, or one that holds the number written here.
  int32_t Source() {
    const std::string word(Take());
    if (word.starts_with("%")) return Register(word);
    if (const auto variable = shared_.find(word); variable != shared_.end()) return Constant(variable->second);
    char* end = nullptr;
    uint64_t value = 0;
    if (word.starts_with("0f") || word.starts_with("0d")) {
      value = std::strtoull(word.c_str() + 2, &end, 16);
    } else if (word.starts_with("-")) {
      value = static_cast<uint64_t>(std::strtoll(word.c_str(), &end, 0));
    } else {
      value = std::strtoull(word.c_str(), &end, 0);
    }
    if (end == word.c_str() || *end != '\0') Fail("operand '" + word + "' is not known");
    return Constant(value);
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  Module module_;
  // Of the kernel at hand.
  Kernel kernel_;
  std::map<std::string, int32_t> registers_;
  std::map<uint64_t, int32_t> constants_;
  std::map<std::string, uint32_t> shared_, parameters_;
  std::map<std::string, int32_t> labels_;
  std::vector<std::pair<size_t, std::string>> jumps_;
};

}  // namespace

std::string Module::TextOf(int32_t line) const {
  if (line < 1 || static_cast<size_t>(line) > lines.size()) return "";
  const std::string& text = lines[static_cast<size_t>(line) - 1];
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  std::string trimmed = text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
  std::replace(trimmed.begin(), trimmed.end(), '\t', ' ');
  return trimmed;
}

Module ParsePtx(const std::string& text) { return Parser(text).Parse(); }

}  // namespace eddl::cuda_emulator
