#include "tests/cuda_emulator/race_shadow.h"

#include <algorithm>

namespace eddl::cuda_emulator {

void RaceShadow::Accesses::Add(const ThreadPoint& who) {
  if (block == kNobody || (block == who.block && phase != who.phase)) {
    *this = {.block = who.block, .thread = who.thread, .phase = who.phase};
  } else if (block != who.block) {
    block = thread = kSeveral;
  } else if (thread != who.thread) {
    thread = kSeveral;
  }
}

bool RaceShadow::Accesses::OrderedBefore(const ThreadPoint& who) const {
  if (block == kNobody) return true;
  if (block != who.block) return false;
  return phase != who.phase || thread == who.thread;
}

std::string RaceShadow::Accesses::Describe(const char* what) const {
  if (block == kSeveral) return std::string(what) + " by several blocks";
  const std::string by = thread == kSeveral ? "several threads" : "thread " + std::to_string(thread);
  return what + (" by " + by) + " of block " + std::to_string(block) + ", with no barrier between";
}

void RaceShadow::Reset(size_t size_bytes) {
  ++launch_;
  if (size_bytes != size_bytes_) cells_.clear();
  size_bytes_ = size_bytes;
}

void RaceShadow::Refine(uint32_t cell_bytes) {
  const uint32_t parts = cell_bytes_ / cell_bytes;
  std::vector<Cell> finer;
  finer.reserve(cells_.size() * parts);
  for (const Cell& cell : cells_) finer.insert(finer.end(), parts, cell);
  cells_ = std::move(finer);
  cell_bytes_ = cell_bytes;
}

std::string RaceShadow::Record(uint64_t offset, uint32_t size, AccessKind kind, const ThreadPoint& who) {
  if (cells_.empty()) {
    cell_bytes_ = std::min(size, 4u);
    cells_.resize(size_bytes_ / cell_bytes_ + 1);
  }
  if (size < cell_bytes_) Refine(size);
  for (uint64_t i = offset / cell_bytes_; i < (offset + size) / cell_bytes_; ++i) {
    Cell& cell = cells_[i];
    if (cell.launch != launch_) cell = {.launch = launch_, .reads = {}, .writes = {}, .atomics = {}};
    if (std::string race = RecordCell(cell, kind, who); !race.empty()) return race;
  }
  return "";
}

std::string RaceShadow::RecordCell(Cell& cell, AccessKind kind, const ThreadPoint& who) {
  if (!cell.writes.OrderedBefore(who)) return cell.writes.Describe("write");
  if (kind != AccessKind::kAtomic && !cell.atomics.OrderedBefore(who)) return cell.atomics.Describe("atomic");
  if (kind == AccessKind::kRead) {
    cell.reads.Add(who);
    return "";
  }
  if (!cell.reads.OrderedBefore(who)) return cell.reads.Describe("read");
  (kind == AccessKind::kWrite ? cell.writes : cell.atomics).Add(who);
  return "";
}

}  // namespace eddl::cuda_emulator
