// PTX as words: comments gone, each with its line.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace eddl::cuda_emulator {

// A word ("ld.param.u64", "%r1", "$L__BB0_2", "-4", "0f3F800000") or one character of punctuation.
struct Token {
  std::string_view text;
  int32_t line = 0;  // from 1
};

// Views into text, which must outlive them.
std::vector<Token> Tokenize(std::string_view text);

}  // namespace eddl::cuda_emulator
