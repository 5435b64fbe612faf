// Dataset: labelled samples in memory, and what a model must know about them.
//
// Samples are rows of equal shape: u8 as read (images; scaled on the device) or f32. Labels are class indices. A reader may
// still be decoding in the background: rows [0, ready()) can be used. Thread-safe to read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/tensor/shape.h"

namespace eddl {

// What every sample of a data set has in common.
struct DatasetInfo {
  std::string name;                      // for messages: the path it was read from
  Shape sample_shape;                    // [28, 28, 1] (HWC) or [427]
  DType dtype = DType::kF32;             // kU8 or kF32
  int64_t class_count = 0;
  std::vector<std::string> class_names;  // empty, or class_count names in index order
  // How a u8 or raw value becomes the model's input: x * scale + shift, per last dimension or one for all.
  std::vector<float> scale = {1.0f};
  std::vector<float> shift = {0.0f};

  bool operator==(const DatasetInfo&) const = default;
};

class Dataset {
 public:
  virtual ~Dataset() = default;  // in memory at once, or decoding in the background

  virtual const DatasetInfo& info() const = 0;
  virtual int64_t size() const = 0;
  // Blocks until rows [0, count) are decoded. kDataLoss or kInvalidArgument with file and position if they can't be.
  virtual absl::Status WaitFor(int64_t count) const = 0;
  // Bytes of one row as the dtype says, and its label. REQUIRES: WaitFor(row + 1) was OK.
  virtual std::span<const std::byte> Row(int64_t row) const = 0;
  virtual int32_t Label(int64_t row) const = 0;
};

}  // namespace eddl
