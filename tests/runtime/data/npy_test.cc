#include "runtime/data/npy.h"

#include <gtest/gtest.h>
#include <zip.h>

#include <limits>

#include "runtime/data/npz.h"
#include "tests/runtime/data/files.h"

namespace eddl {
namespace {

ByteReader Over(const std::string& name, const std::string& bytes) {
  return ByteReader::OverMemory(name, AsBytes(bytes));
}

std::string Render(const absl::StatusOr<ReadResult>& read) {
  if (!read.ok()) return MessageFor(read);
  std::string text = TensorDesc{read->info.sample_shape, read->info.dtype}.ToString();
  for (int64_t i = 0; i < read->rows->ready(); ++i) {
    const std::span<const std::byte> row = read->rows->Row(i);
    text += " ";
    for (int64_t e = 0; e < read->info.sample_shape.elements(); ++e) {
      const auto at = static_cast<size_t>(e);
      const bool bytes = read->info.dtype == DType::kU8;
      const double value =
          bytes ? std::to_integer<int>(row[at]) : static_cast<double>(reinterpret_cast<const float*>(row.data())[at]);
      char number[32];
      std::snprintf(number, sizeof(number), "%g,", value);
      text += number;
    }
    text += read->labels.empty() ? "" : "=" + std::to_string(read->labels[static_cast<size_t>(i)]);
  }
  return text;
}

std::string Samples(const std::string& file, int64_t limit = 0) {
  return Render(ReadNpySamples(Over("x", file), limit));
}

std::string Labels(const std::string& file) {
  const absl::StatusOr<std::vector<int64_t>> labels = ReadNpyLabels(Over("y", file));
  if (!labels.ok()) return MessageFor(labels);
  std::string text;
  for (int64_t label : *labels) text += std::to_string(label) + " ";
  return text;
}

template <typename T>
std::string BigEndianBytesOf(const std::vector<T>& values) {
  std::string bytes = BytesOf(values);
  for (size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    std::reverse(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(at + sizeof(T)));
  }
  return bytes;
}

TEST(NpyTest, ReadsEveryDtype) {
  EXPECT_EQ(Samples(Npy("|u1", "(2, 2)", "\x01\x02\x03\xff")), "u8[2] 1,2, 3,255,");
  EXPECT_EQ(Samples(Npy("|b1", "(1, 2)", std::string("\x01\x00", 2))), "f32[2] 1,0,");
  EXPECT_EQ(Samples(Npy("|i1", "(1, 2)", "\x01\xff")), "f32[2] 1,-1,");
  EXPECT_EQ(Samples(Npy("<i2", "(1, 2)", BytesOf<int16_t>({1, -2}))), "f32[2] 1,-2,");
  EXPECT_EQ(Samples(Npy("<i4", "(1, 2)", BytesOf<int32_t>({1, -2}))), "f32[2] 1,-2,");
  EXPECT_EQ(Samples(Npy("<i8", "(1, 2)", BytesOf<int64_t>({1, -2}))), "f32[2] 1,-2,");
  EXPECT_EQ(Samples(Npy("<u2", "(1, 1)", BytesOf<uint16_t>({65535}))), "f32[1] 65535,");
  EXPECT_EQ(Samples(Npy("<f4", "(1, 2)", BytesOf<float>({0.5f, -2.0f}))), "f32[2] 0.5,-2,");
  EXPECT_EQ(Samples(Npy("<f8", "(1, 2)", BytesOf<double>({0.5, -2.0}))), "f32[2] 0.5,-2,");
  EXPECT_EQ(Samples(Npy(">f4", "(1, 2)", BigEndianBytesOf<float>({0.5f, -2.0f}))), "f32[2] 0.5,-2,");
  EXPECT_EQ(Samples(Npy(">i8", "(1, 1)", BigEndianBytesOf<int64_t>({-3}))), "f32[1] -3,");
}

TEST(NpyTest, TurnsDimensionsIntoSampleShapes) {
  EXPECT_EQ(Samples(Npy("|u1", "(2, 1, 2)", "abcd")), "u8[1, 2, 1] 97,98, 99,100,");
  EXPECT_EQ(Samples(Npy("|u1", "(1, 1, 2, 2)", "abcd")), "u8[1, 2, 2] 97,98,99,100,");
  EXPECT_EQ(Samples(Npy("|u1", "(4,)", "abcd")),
            "x: samples of u1 (4) are not supported; reshape to (N, features), (N, H, W) or (N, H, W, C)");
}

TEST(NpyTest, StopsAtTheLimit) { EXPECT_EQ(Samples(Npy("|u1", "(4, 1)", "abcd"), 2), "u8[1] 97, 98,"); }

TEST(NpyTest, NotesWhatLooksLikeChannelsFirst) {
  const auto read = ReadNpySamples(Over("x", Npy("|u1", "(1, 3, 8, 8)", std::string(192, 'a'))), 0);
  ASSERT_EQ(MessageFor(read), "OK");
  ASSERT_EQ(read->notes.size(), 1u);
  EXPECT_EQ(
      read->notes[0],
      "x: read as height, width, channels; [3, 8, 8] looks like channels first: save x.transpose(0, 2, 3, 1) if so");
}

TEST(NpyTest, RefusesWhatItCannotRead) {
  EXPECT_EQ(Samples("PK"), "x: not a .npy file: does not start with \\x93NUMPY");
  EXPECT_EQ(Samples("\x93NUMPY\x09\x01"),
            "x: .npy format version 9 is not supported; save it with NumPy's default (1 to 3 are)");
  EXPECT_EQ(Samples(Npy("<c8", "(1, 1)", "01234567")),
            "x: dtype '<c8' is not supported; save it as uint8, int8 to int64, float32, float64 or bool");
  EXPECT_EQ(Samples(Npy("<f4", "(2, 2)", std::string(16, '\0'), "True")),
            "x: the array is in Fortran order; save numpy.ascontiguousarray(x)");
  EXPECT_EQ(Samples(Npy("<f4", "(0, 2)", "")), "x: holds no samples");
  EXPECT_EQ(Samples(Npy("<f4", "(2, 0)", "")),
            "x: samples of [0] are not supported; a sample has 1 to 67108864 elements");
}

TEST(NpyTest, RefusesMalformedHeaders) {
  const std::string malformed = "x: malformed .npy header; fetch the file again";
  EXPECT_EQ(Samples(Npy("<f4", "(2, -2)", "")), malformed);
  EXPECT_EQ(Samples(Npy("<f4", "(2 2)", "")), malformed);
  EXPECT_EQ(Samples(Npy("<f4", "(2, 2", "")), malformed);
  EXPECT_EQ(Samples(Npy("<f4", "(99999999999999999999, 2)", "")), malformed);
  EXPECT_EQ(Samples(Npy("<f4", "(1, 1)", "abcd", "Maybe")), malformed);
  const std::string good = Npy("<f4", "(1, 1)", "abcd");
  EXPECT_EQ(Samples(good.substr(0, 40)), "x: ends at byte 40 inside the .npy header; fetch the file again");
}

TEST(NpyTest, RefusesClaimsBeyondTheFileBeforeAllocating) {
  EXPECT_EQ(Samples(Npy("<f4", "(1099511627776, 8)", "abcd")),
            "x: the header claims f4 (1099511627776, 8), more than the file can hold (4 bytes); fetch the file again");
  EXPECT_EQ(Samples(Npy("<f4", "(4611686018427387904, 4611686018427387904)", "abcd")).substr(0, 20),
            "x: the header claims");
  EXPECT_EQ(Samples(Gzip(Npy("<f4", "(1000, 1)", "abcd"))),
            "x: ends at byte 132 inside the array f4 (1000, 1); fetch the file again");
  EXPECT_EQ(Samples(Npy("|u1", "(1, 1)", "ab")),
            "x: goes on after byte 129, but its header promises u1 (1, 1); fetch the file again");
}

TEST(NpyTest, NamesTheSampleOfANumberThatIsNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Samples(Npy("<f4", "(2, 2)", BytesOf<float>({1, 2, 3, nan}))),
            "x: sample 1, element 1 is not a finite 32-bit number; correct or drop the sample");
  EXPECT_EQ(Samples(Npy("<f8", "(1, 1)", BytesOf<double>({1e300}))),
            "x: sample 0, element 0 is not a finite 32-bit number; correct or drop the sample");
}

TEST(NpyTest, ReadsLabels) {
  EXPECT_EQ(Labels(Npy("<i8", "(3,)", BytesOf<int64_t>({2, 0, 1}))), "2 0 1 ");
  EXPECT_EQ(Labels(Npy("|u1", "(3, 1)", "\x02\x01\x01")), "2 1 1 ");
  EXPECT_EQ(Labels(Npy("<f4", "(2,)", BytesOf<float>({1, 3}))), "1 3 ");
  EXPECT_EQ(Labels(Npy("<f4", "(2,)", BytesOf<float>({1, 0.5f}))),
            "y: label 0.500000 of sample 1 is not a class index");
  EXPECT_EQ(
      Labels(Npy("|u1", "(1, 3)", "abc")),
      "y: labels of u1 (1, 3) are not supported; give class indices of shape (N) (one-hot: labels.argmax(axis=1))");
}

TEST(NpyTest, PutsLabelsToSamples) {
  const std::string x = Npy("|u1", "(2, 1)", "ab");
  const auto read = [&x](const std::string& y, int64_t class_count) {
    return Render(ReadNpy(Over("x", x), Over("y", y), 0, class_count));
  };
  EXPECT_EQ(read(Npy("|u1", "(2,)", "\x03\x01"), 0), "u8[1] 97,=3 98,=1");
  EXPECT_EQ(read(Npy("|u1", "(3,)", "\x03\x01\x02"), 0), "x holds 2 samples, but y 3 labels; they are not of one set");
  EXPECT_EQ(read(Npy("|i1", "(2,)", "\x03\xff"), 0),
            "y: label -1 of sample 1 is out of range; labels go from 0 to 65535");
  EXPECT_EQ(read(Npy("|i1", "(2,)", "\x03\x01"), 3), "y: label 3 of sample 0 is out of range; labels go from 0 to 2");
}

// An archive of these entries, as a file's bytes.
std::string Zip(const TempDir& dir, const std::vector<std::pair<std::string, std::string>>& entries, int method) {
  const std::string path = dir.Path("made.npz");
  std::filesystem::remove(path);
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE, nullptr);
  for (const auto& [name, content] : entries) {
    const zip_int64_t index =
        zip_file_add(zip, name.c_str(), zip_source_buffer(zip, content.data(), content.size(), 0), 0);
    zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), method, 0);
  }
  EXPECT_EQ(zip_close(zip), 0);
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class NpzTest : public testing::Test {
 protected:
  std::string Read(const std::string& bytes) {
    const absl::StatusOr<NpzArchive> archive = NpzArchive::OverMemory("a.npz", AsBytes(bytes));
    if (!archive.ok()) return MessageFor(archive);
    return Render(ReadNpz(*archive, {.samples = "x", .labels = "y"}, 0, 0));
  }
  TempDir dir_;
  const std::string x_ = Npy("<f4", "(2, 1)", BytesOf<float>({1.5f, 2.5f}));
  const std::string y_ = Npy("|u1", "(2,)", std::string("\x01\x00", 2));
};

TEST_F(NpzTest, ReadsStoredAndDeflatedArrays) {
  EXPECT_EQ(Read(Zip(dir_, {{"x.npy", x_}, {"y.npy", y_}}, ZIP_CM_STORE)), "f32[1] 1.5,=1 2.5,=0");
  EXPECT_EQ(Read(Zip(dir_, {{"x.npy", x_}, {"y.npy", y_}}, ZIP_CM_DEFLATE)), "f32[1] 1.5,=1 2.5,=0");
}

TEST_F(NpzTest, ListsWhatThereIsWhenAnArrayIsMissing) {
  EXPECT_EQ(Read(Zip(dir_, {{"x.npy", x_}, {"z.npy", y_}}, ZIP_CM_STORE)), "a.npz: holds no array 'y' (found: x, z)");
}

TEST_F(NpzTest, RefusesDamagedArchives) {
  const std::string good = Zip(dir_, {{"x.npy", x_}, {"y.npy", y_}}, ZIP_CM_STORE);
  EXPECT_EQ(Read(good.substr(0, good.size() / 2)).substr(0, 38), "a.npz: not a readable .npz archive (No");
  EXPECT_EQ(Read("hello").substr(0, 34), "a.npz: not a readable .npz archive");
  std::string flipped = good;
  flipped[good.find("\x93NUMPY") + 130] ^= 1;  // inside x's numbers
  EXPECT_EQ(Read(flipped), "a.npz[x]: CRC error; fetch the file again");
}

TEST_F(NpzTest, NamesTheArrayOfAnError) {
  EXPECT_EQ(Read(Zip(dir_, {{"x.npy", "hello"}, {"y.npy", y_}}, ZIP_CM_STORE)),
            "a.npz[x]: not a .npy file: does not start with \\x93NUMPY");
}

}  // namespace
}  // namespace eddl
