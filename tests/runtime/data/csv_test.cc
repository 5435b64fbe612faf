#include "runtime/data/csv.h"

#include <gtest/gtest.h>

#include "runtime/data/csv_lines.h"
#include "tests/runtime/data/files.h"

namespace eddl {
namespace {

absl::StatusOr<ReadResult> Read(const std::string& text, const CsvOptions& options = {}) {
  return ReadCsv(ByteReader::OverMemory("t.csv", AsBytes(text)), options);
}

// "names|classes|1,2=0 3,4=1", or the error.
std::string Render(const std::string& text, const CsvOptions& options = {}) {
  const absl::StatusOr<ReadResult> read = Read(text, options);
  if (!read.ok()) return MessageFor(read);
  std::string out;
  for (const std::string& name : read->info.feature_names) out += name + ",";
  out += "|";
  for (const std::string& name : read->info.class_names) out += name + ",";
  out += "|";
  for (int64_t i = 0; i < read->rows->count(); ++i) {
    const auto* values = reinterpret_cast<const float*>(read->rows->Row(i).data());
    for (int64_t f = 0; f < read->info.sample_shape.elements(); ++f) {
      char number[32];
      std::snprintf(number, sizeof(number), "%g", static_cast<double>(values[f]));
      out += (f > 0 ? "," : "") + std::string(number);
    }
    out += (read->labels.empty() ? "" : "=" + std::to_string(read->labels[static_cast<size_t>(i)])) + " ";
  }
  for (const std::string& note : read->notes) out += "note: " + note;
  return out;
}

TEST(CsvTest, ReadsHeaderNumbersAndTextLabels) {
  EXPECT_EQ(Render("a,b,class\n0,1.5,S\n-2e3,+4,B\r\n\n5,6,S"), "a,b,|B,S,|0,1.5=1 -2000,4=0 5,6=1 ");
}

TEST(CsvTest, ReadsWithoutHeader) {
  EXPECT_EQ(Render("1,2,0\n3,4,1\n"), "|0,1,|1,2=0 3,4=1 ");
  EXPECT_EQ(Render("1,2,cat\n3,4,dog\n"), "|cat,dog,|1,2=0 3,4=1 ");
}

TEST(CsvTest, TakesTheHeaderFromTheOption) {
  EXPECT_EQ(Render("1,2,3\n4,5,6\n", {.header = CsvHeader::kYes}), "1,2,|6,|4,5=0 ");
  EXPECT_EQ(Render("a,b,c\n4,5,6\n", {.header = CsvHeader::kNo}),
            "t.csv:1: column 0: 'a' is not a number; correct the line, or set data.on_bad_row = \"skip\" to leave such "
            "lines out");
}

TEST(CsvTest, SortsNumericLabelsByValue) {
  EXPECT_EQ(Render("0,10\n0,9\n0,-1\n0,9.0\n"), "|-1,9,10,|0=2 0=1 0=0 0=1 ");
  EXPECT_EQ(Render("0,10\n0,9\n0,x\n"), "|10,9,x,|0=0 0=1 0=2 ");
}

TEST(CsvTest, FindsTheLabelColumnByNameAndPosition) {
  const std::string text = "y,a,b\n7,1,2\n8,3,4\n";
  EXPECT_EQ(Render(text, {.label_column = "y"}), "a,b,|7,8,|1,2=0 3,4=1 ");
  EXPECT_EQ(Render(text, {.label_column = "0"}), "a,b,|7,8,|1,2=0 3,4=1 ");
  EXPECT_EQ(Render(text, {.label_column = "-2"}), "y,b,|1,3,|7,2=0 8,4=1 ");
  EXPECT_EQ(Render(text, {.label_column = "z"}),
            "t.csv: no column is called 'z'; set data.label_column to a name of its header, or a position");
  EXPECT_EQ(Render(text, {.label_column = "3"}), "t.csv: there is no column 3: the file has 3; set data.label_column");
  EXPECT_EQ(Render("1,2\n", {.label_column = "y"}),
            "t.csv: no column is called 'y'; the file has no header: set data.label_column to a position");
}

TEST(CsvTest, ReadsOtherSeparatorsQuotesAndAByteOrderMark) {
  EXPECT_EQ(Render("\xef\xbb\xbf"
                   "a;\"b;\"\"c\"\"\";d\n1; 2 ;\"x y\"\n"),
            "a,b;\"c\",|x y,|1,2=0 ");
  EXPECT_EQ(Render("1\t2\t0\n"), "|0,|1,2=0 ");
}

TEST(CsvTest, NamesFileLineAndColumnOfABadField) {
  EXPECT_EQ(
      Render("a,b,y\n1,2,0\n3,?,0\n"),
      "t.csv:3: column 1 'b': '?' is not a number; correct the line, or set data.on_bad_row = \"skip\" to leave such "
      "lines out");
  EXPECT_EQ(Render("a,b,y\n1,inf,0\n").substr(0, 60), "t.csv:2: column 1 'b': 'inf' is not a finite 32-bit number; ");
  EXPECT_EQ(Render("a,b,y\n1,1e39,0\n").substr(0, 61), "t.csv:2: column 1 'b': '1e39' is not a finite 32-bit number; ");
  EXPECT_EQ(Render("a,b,y\n1,nan,0\n").substr(0, 60), "t.csv:2: column 1 'b': 'nan' is not a finite 32-bit number; ");
  EXPECT_EQ(Render("a,b,y\n1,1e-60,0\n"), "a,b,|0,|1,0=0 ");
  EXPECT_EQ(Render("a,b,y\n1,2,\n").substr(0, 38), "t.csv:2: column 2 'y': '' is no label;");
}

TEST(CsvTest, NamesTheLineOfAShortOrLongRow) {
  EXPECT_EQ(
      Render("a,b,y\n1,2,0\n3,0\n"),
      "t.csv:3: has 2 fields, but the first line 3; correct the line, or set data.on_bad_row = \"skip\" to leave such "
      "lines out");
  EXPECT_EQ(Render("a,b,y\n1,2,0,0\n").substr(0, 44), "t.csv:2: has 4 fields, but the first line 3;");
  EXPECT_EQ(Render("a,b,y\n1,\"2,0\n").substr(0, 41), "t.csv:2: a quoted field is not closed; co");
}

TEST(CsvTest, SkipsAndCountsBadRows) {
  EXPECT_EQ(Render("a,b,y\n1,?,0\n1,2,1\n3\n4,5,0\n", {.on_bad_row = OnBadRow::kSkip}),
            "a,b,|0,1,|1,2=1 4,5=0 note: skipped 2 bad lines of t.csv, the first: t.csv:2: column 1 'b': '?' is not a "
            "number");
  EXPECT_EQ(Render("a,b,y\n1,?,0\n", {.on_bad_row = OnBadRow::kSkip}),
            "t.csv: holds no samples; all lines are bad, the first: t.csv:2: column 1 'b': '?' is not a number");
}

TEST(CsvTest, RefusesFilesWithoutSamples) {
  EXPECT_EQ(Render("a,b,y\n"), "t.csv: holds no samples");
  EXPECT_EQ(Render("\n\n"), "t.csv: holds no samples");
  EXPECT_EQ(Render("1\n2\n"), "t.csv: has no column besides the label; are the fields separated by , ; or tab?");
  EXPECT_EQ(Render(std::string("1,2\n3\0,4\n", 9)), "t.csv:2: a NUL byte: this is not a text file");
}

TEST(CsvTest, RefusesLinesWithoutEnd) {
  EXPECT_EQ(Render("1,2\n" + std::string(static_cast<size_t>(kCsvLineBytesMax) + 1, '1')),
            "t.csv:2: the line is longer than 16777216 bytes; is this a CSV file?");
}

TEST(CsvTest, HoldsALaterFileToTheClassesAndFeaturesOfAnEarlier) {
  const CsvOptions options{.label_column = "y", .class_names = {"B", "S"}, .feature_names = {"b", "a"}};
  EXPECT_EQ(Render("y,a,extra,b\nS,1,9,2\n", options), "b,a,|B,S,|2,1=1 ");
  EXPECT_EQ(Render("y,a,extra,b\nT,1,9,2\n", options).substr(0, 70),
            "t.csv:2: column 0 'y': 'T' is none of the classes of the training set;");
  EXPECT_EQ(Render("y,a\nS,1\n", options), "t.csv: no column is called 'b', a feature that the model was trained on");
}

TEST(CsvTest, PassesOverTheLabelColumnWhereNoneIsWanted) {
  EXPECT_EQ(Render("1,2\n3,4\n", {.labelled = false}), "||1,2 3,4 ");
  EXPECT_EQ(Render("1,2,S\n3,4,B\n", {.labelled = false, .feature_count = 2}), "||1,2 3,4 ");
  EXPECT_EQ(Render("a,y,b\n1,S,2\n", {.label_column = "y", .labelled = false}), "a,b,||1,2 ");
  EXPECT_EQ(Render("y,a,b\nS,1,2\n", {.labelled = false, .feature_names = {"a", "b"}, .feature_count = 2}),
            "a,b,||1,2 ");
  EXPECT_EQ(Render("1,2,3,4\n", {.labelled = false, .feature_count = 2}),
            "t.csv: has 4 feature columns, but the model takes 2");
}

TEST(CsvTest, StopsAtTheLimit) { EXPECT_EQ(Render("1,0\n2,1\n3,oops,\n", {.limit = 2}), "|0,1,|1=0 2=1 "); }

TEST(CsvTest, ReadsMoreThanOneBuffer) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += std::to_string(i) + "," + std::to_string(i % 7) + "\n";
  const auto read = Read(Gzip(text));
  ASSERT_EQ(MessageFor(read), "OK");
  ASSERT_EQ(read->rows->count(), 300'000);
  for (int64_t i = 0; i < 300'000; ++i) {
    ASSERT_EQ(*reinterpret_cast<const float*>(read->rows->Row(i).data()), static_cast<float>(i));
    ASSERT_EQ(read->labels[static_cast<size_t>(i)], i % 7);
  }
}

}  // namespace
}  // namespace eddl
