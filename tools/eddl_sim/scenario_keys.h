// ScenarioKeys: the one table of what a scenario file may say. Parsing, --set, error messages and the commented file
// all come from it.
//
// Knows nothing of TOML or of files. A key is bound to the field of one value, which it must not outlive.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "net/sim/scenario.h"

namespace eddl::net::sim {

// Where a key's value lives; the alternative is the key's type. optional: the type, or "auto".
using KeyField = std::variant<bool*, uint32_t*, int64_t*, uint64_t*, double*, std::string*, std::vector<uint32_t>*,
                              std::vector<RateChange>*, std::optional<uint32_t>*, std::optional<Mode>*,
                              std::optional<Codec>*, OptimizerKind*, TaskSpec::Kind*, FaultKind*, FaultEvent::Who*>;

// A value as it was written, before its key has been asked whether it fits.
using KeyValue =
    std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<std::vector<double>>>;

// Numbers that a key accepts; of each element for lists.
struct KeyRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_excluded = false;
  bool max_excluded = false;
};

struct Key {
  std::string name;  // "job.task.kind"
  KeyField field;
  KeyRange range;         // of what is written
  std::string_view unit;  // "Mbit/s"; empty if it has none
  double factor = 1;      // the field is the written number times this
  std::string_view doc;   // one or two sentences
};

// The keys of one value, those of one table together.
std::vector<Key> KeysOf(Scenario& scenario);  // all but the lists below
std::vector<Key> KeysOf(DeviceGroup& group);  // of an entry of [[devices]]
std::vector<Key> KeysOf(CellSpec& cell);      // of an entry of [[cells]]
std::vector<Key> KeysOf(FaultEvent& event);   // of an entry of [[faults.events]]

// nullptr if there is none.
const Key* FindKey(const std::vector<Key>& keys, std::string_view name);
// Of these names the one that a person most likely meant: the same last word in another table, else the fewest edits.
// REQUIRES: names is not empty.
std::string NearestName(std::string_view name, const std::vector<std::string>& names);

// "integer from 1", "one of sync, pipe, async", "number from 0, below 1".
std::string ExpectationOf(const Key& key);
// kInvalidArgument: "job.batch_size: expected an integer from 1; got the text \"many\"".
absl::Status SetValue(const Key& key, const KeyValue& value);
// The value in TOML: 128, "sync", [[10.0, 0.5]].
std::string FormatValue(const Key& key);
// A text in TOML's quotes.
std::string QuoteToml(std::string_view text);

}  // namespace eddl::net::sim
