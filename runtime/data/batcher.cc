#include "runtime/data/batcher.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {

absl::StatusOr<Batcher> Batcher::Create(const Dataset& data, const BatcherOptions& options) {
  EDDL_CHECK(options.buffer_count >= 1) << options.buffer_count;
  if (options.batch_size < 1 || options.batch_size > data.size()) {
    return InvalidArgument("a batch of " + std::to_string(options.batch_size) + " cannot be made from the " +
                           std::to_string(data.size()) + " samples of " + data.info().name +
                           "; set a batch size from 1 to " + std::to_string(data.size()));
  }
  Batcher batcher(data, options.batch_size);
  batcher.buffers_.resize(static_cast<size_t>(options.buffer_count));
  for (Buffer& buffer : batcher.buffers_) {
    EDDL_RETURN_IF_ERROR(buffer.rows.Resize(options.batch_size * data.row_bytes()));
    buffer.labels.resize(static_cast<size_t>(options.batch_size));
    buffer.samples.resize(static_cast<size_t>(options.batch_size));
  }
  return batcher;
}

void Batcher::Start(std::span<const int64_t> order, int64_t begin, int64_t end) {
  EDDL_CHECK(0 <= begin && begin <= end && end <= std::ssize(order)) << begin << " " << end << " of " << order.size();
  order_ = order;
  position_ = begin;
  end_ = end;
}

void Batcher::StartInOrder(int64_t begin, int64_t end) {
  EDDL_CHECK(0 <= begin && begin <= end && end <= data_->size()) << begin << " " << end << " of " << data_->size();
  order_ = {};
  position_ = begin;
  end_ = end;
}

absl::StatusOr<Batch> Batcher::Next() {
  const auto size = static_cast<size_t>(std::min(batch_size_, end_ - position_));
  if (size == 0) return Batch{};
  Buffer& buffer = buffers_[next_buffer_];
  next_buffer_ = (next_buffer_ + 1) % buffers_.size();
  int64_t last = 0;
  for (size_t i = 0; i < size; ++i) {
    const int64_t position = position_ + static_cast<int64_t>(i);
    buffer.samples[i] = order_.empty() ? position : order_[static_cast<size_t>(position)];
    last = std::max(last, buffer.samples[i]);
  }
  EDDL_RETURN_IF_ERROR(data_->WaitFor(last + 1));
  std::byte* out = buffer.rows.span().data();
  const auto row_bytes = static_cast<size_t>(data_->row_bytes());
  for (size_t i = 0; i < size; ++i) {
    std::memcpy(out + i * row_bytes, data_->Row(buffer.samples[i]).data(), row_bytes);
    buffer.labels[i] = data_->Label(buffer.samples[i]);
  }
  position_ += static_cast<int64_t>(size);
  return Batch{.rows = buffer.rows.span().first(size * row_bytes),
               .labels = std::span(buffer.labels).first(size),
               .samples = std::span(buffer.samples).first(size)};
}

}  // namespace eddl
