#include "runtime/data/idx.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/runtime/data/files.h"

namespace eddl {
namespace {

ByteReader Over(const std::string& name, const std::string& bytes) {
  return ByteReader::OverMemory(name, AsBytes(bytes));
}

// Reads both and decodes all rows; "OK", or the first error.
std::string Message(const std::string& images, const std::string& labels, int64_t limit = 0, int64_t class_count = 0) {
  absl::StatusOr<ReadResult> read = ReadIdx(Over("images", images), Over("labels", labels), limit, class_count);
  if (!read.ok()) return MessageFor(read);
  return MessageFor(read->producer(*read->rows, std::atomic<bool>(false)));
}

std::string Render(const ReadResult& read) {
  std::string text = TensorDesc{read.info.sample_shape, read.info.dtype}.ToString();
  for (int64_t i = 0; i < read.rows->ready(); ++i) {
    text += " ";
    for (std::byte value : read.rows->Row(i)) text += std::to_string(std::to_integer<int>(value)) + ",";
    text += read.labels.empty() ? "" : "=" + std::to_string(read.labels[static_cast<size_t>(i)]);
  }
  return text;
}

absl::StatusOr<ReadResult> ReadAll(const std::string& images, const std::string& labels, int64_t limit = 0) {
  EDDL_ASSIGN_OR_RETURN(ReadResult read, ReadIdx(Over("images", images), Over("labels", labels), limit, 0));
  EDDL_RETURN_IF_ERROR(read.producer(*read.rows, std::atomic<bool>(false)));
  return read;
}

const std::string kImages = Idx({3, 2, 1}, "\x01\x02\x03\x04\x05\x06");
const std::string kLabels = Idx({3}, std::string("\x02\x00\x01", 3));

TEST(IdxTest, ReadsPlainImagesAndLabels) {
  const auto read = ReadAll(kImages, kLabels);
  ASSERT_EQ(MessageFor(read), "OK");
  EXPECT_EQ(Render(*read), "u8[2, 1, 1] 1,2,=2 3,4,=0 5,6,=1");
  EXPECT_EQ(read->info.class_count, 3);
}

TEST(IdxTest, ReadsGzipImagesAndLabels) {
  const auto read = ReadAll(Gzip(kImages), Gzip(kLabels));
  ASSERT_EQ(MessageFor(read), "OK");
  EXPECT_EQ(Render(*read), "u8[2, 1, 1] 1,2,=2 3,4,=0 5,6,=1");
}

TEST(IdxTest, ReadsGzipOfSeveralMembers) {
  const auto read = ReadAll(Gzip(kImages.substr(0, 9)) + Gzip(kImages.substr(9)), kLabels);
  ASSERT_EQ(MessageFor(read), "OK");
  EXPECT_EQ(Render(*read), "u8[2, 1, 1] 1,2,=2 3,4,=0 5,6,=1");
}

TEST(IdxTest, ReadsFlatAndColouredSamples) {
  const auto flat = ReadAll(Idx({3, 2}, "\x01\x02\x03\x04\x05\x06"), kLabels);
  ASSERT_EQ(MessageFor(flat), "OK");
  EXPECT_EQ(Render(*flat), "u8[2] 1,2,=2 3,4,=0 5,6,=1");
  const auto coloured = ReadAll(Idx({3, 1, 1, 2}, "\x01\x02\x03\x04\x05\x06"), kLabels);
  ASSERT_EQ(MessageFor(coloured), "OK");
  EXPECT_EQ(Render(*coloured), "u8[1, 1, 2] 1,2,=2 3,4,=0 5,6,=1");
}

TEST(IdxTest, StopsAtTheLimit) {
  const auto read = ReadAll(kImages, kLabels, 2);
  ASSERT_EQ(MessageFor(read), "OK");
  EXPECT_EQ(Render(*read), "u8[2, 1, 1] 1,2,=2 3,4,=0");
}

TEST(IdxTest, RefusesWrongMagic) {
  EXPECT_EQ(Message("\x01\x02\x08\x03", kLabels), "images: not an IDX file: starts with 0x01 0x02, not 0x00 0x00");
  EXPECT_EQ(Message(std::string("\0\0\x0d\x03", 4), kLabels),
            "images: IDX element type 0x0d is not supported; write unsigned bytes (0x08)");
  EXPECT_EQ(Message(kLabels, kLabels), "images: holds an array of rank 1, not images (rank 3, or 4 with channels)");
  EXPECT_EQ(Message(kImages, kImages), "labels: holds an array of rank 3, not labels (rank 1)");
}

TEST(IdxTest, RefusesEmptyAndHeaderOnlyFiles) {
  EXPECT_EQ(Message("", kLabels), "images: ends at byte 0 inside the IDX header; fetch the file again");
  EXPECT_EQ(Message(kImages.substr(0, 10), kLabels),
            "images: ends at byte 10 inside the IDX header; fetch the file again");
  EXPECT_EQ(Message(Idx({0, 2, 1}, ""), kLabels), "images: holds no samples");
  EXPECT_EQ(Message(Idx({3, 0, 1}, ""), kLabels),
            "images: samples of [0, 1, 1] are not supported; a sample has 1 to 67108864 elements");
}

// 2^40 rows in a file of a few bytes: refused by the header alone.
TEST(IdxTest, RefusesClaimsBeyondTheFileBeforeAllocating) {
  EXPECT_EQ(
      Message(Idx({1u << 30, 1024, 1}, "abc"), kLabels),
      "images: the header claims [1073741824, 1024, 1] bytes, more than the file can hold (3); fetch the file again");
  EXPECT_EQ(Message(Idx({0xffffffff, 0xffffffff, 0xffffffff}, "abc"), kLabels).substr(0, 40),
            "images: the header claims [4294967295, 4");
  EXPECT_EQ(Message(Gzip(Idx({1u << 30, 1024, 1}, "abc")), kLabels).substr(0, 25), "images: the header claims");
}

TEST(IdxTest, RefusesTruncatedPlainFile) {
  EXPECT_EQ(Message(kImages.substr(0, 20), kLabels),
            "images: the header claims [3, 2, 1] bytes, more than the file can hold (4); fetch the file again");
}

TEST(IdxTest, RefusesContentBeyondTheHeader) {
  EXPECT_EQ(Message(kImages + "x", kLabels),
            "images: goes on after byte 22, but its header promises 3 images; fetch the file again");
  EXPECT_EQ(Message(kImages, kLabels + "x"),
            "labels: goes on after byte 11, but its header promises 3 labels; fetch the file again");
}

TEST(IdxTest, RefusesTruncatedGzip) {
  const std::string zipped = Gzip(kImages);
  const std::string size = std::to_string(zipped.size() - 4);
  EXPECT_EQ(Message(zipped.substr(0, zipped.size() - 4), kLabels), "images: the gzip stream is cut off at byte " +
                                                                       size + " of " + size +
                                                                       " (22 bytes unpacked); fetch the file again");
}

TEST(IdxTest, RefusesGzipWithWrongChecksum) {
  std::string zipped = Gzip(kImages);
  zipped[zipped.size() - 6] = static_cast<char>(zipped[zipped.size() - 6] ^ 1);
  EXPECT_EQ(Message(zipped, kLabels), "images: the gzip stream is corrupt (incorrect data check) at byte " +
                                          std::to_string(zipped.size() - 4) + " of " + std::to_string(zipped.size()) +
                                          " (22 bytes unpacked); fetch the file again");
}

TEST(IdxTest, RefusesCountsThatDiffer) {
  EXPECT_EQ(Message(kImages, Idx({2}, "\x01\x02")),
            "images holds 3 samples, but labels 2 labels; they are not of one set");
}

TEST(IdxTest, RefusesLabelsOutOfRange) {
  EXPECT_EQ(Message(kImages, kLabels, 0, 2), "labels: label 2 of sample 0 is out of range; labels go from 0 to 1");
}

TEST(IdxTest, FindsTheUsualFileNames) {
  const TempDir dir;
  EXPECT_FALSE(FindIdx(dir.Path(""), "train").has_value());
  dir.Write("train-images-idx3-ubyte.gz", "");
  dir.Write("train-labels-idx1-ubyte", "");
  dir.Write("t10k-images.idx3-ubyte", "");
  dir.Write("t10k-labels.idx1-ubyte.gz", "");
  const auto train = FindIdx(dir.Path("."), "train");
  const auto test = FindIdx(dir.Path("."), "t10k");
  ASSERT_TRUE(train.has_value() && test.has_value());
  EXPECT_EQ(dir.Relative(train->images + " " + train->labels),
            "DIR/./train-images-idx3-ubyte.gz DIR/./train-labels-idx1-ubyte");
  EXPECT_EQ(dir.Relative(test->images + " " + test->labels),
            "DIR/./t10k-images.idx3-ubyte DIR/./t10k-labels.idx1-ubyte.gz");
  EXPECT_EQ(FindIdxLabels(dir.Path("train-images-idx3-ubyte.gz")), dir.Path("train-labels-idx1-ubyte"));
}

}  // namespace
}  // namespace eddl
