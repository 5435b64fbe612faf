#include "net/policy/batch_split.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr int kBisectionsMax = 100;
constexpr double kSecondsMax = 1e18;
constexpr double kItemsMax = 1e15;  // counts are exact in a double, with room for a sum

int64_t Fits(const SplitWorker& worker, double seconds, int64_t items) {
  const double cap = static_cast<double>(std::min(worker.items_max, items));
  const double count = std::floor((seconds - worker.fixed_seconds) / worker.seconds_per_item);
  return static_cast<int64_t>(std::clamp(count, 0.0, cap));
}

double Finish(const SplitWorker& worker, int64_t items) {
  return items == 0 ? 0 : worker.fixed_seconds + worker.seconds_per_item * static_cast<double>(items);
}

absl::Status Validate(std::span<const SplitWorker> workers, int64_t items) {
  double room = 0;
  for (size_t i = 0; i < workers.size(); ++i) {
    const SplitWorker& worker = workers[i];
    if (!(worker.seconds_per_item > 0) || !(worker.seconds_per_item < kSecondsMax) || !(worker.fixed_seconds >= 0) ||
        !(worker.fixed_seconds < kSecondsMax) || worker.items_max < 0) {
      return InvalidArgument("batch split: worker " + std::to_string(i) + " takes " +
                             std::to_string(worker.fixed_seconds) + " s + " + std::to_string(worker.seconds_per_item) +
                             " s an item, at most " + std::to_string(worker.items_max) +
                             " items; measure it, or leave it out");
    }
    room += static_cast<double>(worker.items_max);
  }
  if (items < 0 || static_cast<double>(items) > std::min(room, kItemsMax)) {
    return InvalidArgument("batch split: " + std::to_string(items) + " items for " + std::to_string(workers.size()) +
                           " workers with room for " + std::to_string(room) + "; make the batch smaller");
  }
  return absl::OkStatus();
}

// A time within which the items fit, with so little room to spare that taking the surplus away is cheap.
double FindTime(std::span<const SplitWorker> workers, int64_t items) {
  const auto surplus_in = [&](double seconds) {
    int64_t sum = -items;
    for (const SplitWorker& worker : workers) {
      sum += Fits(worker, seconds, items);
      if (sum > items) break;
    }
    return sum;
  };
  const auto surplus_max = static_cast<int64_t>(workers.size() / 16 + 1);
  // Parts of items, no caps and nobody left out: not later than any real split.
  double rate = 0;
  for (const SplitWorker& worker : workers) rate += 1 / worker.seconds_per_item;
  double low = 0;
  double high = static_cast<double>(items) / rate;
  while (surplus_in(high) < 0) {
    low = high;
    high *= 2;
  }
  for (int i = 0; i < kBisectionsMax; ++i) {
    const double middle = low + (high - low) / 2;
    const int64_t surplus = surplus_in(middle);
    (surplus >= 0 ? high : low) = middle;
    if (surplus >= 0 && surplus <= surplus_max) break;
  }
  return high;
}

}  // namespace

absl::StatusOr<BatchSplit> SplitBatch(std::span<const SplitWorker> workers, int64_t items) {
  EDDL_RETURN_IF_ERROR(Validate(workers, items));
  BatchSplit split{.items = std::vector<int64_t>(workers.size(), 0)};
  if (items == 0) return split;

  const double seconds = FindTime(workers, items);
  std::vector<std::pair<double, size_t>> finishes;  // a heap, the latest on top
  int64_t surplus = -items;
  for (size_t i = 0; i < workers.size(); ++i) {
    split.items[i] = Fits(workers[i], seconds, items);
    surplus += split.items[i];
    if (split.items[i] > 0) finishes.push_back({Finish(workers[i], split.items[i]), i});
  }
  std::make_heap(finishes.begin(), finishes.end());
  for (; surplus > 0; --surplus) {
    std::pop_heap(finishes.begin(), finishes.end());
    auto& [finish, index] = finishes.back();
    finish = Finish(workers[index], --split.items[index]);
    std::push_heap(finishes.begin(), finishes.end());
  }
  split.seconds = finishes.front().first;
  return split;
}

}  // namespace eddl::net
