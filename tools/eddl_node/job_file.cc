#include "tools/eddl_node/job_file.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <toml++/toml.h>

#include "runtime/base/status.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_keys.h"

namespace eddl {
namespace {

// A TOML node as a value; a text in place of an error if no key could accept it.
struct Converted {
  JobValue value;
  std::string problem;
};

template <typename T>
Converted ConvertList(const toml::array& array) {
  std::vector<T> items;
  for (const toml::node& item : array) {
    const auto value = item.value_exact<T>();
    if (!value.has_value()) return {.problem = "a list with elements of different types"};
    items.push_back(*value);
  }
  return {.value = std::move(items)};
}

Converted Convert(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return {.value = value->get()};
  if (const auto* value = node.as_integer()) return {.value = value->get()};
  if (const auto* value = node.as_floating_point()) return {.value = value->get()};
  if (const auto* value = node.as_string()) return {.value = value->get()};
  if (const auto* array = node.as_array()) {
    if (array->empty() || array->front().is_integer()) return ConvertList<int64_t>(*array);
    if (array->front().is_string()) return ConvertList<std::string>(*array);
    return {.problem = "a list of something else"};
  }
  return {.problem = node.is_table() ? "a table" : "a date or time"};
}

std::string UnknownKey(std::string_view name) {
  return "unknown key '" + std::string(name) + "'; did you mean '" + std::string(NearestJobKey(name).name) + "'?";
}

bool IsTableOfKeys(const std::string& name) {
  for (const JobKey& key : JobKeys()) {
    if (key.name.starts_with(name + ".")) return true;
  }
  return false;
}

void ResolvePath(JobConfig& job, const JobKey& key, const std::string& folder) {
  std::string& path = std::get<std::string& (*)(JobConfig&)>(key.field)(job);
  if (path.empty() || folder.empty()) return;
  path = (std::filesystem::path(folder) / path).lexically_normal().string();
}

// Collects what is wrong with a file while it is read.
struct FileReader {
  JobConfig job;
  const std::string& name;
  const std::string& folder;
  std::string problems;

  void Report(const toml::node& node, const std::string& text) {
    if (!problems.empty()) problems += "\n";
    problems += name + ":" + std::to_string(node.source().begin.line) + ": " + text;
  }

  void Read(const toml::table& table, const std::string& prefix) {
    for (const auto& [key_text, node] : table) {
      const std::string full_name = prefix + std::string(key_text.str());
      if (const JobKey* key = FindJobKey(full_name)) {
        ReadKey(*key, node);
      } else if (const auto* inner = node.as_table(); inner != nullptr && IsTableOfKeys(full_name)) {
        Read(*inner, full_name + ".");
      } else if (inner != nullptr && !inner->empty()) {
        // A misspelt table: its first key tells best what was meant.
        const std::string first = full_name + "." + std::string(inner->begin()->first.str());
        Report(node, UnknownKey(first));
      } else {
        Report(node, UnknownKey(full_name));
      }
    }
  }

  void ReadKey(const JobKey& key, const toml::node& node) {
    const Converted converted = Convert(node);
    if (!converted.problem.empty()) {
      Report(node, std::string(key.name) + ": expected " + ExpectationOf(key) + "; got " + converted.problem);
    } else if (const absl::Status status = SetJobValue(job, key, converted.value); !status.ok()) {
      Report(node, MessageOf(status));
    } else if (key.is_path) {
      ResolvePath(job, key, folder);
    }
  }
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

bool IsText(const JobKey& key) { return std::holds_alternative<std::string& (*)(JobConfig&)>(key.field); }
bool IsTextList(const JobKey& key) {
  return std::holds_alternative<std::vector<std::string>& (*)(JobConfig&)>(key.field);
}
bool IsIntegerList(const JobKey& key) {
  return std::holds_alternative<std::vector<int64_t>& (*)(JobConfig&)>(key.field);
}

JobValue SplitTexts(const std::string& text) {
  std::vector<std::string> items;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) items.push_back(item);
  return items;
}

// A value of --set, of which quotes and brackets may have been left out.
Converted ParseOverride(const JobKey& key, const std::string& text) {
  const bool quoted = text.starts_with('"') || text.starts_with('\'');
  if (IsText(key) && !quoted) return {.value = text};
  const bool bare_list = !text.starts_with('[');
  if (IsTextList(key) && bare_list && !quoted) return {.value = SplitTexts(text)};
  const std::string toml_text = (IsIntegerList(key) || IsTextList(key)) && bare_list ? "[" + text + "]" : text;
  const Parsed parsed = ParseToml("value = " + toml_text);
  // What TOML does not understand is a text, and the key will say that it wants something else.
  if (!parsed.ok || parsed.table.size() != 1) return {.value = text};
  return Convert(*parsed.table.get("value"));
}

}  // namespace

absl::StatusOr<JobConfig> ParseJob(std::string_view text, const std::string& name, const std::string& folder) {
  const Parsed parsed = ParseToml(text);
  if (!parsed.ok) {
    return WithExitCode(ExitCode::kUsage, InvalidArgument(name + ":" + std::to_string(parsed.line) +
                                                          ": this is not TOML: " + parsed.problem));
  }
  FileReader reader{.job = {}, .name = name, .folder = folder, .problems = {}};
  reader.Read(parsed.table, "");
  if (!reader.problems.empty()) return WithExitCode(ExitCode::kUsage, InvalidArgument(reader.problems));
  return std::move(reader.job);
}

absl::Status ApplyOverrides(JobConfig& job, std::span<const std::string> overrides) {
  for (const std::string& item : overrides) {
    const auto fail = [&](const std::string& why) {
      return WithExitCode(ExitCode::kUsage, InvalidArgument("--set " + item + ": " + why));
    };
    const size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) return fail("write it as key=value, such as train.epochs=3");
    const std::string name = item.substr(0, equals);
    const JobKey* key = FindJobKey(name);
    if (key == nullptr) return fail(UnknownKey(name));
    const Converted converted = ParseOverride(*key, item.substr(equals + 1));
    if (!converted.problem.empty()) {
      return fail(name + ": expected " + ExpectationOf(*key) + "; got " + converted.problem);
    }
    if (const absl::Status status = SetJobValue(job, *key, converted.value); !status.ok()) {
      return fail(MessageOf(status));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<JobConfig> LoadJob(const std::string& path, std::span<const std::string> overrides) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  // An empty file sets failbit, too; a job of defaults may be empty.
  std::error_code ignored;
  if (!file.is_open() || std::filesystem::is_directory(path, ignored) || file.bad()) {
    return WithExitCode(ExitCode::kUsage, NotFound("can't read the job file " + path +
                                                   "; `eddl-node job > job.toml` writes one with all keys"));
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  EDDL_ASSIGN_OR_RETURN(JobConfig job, ParseJob(text.str(), path, folder));
  EDDL_RETURN_IF_ERROR(ApplyOverrides(job, overrides));
  return job;
}

}  // namespace eddl
