// The table of keys as a document: a commented scenario.
#include <string>
#include <vector>

#include "tools/eddl_sim/scenario_file.h"
#include "tools/eddl_sim/scenario_keys.h"

namespace eddl::net::sim {
namespace {

constexpr size_t kCommentWidth = 110;

// "job.task" of "job.task.kind"; empty for a key of no table.
std::string TableOf(const Key& key) {
  const size_t dot = key.name.rfind('.');
  return dot == std::string::npos ? std::string() : key.name.substr(0, dot);
}

// Breaks a text at spaces, each line behind "# ".
std::string Comment(std::string text) {
  std::string result;
  while (!text.empty()) {
    size_t end = text.size();
    if (end > kCommentWidth) end = std::min(text.rfind(' ', kCommentWidth), end);
    result += "# " + text.substr(0, end) + "\n";
    text.erase(0, end + 1);
  }
  return result;
}

// Keys and values, those of `defaults` said in the comments. `list` is the table whose header has two brackets.
std::string Document(const std::vector<Key>& keys, const std::vector<Key>& defaults, const std::string& list) {
  std::string text;
  std::string table;
  for (size_t i = 0; i < keys.size(); ++i) {
    const Key& key = keys[i];
    if (TableOf(key) != table) {
      table = TableOf(key);
      text += table == list ? "\n[[" + table + "]]\n" : "\n[" + table + "]\n";
    }
    std::string accepts = ExpectationOf(key);
    if (!key.unit.empty()) accepts += ", in " + std::string(key.unit);
    text += Comment(std::string(key.doc) + " (" + accepts + "; default " + FormatValue(defaults[i]) + ")");
    text += key.name.substr(key.name.rfind('.') + 1) + " = " + FormatValue(key) + "\n";
  }
  return text;
}

template <typename Entry>
std::string DocumentList(const std::vector<Entry>& entries, const std::string& list) {
  Entry default_entry;
  std::string text;
  for (Entry entry : entries) text += Document(KeysOf(entry), KeysOf(default_entry), list);
  return text;
}

}  // namespace

std::string CommentedScenario(const Scenario& scenario) {
  Scenario copy = scenario;
  Scenario default_scenario;
  return "# A scenario of eddl-sim: every key, what it accepts, its default, and its value here.\n" +
         Document(KeysOf(copy), KeysOf(default_scenario), "") + DocumentList(scenario.devices, "devices") +
         DocumentList(scenario.cells, "cells") + DocumentList(scenario.faults.events, "faults.events");
}

}  // namespace eddl::net::sim
