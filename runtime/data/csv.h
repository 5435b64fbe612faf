// Reader of CSV tables, plain or gzip: one sample a line, numbers for features, a number or text for the label.
//
// Fields are separated by commas, semicolons or tabs (the first line tells), and may be quoted (RFC 4180, but a quoted
// field ends on its line). Lines end with LF or CRLF; empty lines are passed over. Read as a stream: memory follows the
// rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/reader.h"

namespace eddl {

enum class CsvHeader { kAuto, kYes, kNo };
enum class OnBadRow { kError, kSkip };

struct CsvOptions {
  // kAuto: the first line is a header if most of its feature fields are not numbers.
  CsvHeader header = CsvHeader::kAuto;
  // A name of the header, or a position from 0, or from the end: "-1" is the last.
  std::string label_column = "-1";
  // False: every column is a feature, except one that the header calls `label_column`.
  bool labelled = true;
  OnBadRow on_bad_row = OnBadRow::kError;
  int64_t limit = 0;  // samples; 0 for all
  // The classes of an earlier file, in index order: a label beyond them makes a bad row. Empty: the labels found,
  // sorted by value if all are numbers, else by bytes.
  std::vector<std::string> class_names;
  // The features of an earlier file, in its order: columns are found by name, and others passed over, if this file has
  // a header.
  std::vector<std::string> feature_names;
  // Not labelled only: the features wanted, 0 for any number. Of one column more, `label_column` is passed over.
  int64_t feature_count = 0;
};

// The values of data.header ("auto", "yes", "no") and data.on_bad_row ("error", "skip"). kInvalidArgument, listing
// them.
absl::StatusOr<CsvHeader> ParseCsvHeader(const std::string& value);
absl::StatusOr<OnBadRow> ParseOnBadRow(const std::string& value);

// f32 rows [features]. A bad row (fields missing or too many, not a finite number, an unknown label) is
// kInvalidArgument with file, line, column, what was found and how to go on; or skipped, and counted in a note.
// kInvalidArgument also for no rows, a label column that isn't there, or more than kClassCountMax classes; kDataLoss
// from the file.
absl::StatusOr<ReadResult> ReadCsv(ByteReader reader, const CsvOptions& options);

}  // namespace eddl
