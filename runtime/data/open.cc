#include "runtime/data/open.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/data/order.h"
#include "runtime/data/parts.h"
#include "runtime/data/scale.h"

namespace eddl {
namespace {

constexpr uint64_t kSplitStream = 0x73706c6974;

absl::Status OneOf(const std::string& key, const std::string& value, std::initializer_list<const char*> choices) {
  std::string list;
  for (const char* choice : choices) {
    if (value == choice) return absl::OkStatus();
    list += (list.empty() ? "" : ", ") + std::string(choice);
  }
  return InvalidArgument("data." + key + " = \"" + value + "\" is none of: " + list);
}

absl::Status CheckOptions(const DataOptions& options) {
  EDDL_RETURN_IF_ERROR(OneOf("format", options.format, {"auto", "idx", "csv", "npy", "npz", "cifar10", "generate"}));
  EDDL_RETURN_IF_ERROR(OneOf("scale", options.scale, {"auto", "none", "unit", "standard"}));
  if (!(options.test_fraction >= 0.0 && options.test_fraction < 1.0)) {
    return InvalidArgument("data.test_fraction = " + std::to_string(options.test_fraction) + " is not in [0, 1)");
  }
  if (options.limit < 0) return InvalidArgument("data.limit = " + std::to_string(options.limit) + " is negative");
  if (options.class_count < 0 || options.class_count > kClassCountMax) {
    return InvalidArgument("data.class_count = " + std::to_string(options.class_count) + " is not in 0 .. " +
                           std::to_string(kClassCountMax));
  }
  if (options.path.empty() && options.format != "generate") {
    return InvalidArgument("data.path is not set; name a file or a folder, or set data.format = \"generate\"");
  }
  return absl::OkStatus();
}

// Positions of the training set and of the test set, both ascending.
struct Positions {
  std::vector<int64_t> train, test;
};

Positions Split(int64_t count, double test_fraction, uint64_t seed) {
  const std::vector<int64_t> shuffled = EpochOrder(DeriveSeed(seed, kSplitStream), 0, count, {});
  const auto wanted = static_cast<int64_t>(std::llround(test_fraction * static_cast<double>(count)));
  const int64_t test_count = std::clamp<int64_t>(wanted, test_fraction > 0.0 && count > 1 ? 1 : 0, count - 1);
  Positions positions{.train = {shuffled.begin() + test_count, shuffled.end()},
                      .test = {shuffled.begin(), shuffled.begin() + test_count}};
  std::sort(positions.train.begin(), positions.train.end());
  std::sort(positions.test.begin(), positions.test.end());
  return positions;
}

absl::Status CheckFit(const ReadResult& train, const ReadResult& test) {
  if (train.info.sample_shape == test.info.sample_shape && train.info.dtype == test.info.dtype) return absl::OkStatus();
  return InvalidArgument("the test set " + test.info.name + " has samples " +
                         TensorDesc{test.info.sample_shape, test.info.dtype}.ToString() + ", the training set " +
                         train.info.name + " " + TensorDesc{train.info.sample_shape, train.info.dtype}.ToString());
}

// Data sets over the rows as read; starts the background thread if any rows are still to come.
DataSplit Assemble(Parts parts, const DataOptions& options) {
  DataSplit split;
  std::vector<DecodeThread::Job> jobs;
  const bool own_test = parts.test.has_value();
  for (ReadResult* part : {&parts.train, own_test ? &*parts.test : nullptr}) {
    if (part == nullptr) continue;
    if (part->producer) jobs.push_back({part->rows, std::move(part->producer)});
    split.notes.insert(split.notes.end(), part->notes.begin(), part->notes.end());
  }
  const auto decoder = jobs.empty() ? nullptr : std::make_shared<DecodeThread>(std::move(jobs));
  Dataset all(std::move(parts.train.info), std::move(parts.train.rows), std::move(parts.train.labels), decoder);
  if (own_test) {
    DatasetInfo info = all.info();
    info.name = parts.test->info.name;
    split.test = Dataset(std::move(info), std::move(parts.test->rows), std::move(parts.test->labels), decoder);
    split.train = std::move(all);
    return split;
  }
  const Positions positions = Split(all.size(), options.test_fraction, options.seed);
  split.train = all.Select(positions.train);
  split.test = all.Select(positions.test);
  if (split.test.size() > 0) {
    split.notes.push_back("no test set found: " + std::to_string(split.test.size()) + " of " +
                          std::to_string(all.size()) + " samples split off by seed " + std::to_string(options.seed) +
                          " (data.test_fraction)");
  }
  return split;
}

// What the option asks for. Waits for the whole training set where it is to be measured.
absl::StatusOr<Scaling> ChooseScaling(const std::string& mode, const Dataset& train) {
  const bool bytes = train.info().dtype == DType::kU8;
  if (mode == "unit" || (mode == "auto" && bytes)) return Scaling{.scale = {1.0f / 255.0f}};
  if (mode != "standard") return Scaling{};
  EDDL_RETURN_IF_ERROR(train.WaitFor(train.size()));
  Moments moments(train.info());
  for (int64_t row = 0; row < train.size(); ++row) moments.Add(train.Row(row));
  return moments.Standard();
}

}  // namespace

absl::StatusOr<DataSplit> OpenData(const DataOptions& options) {
  EDDL_RETURN_IF_ERROR(CheckOptions(options));
  EDDL_ASSIGN_OR_RETURN(Parts parts, ReadParts(options));
  if (parts.test.has_value()) EDDL_RETURN_IF_ERROR(CheckFit(parts.train, *parts.test));
  // Rows of f32 are all there, and scaled in place once the training part is known.
  std::vector<std::shared_ptr<RowStore>> stores = {parts.train.rows};
  if (parts.test.has_value()) stores.push_back(parts.test->rows);
  DataSplit split = Assemble(std::move(parts), options);
  EDDL_ASSIGN_OR_RETURN(const Scaling scaling, ChooseScaling(options.scale, split.train));
  const bool identity = scaling.scale == std::vector{1.0f} && scaling.shift == std::vector{0.0f};
  if (split.train.info().dtype == DType::kF32 && !identity) {
    for (const auto& store : stores) ApplyScaling(scaling, store->writable());
  }
  split.info = split.train.info();
  split.info.scale = scaling.scale;
  split.info.shift = scaling.shift;
  DatasetInfo test_info = split.info;
  test_info.name = split.test.info().name;
  split.train = split.train.WithInfo(split.info);
  if (split.test.size() > 0) split.test = split.test.WithInfo(std::move(test_info));
  return split;
}

}  // namespace eddl
