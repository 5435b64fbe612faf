// EpochLayout: which rows make which micro-batch in an epoch, when the rows come in blocks with owners.
//
// A micro-batch never mixes owners: only an owner can compute its rows. For each owner the order is a permutation of
// its rows, cut into micro-batches of the same size; a tail shorter than half of that joins the one before. Nothing is
// padded, nothing repeated. The owners' micro-batches are dealt like cards, each owner's spread evenly over the epoch,
// so that every stretch of it has all owners in proportion to their rows: a batch that were one owner's alone would
// leave the others idle, and pull the model to its data. With one owner a position is simply a slice of its order.
// Pure; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "net/data_block.h"
#include "net/ids.h"

namespace eddl::net {

class EpochLayout {
 public:
  // Of the epochs from `first_epoch` on, for as long as no block is added: blocks that begin later are left out.
  // REQUIRES: micro_batch_size > 0; at most kDataRowsMax rows.
  EpochLayout(std::span<const DataBlock> blocks, int64_t first_epoch, int64_t micro_batch_size);

  int64_t first_epoch() const { return first_epoch_; }
  int64_t micro_batch_count() const { return micro_batch_count_; }
  int64_t sample_count() const { return sample_count_; }
  // kManager: anybody may compute it. REQUIRES: a position in [0, micro_batch_count()), here and below.
  NodeId OwnerOf(int64_t position) const { return groups_[PlaceOf(position).group].owner; }
  // Owners of rows, sorted; kManager is one of them if anybody may compute something.
  std::vector<NodeId> Owners() const;
  // Samples in the micro-batches at [begin, end).
  int64_t CountSamples(int64_t begin, int64_t end) const;

  // An owner's rows of an epoch, as Fisher–Yates of Rng(seed) has them (of DeriveSeed(seed, owner) where a node owns
  // them). `seed`: of the epoch. Nobody needs the order of rows that it can't compute.
  std::vector<int64_t> Order(uint64_t seed, NodeId owner) const;
  // Where in its owner's order the micro-batch's rows lie: [begin, end).
  struct Slice {
    int64_t begin = 0;
    int64_t end = 0;
  };
  Slice SliceOf(int64_t position) const;

 private:
  struct Group {
    NodeId owner{};
    std::vector<DataBlock> blocks;
    int64_t row_count = 0;
    int64_t micro_batch_count = 0;
  };
  // One micro-batch: of which group, and which of the group's.
  struct Place {
    uint32_t group = 0;
    int64_t index = 0;
  };

  Place PlaceOf(int64_t position) const {
    return places_.empty() ? Place{0, position} : places_[static_cast<size_t>(position)];
  }
  void Spread();

  int64_t first_epoch_ = 0;
  int64_t micro_batch_size_ = 0;
  int64_t micro_batch_count_ = 0;
  int64_t sample_count_ = 0;
  std::vector<Group> groups_;         // sorted by owner
  std::vector<Place> places_;         // by position; empty with one group
  std::vector<int64_t> sample_ends_;  // by position: samples in it and those before; empty with one group
};

}  // namespace eddl::net
