// How the emulator is told what to do: EDDL_CUDA_EMULATOR="order=random:3 devices=2 fail=cudaMalloc:7".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace eddl::cuda_emulator {

// When queued work runs. Programs must be right in all of them.
enum class Order : uint8_t {
  kEager,   // at once
  kLazy,    // when the host waits for it, and nothing else then
  kRandom,  // a little of some stream at each call, by seed
};

struct Options {
  Order order = Order::kLazy;
  uint64_t seed = 1;                          // of kRandom, and of the order of threads in a block
  int32_t device_count = 1;                   // 0: calls answer like a machine without a driver
  int32_t driver_version = 0;                 // 12080: a driver for CUDA 12.8, too old for us; 0: that of the headers
  uint64_t memory_bytes = uint64_t{4} << 30;  // of each device
  int32_t hang_ms = 10'000;                   // a wait that makes no progress for this long is a hang
  std::map<std::string, uint64_t> fail;       // the Nth call (from 1) of this function fails
  std::map<std::string, uint64_t> lose;       // the Nth call of this one goes well, and its device is lost
  bool leaks = true;                          // report what is not freed when the process ends
};

// Words "key=value" with spaces between; order: eager, lazy or random:SEED; fail and lose: NAME:N, several with commas.
// Throws Violation for a word that it does not know.
Options ParseOptions(std::string_view text);

}  // namespace eddl::cuda_emulator
