#include "runtime/data/order.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl {
namespace {

int64_t WindowBegin(int64_t window, int64_t windows, int64_t count) {
  const int64_t whole = count / windows;
  return window * whole + window * (count % windows) / windows;
}

std::vector<double> Distribution(std::span<const int32_t> labels, int64_t class_count) {
  std::vector<double> share(static_cast<size_t>(class_count));
  for (int32_t label : labels) share[static_cast<size_t>(label)] += 1.0;
  for (double& s : share) s /= static_cast<double>(labels.size());
  return share;
}

double TotalVariation(std::span<const double> a, std::span<const double> b) {
  double distance = 0.0;
  for (size_t i = 0; i < a.size(); ++i) distance += std::abs(a[i] - b[i]);
  return distance / 2.0;
}

}  // namespace

std::vector<int64_t> EpochOrder(uint64_t seed, int64_t epoch, int64_t count, const OrderOptions& options) {
  EDDL_CHECK(count >= 0 && epoch >= 0 && options.first_epoch_windows >= 1) << count << " " << epoch;
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  Rng rng(DeriveSeed(seed, static_cast<uint64_t>(epoch)));
  const int64_t windows = epoch == 0 ? options.first_epoch_windows : 1;
  for (int64_t w = 0; w < windows; ++w) {
    const int64_t begin = WindowBegin(w, windows, count);
    for (int64_t size = WindowBegin(w + 1, windows, count) - begin; size > 1; --size) {
      const auto other = static_cast<int64_t>(rng.Below(static_cast<uint64_t>(size)));
      std::swap(order[static_cast<size_t>(begin + size - 1)], order[static_cast<size_t>(begin + other)]);
    }
  }
  return order;
}

int64_t RepresentativeWindows(std::span<const int32_t> labels, int64_t class_count) {
  const auto count = static_cast<int64_t>(labels.size());
  const int64_t windows = std::max<int64_t>(1, count / kOrderWindowRows);
  if (windows == 1) return 1;
  const std::vector<double> whole = Distribution(labels, class_count);
  for (int64_t w = 0; w < windows; ++w) {
    const int64_t begin = WindowBegin(w, windows, count);
    const int64_t size = WindowBegin(w + 1, windows, count) - begin;
    const auto window = labels.subspan(static_cast<size_t>(begin), static_cast<size_t>(size));
    if (TotalVariation(Distribution(window, class_count), whole) > kOrderWindowDistanceMax) return 1;
  }
  return windows;
}

OrderOptions OrderFor(const Dataset& data) {
  if (!data.decodes_in_background()) return {};
  return {.first_epoch_windows = RepresentativeWindows(data.labels(), data.info().class_count)};
}

}  // namespace eddl
