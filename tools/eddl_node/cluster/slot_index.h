// SlotIndex: which sample lies in which slot of a cache with a fixed number of slots, and which goes first when all are
// taken: the one that was used longest ago.
//
// 12 bytes a slot and 4 a sample. Pure; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/base/check.h"

namespace eddl::cluster {

class SlotIndex {
 public:
  // Slots that are all free. REQUIRES: fewer than 2³² of either.
  SlotIndex(int64_t sample_count, int64_t slot_count)
      : slots_(static_cast<size_t>(slot_count) + 1), slot_of_(static_cast<size_t>(sample_count), kNone) {
    EDDL_CHECK(sample_count >= 0 && sample_count < kNone && slot_count >= 0 && slot_count < kNone)
        << sample_count << " samples, " << slot_count << " slots";
    free_.reserve(static_cast<size_t>(slot_count));
    for (int64_t slot = slot_count; slot > 0; --slot) free_.push_back(static_cast<uint32_t>(slot));
  }

  size_t slot_count() const { return slots_.size() - 1; }
  size_t free_count() const { return free_.size(); }
  size_t used_count() const { return slot_count() - free_count(); }
  // Of a sample that is out of range: false.
  bool Has(int64_t sample) const {
    return sample >= 0 && sample < static_cast<int64_t>(slot_of_.size()) && SlotOf(sample) != kNone;
  }
  // Its slot, in [0, slot_count()).
  std::optional<size_t> Find(int64_t sample) const {
    if (!Has(sample)) return std::nullopt;
    return SlotOf(sample) - 1;
  }
  // It is used now. REQUIRES: it is here.
  void Touch(int64_t sample) {
    const uint32_t slot = SlotOf(sample);
    Unlink(slot);
    LinkLast(slot);
  }
  // A slot for it: the lowest free one, or the one of the sample that was used longest ago, which is here no more.
  // REQUIRES: it is not here, and slot_count() > 0.
  size_t Take(int64_t sample) {
    EDDL_CHECK(!Has(sample) && slot_count() > 0) << sample;
    if (free_.empty()) Drop(slots_[slots_[kEnd].after].sample);
    const uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot].sample = static_cast<uint32_t>(sample);
    slot_of_[static_cast<size_t>(sample)] = slot;
    LinkLast(slot);
    return slot - 1;
  }
  // Its slot is free, and the first to be taken. REQUIRES: it is here.
  void Drop(int64_t sample) {
    const uint32_t slot = SlotOf(sample);
    Unlink(slot);
    slot_of_[static_cast<size_t>(sample)] = kNone;
    free_.push_back(slot);
  }
  // What an earlier process left: of each slot its sample, or -1. A sample that is there twice, or out of range, is
  // not taken. REQUIRES: all slots are free, and as many are given.
  void Restore(std::span<const int64_t> samples) {
    EDDL_CHECK(samples.size() == slot_count() && free_count() == slot_count()) << samples.size();
    free_.clear();
    for (size_t i = samples.size(); i-- > 0;) {
      const auto slot = static_cast<uint32_t>(i + 1);
      const int64_t sample = samples[i];
      if (sample < 0 || sample >= static_cast<int64_t>(slot_of_.size()) || Has(sample)) {
        free_.push_back(slot);
        continue;
      }
      slots_[slot].sample = static_cast<uint32_t>(sample);
      slot_of_[static_cast<size_t>(sample)] = slot;
      LinkLast(slot);
    }
  }

 private:
  // Slots are counted from 1 here; 0 is both ends of the list of used ones, in order of use.
  static constexpr uint32_t kEnd = 0;
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Slot {
    uint32_t sample = 0;
    uint32_t before = kEnd;
    uint32_t after = kEnd;
  };

  uint32_t SlotOf(int64_t sample) const { return slot_of_[static_cast<size_t>(sample)]; }
  void Unlink(uint32_t slot) {
    slots_[slots_[slot].before].after = slots_[slot].after;
    slots_[slots_[slot].after].before = slots_[slot].before;
  }
  void LinkLast(uint32_t slot) {
    slots_[slot].before = slots_[kEnd].before;
    slots_[slot].after = kEnd;
    slots_[slots_[kEnd].before].after = slot;
    slots_[kEnd].before = slot;
  }

  std::vector<Slot> slots_;
  std::vector<uint32_t> slot_of_;
  std::vector<uint32_t> free_;
};

}  // namespace eddl::cluster
