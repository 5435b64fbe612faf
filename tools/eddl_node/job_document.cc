// The table of keys as documents: a commented job file, and docs/job-file.md.
#include <string>

#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/job_keys.h"

namespace eddl {
namespace {

constexpr size_t kCommentWidth = 110;

// "data.generate" of "data.generate.samples"; empty for a key of no table.
std::string_view TableOf(const JobKey& key) {
  const size_t dot = key.name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : key.name.substr(0, dot);
}

std::string_view ShortNameOf(const JobKey& key) { return key.name.substr(key.name.rfind('.') + 1); }

std::string ExpectationWithUnit(const JobKey& key) {
  std::string text = ExpectationOf(key);
  if (!key.unit.empty()) text += ", in " + std::string(key.unit);
  return text;
}

// Breaks a text at spaces, each line behind "# ".
std::string Comment(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    size_t end = text.size();
    if (end > kCommentWidth) {
      end = text.rfind(' ', kCommentWidth);
      if (end == std::string_view::npos) end = text.size();
    }
    result += "# " + std::string(text.substr(0, end)) + "\n";
    text.remove_prefix(end == text.size() ? end : end + 1);
  }
  return result;
}

// A pipe would end the cell.
std::string Cell(std::string_view text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? std::string("\\|") : std::string(1, c);
  return cell;
}

}  // namespace

std::string CommentedJob(const JobConfig& job) {
  std::string text =
      "# A job of eddl-node: every key, what it accepts, and its value. Keys that are left out have their defaults.\n"
      "# Paths are relative to this file's folder, run.dir and run.trace to the current folder.\n";
  std::string_view table;
  for (const JobKey& key : JobKeys()) {
    text += "\n";
    if (TableOf(key) != table) {
      table = TableOf(key);
      text += "[" + std::string(table) + "]\n";
    }
    text += Comment(key.doc);
    text += Comment(ExpectationWithUnit(key) + "; default " + FormatJobValue(JobConfig{}, key));
    text += std::string(ShortNameOf(key)) + " = " + FormatJobValue(job, key) + "\n";
  }
  return text;
}

std::string JobReference() {
  std::string text =
      "# The job file\n\n"
      "A job file is TOML. `eddl-node job > my.toml` writes one with every key, its default and a comment; "
      "`--set key=value` on the command line overrides any key. A key that is not in these tables is an error.\n\n"
      "Paths are relative to the folder of the job file; `run.dir`, `run.trace` and paths given with `--set` are "
      "relative "
      "to the current folder.\n\n"
      "A run that is resumed (`--resume`) must have the same values as before for all keys but those marked ↻.\n\n"
      "This page is written by `eddl-node job --format markdown`.\n";
  std::string_view table = "none yet";
  for (const JobKey& key : JobKeys()) {
    if (TableOf(key) != table) {
      table = TableOf(key);
      text += "\n## " + (table.empty() ? std::string("Top level") : "`[" + std::string(table) + "]`") + "\n\n";
      text += "| Key | Accepts | Default | Meaning |\n|---|---|---|---|\n";
    }
    text += "| `" + std::string(key.name) + "`" + (key.on_resume == OnResume::kMayChange ? " ↻" : "") + " | " +
            Cell(ExpectationWithUnit(key)) + " | `" + Cell(FormatJobValue(JobConfig{}, key)) + "` | " + Cell(key.doc) +
            " |\n";
  }
  return text;
}

}  // namespace eddl
