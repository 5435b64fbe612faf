// JobKeys: the one table of what a job file may say. Parsing, --set, error messages, the commented default file and
// docs/job-file.md all come from it.
//
// Pure; knows nothing of TOML or of files.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

// Where a key's value lives; the alternative is the key's type. optional<int64_t>: an integer or "auto".
using JobField = std::variant<bool& (*)(JobConfig&), int64_t& (*)(JobConfig&), double& (*)(JobConfig&),
                              std::string& (*)(JobConfig&), std::vector<int64_t>& (*)(JobConfig&),
                              std::vector<std::string>& (*)(JobConfig&), std::optional<int64_t>& (*)(JobConfig&)>;

// A value as it was written, before its key has been asked whether it fits.
using JobValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<std::string>>;

// Numbers a key accepts; of each element for lists.
struct JobRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_excluded = false;
  bool max_excluded = false;
};

// Whether a resumed run may have another value than the run had before.
enum class OnResume : uint8_t { kSame, kMayChange };

struct JobKey {
  std::string_view name;  // "train.batch"
  JobField field;
  JobRange range;
  std::span<const std::string_view> choices;  // of a text; empty: any text
  std::string_view unit;                      // "samples"; empty if it has none
  OnResume on_resume = OnResume::kSame;
  bool integer_as_text = false;  // a text that may be written as an integer, too
  bool is_path = false;          // relative to the job file's folder
  std::string_view doc;          // one or two sentences
};

// All keys, those of one table together.
std::span<const JobKey> JobKeys();
// nullptr if there is none.
const JobKey* FindJobKey(std::string_view name);
// The known key that a person most likely meant: the same last word in another table, else the fewest edits.
const JobKey& NearestJobKey(std::string_view name);

// "integer from 1", "one of sgd, adam, adamw", "number from 0, below 1".
std::string ExpectationOf(const JobKey& key);
// kInvalidArgument: "train.batch: expected an integer from 1, got the text \"many\"".
absl::Status SetJobValue(JobConfig& job, const JobKey& key, const JobValue& value);
// The key's value in TOML: 128, "sgd", [512, 256].
std::string FormatJobValue(const JobConfig& job, const JobKey& key);
// A text in TOML's quotes.
std::string QuoteToml(std::string_view text);

}  // namespace eddl
