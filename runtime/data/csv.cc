#include "runtime/data/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "runtime/data/csv_lines.h"

namespace eddl {
namespace {

constexpr int64_t kNoColumn = -1;
constexpr size_t kQuotedTextMax = 40;  // of a bad field, in messages

std::string Quote(std::string_view text) {
  const bool cut = text.size() > kQuotedTextMax;
  return "'" + std::string(text.substr(0, kQuotedTextMax)) + (cut ? "...'" : "'");
}

// "1.0" and "1" are one class.
std::string CanonicalLabel(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size() && std::abs(value) < 0x1p53;
  if (whole && value == std::floor(value)) return std::to_string(static_cast<int64_t>(value));
  return std::string(text);
}

// By value if all are numbers, else by bytes.
void SortLabels(std::vector<std::string>& labels) {
  std::sort(labels.begin(), labels.end());
  std::vector<std::pair<double, std::string>> numbers;
  for (const std::string& label : labels) {
    double value = 0.0;
    const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), value);
    if (error != std::errc() || end != label.data() + label.size() || !std::isfinite(value)) return;
    numbers.emplace_back(value, label);
  }
  std::sort(numbers.begin(), numbers.end());
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = numbers[i].second;
}

// Labels as first met, to be put in order at the end.
class LabelTable {
 public:
  // The provisional index of a label; nothing if the classes are given and this is none of them, or there are too many.
  std::optional<int32_t> Find(std::string_view text) {
    key_.assign(text);
    if (const auto found = index_.find(key_); found != index_.end()) return found->second;
    std::string label = CanonicalLabel(text);
    if (const auto found = index_.find(label); found != index_.end()) {
      return index_.emplace(key_, found->second).first->second;
    }
    if (closed_ || std::ssize(labels_) == kClassCountMax) return std::nullopt;
    const auto index = static_cast<int32_t>(labels_.size());
    index_.emplace(key_, index);
    index_.emplace(label, index);
    labels_.push_back(std::move(label));
    return index;
  }
  // From now on only these.
  void Close(std::vector<std::string> class_names) {
    labels_ = std::move(class_names);
    for (size_t i = 0; i < labels_.size(); ++i) index_.emplace(labels_[i], static_cast<int32_t>(i));
    closed_ = true;
  }
  bool closed() const { return closed_; }
  // Sorts the classes and renumbers `labels`.
  std::vector<std::string> Finish(std::vector<int32_t>& labels) && {
    if (closed_) return std::move(labels_);
    std::vector<std::string> sorted = labels_;
    SortLabels(sorted);
    std::unordered_map<std::string, int32_t> rank;
    for (size_t i = 0; i < sorted.size(); ++i) rank[sorted[i]] = static_cast<int32_t>(i);
    for (int32_t& label : labels) label = rank[labels_[static_cast<size_t>(label)]];
    return sorted;
  }

 private:
  std::string key_;
  std::unordered_map<std::string, int32_t> index_;  // as written, and as canonical
  std::vector<std::string> labels_;
  bool closed_ = false;
};

class CsvParser {
 public:
  CsvParser(ByteReader reader, const CsvOptions& options) : lines_(std::move(reader)), options_(options) {}

  absl::StatusOr<ReadResult> Run();

 private:
  absl::Status Begin();
  bool LooksLikeHeader() const;
  absl::Status ChooseColumns();
  absl::StatusOr<int64_t> FindLabelColumn() const;
  absl::Status AddRow();
  absl::Status ParseRow(std::span<float> out, int32_t& label);
  absl::Status BadField(int64_t column, const std::string& problem) const;
  absl::Status BadRow(const std::string& problem) const;
  absl::StatusOr<ReadResult> Finish();
  int64_t row_bytes() const { return std::ssize(feature_columns_) * static_cast<int64_t>(sizeof(float)); }

  LineReader lines_;
  const CsvOptions& options_;
  char separator_ = ',';
  std::vector<std::string_view> fields_;
  std::string unquoted_;
  bool split_ok_ = true;
  std::vector<std::string> names_;  // of all columns; empty without a header
  size_t column_count_ = 0;
  int64_t label_column_ = kNoColumn;
  std::vector<size_t> feature_columns_;
  HostBytes bytes_;
  int64_t row_count_ = 0;
  std::vector<int32_t> labels_;
  std::vector<int64_t> row_lines_;  // where there are no labels
  LabelTable classes_;
  int64_t skipped_ = 0;
  std::string first_skipped_;
};

absl::StatusOr<ReadResult> CsvParser::Run() {
  if (!options_.class_names.empty()) classes_.Close(options_.class_names);
  for (;;) {
    if (options_.limit > 0 && row_count_ == options_.limit) break;
    EDDL_ASSIGN_OR_RETURN(const auto line, lines_.Next());
    if (!line.has_value()) break;
    if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
    const bool first = column_count_ == 0;
    if (first) separator_ = DetectSeparator(*line);
    split_ok_ = SplitFields(*line, separator_, fields_, unquoted_);
    if (first) {
      EDDL_RETURN_IF_ERROR(Begin());
      if (!names_.empty()) continue;
    }
    EDDL_RETURN_IF_ERROR(AddRow());
  }
  return Finish();
}

// The first line: a header or a row, and which columns are what.
absl::Status CsvParser::Begin() {
  if (!split_ok_) return BadRow("a quoted field is not closed");
  column_count_ = fields_.size();
  const bool header = options_.header == CsvHeader::kYes || (options_.header == CsvHeader::kAuto && LooksLikeHeader());
  if (header) names_.assign(fields_.begin(), fields_.end());
  return ChooseColumns();
}

bool CsvParser::LooksLikeHeader() const {
  // The label may be text in every row; wherever it is, one field more or less does not turn the majority of a wide
  // table.
  const auto texts = std::count_if(fields_.begin(), fields_.end(),
                                   [](std::string_view field) { return !ParseNumber(field).has_value(); });
  const auto label_allowance = options_.labelled ? 1 : 0;
  return 2 * (texts - label_allowance) > std::ssize(fields_) - label_allowance;
}

absl::StatusOr<int64_t> CsvParser::FindLabelColumn() const {
  const std::string& wanted = options_.label_column;
  if (const auto found = std::find(names_.begin(), names_.end(), wanted); found != names_.end()) {
    return found - names_.begin();
  }
  const bool spare = options_.feature_count > 0 && std::ssize(fields_) == options_.feature_count + 1;
  if (!options_.labelled && !spare) return kNoColumn;
  const auto count = static_cast<int64_t>(column_count_);
  int64_t position = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), position);
  if (error != std::errc() || end != wanted.data() + wanted.size()) {
    return InvalidArgument(lines_.name() + ": no column is called " + Quote(wanted) +
                           (names_.empty() ? "; the file has no header: set data.label_column to a position"
                                           : "; set data.label_column to a name of its header, or a position"));
  }
  if (position < -count || position >= count) {
    return InvalidArgument(lines_.name() + ": there is no column " + std::to_string(position) + ": the file has " +
                           std::to_string(count) + "; set data.label_column");
  }
  return position < 0 ? position + count : position;
}

absl::Status CsvParser::ChooseColumns() {
  EDDL_ASSIGN_OR_RETURN(label_column_, FindLabelColumn());
  if (!names_.empty() && !options_.feature_names.empty()) {
    // Names may repeat: the second of a name is the second column of that name.
    std::unordered_map<std::string, std::deque<size_t>> columns;
    for (size_t i = 0; i < names_.size(); ++i) {
      if (!options_.labelled || static_cast<int64_t>(i) != label_column_) columns[names_[i]].push_back(i);
    }
    for (const std::string& feature : options_.feature_names) {
      std::deque<size_t>& found = columns[feature];
      if (found.empty()) {
        return InvalidArgument(lines_.name() + ": no column is called " + Quote(feature) +
                               ", a feature that the model was trained on");
      }
      feature_columns_.push_back(found.front());
      found.pop_front();
    }
  } else {
    for (size_t i = 0; i < column_count_; ++i) {
      if (static_cast<int64_t>(i) != label_column_) feature_columns_.push_back(i);
    }
  }
  if (options_.feature_count > 0 && std::ssize(feature_columns_) != options_.feature_count) {
    return InvalidArgument(lines_.name() + ": has " + std::to_string(feature_columns_.size()) +
                           " feature columns, but the model takes " + std::to_string(options_.feature_count));
  }
  if (feature_columns_.empty()) {
    return InvalidArgument(lines_.name() +
                           ": has no column besides the label; are the fields separated by , ; or tab?");
  }
  return absl::OkStatus();
}

absl::Status CsvParser::BadRow(const std::string& problem) const {
  return InvalidArgument(lines_.name() + ":" + std::to_string(lines_.line_number()) + ": " + problem +
                         "; correct the line, or set data.on_bad_row = \"skip\" to leave such lines out");
}

absl::Status CsvParser::BadField(int64_t column, const std::string& problem) const {
  const auto index = static_cast<size_t>(column);
  const std::string name = names_.empty() ? "" : " " + Quote(names_[index]);
  return BadRow("column " + std::to_string(column) + name + ": " + Quote(fields_[index]) + " " + problem);
}

absl::Status CsvParser::ParseRow(std::span<float> out, int32_t& label) {
  if (!split_ok_) return BadRow("a quoted field is not closed");
  if (fields_.size() != column_count_) {
    return BadRow("has " + std::to_string(fields_.size()) + " fields, but the first line " +
                  std::to_string(column_count_));
  }
  for (size_t i = 0; i < feature_columns_.size(); ++i) {
    const size_t column = feature_columns_[i];
    const std::optional<float> value = ParseNumber(fields_[column]);
    if (!value.has_value()) return BadField(static_cast<int64_t>(column), "is not a number");
    if (!std::isfinite(*value)) return BadField(static_cast<int64_t>(column), "is not a finite 32-bit number");
    out[i] = *value;
  }
  if (!options_.labelled) return absl::OkStatus();
  const std::string_view text = fields_[static_cast<size_t>(label_column_)];
  if (text.empty()) return BadField(label_column_, "is no label");
  const std::optional<int32_t> found = classes_.Find(text);
  if (!found.has_value() && !classes_.closed()) {
    return InvalidArgument(lines_.name() + ": the label column " + std::to_string(label_column_) + " has more than " +
                           std::to_string(kClassCountMax) +
                           " different values; set data.label_column to the right one");
  }
  if (!found.has_value()) return BadField(label_column_, "is none of the classes of the training set");
  label = *found;
  return absl::OkStatus();
}

absl::Status CsvParser::AddRow() {
  const int64_t offset = row_count_ * row_bytes();
  if (bytes_.size() < offset + row_bytes()) {
    EDDL_RETURN_IF_ERROR(bytes_.Resize(std::max(offset + offset / 2, offset + row_bytes())));
  }
  int32_t label = 0;
  std::span<float> row(reinterpret_cast<float*>(bytes_.span().data() + offset), feature_columns_.size());
  const absl::Status parsed = ParseRow(row, label);
  if (parsed.ok()) {
    ++row_count_;
    if (options_.labelled) {
      labels_.push_back(label);
    } else {
      row_lines_.push_back(lines_.line_number());
    }
    return absl::OkStatus();
  }
  if (options_.on_bad_row == OnBadRow::kError) return parsed;
  if (skipped_++ == 0) first_skipped_ = MessageOf(parsed).substr(0, MessageOf(parsed).find("; correct"));
  return absl::OkStatus();
}

absl::StatusOr<ReadResult> CsvParser::Finish() {
  if (row_count_ == 0) {
    return InvalidArgument(lines_.name() + ": holds no samples" +
                           (skipped_ > 0 ? "; all lines are bad, the first: " + first_skipped_ : ""));
  }
  ReadResult result;
  if (skipped_ > 0) {
    result.notes.push_back("skipped " + std::to_string(skipped_) + (skipped_ == 1 ? " bad line" : " bad lines") +
                           " of " + lines_.name() + ", the first: " + first_skipped_);
  }
  result.info.name = lines_.name();
  result.info.sample_shape = Shape({std::ssize(feature_columns_)});
  if (!names_.empty()) {
    for (size_t column : feature_columns_) result.info.feature_names.push_back(names_[column]);
  }
  if (!labels_.empty()) {
    result.info.class_names = std::move(classes_).Finish(labels_);
    result.info.class_count = std::ssize(result.info.class_names);
  }
  EDDL_RETURN_IF_ERROR(bytes_.Resize(row_count_ * row_bytes()));
  result.rows = std::make_shared<RowStore>(std::move(bytes_), row_bytes(), 0.0);
  result.labels = std::move(labels_);
  result.lines = std::move(row_lines_);
  return result;
}

}  // namespace

absl::StatusOr<CsvHeader> ParseCsvHeader(const std::string& value) {
  if (value == "auto") return CsvHeader::kAuto;
  if (value == "yes") return CsvHeader::kYes;
  if (value == "no") return CsvHeader::kNo;
  return InvalidArgument("data.header = \"" + value + "\" is none of: auto, yes, no");
}

absl::StatusOr<OnBadRow> ParseOnBadRow(const std::string& value) {
  if (value == "error") return OnBadRow::kError;
  if (value == "skip") return OnBadRow::kSkip;
  return InvalidArgument("data.on_bad_row = \"" + value + "\" is none of: error, skip");
}

absl::StatusOr<ReadResult> ReadCsv(ByteReader reader, const CsvOptions& options) {
  const Instant start = Now();
  EDDL_ASSIGN_OR_RETURN(ReadResult result, CsvParser(std::move(reader), options).Run());
  result.rows->Publish(result.rows->count(), (Now() - start).seconds());
  return result;
}

}  // namespace eddl
