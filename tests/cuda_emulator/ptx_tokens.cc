#include "tests/cuda_emulator/ptx_tokens.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace eddl::cuda_emulator {
namespace {

bool InWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%' || c == '.';
}

}  // namespace

std::vector<Token> Tokenize(std::string_view text) {
  std::vector<Token> tokens;
  int32_t line = 1;
  size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    size_t end = at + 1;
    if (text.substr(at, 2) == "//") {
      end = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      const size_t close = text.find("*/", at + 2);
      end = close == std::string_view::npos ? text.size() : close + 2;
      line += static_cast<int32_t>(
          std::count(text.begin() + static_cast<ptrdiff_t>(at), text.begin() + static_cast<ptrdiff_t>(end), '\n'));
    } else if (c == '\n') {
      ++line;
    } else if (InWord(c) || c == '-') {
      while (end < text.size() && InWord(text[end])) ++end;
      tokens.push_back({text.substr(at, end - at), line});
    } else if (std::isspace(static_cast<unsigned char>(c)) == 0) {
      tokens.push_back({text.substr(at, 1), line});
    }
    at = end;
  }
  return tokens;
}

}  // namespace eddl::cuda_emulator
