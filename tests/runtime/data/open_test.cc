#include "runtime/data/open.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "runtime/data/cifar10.h"
#include "runtime/data/measure.h"
#include "runtime/data/order.h"
#include "tests/runtime/data/files.h"

namespace eddl {
namespace {

std::string Row(const Dataset& data, int64_t row) {
  std::string text;
  const std::span<const std::byte> bytes = data.Row(row);
  for (int64_t i = 0; i < data.info().sample_shape.elements(); ++i) {
    const auto at = static_cast<size_t>(i);
    char number[32];
    std::snprintf(number, sizeof(number), "%s%g", i > 0 ? "," : "",
                  data.info().dtype == DType::kU8
                      ? std::to_integer<int>(bytes[at])
                      : static_cast<double>(reinterpret_cast<const float*>(bytes.data())[at]));
    text += number;
  }
  return text + "=" + std::to_string(data.Label(row));
}

std::string Render(const Dataset& data) {
  const absl::Status status = data.WaitFor(data.size());
  std::string text = MessageFor(status) == "OK" ? "" : MessageFor(status);
  for (int64_t i = 0; i < data.ready(); ++i) text += (i > 0 ? " " : "") + Row(data, i);
  return text;
}

std::string Error(const TempDir& dir, const DataOptions& options) {
  return dir.Relative(MessageFor(OpenData(options)));
}

// A file of `count` rows i,10i,i mod 2.
std::string Numbers(int count) {
  std::string text = "a,b,y\n";
  for (int i = 0; i < count; ++i) {
    text += std::to_string(i) + "," + std::to_string(10 * i) + "," + std::to_string(i % 2) + "\n";
  }
  return text;
}

TEST(OpenDataTest, ReadsAFolderOfIdxFilesAndScalesOnTheDevice) {
  const TempDir dir;
  dir.Write("train-images-idx3-ubyte.gz", Gzip(Idx({2, 1, 2}, "abcd")));
  dir.Write("train-labels-idx1-ubyte.gz", Gzip(Idx({2}, std::string("\x00\x01", 2))));
  dir.Write("t10k-images-idx3-ubyte", Idx({1, 1, 2}, "ef"));
  dir.Write("t10k-labels-idx1-ubyte", Idx({1}, "\x01"));
  const auto split = OpenData({.path = dir.Path("")});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(Render(split->train), "97,98=0 99,100=1");
  EXPECT_EQ(Render(split->test), "101,102=1");
  EXPECT_EQ(split->info.scale, std::vector<float>{1.0f / 255.0f});
  EXPECT_EQ(split->test.info().scale, split->info.scale);
  EXPECT_TRUE(split->train.decodes_in_background());
  EXPECT_TRUE(split->notes.empty());
}

TEST(OpenDataTest, ReportsACorruptImageFileWhereItsRowsAreWanted) {
  const TempDir dir;
  std::string content(2 << 20, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 7);
  const std::string zipped = Gzip(Idx({2048, 32, 32}, content));
  dir.Write("train-images-idx3-ubyte.gz", zipped.substr(0, zipped.size() * 9 / 10));
  dir.Write("train-labels-idx1-ubyte", Idx({2048}, std::string(2048, '\0')));
  const auto split = OpenData({.path = dir.Path(""), .test_fraction = 0.0});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(MessageFor(split->train.WaitFor(512)), "OK");
  const std::string message = dir.Relative(MessageFor(split->train.WaitFor(2048)));
  EXPECT_EQ(message.substr(0, 67), "DIR//train-images-idx3-ubyte.gz: the gzip stream is cut off at byte");
}

TEST(OpenDataTest, CancelsDecodingWhenNobodyIsLeftToReadIt) {
  const TempDir dir;
  dir.Write("train-images-idx3-ubyte.gz", Gzip(Idx({16384, 64, 64}, std::string(size_t{64} << 20, 'x'))));
  dir.Write("train-labels-idx1-ubyte", Idx({16384}, std::string(16384, '\0')));
  Dataset kept;
  {
    const auto split = OpenData({.path = dir.Path("")});
    ASSERT_EQ(MessageFor(split), "OK");
    kept = split->test;
  }
  EXPECT_EQ(MessageFor(kept.WaitFor(kept.size())), "OK");  // the other part gone, this one still decodes
  { const auto dropped = OpenData({.path = dir.Path("")}); }
}

TEST(OpenDataTest, SplitsBySeedWithoutLossOrRepetition) {
  const TempDir dir;
  const std::string path = dir.Write("t.csv", Numbers(50));
  const auto split = OpenData({.path = path, .seed = 7});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(split->train.size(), 40);
  EXPECT_EQ(split->test.size(), 10);
  std::set<std::string> rows;
  for (int64_t i = 0; i < 40; ++i) rows.insert(Row(split->train, i));
  for (int64_t i = 0; i < 10; ++i) rows.insert(Row(split->test, i));
  EXPECT_EQ(rows.size(), 50u);
  EXPECT_EQ(Render(OpenData({.path = path, .seed = 7})->test), Render(split->test));
  EXPECT_NE(Render(OpenData({.path = path, .seed = 8})->test), Render(split->test));
  EXPECT_EQ(split->notes,
            std::vector<std::string>{"no test set found: 10 of 50 samples split off by seed 7 (data.test_fraction)"});
  EXPECT_EQ(OpenData({.path = path, .test_fraction = 0.0})->test.size(), 0);
}

TEST(OpenDataTest, StandardisesByTheTrainingSetAlone) {
  const TempDir dir;
  const std::string train = dir.Write("train.csv", "1,5,0\n3,5,1\n");
  const std::string test = dir.Write("test.csv", "5,6,1\n");
  const auto split = OpenData({.path = train, .test_path = test, .scale = "standard"});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(Render(split->train), "-1,0=0 1,0=1");
  EXPECT_EQ(Render(split->test), "3,1=1");
  EXPECT_EQ(split->info.scale, (std::vector<float>{1.0f, 1.0f}));
  EXPECT_EQ(split->info.shift, (std::vector<float>{-2.0f, -5.0f}));
}

TEST(OpenDataTest, LeavesBytesAsTheyAreAndDescribesTheirScaling) {
  const TempDir dir;
  dir.Write("x.npy", Npy("|u1", "(2, 1, 1, 2)", std::string("\x00\x0a\x04\x0a", 4)));
  dir.Write("y.npy", Npy("|u1", "(2,)", std::string("\x00\x01", 2)));
  const auto split = OpenData({.path = dir.Path(""), .test_fraction = 0.0, .scale = "standard"});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(Render(split->train), "0,10=0 4,10=1");
  EXPECT_EQ(split->info.scale, (std::vector<float>{0.5f, 1.0f}));
  EXPECT_EQ(split->info.shift, (std::vector<float>{-1.0f, -10.0f}));
  EXPECT_EQ(OpenData({.path = dir.Path(""), .scale = "none"})->info.scale, std::vector<float>{1.0f});
}

TEST(OpenDataTest, ReadsCifar10AsPixelsWithItsClassNames) {
  const TempDir dir;
  std::string record(kCifar10RecordBytes, '\0');
  record[0] = 3;
  record[1] = 11;         // red of the first pixel
  record[1 + 1024] = 12;  // its green
  record[1 + 2048] = 13;  // its blue
  record[1 + 1] = 21;     // red of the second pixel
  dir.Write("data_batch_1.bin", record);
  dir.Write("data_batch_2.bin.gz", Gzip(record + record));
  dir.Write("test_batch.bin", record);
  dir.Write("batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  const auto split = OpenData({.path = dir.Path("")});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(split->train.size(), 3);
  EXPECT_EQ(split->test.size(), 1);
  EXPECT_EQ(split->info.sample_shape, Shape({32, 32, 3}));
  EXPECT_EQ(Row(split->train, 2).substr(0, 20), "11,12,13,21,0,0,0,0,");
  EXPECT_EQ(split->train.Label(0), 3);
  EXPECT_EQ(split->info.class_names[3], "cat");
}

TEST(OpenDataTest, RefusesDamagedCifar10) {
  const TempDir dir;
  std::string record(kCifar10RecordBytes, '\0');
  const std::string cut = dir.Write("cut.bin", record + "abc");
  EXPECT_EQ(Error(dir, {.path = cut}), "DIR/cut.bin: ends inside record 1, at byte 3076; fetch the file again");
  record[0] = 10;
  const std::string label = dir.Write("label.bin", record);
  EXPECT_EQ(Error(dir, {.path = label}),
            "DIR/label.bin: label 10 of record 0 is out of range; CIFAR-10 has classes 0 to 9 (CIFAR-100 has other "
            "records)");
}

TEST(OpenDataTest, SaysWhatItLookedFor) {
  const TempDir dir;
  EXPECT_EQ(Error(dir, {}), "data.path is not set; name a file or a folder, or set data.format = \"generate\"");
  EXPECT_EQ(Error(dir, {.path = dir.Path("none.csv")}), "cannot open DIR/none.csv: No such file or directory");
  EXPECT_EQ(Error(dir, {.path = dir.Write("empty.csv", "")}), "DIR/empty.csv is empty");
  EXPECT_EQ(Error(dir, {.path = dir.Path("."), .format = "idx"}),
            "DIR/. holds no train-images-idx3-ubyte[.gz] with its labels");
  EXPECT_EQ(Error(dir, {.path = dir.Path(".")}),
            "folder DIR/. holds no data set that is known by its file names (train-images-idx3-ubyte[.gz], "
            "data_batch_1.bin, x_train.npy, x.npy); set data.path to a file");
  EXPECT_EQ(Error(dir, {.path = dir.Write("noise", std::string("\x01\0\x02", 3))}),
            "DIR/noise: the format is not recognised; set data.format");
  EXPECT_EQ(Error(dir, {.path = dir.Write("x.npy", Npy("|u1", "(1, 1)", "a"))}),
            "no labels file found beside DIR/x.npy; set data.labels_path");
}

TEST(OpenDataTest, RefusesOptionsOutOfRange) {
  const TempDir dir;
  const std::string path = dir.Write("t.csv", Numbers(4));
  EXPECT_EQ(Error(dir, {.path = path, .format = "json"}),
            "data.format = \"json\" is none of: auto, idx, csv, npy, npz, cifar10, generate");
  EXPECT_EQ(Error(dir, {.path = path, .scale = "big"}), "data.scale = \"big\" is none of: auto, none, unit, standard");
  EXPECT_EQ(Error(dir, {.path = path, .header = "maybe"}), "data.header = \"maybe\" is none of: auto, yes, no");
  EXPECT_EQ(Error(dir, {.path = path, .on_bad_row = "drop"}), "data.on_bad_row = \"drop\" is none of: error, skip");
  EXPECT_EQ(Error(dir, {.path = path, .test_fraction = 1.0}), "data.test_fraction = 1.000000 is not in [0, 1)");
  EXPECT_EQ(Error(dir, {.path = path, .limit = -1}), "data.limit = -1 is negative");
  EXPECT_EQ(Error(dir, {.path = path, .class_count = 1}),
            "DIR/t.csv: the label column has 2 different values, more than data.class_count = 1");
}

TEST(OpenDataTest, RefusesPartsThatDoNotFitTogether) {
  const TempDir dir;
  dir.Write("x_train.npy", Npy("|u1", "(1, 2)", "ab"));
  dir.Write("y_train.npy", Npy("|u1", "(1,)", std::string("\0", 1)));
  dir.Write("x_test.npy", Npy("|u1", "(1, 3)", "abc"));
  dir.Write("y_test.npy", Npy("|u1", "(1,)", std::string("\0", 1)));
  EXPECT_EQ(Error(dir, {.path = dir.Path(".")}),
            "the test set DIR/./x_test.npy has samples u8[3], the training set DIR/./x_train.npy u8[2]");
  dir.Write("x_test.npy", Npy("|u1", "(1, 2)", "ab"));
  dir.Write("y_test.npy", Npy("|u1", "(1,)", "\x05"));
  EXPECT_EQ(Error(dir, {.path = dir.Path(".")}),
            "DIR/./y_test.npy: label 5 of sample 0 is out of range; labels go from 0 to 0");
}

TEST(GeneratorTest, HasTheAskedShapeDensityAndSeed) {
  const DataOptions options{.format = "generate", .seed = 3, .generate = {.samples = 4000, .density = 0.1}};
  const auto split = OpenData(options);
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(split->info.sample_shape, Shape({427}));
  EXPECT_EQ(split->info.class_count, 71);
  EXPECT_EQ(split->train.size() + split->test.size(), 4000);
  EXPECT_NEAR(*Density(split->train, 4000), 0.1, 0.005);
  EXPECT_EQ(Render(OpenData(options)->test), Render(split->test));
  DataOptions other = options;
  other.seed = 4;
  EXPECT_NE(Render(OpenData(other)->test), Render(split->test));
}

// More samples extend the set, so that a larger run contains the smaller.
TEST(GeneratorTest, SamplesDoNotDependOnTheirNumber) {
  const auto few = Generate({.samples = 3});
  const auto many = Generate({.samples = 5});
  EXPECT_EQ(std::memcmp(few->rows->Row(0).data(), many->rows->Row(0).data(), 3 * 427 * sizeof(float)), 0);
  EXPECT_TRUE(std::equal(few->labels.begin(), few->labels.end(), many->labels.begin()));
}

// The nearest class mean, a linear rule learnt from other samples, finds nearly all labels but the noisy ones.
TEST(GeneratorTest, LabelsCanBeLearnt) {
  const auto split = OpenData({.format = "generate", .generate = {.samples = 20'000, .classes = 10, .noise = 0.1}});
  const Dataset& train = split->train;
  const size_t features = 427;
  std::vector<std::vector<double>> mean(10, std::vector<double>(features));
  std::vector<double> count(10);
  for (int64_t i = 0; i < train.size(); ++i) {
    const auto k = static_cast<size_t>(train.Label(i));
    count[k] += 1.0;
    const auto* row = reinterpret_cast<const float*>(train.Row(i).data());
    for (size_t f = 0; f < features; ++f) mean[k][f] += static_cast<double>(row[f]);
  }
  int right = 0;
  for (int64_t i = 0; i < split->test.size(); ++i) {
    const auto* row = reinterpret_cast<const float*>(split->test.Row(i).data());
    std::vector<double> distance(10);
    for (size_t k = 0; k < 10; ++k) {
      for (size_t f = 0; f < features; ++f) {
        distance[k] += std::pow(static_cast<double>(row[f]) - mean[k][f] / count[k], 2);
      }
    }
    right += std::min_element(distance.begin(), distance.end()) - distance.begin() == split->test.Label(i);
  }
  const double accuracy = right / static_cast<double>(split->test.size());
  EXPECT_GT(accuracy, 0.85);
  EXPECT_LT(accuracy, 0.93);
}

TEST(GeneratorTest, RefusesOptionsOutOfRange) {
  EXPECT_EQ(MessageFor(Generate({.samples = 0})),
            "data.generate.samples = 0 is out of range; it goes from 1 to 4294967296");
  EXPECT_EQ(MessageFor(Generate({.density = 1.0})), "data.generate.density = 1.000000 is not between 0 and 1");
  EXPECT_EQ(MessageFor(Generate({.noise = -0.1})), "data.generate.noise = -0.100000 is not in [0, 1)");
}

TEST(MeasureTest, DensityCountsWhatIsNotZeroInTheFirstRows) {
  const TempDir dir;
  const auto split = OpenData({.path = dir.Write("t.csv", "0,1,0\n1,1,1\n0,0,1\n0,0,0\n"), .test_fraction = 0.0});
  ASSERT_EQ(MessageFor(split), "OK");
  EXPECT_EQ(*Density(split->train, 2), 0.75);
  EXPECT_EQ(*Density(split->train, 100), 0.375);
  EXPECT_EQ(*Density(split->train, 0), 0.0);
}

TEST(MeasureTest, OneHotMarksTheLabel) {
  EXPECT_EQ(OneHot(std::vector<int32_t>{2, 0}, 3), (std::vector<float>{0, 0, 1, 1, 0, 0}));
}

}  // namespace
}  // namespace eddl
