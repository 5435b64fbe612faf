#include "runtime/train/safetensors.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

// The length of a header as its eight bytes.
std::string Length(uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, bytes.size());
  return bytes;
}

// A file of two tensors and a note, written by hand from the format's definition; 64 bytes of header, padded.
const char kGoldenJson[] = R"({"__metadata__":{"note":"a \"b\""},)"
                           R"("w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                           R"("mask":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";
std::string GoldenFile() {
  std::string json = kGoldenJson;
  json.append((64 - (8 + json.size()) % 64) % 64, ' ');
  const std::string w("\x00\x00\x80\x3f\x00\x00\x20\xc0", 8);  // 1.0f, -2.5f
  return Length(json.size()) + json + w + "\x07\x08\x09";
}
const std::vector<SafetensorsTensor> kGoldenTensors = {{.name = "w", .desc = {.shape = {2, 1}, .dtype = DType::kF32}},
                                                       {.name = "mask", .desc = {.shape = {3}, .dtype = DType::kU8}}};

class SafetensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "eddl_safetensors_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = (folder_ / "t.safetensors").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void WriteFile(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }
  std::string ReadFile() {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  // The status of opening a file of these bytes, its path cut off.
  std::string OpenError(const std::string& bytes) {
    WriteFile(bytes);
    const absl::Status status = SafetensorsReader::Open(path_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    const std::string message = MessageOf(status);
    EXPECT_THAT(message, StartsWith(path_ + ": "));
    return message.substr(path_.size() + 2);
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(SafetensorsTest, WritesTheGoldenBytes) {
  auto writer = SafetensorsWriter::Create(path_, {{"note", "a \"b\""}}, kGoldenTensors);
  ASSERT_TRUE(writer.ok()) << writer.status();
  const float w[] = {1.0f, -2.5f};
  const uint8_t mask[] = {7, 8, 9};
  ASSERT_TRUE(writer->Append(std::as_bytes(std::span(w))).ok());
  ASSERT_TRUE(writer->Append(std::as_bytes(std::span(mask))).ok());
  EXPECT_FALSE(fs::exists(path_)) << "before it is complete";
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_EQ(ReadFile(), GoldenFile());
}

TEST_F(SafetensorsTest, ReadsTheGoldenBytes) {
  WriteFile(GoldenFile());
  auto reader = SafetensorsReader::Open(path_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_THAT(reader->header().metadata, ElementsAre(Pair("note", "a \"b\"")));
  EXPECT_EQ(reader->header().tensors.size(), 2u);
  const SafetensorsTensor* w = reader->header().Find("w");
  const SafetensorsTensor* mask = reader->header().Find("mask");
  ASSERT_TRUE(w != nullptr && mask != nullptr);
  EXPECT_EQ(w->desc.ToString(), "f32[2, 1]");
  EXPECT_EQ(mask->desc.ToString(), "u8[3]");
  float values[2];
  uint8_t bits[3];
  ASSERT_TRUE(reader->Read(*mask, std::as_writable_bytes(std::span(bits))).ok());
  ASSERT_TRUE(reader->Read(*w, std::as_writable_bytes(std::span(values))).ok());
  EXPECT_THAT(values, ElementsAre(1.0f, -2.5f));
  EXPECT_THAT(bits, ElementsAre(7, 8, 9));
  EXPECT_EQ(reader->header().Find("v"), nullptr);
}

TEST_F(SafetensorsTest, DataBeginAtAMultipleOf64Bytes) {
  for (size_t note_bytes = 0; note_bytes < 130; ++note_bytes) {
    const std::string header = FormatSafetensorsHeader({{"note", std::string(note_bytes, 'x')}}, kGoldenTensors);
    ASSERT_EQ(header.size() % 64, 0u) << note_bytes;
  }
}

TEST_F(SafetensorsTest, EveryDtypeAndShapeIsReadBack) {
  const std::vector<SafetensorsTensor> tensors = {
      {.name = "i64", .desc = {.shape = {1, 2, 3}, .dtype = DType::kI64}},
      {.name = "scalar", .desc = {.shape = {}, .dtype = DType::kF32}},
      {.name = "empty", .desc = {.shape = {0, 4}, .dtype = DType::kF32}},
      {.name = "i32", .desc = {.shape = {5}, .dtype = DType::kI32}},
      {.name = "f16", .desc = {.shape = {1, 1, 1, 1, 1, 3}, .dtype = DType::kF16}},
      {.name = "u8", .desc = {.shape = {7}, .dtype = DType::kU8}},
  };
  const std::string bytes = FormatSafetensorsHeader({}, tensors);
  const auto header = ParseSafetensorsHeader(bytes.substr(8), 48 + 4 + 0 + 20 + 6 + 7);
  ASSERT_TRUE(header.ok()) << header.status();
  std::string read, offsets;
  for (const SafetensorsTensor& tensor : header->tensors) {
    read += tensor.name + " " + tensor.desc.ToString() + "; ";
    offsets += std::to_string(tensor.offset_bytes) + " ";
  }
  EXPECT_EQ(read, "i64 i64[1, 2, 3]; scalar f32[]; empty f32[0, 4]; i32 i32[5]; f16 f16[1, 1, 1, 1, 1, 3]; u8 u8[7]; ");
  EXPECT_EQ(offsets, "0 48 52 52 72 78 ");
}

TEST_F(SafetensorsTest, TextThatIsNotUtf8IsReplacedWhenWritten) {
  const std::string bytes = FormatSafetensorsHeader({{"class", "caf\xe9"}}, {});
  const auto header = ParseSafetensorsHeader(bytes.substr(8), 0);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->metadata.at("class"), "caf\xef\xbf\xbd");
}

struct BadHeader {
  const char* json;
  const char* message;
};

// Each breaks one rule of the format, over 8 bytes of data.
constexpr BadHeader kBadHeaders[] = {
    {"", "its header is not a JSON object"},
    {" {}", "its header is not a JSON object"},
    {"[]", "its header is not a JSON object"},
    {"{", "not JSON in UTF-8"},
    {R"({"a":1e999})", "not JSON in UTF-8"},
    {"{\"caf\xe9\":{}}", "not JSON in UTF-8"},
    {R"({}x)", "not JSON in UTF-8"},
    {R"({"a":[[[[]]]]})", "nested too deeply"},
    {R"({"a":{"b":{"c":{}}}})", "nested too deeply"},
    {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
     "its header has 'a' twice"},
    {R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "its header has 'dtype' twice"},
    {R"({"__metadata__":[]})", "__metadata__ is not a JSON object"},
    {R"({"__metadata__":{"n":1}})", "metadata 'n' is not a string"},
    {R"({"a":7})", "tensor 'a' has no dtype"},
    {R"({"a":{"shape":[2],"data_offsets":[0,8]}})", "tensor 'a' has no dtype"},
    {R"({"a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}})", "dtype 'BF16'; supported are F32"},
    {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", "no list of dimensions"},
    {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,2],"data_offsets":[0,8]}})", "has 7 dimensions; at most 6"},
    {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "a dimension that is not a number from 0"},
    {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "a dimension that is not a number from 0"},
    {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})", "a dimension that is not"},
    {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", "more elements than 64 bits"},
    {R"({"a":{"dtype":"I64","shape":[2305843009213693953],"data_offsets":[0,8]}})", "more elements than 64 bits"},
    {R"({"a":{"dtype":"F32","shape":[2]}})", "no pair of byte positions"},
    {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}})", "no pair of byte positions"},
    {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,"8"]}})", "no pair of byte positions"},
    {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "lies at bytes [8, 0) of 8"},
    {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "lies at bytes [0, 16) of 8; the file is truncated"},
    {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "has 8 bytes at [0, 8), and f32[3] takes 12"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[3],"data_offsets":[2,8]}})",
     "tensor 'b' overlaps another: it begins at byte 2, and those before it end at 4"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "tensor 'a' has a hole before it"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "it has 4 bytes behind its last tensor"},
    {R"({})", "it has 8 bytes behind its last tensor"},
};

TEST_F(SafetensorsTest, EveryBrokenRuleOfTheHeaderIsNamed) {
  for (const BadHeader& bad : kBadHeaders) {
    const absl::Status status = ParseSafetensorsHeader(bad.json, 8).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << bad.json;
    EXPECT_THAT(MessageOf(status), HasSubstr(bad.message)) << bad.json;
  }
}

TEST_F(SafetensorsTest, MembersThatItDoesNotKnowAreIgnored) {
  const auto header =
      ParseSafetensorsHeader(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"made":"tomorrow"}})", 8);
  EXPECT_TRUE(header.ok()) << header.status();
}

TEST_F(SafetensorsTest, AFileCutAnywhereIsRefused) {
  const std::string golden = GoldenFile();
  for (size_t size = 0; size < golden.size(); ++size) OpenError(golden.substr(0, size));
  EXPECT_EQ(OpenError(""), "not a safetensors file, or truncated: it has 0 bytes");
  EXPECT_EQ(OpenError(golden.substr(0, 100)), "truncated: its header has 184 bytes, and the file 100");
  EXPECT_THAT(OpenError(golden.substr(0, golden.size() - 1)), HasSubstr("lies at bytes [8, 11) of 10"));
}

TEST_F(SafetensorsTest, AFileWithMoreBehindItIsRefused) {
  EXPECT_EQ(OpenError(GoldenFile() + "x"), "it has 1 bytes behind its last tensor");
}

TEST_F(SafetensorsTest, AnotherKindOfFileIsNamedAsSuch) {
  EXPECT_EQ(OpenError("[train]\nepochs = 10\n"),
            "not a safetensors file: its header would have 746874512098882651 bytes, of at most 100000000");
}

TEST_F(SafetensorsTest, AMissingFileAndAFolderAreToldApart) {
  EXPECT_EQ(SafetensorsReader::Open(path_).status().code(), absl::StatusCode::kNotFound);
  const absl::Status folder = SafetensorsReader::Open(folder_.string()).status();
  EXPECT_EQ(folder.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(folder), folder_.string() + ": not a regular file");
}

TEST_F(SafetensorsTest, AFileThatShrinksAfterItWasOpenedIsRefused) {
  WriteFile(GoldenFile());
  auto reader = SafetensorsReader::Open(path_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  fs::resize_file(path_, GoldenFile().size() - 2);
  uint8_t bits[3];
  const absl::Status status = reader->Read(*reader->header().Find("mask"), std::as_writable_bytes(std::span(bits)));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(MessageOf(status), path_ + ": tensor 'mask' can't be read: the file ends early");
}

// Bytes changed, removed and doubled at random: the parser refuses with kDataLoss, or what it accepts covers the data.
TEST_F(SafetensorsTest, MutatedHeadersAreRefusedOrSound) {
  constexpr int kRounds = 50'000;
  constexpr uint64_t kDataBytes = 11;
  const std::string alphabet = "{}[]\",:0123456789.-eE FU8I64\\u\xc3\xa9\x80";
  Rng rng(20261124);
  int accepted = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string json = kGoldenJson;
    for (uint64_t edits = 1 + rng.Below(4); edits > 0; --edits) {
      const auto at = static_cast<size_t>(rng.Below(json.size()));
      const auto count = static_cast<size_t>(1 + rng.Below(8));
      switch (rng.Below(4)) {
        case 0:
          json[at] = alphabet[rng.Below(alphabet.size())];
          break;
        case 1:
          json[at] = static_cast<char>(rng.Below(256));
          break;
        case 2:
          json.erase(at, std::min(count, json.size() - 1));
          break;
        default:
          json.insert(at, json.substr(at, count));
      }
      if (json.empty()) json = "{";
    }
    const auto header = ParseSafetensorsHeader(json, kDataBytes);
    if (!header.ok()) {
      ASSERT_EQ(header.status().code(), absl::StatusCode::kDataLoss) << json;
      continue;
    }
    ++accepted;
    uint64_t covered = 0;
    for (const SafetensorsTensor& tensor : header->tensors) {
      ASSERT_EQ(tensor.offset_bytes, covered) << json;
      covered += static_cast<uint64_t>(tensor.desc.bytes());
    }
    ASSERT_EQ(covered, kDataBytes) << json;
  }
  EXPECT_GT(accepted, kRounds / 100) << "the mutations must not all be hopeless";
}

using SafetensorsDeathTest = SafetensorsTest;

TEST_F(SafetensorsDeathTest, TensorsThatWouldNotBeAlignedAreABug) {
  const std::vector<SafetensorsTensor> tensors = {kGoldenTensors[1], kGoldenTensors[0]};
  EXPECT_DEATH(FormatSafetensorsHeader({}, tensors), "elements grow");
}

TEST_F(SafetensorsDeathTest, CommittingWithoutAllTensorsIsABug) {
  auto writer = SafetensorsWriter::Create(path_, {}, kGoldenTensors);
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_DEATH((void)writer->Commit(), "0 of 2 tensors written");
}

}  // namespace
}  // namespace eddl
