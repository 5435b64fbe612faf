#include "tests/cuda_emulator/options.h"

#include <charconv>

#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

uint64_t ParseNumber(std::string_view word, std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    throw Violation("EDDL_CUDA_EMULATOR: '" + std::string(word) + "' needs a number");
  }
  return value;
}

// "cudaMalloc:7,cudaFree:1".
void ParseCalls(std::string_view word, std::string_view list, std::map<std::string, uint64_t>* calls) {
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    const size_t colon = std::min(item.find(':'), item.size() - 1);
    (*calls)[std::string(item.substr(0, colon))] = ParseNumber(word, item.substr(colon + 1));
  }
}

void ParseWord(std::string_view word, Options* options) {
  const size_t equals = word.find('=');
  const std::string_view key = word.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
  if (key == "order" && value == "eager") {
    options->order = Order::kEager;
  } else if (key == "order" && value == "lazy") {
    options->order = Order::kLazy;
  } else if (key == "order" && value.starts_with("random:")) {
    options->order = Order::kRandom;
    options->seed = ParseNumber(word, value.substr(7));
  } else if (key == "devices") {
    options->device_count = static_cast<int32_t>(ParseNumber(word, value));
  } else if (key == "driver") {
    options->driver_version = static_cast<int32_t>(ParseNumber(word, value));
  } else if (key == "memory") {
    options->memory_bytes = ParseNumber(word, value);
  } else if (key == "hang_ms") {
    options->hang_ms = static_cast<int32_t>(ParseNumber(word, value));
  } else if (key == "leaks") {
    options->leaks = ParseNumber(word, value) != 0;
  } else if (key == "fail") {
    ParseCalls(word, value, &options->fail);
  } else if (key == "lose") {
    ParseCalls(word, value, &options->lose);
  } else {
    throw Violation("EDDL_CUDA_EMULATOR: '" + std::string(word) + "' is not understood");
  }
}

}  // namespace

Options ParseOptions(std::string_view text) {
  Options options;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (!word.empty()) ParseWord(word, &options);
  }
  return options;
}

}  // namespace eddl::cuda_emulator
