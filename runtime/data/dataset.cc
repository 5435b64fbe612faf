#include "runtime/data/dataset.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace eddl {

Dataset::Dataset(DatasetInfo info, std::shared_ptr<const RowStore> rows, std::vector<int32_t> labels,
                 std::shared_ptr<DecodeThread> decoder)
    : info_(std::move(info)), rows_(std::move(rows)), labels_(std::move(labels)), decoder_(std::move(decoder)) {
  EDDL_CHECK(rows_ != nullptr && rows_->count() == size()) << info_.name << ": " << size() << " labels";
  EDDL_CHECK(rows_->row_bytes() == row_bytes()) << rows_->row_bytes() << " bytes for " << info_.sample_shape.ToString();
  for (int32_t label : labels_) EDDL_CHECK(label >= 0 && label < info_.class_count) << "label " << label;
}

Dataset Dataset::Select(std::span<const int64_t> positions) const {
  Dataset part;
  part.info_ = info_;
  part.rows_ = rows_;
  part.decoder_ = decoder_;
  part.labels_.reserve(positions.size());
  part.selected_.reserve(positions.size());
  int64_t previous = -1;
  for (int64_t position : positions) {
    EDDL_CHECK(position > previous && position < size()) << position << " of " << size() << " after " << previous;
    part.labels_.push_back(Label(position));
    part.selected_.push_back(StoredRow(position));
    previous = position;
  }
  return part;
}

Dataset Dataset::WithInfo(DatasetInfo info) const {
  EDDL_CHECK(info.sample_shape == info_.sample_shape && info.dtype == info_.dtype) << info.sample_shape.ToString();
  Dataset described = *this;
  described.info_ = std::move(info);
  return described;
}

int64_t Dataset::ready() const {
  if (rows_ == nullptr) return 0;
  const int64_t stored = rows_->ready();
  if (selected_.empty()) return std::min(stored, size());
  return std::lower_bound(selected_.begin(), selected_.end(), stored) - selected_.begin();
}

absl::Status Dataset::WaitFor(int64_t count) const {
  EDDL_CHECK(count >= 0 && count <= size()) << count << " of " << size();
  return count == 0 ? absl::OkStatus() : rows_->WaitFor(StoredRow(count - 1) + 1);
}

}  // namespace eddl
