#include "runtime/data/input.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/data/image.h"
#include "runtime/data/info_json.h"
#include "tests/runtime/data/files.h"
#include "tests/runtime/data/images.h"

namespace eddl {
namespace {

const DatasetInfo kTable = {.name = "trained",
                            .sample_shape = {2},
                            .class_count = 2,
                            .class_names = {"B", "S"},
                            .feature_names = {"a", "b"},
                            .scale = {2.0f, 1.0f},
                            .shift = {0.0f, -1.0f}};
const DatasetInfo kGrey = {
    .name = "trained", .sample_shape = {2, 2, 1}, .dtype = DType::kU8, .class_count = 10, .scale = {1.0f / 255.0f}};

// "name:1,2 name:3,4", or the error.
std::string Render(const TempDir& dir, const DatasetInfo& model, const InputOptions& options) {
  const absl::StatusOr<InputRows> input = OpenInput(model, options);
  if (!input.ok()) return dir.Relative(MessageFor(input));
  std::string text;
  for (int64_t i = 0; i < input->rows.size(); ++i) {
    text += (i > 0 ? " " : "") + input->names[static_cast<size_t>(i)] + ":";
    const std::span<const std::byte> row = input->rows.Row(i);
    for (int64_t e = 0; e < model.sample_shape.elements(); ++e) {
      const auto at = static_cast<size_t>(e);
      char number[32];
      std::snprintf(number, sizeof(number), "%s%g", e > 0 ? "," : "",
                    model.dtype == DType::kU8 ? std::to_integer<int>(row[at])
                                              : static_cast<double>(reinterpret_cast<const float*>(row.data())[at]));
      text += number;
    }
  }
  return dir.Relative(text);
}

TEST(InputTest, ScalesATableAsInTraining) {
  const TempDir dir;
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("t.csv", "a,b\n1,2\n3,4\n")}}), "DIR/t.csv:2:2,1 DIR/t.csv:3:6,3");
}

TEST(InputTest, FindsColumnsByNameWithAndWithoutTheLabel) {
  const TempDir dir;
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("t.csv", "class,b,a\nS,2,1\n")}}), "DIR/t.csv:2:2,1");
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("t.csv", "b,a\n2,1\n")}}), "DIR/t.csv:2:2,1");
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("t.csv", "b,c\n2,1\n")}}),
            "DIR/t.csv: no column is called 'a', a feature that the model was trained on");
}

TEST(InputTest, CountsColumnsWhereThereIsNoHeader) {
  const TempDir dir;
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("t.csv", "1,2\n")}}), "DIR/t.csv:1:2,1");
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("t.csv", "1,2,S\n")}}), "DIR/t.csv:1:2,1");
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("t.csv", "S,1,2\n")}, .label_column = "0"}), "DIR/t.csv:1:2,1");
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("t.csv", "1,2,3,4\n")}}),
            "DIR/t.csv: has 4 feature columns, but the model takes 2");
}

TEST(InputTest, KeepsLineNumbersWhenLinesAreSkipped) {
  const TempDir dir;
  const std::string path = dir.Write("t.csv", "a,b\n1,2\n?,0\n3,4\n");
  EXPECT_EQ(Render(dir, kTable, {.paths = {path}, .on_bad_row = "skip"}), "DIR/t.csv:2:2,1 DIR/t.csv:4:6,3");
}

TEST(InputTest, TurnsTablesIntoImagesOfAsManyPixels) {
  const TempDir dir;
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("t.csv", "1,2,3,255\n")}}), "DIR/t.csv:1:1,2,3,255");
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("t.csv", "1,2,3,256\n")}}),
            "DIR/t.csv: row 0, element 3 is 256.000000, but the model takes whole numbers from 0 to 255");
}

TEST(InputTest, ReadsArraysAndIdxImages) {
  const TempDir dir;
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("x.npy", Npy("|u1", "(2, 2, 2)", "abcdefgh"))}, .limit = 1}),
            "DIR/x.npy[0]:97,98,99,100");
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("t10k", Gzip(Idx({1, 2, 2}, "abcd")))}}),
            "DIR/t10k[0]:97,98,99,100");
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("x.npy", Npy("|u1", "(1, 2)", "ab"))}}), "DIR/x.npy[0]:194,97");
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("x.npy", Npy("|u1", "(1, 2, 3)", "abcdef"))}}),
            "DIR/x.npy: has samples of [2, 3, 1], but the model takes [2, 2, 1]");
}

const std::string kPgm = "P5 2 2 255\nabcd";
const std::string kPpm = std::string("P6 2 2 255\n") + std::string("\xff\0\0\0\xff\0\0\0\xff\x0a\x0a\x0a", 12);

TEST(InputTest, ReadsImagesAndFoldersOfImagesInOrderOfTheirNames) {
  const TempDir dir;
  const std::string b = dir.Write("b.pgm", kPgm);
  dir.Write("a.PPM", kPpm);
  dir.Write("notes.txt", "x");
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Path(".")}}), "DIR/./a.PPM:76,149,28,10 DIR/./b.pgm:97,98,99,100");
  EXPECT_EQ(Render(dir, kGrey, {.paths = {b, b}}), "DIR/b.pgm:97,98,99,100 DIR/b.pgm:97,98,99,100");
}

TEST(InputTest, TurnsGreyIntoColourAndLevelsIntoBytes) {
  const TempDir dir;
  DatasetInfo colour = kGrey;
  colour.sample_shape = {2, 2, 3};
  EXPECT_EQ(Render(dir, colour, {.paths = {dir.Write("b.pgm", kPgm)}}),
            "DIR/b.pgm:97,97,97,98,98,98,99,99,99,100,100,100");
  EXPECT_EQ(
      Render(dir, kGrey, {.paths = {dir.Write("c.pgm", "P5 # made by hand\n2 2\n2\n" + std::string("\0\1\2\2", 4))}}),
      "DIR/c.pgm:0,127,255,255");
  EXPECT_EQ(Render(dir, colour, {.paths = {dir.Write("a.ppm", kPpm)}}), "DIR/a.ppm:255,0,0,0,255,0,0,0,255,10,10,10");
}

// Decodes a file of two by two pixels to "97,98,99,100", or the error.
std::string Decode(const std::string& file, int64_t channels = 1) {
  std::vector<std::byte> pixels(static_cast<size_t>(4 * channels));
  const absl::Status status = DecodeImage("DIR/a", AsBytes(file), {2, 2, channels}, pixels);
  if (!status.ok()) return MessageFor(status);
  std::string text;
  for (std::byte pixel : pixels) text += (text.empty() ? "" : ",") + std::to_string(std::to_integer<int>(pixel));
  return text;
}

const std::string kDamaged = "DIR/a: the image is damaged; fetch the file again";
const std::string kColours = "abcdefghijkl";

TEST(InputTest, ReadsPngAndRefusesADamagedOne) {
  const std::string png = Png(2, 2, 1, "abcd");
  EXPECT_EQ(Decode(png), "97,98,99,100");
  EXPECT_EQ(Decode(Png(2, 2, 3, kColours), 3), "97,98,99,100,101,102,103,104,105,106,107,108");
  EXPECT_EQ(Decode(png.substr(0, png.find("IDAT") + 10)), kDamaged);
  std::string flipped = png;
  flipped[png.find("IDAT") + 8] ^= 1;
  EXPECT_EQ(Decode(flipped), kDamaged);
}

TEST(InputTest, ReadsBmpOf24And32BitsAndWithAPalette) {
  const std::string bmp = Bmp(2, 2, kColours);
  EXPECT_EQ(Decode(bmp, 3), "97,98,99,100,101,102,103,104,105,106,107,108");
  EXPECT_EQ(Decode(bmp.substr(0, bmp.size() - 1), 3), kDamaged);
  // Rows from the top, blue first, the fourth byte unused.
  EXPECT_EQ(Decode(BmpHeader(2, -2, 32, 54, 0) + "cba_fed_ihg_lkj_", 3),
            "97,98,99,100,101,102,103,104,105,106,107,108");
  const std::string palette = BmpHeader(2, -2, 8, 62, 2) + "ccc_ddd_";
  EXPECT_EQ(Decode(palette + std::string("\1\0__\0\1__", 8)), "100,99,99,100");
  EXPECT_EQ(Decode(palette + std::string("\1\2__\0\1__", 8)), kDamaged);
}

TEST(InputTest, ReadsJpegAndRefusesACutOffOne) {
  const std::string pixels(4, '\x64');
  std::string jpeg = Jpeg(2, 2, 1, pixels);
  std::byte decoded[4] = {};
  ASSERT_EQ(MessageFor(DecodeImage("a.jpg", AsBytes(jpeg), kGrey.sample_shape, decoded)), "OK");
  for (std::byte pixel : decoded) EXPECT_NEAR(std::to_integer<int>(pixel), 100, 2);
  jpeg.resize(jpeg.size() - 2);
  EXPECT_EQ(MessageFor(DecodeImage("a.jpg", AsBytes(jpeg), kGrey.sample_shape, decoded)),
            "a.jpg: the image is damaged; fetch the file again");
}

TEST(InputTest, RefusesImagesThatDoNotFit) {
  const TempDir dir;
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("a.pgm", "P5 3 2 255\nabcdef")}}),
            "DIR/a.pgm: is 3 x 2 pixels, but the model takes 2 x 2; resize the image");
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("a.png", "hello")}}),
            "DIR/a.png: not an image that is read here (PNG, JPEG, uncompressed BMP, binary PGM or PPM)");
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("a.pgm", "P5 2 2 255\nab")}}),
            "DIR/a.pgm: the image is damaged; fetch the file again");
  EXPECT_EQ(Render(dir, kTable, {.paths = {dir.Write("a.pgm", kPgm)}}),
            "the model takes samples of [2], not images of one or three channels; give it a CSV or NPY file");
  EXPECT_EQ(Render(dir, kGrey, {}), "no input given; name a CSV, NPY, NPZ or IDX file, or images");
  const TempDir empty;
  EXPECT_EQ(Render(empty, kGrey, {.paths = {empty.Path("")}}),
            "folder DIR/ holds no images (.png, .jpg, .bmp, .pgm, .ppm)");
  EXPECT_EQ(Render(dir, kGrey, {.paths = {dir.Write("a.pgm", kPgm), dir.Write("t.csv", "1\n")}}),
            "DIR/t.csv: is not an image by its name; several inputs are possible for images only");
}

TEST(InfoJsonTest, SurvivesTheRoundTripThroughText) {
  DatasetInfo info = kTable;
  info.scale = {1.0f / 255.0f, 0.1f};
  const auto back = DatasetInfoFromJson(nlohmann::json::parse(ToJson(info).dump()));
  ASSERT_EQ(MessageFor(back), "OK");
  EXPECT_EQ(*back, info);
}

TEST(InfoJsonTest, NamesTheMemberThatIsWrong) {
  const auto with = [](const char* member, const nlohmann::json& value) {
    nlohmann::json json = ToJson(kTable);
    json[member] = value;
    return MessageFor(DatasetInfoFromJson(json));
  };
  EXPECT_EQ(with("other", 1), "OK");
  EXPECT_EQ(with("name", 1), "data description: \"name\" is not a string");
  EXPECT_EQ(with("sample_shape", {2, -1}),
            "data description: \"sample_shape\" is not a list of 1 to 5 positive integers");
  EXPECT_EQ(with("dtype", "f64"), "data description: \"dtype\" is not \"u8\" or \"f32\"");
  EXPECT_EQ(with("class_count", -1), "data description: \"class_count\" is not a number of classes");
  EXPECT_EQ(with("class_names", {"B"}), "data description: \"class_names\" is not empty or one name per class");
  EXPECT_EQ(with("feature_names", {"a"}), "data description: \"feature_names\" is not empty or one name per feature");
  EXPECT_EQ(with("scale", {1, 2, 3}),
            "data description: \"scale\" is not a list of finite numbers, one or one per last dimension");
  EXPECT_EQ(MessageFor(DatasetInfoFromJson(nlohmann::json::array())), "data description: not a JSON object");
}

}  // namespace
}  // namespace eddl
