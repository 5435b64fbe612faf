// The memory of emulated GPUs: every access is checked against what was allocated, by exact byte, and against what
// other operations do.
//
// Addresses are real but closed to the process: a host that dereferences a device pointer gets a segmentation fault, as
// it would with a GPU. The emulator reaches the same pages through a second mapping. Addresses are never used twice, so
// that a stale pointer is found. Fresh memory is full of 0xff bytes: NaN.
//
// Races between operations. Each operation carries a vector clock (clock.h) that says which earlier operations are
// ordered before it; an access to bytes that another operation wrote (or, for a write, read) without such order is a
// violation, in whatever order the two happened to run. Not thread-safe: the emulator's lock is held.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/cuda_emulator/clock.h"
#include "tests/cuda_emulator/race_shadow.h"

namespace eddl::cuda_emulator {

// An operation on a stream as memory sees it.
struct OperationId {
  uint32_t serial = 0;  // unique, from 1
  int32_t device = 0;
  ClockPoint point;
  VectorClock clock;  // what is ordered before it
  std::string name;   // "kernel conv2d_im2col", for messages
};

class Allocation {
 public:
  uint64_t address = 0;
  uint64_t size_bytes = 0;
  int32_t device = 0;
  std::byte* host = nullptr;  // the second mapping

  // Checks an access of an operation against all others. Throws Violation.
  void RecordOperation(uint64_t offset, uint64_t size, bool write, const OperationId& operation,
                       const std::vector<OperationId>& operations);
  // Operations that have touched it and are not ordered before this clock: names the first, or "".
  std::string UnorderedWith(const VectorClock& clock, const std::vector<OperationId>& operations) const;

  RaceShadow races;        // of the launch at hand
  uint32_t races_for = 0;  // its operation

 private:
  static constexpr uint32_t kCellBytes = 4;
  // Serials of the last writer and of recent readers; 0: none.
  struct Cell {
    uint32_t writer = 0;
    std::array<uint32_t, 2> readers = {};
  };
  std::vector<Cell> cells_;
  std::map<int32_t, uint32_t> last_of_stream_;  // serial
};

class DeviceMemory {
 public:
  DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory();

  // 0 if the address space is used up. Aligned to 256 bytes.
  uint64_t Allocate(int32_t device, uint64_t size_bytes);
  // The allocation that begins at the address, or nullptr.
  Allocation* FindStart(uint64_t address);
  void Free(uint64_t address);
  // Whether the address lies where allocations do, live or not.
  bool Owns(uint64_t address) const { return address - base_ < kSpaceBytes; }

  // The allocation that holds [address, address + size) on the operation's device. Throws Violation if none does.
  Allocation& Find(uint64_t address, uint64_t size, int32_t device);
  // Host address of bytes that an operation reads or writes as a whole: bounds and order are checked.
  std::byte* Access(uint64_t address, uint64_t size, bool write, const OperationId& operation);

  // Gives an operation its serial; the record is kept for messages about later ones.
  void Begin(OperationId* operation);
  const std::vector<OperationId>& operations() const { return operations_; }

  uint64_t live_count() const { return allocations_.size(); }
  uint64_t live_bytes(int32_t device) const;

 private:
  static constexpr uint64_t kSpaceBytes = uint64_t{1} << 38;

  int file_ = -1;
  uint64_t base_ = 0;
  std::byte* host_base_ = nullptr;
  uint64_t next_ = 0;  // offset
  std::map<uint64_t, std::unique_ptr<Allocation>> allocations_;
  std::map<uint64_t, uint64_t> freed_;   // address, size
  std::vector<OperationId> operations_;  // by serial - 1
};

}  // namespace eddl::cuda_emulator
