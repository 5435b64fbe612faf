#include "net/policy/epoch_layout.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

int64_t CountMicroBatches(int64_t row_count, int64_t micro_batch_size) {
  const int64_t whole = row_count / micro_batch_size;
  const int64_t tail = row_count % micro_batch_size;
  const bool tail_stands = tail > 0 && 2 * tail >= micro_batch_size;
  return std::max<int64_t>(1, whole + (tail_stands ? 1 : 0));
}

}  // namespace

EpochLayout::EpochLayout(std::span<const DataBlock> blocks, int64_t first_epoch, int64_t micro_batch_size)
    : first_epoch_(first_epoch), micro_batch_size_(micro_batch_size) {
  EDDL_CHECK(micro_batch_size > 0) << micro_batch_size;
  std::map<NodeId, Group> by_owner;
  for (const DataBlock& block : blocks) {
    if (block.first_epoch > first_epoch) continue;
    Group& group = by_owner[block.owner];
    group.owner = block.owner;
    group.blocks.push_back(block);
    group.row_count += block.row_count;
  }
  for (auto& [owner, group] : by_owner) {
    group.micro_batch_count = CountMicroBatches(group.row_count, micro_batch_size);
    sample_count_ += group.row_count;
    micro_batch_count_ += group.micro_batch_count;
    groups_.push_back(std::move(group));
  }
  if (groups_.size() > 1) Spread();
}

void EpochLayout::Spread() {
  EDDL_CHECK(sample_count_ <= kDataRowsMax) << sample_count_;
  places_.reserve(static_cast<size_t>(micro_batch_count_));
  for (uint32_t group = 0; group < groups_.size(); ++group) {
    for (int64_t index = 0; index < groups_[group].micro_batch_count; ++index) places_.push_back({group, index});
  }
  // The i-th of n lies at (2 i + 1) / 2 n of the epoch; compared without division, so that all nodes agree.
  std::sort(places_.begin(), places_.end(), [this](const Place& a, const Place& b) {
    const int64_t left = (2 * a.index + 1) * groups_[b.group].micro_batch_count;
    const int64_t right = (2 * b.index + 1) * groups_[a.group].micro_batch_count;
    return std::tie(left, a.group) < std::tie(right, b.group);
  });
  int64_t end = 0;
  for (int64_t position = 0; position < micro_batch_count_; ++position) {
    const Slice slice = SliceOf(position);
    sample_ends_.push_back(end += slice.end - slice.begin);
  }
}

std::vector<NodeId> EpochLayout::Owners() const {
  std::vector<NodeId> owners;
  for (const Group& group : groups_) owners.push_back(group.owner);
  return owners;
}

int64_t EpochLayout::CountSamples(int64_t begin, int64_t end) const {
  if (begin == end) return 0;
  if (!sample_ends_.empty()) {
    return sample_ends_[static_cast<size_t>(end) - 1] - (begin == 0 ? 0 : sample_ends_[static_cast<size_t>(begin) - 1]);
  }
  const int64_t last = end == micro_batch_count_ ? sample_count_ : end * micro_batch_size_;
  return last - begin * micro_batch_size_;
}

std::vector<int64_t> EpochLayout::Order(uint64_t seed, NodeId owner) const {
  const auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& one) { return one.owner == owner; });
  EDDL_CHECK(group != groups_.end()) << "node " << ToInt(owner) << " owns nothing";
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(group->row_count));
  for (const DataBlock& block : group->blocks) {
    for (int64_t row = 0; row < block.row_count; ++row) rows.push_back(block.first_row + row);
  }
  Rng rng(owner == kManager ? seed : DeriveSeed(seed, ToInt(owner)));
  Shuffle(rows, rng);
  return rows;
}

EpochLayout::Slice EpochLayout::SliceOf(int64_t position) const {
  const Place place = PlaceOf(position);
  const Group& group = groups_[place.group];
  const bool is_last = place.index + 1 == group.micro_batch_count;
  const int64_t end = is_last ? group.row_count : (place.index + 1) * micro_batch_size_;
  return {place.index * micro_batch_size_, end};
}

}  // namespace eddl::net
