// The readers on real data, where it is installed or lies beside the repository; skipped elsewhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "runtime/data/measure.h"
#include "runtime/data/open.h"
#include "runtime/data/order.h"
#include "tests/runtime/data/files.h"

namespace eddl {
namespace {

const std::string kFashion = "/usr/share/datasets/fashion-mnist";
const std::string kShared = std::string(EDDL_SOURCE_DIR) + "/../shared/data";

bool Exists(const std::string& path) { return std::filesystem::exists(path); }

std::vector<int64_t> Histogram(const Dataset& data) {
  std::vector<int64_t> counts(static_cast<size_t>(data.info().class_count));
  for (int32_t label : data.labels()) ++counts[static_cast<size_t>(label)];
  return counts;
}

TEST(RealDataTest, ReadsFashionMnist) {
  if (!Exists(kFashion)) GTEST_SKIP() << "no " << kFashion << " (Debian: dataset-fashion-mnist)";
  const auto split = OpenData({.path = kFashion});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(split->info.sample_shape, Shape({28, 28, 1}));
  EXPECT_EQ(Histogram(split->train), std::vector<int64_t>(10, 6000));
  EXPECT_EQ(Histogram(split->test), std::vector<int64_t>(10, 1000));
  EXPECT_EQ(OrderFor(split->train).first_epoch_windows, 7);
  ASSERT_EQ(MessageFor(split->test.WaitFor(10'000)), "OK");
  // The mean pixel of the training set, as its authors publish it: 0.2860.
  double sum = 0.0;
  for (int64_t i = 0; i < split->train.size(); ++i) {
    for (std::byte value : split->train.Row(i)) sum += std::to_integer<int>(value);
  }
  EXPECT_NEAR(sum / (60'000.0 * 784 * 255), 0.2860, 0.0001);
}

TEST(RealDataTest, NamesTheFirstBadRowOfDrebinAndSkipsAllFive) {
  const std::string path = kShared + "/drebin215.csv.gz";
  if (!Exists(path)) GTEST_SKIP() << "no ../shared/data/drebin215.csv.gz beside the repository";
  EXPECT_EQ(MessageFor(OpenData({.path = path})),
            path +
                ":178: column 92 'TelephonyManager.getSimCountryIso': '?' is not a number; correct the line, or set "
                "data.on_bad_row = \"skip\" to leave such lines out");
  const auto split = OpenData({.path = path, .on_bad_row = "skip"});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(split->train.size() + split->test.size(), 15'031);
  EXPECT_EQ(split->info.sample_shape, Shape({215}));
  EXPECT_EQ(split->info.class_names, (std::vector<std::string>{"B", "S"}));
  EXPECT_EQ(split->notes[0].substr(0, 19), "skipped 5 bad lines");
  EXPECT_NEAR(*Density(split->train, 15'031), 0.155, 0.002);
}

TEST(RealDataTest, ReadsAndroidPermissions) {
  const std::string path = kShared + "/android_permissions.csv.gz";
  if (!Exists(path)) GTEST_SKIP() << "no ../shared/data/android_permissions.csv.gz beside the repository";
  const auto split = OpenData({.path = path, .test_fraction = 0.0, .label_column = "class"});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(split->info.sample_shape, Shape({151}));
  EXPECT_EQ(Histogram(split->train), (std::vector<int64_t>{5000, 5000}));
  EXPECT_NEAR(*Density(split->train, 10'000), 0.029, 0.001);
}

}  // namespace
}  // namespace eddl
