// Lines of a CSV file, and the fields of a line. The lower half of the CSV reader.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/byte_reader.h"

namespace eddl {

constexpr int64_t kCsvLineBytesMax = int64_t{16} << 20;

// Reads line by line. Not thread-safe.
class LineReader {
 public:
  explicit LineReader(ByteReader reader);

  // The next line without its end, valid until the next call; nothing after the last. kInvalidArgument for a line
  // longer than kCsvLineBytesMax or with a NUL byte (not text); kDataLoss from the file.
  absl::StatusOr<std::optional<std::string_view>> Next();
  // Number of the line last returned, from 1.
  int64_t line_number() const { return line_number_; }
  const std::string& name() const { return reader_.name(); }

 private:
  absl::Status Fill();

  ByteReader reader_;
  std::vector<char> buffer_;
  size_t begin_ = 0;  // unread bytes are [begin_, end_)
  size_t end_ = 0;
  bool at_end_ = false;
  int64_t line_number_ = 0;
};

// The separator of this line: the most frequent of ',', ';' and tab; ',' if there is none.
char DetectSeparator(std::string_view line);

// Splits a line into fields, quotes undone and blanks around a field dropped. False if a quoted field is not closed or
// goes on after its quote. `fields` views `line` or `unquoted`, both of which must stay.
bool SplitFields(std::string_view line, char separator, std::vector<std::string_view>& fields, std::string& unquoted);

// The number that a whole field spells; nothing if it is none. Infinity and NaN are numbers here.
std::optional<float> ParseNumber(std::string_view field);

}  // namespace eddl
