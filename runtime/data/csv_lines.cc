#include "runtime/data/csv_lines.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <span>
#include <system_error>
#include <utility>

#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr size_t kBufferBytes = size_t{64} << 10;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Splits a line that has a quote somewhere. What is unquoted is never longer than the line: views into it stay valid.
bool SplitQuoted(std::string_view line, char separator, std::vector<std::string_view>& fields, std::string& unquoted) {
  unquoted.clear();
  unquoted.reserve(line.size());
  size_t at = 0;
  for (;;) {
    while (at < line.size() && line[at] == ' ') ++at;
    if (at < line.size() && line[at] == '"') {
      const size_t start = unquoted.size();
      for (++at;; ++at) {
        if (at == line.size()) return false;
        if (line[at] == '"' && (at + 1 == line.size() || line[at + 1] != '"')) break;
        if (line[at] == '"') ++at;
        unquoted.push_back(line[at]);
      }
      fields.push_back(std::string_view(unquoted).substr(start));
      for (++at; at < line.size() && line[at] == ' ';) ++at;
      if (at < line.size() && line[at] != separator) return false;
    } else {
      const size_t end = std::min(line.find(separator, at), line.size());
      fields.push_back(Trim(line.substr(at, end - at)));
      at = end;
    }
    if (at == line.size()) return true;
    ++at;
  }
}

}  // namespace

LineReader::LineReader(ByteReader reader) : reader_(std::move(reader)), buffer_(kBufferBytes) {}

// Appends what the file has next, after moving the unread part to the front.
absl::Status LineReader::Fill() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ == buffer_.size()) {
    if (std::ssize(buffer_) >= kCsvLineBytesMax) {
      return InvalidArgument(name() + ":" + std::to_string(line_number_ + 1) + ": the line is longer than " +
                             std::to_string(kCsvLineBytesMax) + " bytes; is this a CSV file?");
    }
    buffer_.resize(buffer_.size() * 2);
  }
  EDDL_ASSIGN_OR_RETURN(const size_t size, reader_.Read(std::as_writable_bytes(std::span(buffer_).subspan(end_))));
  at_end_ = size < buffer_.size() - end_;
  end_ += size;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string_view>> LineReader::Next() {
  size_t searched = 0;
  const char* newline = nullptr;
  for (;;) {
    const char* from = buffer_.data() + begin_;
    newline = static_cast<const char*>(std::memchr(from + searched, '\n', end_ - begin_ - searched));
    if (newline != nullptr || at_end_) break;
    searched = end_ - begin_;
    EDDL_RETURN_IF_ERROR(Fill());
  }
  if (newline == nullptr && begin_ == end_) return std::nullopt;
  const char* begin = buffer_.data() + begin_;
  const char* end = newline != nullptr ? newline : buffer_.data() + end_;
  begin_ = static_cast<size_t>((newline != nullptr ? newline + 1 : end) - buffer_.data());
  std::string_view line(begin, static_cast<size_t>(end - begin));
  ++line_number_;
  if (line_number_ == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.find('\0') != std::string_view::npos) {
    return InvalidArgument(name() + ":" + std::to_string(line_number_) + ": a NUL byte: this is not a text file");
  }
  return line;
}

char DetectSeparator(std::string_view line) {
  char best = ',';
  for (char candidate : {';', '\t'}) {
    if (std::count(line.begin(), line.end(), candidate) > std::count(line.begin(), line.end(), best)) best = candidate;
  }
  return best;
}

bool SplitFields(std::string_view line, char separator, std::vector<std::string_view>& fields, std::string& unquoted) {
  fields.clear();
  if (line.find('"') != std::string_view::npos) return SplitQuoted(line, separator, fields, unquoted);
  size_t at = 0;
  for (;;) {
    // Most fields are a digit or two: quicker by hand than a call of memchr each.
    size_t end = at;
    while (end < line.size() && line[end] != separator) ++end;
    fields.push_back(Trim(line.substr(at, end - at)));
    if (end == line.size()) return true;
    at = end + 1;
  }
}

std::optional<float> ParseNumber(std::string_view field) {
  if (field.size() == 1 && field[0] >= '0' && field[0] <= '9') return static_cast<float>(field[0] - '0');
  if (field.starts_with('+')) field.remove_prefix(1);
  float value = 0.0f;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (end != field.data() + field.size()) return std::nullopt;
  if (error == std::errc()) return value;
  // Too large or too small for a float. from_chars does not say which; the nearest double does.
  double wide = 0.0;
  if (std::from_chars(field.data(), end, wide).ec == std::errc() && wide > -1.0 && wide < 1.0) return 0.0f;
  return std::numeric_limits<float>::infinity();
}

}  // namespace eddl
