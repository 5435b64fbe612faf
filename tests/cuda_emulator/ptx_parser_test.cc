#include "tests/cuda_emulator/ptx_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cuda_emulator/ptx_tokens.h"
#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// A module with one kernel, k(u64, u32), of this body.
std::string WithBody(const std::string& body) {
  return ".version 9.0\n.target sm_75\n.address_size 64\n.visible .entry k(\n.param .u64 a,\n.param .u32 n\n)\n{\n" +
         body + "\n}\n";
}

TEST(PtxTokensTest, KnowsWordsPunctuationCommentsAndLines) {
  std::vector<std::string> words;
  for (const Token& token : Tokenize("ld.f32 %f1, [%rd1+-4]; // load\n/* two\nlines */ @!%p1 bra $L_2;")) {
    words.push_back(std::string(token.text) + "@" + std::to_string(token.line));
  }
  EXPECT_THAT(words, ElementsAre("ld.f32@1", "%f1@1", ",@1", "[@1", "%rd1@1", "+@1", "-4@1", "]@1", ";@1", "@@3", "!@3",
                                 "%p1@3", "bra@3", "$L_2@3", ";@3"));
}

TEST(PtxParserTest, LaysOutParametersAsTheHostPassesThem) {
  const Module module = ParsePtx(
      ".version 9.0\n.visible .entry k(\n.param .u8 a,\n.param .u64 .ptr .align 1 b,\n.param .align 8 .b8 c[24],\n"
      ".param .f32 d\n)\n.maxntid 128, 1, 1\n{\nret;\n}\n");
  const Kernel& kernel = module.kernels.at("k");
  std::string layout;
  for (const Parameter& parameter : kernel.parameters) {
    layout += std::to_string(parameter.offset) + "+" + std::to_string(parameter.size_bytes) + " ";
  }
  EXPECT_EQ(layout, "0+1 8+8 16+24 40+4 ");
  EXPECT_EQ(kernel.parameter_bytes, 44u);
  EXPECT_EQ(kernel.threads_max, 128u);
}

TEST(PtxParserTest, PlacesSharedVariablesBehindEachOther) {
  const Module module = ParsePtx(
      WithBody(".shared .align 4 .b8 x[6];\n.shared .align 16 .b8 y[8];\n.reg .b32 %r<3>;\nmov.u32 %r1, y;\nret;"));
  const Kernel& kernel = module.kernels.at("k");
  EXPECT_EQ(kernel.shared_bytes, 24u);
  EXPECT_THAT(kernel.constants, ElementsAre(testing::Pair(testing::_, 16u)));
}

TEST(PtxParserTest, ResolvesJumpsForwardAndBack) {
  const Module module =
      ParsePtx(WithBody("$L_1:\nsetp.eq.s32 %p1, %r1, 0;\n@%p1 bra $L_2;\nbra.uni $L_1;\n$L_2:\nret;"));
  const std::vector<Instruction>& code = module.kernels.at("k").code;
  ASSERT_EQ(code.size(), 4u);
  EXPECT_EQ(code[1].target, 3);
  EXPECT_EQ(code[2].target, 0);
  EXPECT_EQ(code[1].line, 11);
  EXPECT_EQ(module.TextOf(code[1].line), "@%p1 bra $L_2;");
}

TEST(PtxParserTest, RefusesWhatItDoesNotKnowAndSaysWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"shfl.sync.bfly.b32 %r1, %r2, 1, 31, -1;\nret;", "PTX line 9: unknown opcode 'shfl.sync.bfly.b32'"},
      {"ld.f32 %f1, [%rd1];\nret;", "without a state space"},
      {"ld.const.f32 %f1, [%rd1];\nret;", "'const' is not known"},
      {"atom.global.cas.b32 %r1, [%rd1], %r2, %r3;\nret;", "unknown atomic 'cas.b32'"},
      {"bar.sync 1;\nret;", "only barrier 0"},
      {"bra $L_9;\nret;", "jumps to $L_9, which is nowhere"},
      {"add.s32 %r1, %r2;\nret;", "expected ','"},
      {"add.s32 %r1, %r2, %r3, %r4;\nret;", "operands of 'add.s32' are not understood"},
      {"mov.u32 %r1, nothing;\nret;", "operand 'nothing' is not known"},
      {"mov.u32 %r1, 1;", "runs past its last instruction"},
  };
  for (const auto& [body, message] : cases) {
    EXPECT_THAT([&] { ParsePtx(WithBody(body)); }, ThrowsMessage<Violation>(HasSubstr(message))) << body;
  }
  EXPECT_THAT([] { ParsePtx(".version 9.0\n.global .align 4 .b8 table[16];\n"); },
              ThrowsMessage<Violation>(HasSubstr("not supported at module level: '.global'")));
}

TEST(PtxParserTest, EveryCutTextIsRefused) {
  const std::string whole = WithBody("mov.u32 %r1, 1;\nret;");
  const size_t end = whole.rfind('}');
  for (size_t size = whole.find(".entry") + 1; size < end; ++size) {
    EXPECT_THROW(ParsePtx(whole.substr(0, size)), Violation) << size;
  }
}

}  // namespace
}  // namespace eddl::cuda_emulator
