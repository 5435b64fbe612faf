// Finds data races between the threads of one kernel launch, in a piece of memory.
//
// Two accesses of different threads race if at least one writes, not both are atomic, and nothing orders them. Within a
// block a barrier does: a thread's phase is the number of barriers behind it, and accesses of different phases are
// ordered. Between blocks nothing does. Blocks run one after the other here, and phases only grow; so of all reads of
// a cell it is enough to know one thread, "several of this block in its last phase" or "of several blocks", and
// likewise of writes and atomics: no race is missed, and none is invented.
//
// A cell is as many bytes as the smallest access so far, so that neighbours of one byte do not disturb each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace eddl::cuda_emulator {

enum class AccessKind : uint8_t { kRead, kWrite, kAtomic };

// Who accesses memory within a launch.
struct ThreadPoint {
  int32_t block = 0;
  int32_t thread = 0;
  int32_t phase = 0;
};

class RaceShadow {
 public:
  // Forgets all accesses: a new launch begins.
  void Reset(size_t size_bytes);

  // Notes an access to [offset, offset + size) and says what it races with: "write by thread 3 of block 0", or nothing.
  // REQUIRES: size is 1, 2, 4, 8 or 16, offset a multiple of it, and the range lies within size_bytes of Reset.
  std::string Record(uint64_t offset, uint32_t size, AccessKind kind, const ThreadPoint& who);

 private:
  static constexpr int32_t kNobody = -1, kSeveral = -2;

  // Accesses of one kind to one cell.
  struct Accesses {
    int32_t block = kNobody;
    int32_t thread = kNobody;
    int32_t phase = 0;

    void Add(const ThreadPoint& who);
    bool OrderedBefore(const ThreadPoint& who) const;
    std::string Describe(const char* what) const;
  };
  struct Cell {
    uint32_t launch = 0;
    Accesses reads, writes, atomics;
  };

  void Refine(uint32_t cell_bytes);
  static std::string RecordCell(Cell& cell, AccessKind kind, const ThreadPoint& who);

  uint32_t launch_ = 0;
  uint32_t cell_bytes_ = 4;
  size_t size_bytes_ = 0;
  std::vector<Cell> cells_;  // empty until the first access
};

}  // namespace eddl::cuda_emulator
