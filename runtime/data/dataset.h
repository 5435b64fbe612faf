// Dataset: labelled samples in memory, and what a model must know about them.
//
// Samples are rows of equal shape: u8 as read (images; scaled on the device) or f32 (already scaled). Labels are class
// indices, all known from the start. Rows may still be decoding in the background: rows [0, ready()) can be used. A
// value: copies share the rows. Thread-safe to read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "runtime/data/row_store.h"
#include "runtime/tensor/shape.h"

namespace eddl {

// What every sample of a data set has in common.
struct DatasetInfo {
  std::string name;           // for messages: the path it was read from
  Shape sample_shape;         // [28, 28, 1] (HWC) or [427]
  DType dtype = DType::kF32;  // kU8 or kF32
  int64_t class_count = 0;
  std::vector<std::string> class_names;    // empty, or class_count names in index order
  std::vector<std::string> feature_names;  // empty, or one per feature: the header of a CSV file
  // How a value as read becomes the model's input: x * scale + shift, per last dimension or one for all. Rows of u8
  // hold values as read, and the device applies this; rows of f32 hold the model's input, and this says what was
  // applied.
  std::vector<float> scale = {1.0f};
  std::vector<float> shift = {0.0f};

  bool operator==(const DatasetInfo&) const = default;
};

class Dataset {
 public:
  // No samples.
  Dataset() = default;
  // All rows of the store, in its order; `decoder` is the thread that still fills it, null if it is full.
  // REQUIRES: one label per row, each in [0, info.class_count); row bytes as info says.
  Dataset(DatasetInfo info, std::shared_ptr<const RowStore> rows, std::vector<int32_t> labels,
          std::shared_ptr<DecodeThread> decoder = nullptr);

  // The samples at these positions, sharing the rows. REQUIRES: positions ascending and in range.
  Dataset Select(std::span<const int64_t> positions) const;
  // The same samples, described by `info`. REQUIRES: the same sample shape and dtype.
  Dataset WithInfo(DatasetInfo info) const;

  const DatasetInfo& info() const { return info_; }
  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  // Bytes of one row.
  int64_t row_bytes() const { return info_.sample_shape.elements() * SizeOf(info_.dtype); }
  // Rows [0, ready()) can be used at once.
  int64_t ready() const;
  // Blocks until rows [0, count) are decoded. kDataLoss or kInvalidArgument with file and position if they can't be.
  // REQUIRES: count <= size().
  absl::Status WaitFor(int64_t count) const;
  // Bytes of one row as the dtype says. REQUIRES: WaitFor(row + 1) was OK.
  std::span<const std::byte> Row(int64_t row) const { return rows_->Row(StoredRow(row)); }
  // The class index of a row. Needs no waiting.
  int32_t Label(int64_t row) const { return labels_[static_cast<size_t>(row)]; }
  std::span<const int32_t> labels() const { return labels_; }
  // True if the rows come from a background thread, finished or not: a fact about the source, not about timing.
  bool decodes_in_background() const { return decoder_ != nullptr; }
  // Seconds spent reading and decoding these rows so far.
  double decode_seconds() const { return rows_ == nullptr ? 0.0 : rows_->decode_seconds(); }

 private:
  int64_t StoredRow(int64_t row) const { return selected_.empty() ? row : selected_[static_cast<size_t>(row)]; }

  DatasetInfo info_;
  // Shared: the two parts of a split are views of one store, and copies of a view are cheap.
  std::shared_ptr<const RowStore> rows_;
  std::vector<int32_t> labels_;
  std::vector<int64_t> selected_;  // ascending; empty: all rows of the store
  // Shared by all the data sets that one thread fills: it is cancelled when the last of them goes.
  std::shared_ptr<DecodeThread> decoder_;
};

}  // namespace eddl
