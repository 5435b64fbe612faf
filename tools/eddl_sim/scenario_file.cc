#include "tools/eddl_sim/scenario_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <vector>

#include <toml++/toml.h>

#include "runtime/base/status.h"
#include "tools/eddl_sim/scenario_keys.h"

namespace eddl::net::sim {
namespace {

// How the same scenario is run on emulated devices; tools/testbed reads and checks it.
constexpr std::string_view kTestbedTable = "testbed";

// A TOML node as a value; a text in place of an error if no key could accept it.
struct Converted {
  KeyValue value;
  std::string problem;
};

Converted ConvertIntegers(const toml::array& array) {
  std::vector<int64_t> items;
  for (const toml::node& item : array) {
    const auto* integer = item.as_integer();
    if (integer == nullptr) return {.problem = "a list with elements of different types"};
    items.push_back(integer->get());
  }
  return {.value = std::move(items)};
}

Converted ConvertRows(const toml::array& array) {
  std::vector<std::vector<double>> rows;
  for (const toml::node& item : array) {
    const auto* list = item.as_array();
    if (list == nullptr) return {.problem = "a list with elements of different types"};
    std::vector<double>& row = rows.emplace_back();
    for (const toml::node& cell : *list) {
      const auto number = cell.value<double>();
      if (!number.has_value()) return {.problem = "a list of lists of something else than numbers"};
      row.push_back(*number);
    }
  }
  return {.value = std::move(rows)};
}

Converted Convert(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return {.value = value->get()};
  if (const auto* value = node.as_integer()) return {.value = value->get()};
  if (const auto* value = node.as_floating_point()) return {.value = value->get()};
  if (const auto* value = node.as_string()) return {.value = value->get()};
  if (const auto* array = node.as_array()) {
    if (array->empty() || array->front().is_integer()) return ConvertIntegers(*array);
    if (array->front().is_array()) return ConvertRows(*array);
    return {.problem = "a list of something else"};
  }
  return {.problem = node.is_table() ? "a table" : "a date or time"};
}

// The names of all keys there are, with those of lists.
std::vector<std::string> AllNames() {
  Scenario scenario;
  DeviceGroup group;
  CellSpec cell;
  FaultEvent event;
  std::vector<std::string> names;
  for (const std::vector<Key>& keys : {KeysOf(scenario), KeysOf(group), KeysOf(cell), KeysOf(event)}) {
    for (const Key& key : keys) names.push_back(key.name);
  }
  return names;
}

std::string UnknownKey(const std::string& name) {
  return "unknown key '" + name + "'; did you mean '" + NearestName(name, AllNames()) + "'?";
}

bool IsTableOfKeys(const std::vector<Key>& keys, const std::string& name) {
  for (const Key& key : keys) {
    if (key.name.starts_with(name + ".")) return true;
  }
  return false;
}

// Collects what is wrong with a file while it is read.
class FileReader {
 public:
  explicit FileReader(const std::string& name) : name_(name) {}

  Scenario scenario;
  std::string problems;

  void ReadAll(const toml::table& table) { Read(table, "", KeysOf(scenario)); }

 private:
  void Report(const toml::node& node, const std::string& text) {
    if (!problems.empty()) problems += "\n";
    problems += name_ + ":" + std::to_string(node.source().begin.line) + ": " + text;
  }

  void Read(const toml::table& table, const std::string& prefix, const std::vector<Key>& keys) {
    for (const auto& [key_text, node] : table) {
      const std::string name = prefix + std::string(key_text.str());
      const auto* inner = node.as_table();
      if (const Key* key = FindKey(keys, name)) {
        ReadKey(*key, node);
      } else if (prefix.empty() && name == kTestbedTable && inner != nullptr) {
        continue;
      } else if (prefix.empty() && name == "devices") {
        ReadList(node, name, scenario.devices);
      } else if (prefix.empty() && name == "cells") {
        ReadList(node, name, scenario.cells);
      } else if (name == "faults.events") {
        ReadList(node, name, scenario.faults.events);
      } else if (inner != nullptr && IsTableOfKeys(keys, name)) {
        Read(*inner, name + ".", keys);
      } else if (inner != nullptr && !inner->empty()) {
        // A misspelt table: its first key tells best what was meant.
        Report(node, UnknownKey(name + "." + std::string(inner->begin()->first.str())));
      } else {
        Report(node, UnknownKey(name));
      }
    }
  }

  template <typename Entry>
  void ReadList(const toml::node& node, const std::string& name, std::vector<Entry>& entries) {
    const auto* array = node.as_array();
    if (array == nullptr || !(array->empty() || array->is_homogeneous<toml::table>())) {
      Report(node, name + ": expected a list of tables: write each entry below a line [[" + name + "]]");
      return;
    }
    for (const toml::node& element : *array) {
      Entry& entry = entries.emplace_back();
      Read(*element.as_table(), name + ".", KeysOf(entry));
    }
  }

  void ReadKey(const Key& key, const toml::node& node) {
    const Converted converted = Convert(node);
    if (!converted.problem.empty()) {
      Report(node, key.name + ": expected " + ExpectationOf(key) + "; got " + converted.problem);
    } else if (const absl::Status status = SetValue(key, converted.value); !status.ok()) {
      Report(node, MessageOf(status));
    }
  }

  const std::string& name_;
};

// The table, or where and why the text is not TOML. The one place where toml++ may throw.
struct Parsed {
  toml::table table;
  bool ok = false;
  uint32_t line = 0;
  std::string problem;
};

Parsed ParseToml(std::string_view text) {
  try {
    return {.table = toml::parse(text), .ok = true};
  } catch (const toml::parse_error& error) {
    return {.line = error.source().begin.line, .problem = std::string(error.description())};
  }
}

// A value of --set, of which quotes may have been left out.
Converted ParseOverride(const std::string& text) {
  const Parsed parsed = ParseToml("value = " + text);
  if (!parsed.ok || parsed.table.size() != 1) return {.value = text};
  return Convert(*parsed.table.get("value"));
}

// The key that an override names, and which entries of its list; empty: all.
struct Target {
  std::string key;
  std::string entry;
};

// Nothing if there is no such key.
std::optional<Target> ResolveTarget(const std::string& name) {
  const std::vector<std::string> names = AllNames();
  const auto known = [&](const std::string& key) { return std::find(names.begin(), names.end(), key) != names.end(); };
  if (known(name)) return Target{.key = name};
  for (const std::string list : {"devices.", "cells.", "faults.events."}) {
    const size_t dot = name.find('.', list.size());
    if (!name.starts_with(list) || dot == std::string::npos) continue;
    Target target = {.key = list + name.substr(dot + 1), .entry = name.substr(list.size(), dot - list.size())};
    if (known(target.key)) return target;
  }
  return std::nullopt;
}

std::string NameOf(const DeviceGroup& group) { return group.name; }
std::string NameOf(const CellSpec&) { return ""; }
std::string NameOf(const FaultEvent&) { return ""; }

void AppendNamed(const std::vector<Key>& from, const std::string& name, std::vector<Key>& keys) {
  if (const Key* key = FindKey(from, name)) keys.push_back(*key);
}

template <typename Entry>
void AppendTargets(std::vector<Entry>& entries, const Target& target, std::vector<Key>& keys) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const bool meant =
        target.entry.empty() || target.entry == NameOf(entries[i]) || target.entry == std::to_string(i + 1);
    if (meant) AppendNamed(KeysOf(entries[i]), target.key, keys);
  }
}

std::vector<Key> KeysOf(Scenario& scenario, const Target& target) {
  std::vector<Key> keys;
  AppendNamed(KeysOf(scenario), target.key, keys);
  AppendTargets(scenario.devices, target, keys);
  AppendTargets(scenario.cells, target, keys);
  AppendTargets(scenario.faults.events, target, keys);
  return keys;
}

}  // namespace

absl::StatusOr<Scenario> ParseScenario(std::string_view text, const std::string& name) {
  Parsed parsed = ParseToml(text);
  if (!parsed.ok) {
    return InvalidArgument(name + ":" + std::to_string(parsed.line) + ": this is not TOML: " + parsed.problem);
  }
  FileReader reader(name);
  reader.ReadAll(parsed.table);
  if (!reader.problems.empty()) return InvalidArgument(reader.problems);
  return std::move(reader.scenario);
}

absl::Status ApplyOverrides(Scenario& scenario, std::span<const std::string> overrides) {
  for (const std::string& item : overrides) {
    const auto fail = [&](const std::string& why) { return InvalidArgument("--set " + item + ": " + why); };
    const size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) return fail("write it as key=value, such as job.batch_size=512");
    const std::string name = item.substr(0, equals);
    const std::optional<Target> target = ResolveTarget(name);
    if (!target.has_value()) return fail(UnknownKey(name));
    const std::vector<Key> keys = KeysOf(scenario, *target);
    if (keys.empty()) return fail("the scenario has no entry that this names");
    const Converted converted = ParseOverride(item.substr(equals + 1));
    for (const Key& key : keys) {
      if (!converted.problem.empty()) {
        return fail(name + ": expected " + ExpectationOf(key) + "; got " + converted.problem);
      }
      if (const absl::Status status = SetValue(key, converted.value); !status.ok()) return fail(MessageOf(status));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Scenario> LoadScenario(const std::string& path, std::span<const std::string> overrides) {
  std::ifstream file(path, std::ios::binary);
  std::error_code ignored;
  if (!file.is_open() || std::filesystem::is_directory(path, ignored)) {
    return NotFound("can't read the scenario file " + path +
                    "; examples/sim/ has some, and `eddl-sim scenario > my.toml` writes one with all keys");
  }
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EDDL_ASSIGN_OR_RETURN(Scenario scenario, ParseScenario(text, path));
  EDDL_RETURN_IF_ERROR(ApplyOverrides(scenario, overrides));
  return scenario;
}

}  // namespace eddl::net::sim
