#include "runtime/data/batcher.h"

#include <gtest/gtest.h>

#include <cstring>

#include "absl/synchronization/notification.h"
#include "runtime/data/order.h"
#include "tests/runtime/data/files.h"

namespace eddl {
namespace {

// `count` rows of two bytes: row i is (i, 100 + i), its label i mod 3.
Dataset Rows(int64_t count) {
  HostBytes bytes;
  EXPECT_TRUE(bytes.Resize(2 * count).ok());
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    bytes.span()[static_cast<size_t>(2 * i)] = static_cast<std::byte>(i);
    bytes.span()[static_cast<size_t>(2 * i + 1)] = static_cast<std::byte>(100 + i);
    labels.push_back(static_cast<int32_t>(i % 3));
  }
  DatasetInfo info{.name = "rows", .sample_shape = {2}, .dtype = DType::kU8, .class_count = 3};
  return Dataset(info, std::make_shared<RowStore>(std::move(bytes), 2, 0.0), labels);
}

// "[3:3,103=0 1:1,101=1]": sample, row, label.
std::string Render(const Batch& batch) {
  std::string text;
  for (int64_t i = 0; i < batch.size(); ++i) {
    const auto at = static_cast<size_t>(i);
    text += (i > 0 ? " " : "") + std::to_string(batch.samples[at]) + ":" +
            std::to_string(std::to_integer<int>(batch.rows[2 * at])) + "," +
            std::to_string(std::to_integer<int>(batch.rows[2 * at + 1])) + "=" + std::to_string(batch.labels[at]);
  }
  return "[" + text + "]";
}

std::string RenderAll(Batcher& batcher) {
  std::string text;
  for (;;) {
    const absl::StatusOr<Batch> batch = batcher.Next();
    if (!batch.ok()) return text + MessageFor(batch);
    if (batch->size() == 0) return text;
    text += Render(*batch);
  }
}

Batcher Make(const Dataset& data, int64_t batch_size) {
  absl::StatusOr<Batcher> batcher = Batcher::Create(data, {.batch_size = batch_size});
  EXPECT_EQ(MessageFor(batcher), "OK");
  return *std::move(batcher);
}

TEST(BatcherTest, GathersRowsLabelsAndSamplesInOrder) {
  const Dataset data = Rows(5);
  Batcher batcher = Make(data, 2);
  const std::vector<int64_t> order = {4, 0, 3, 1, 2};
  batcher.Start(order, 0, 5);
  EXPECT_EQ(RenderAll(batcher), "[4:4,104=1 0:0,100=0][3:3,103=0 1:1,101=1][2:2,102=2]");
}

TEST(BatcherTest, VisitsEverySampleOnceAnEpoch) {
  const Dataset data = Rows(100);
  Batcher batcher = Make(data, 7);
  const std::vector<int64_t> order = EpochOrder(1, 0, 100, {});
  batcher.Start(order, 0, 100);
  std::vector<int> visits(100);
  for (auto batch = batcher.Next(); batch.ok() && batch->size() > 0; batch = batcher.Next()) {
    for (int64_t sample : batch->samples) ++visits[static_cast<size_t>(sample)];
  }
  EXPECT_EQ(visits, std::vector<int>(100, 1));
}

TEST(BatcherTest, ResumesAtAnyPositionAsIfNeverInterrupted) {
  const Dataset data = Rows(10);
  const std::vector<int64_t> order = EpochOrder(1, 0, 10, {});
  Batcher whole = Make(data, 3);
  whole.Start(order, 0, 10);
  const std::string uninterrupted = RenderAll(whole);
  Batcher first = Make(data, 3);
  first.Start(order, 0, 10);
  std::string pieces = Render(*first.Next());
  pieces += Render(*first.Next());
  Batcher second = Make(data, 3);
  second.Start(order, first.position(), 10);
  EXPECT_EQ(pieces + RenderAll(second), uninterrupted);
}

TEST(BatcherTest, KeepsTheLastBatchWhileTheNextIsGathered) {
  const Dataset data = Rows(4);
  Batcher batcher = Make(data, 2);
  batcher.StartInOrder(0, 4);
  const absl::StatusOr<Batch> first = batcher.Next();
  const absl::StatusOr<Batch> second = batcher.Next();
  EXPECT_EQ(Render(*first) + Render(*second), "[0:0,100=0 1:1,101=1][2:2,102=2 3:3,103=0]");
}

TEST(BatcherTest, ReusesItsMemory) {
  const Dataset data = Rows(12);
  Batcher batcher = Make(data, 2);
  batcher.StartInOrder(0, 12);
  const std::byte* first = batcher.Next()->rows.data();
  const std::byte* second = batcher.Next()->rows.data();
  EXPECT_NE(first, second);
  EXPECT_EQ(batcher.Next()->rows.data(), first);
  EXPECT_EQ(batcher.Next()->rows.data(), second);
}

TEST(BatcherTest, RefusesABatchLargerThanTheData) {
  const Dataset data = Rows(5);
  EXPECT_EQ(MessageFor(Batcher::Create(data, {.batch_size = 6})),
            "a batch of 6 cannot be made from the 5 samples of rows; set a batch size from 1 to 5");
  EXPECT_EQ(MessageFor(Batcher::Create(data, {.batch_size = 0})),
            "a batch of 0 cannot be made from the 5 samples of rows; set a batch size from 1 to 5");
}

// The first batch needs no more than its own rows; the error of a later row reaches the batch that wants it.
TEST(BatcherTest, WaitsForItsOwnRowsOnly) {
  auto store = *RowStore::Allocate(4, 1);
  absl::Notification first_batch_seen;
  auto decoder = std::make_shared<DecodeThread>(
      std::vector<DecodeThread::Job>{{store, [&](RowStore& rows, const std::atomic<bool>&) {
                                        rows.writable()[0] = rows.writable()[1] = std::byte{7};
                                        rows.Publish(2, 0.5);
                                        first_batch_seen.WaitForNotification();
                                        return DataLoss("x.gz: cut off");
                                      }}});
  DatasetInfo info{.name = "x.gz", .sample_shape = {1}, .dtype = DType::kU8, .class_count = 1};
  const Dataset data(info, store, {0, 0, 0, 0}, decoder);
  Batcher batcher = Make(data, 2);
  batcher.StartInOrder(0, 4);
  const absl::StatusOr<Batch> first = batcher.Next();
  ASSERT_EQ(MessageFor(first), "OK");
  EXPECT_EQ(first->rows[1], std::byte{7});
  EXPECT_EQ(data.ready(), 2);
  EXPECT_EQ(data.decode_seconds(), 0.5);
  first_batch_seen.Notify();
  EXPECT_EQ(MessageFor(batcher.Next()), "x.gz: cut off");
}

}  // namespace
}  // namespace eddl
