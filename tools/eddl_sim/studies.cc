#include "tools/eddl_sim/studies.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/base/status.h"
#include "tools/eddl_sim/study_list.h"

namespace eddl::net::sim {
namespace {

struct Study {
  const char* name;
  absl::StatusOr<std::vector<StudyTable>> (*run)(const StudyContext&);
};

constexpr Study kStudies[] = {
    {"paper", StudyPaper}, {"scale", StudyScale},       {"stragglers", StudyStraggling}, {"latency", StudyLatency},
    {"modes", StudyModes}, {"learning", StudyLearning}, {"churn", StudyChurn},           {"exact", StudyExact},
};

// Four digits that say something, without an exponent in the usual range.
std::string FormatNumber(double value) {
  if (std::isnan(value)) return "—";
  const double size = std::abs(value);
  const int digits =
      size >= 1000 || size == 0 ? 0 : std::clamp(3 - static_cast<int>(std::floor(std::log10(size))), 0, 4);
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*f", digits, value);
  return buffer;
}

std::string FormatCell(const StudyCell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* integer = std::get_if<int64_t>(&cell)) return std::to_string(*integer);
  return FormatNumber(std::get<double>(cell));
}

// Characters that a terminal shows, of UTF-8 without wide ones.
size_t WidthOf(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string Padded(const std::string& text, size_t width, bool right) {
  const std::string padding(width - WidthOf(text), ' ');
  return right ? padding + text : text + padding;
}

}  // namespace

std::string StudyNames() {
  std::string names;
  for (const Study& study : kStudies) names += (names.empty() ? "" : ", ") + std::string(study.name);
  return names;
}

absl::StatusOr<std::vector<StudyTable>> RunStudy(const std::string& name, const StudyContext& context) {
  for (const Study& study : kStudies) {
    if (name == study.name) return study.run(context);
  }
  return NotFound("no study '" + name + "'; there are: " + StudyNames());
}

std::string FormatTable(const StudyTable& table) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    size_t width = WidthOf(table.columns[i]);
    for (const auto& row : table.rows) width = std::max(width, WidthOf(FormatCell(row[i])));
    widths.push_back(width);
  }
  std::string text = table.title + "\n";
  const auto add_row = [&](const auto& cell_of) {
    std::string line = " ";
    for (size_t i = 0; i < widths.size(); ++i) {
      const bool right = !table.rows.empty() && !std::holds_alternative<std::string>(table.rows[0][i]);
      line += " " + Padded(cell_of(i), widths[i], right) + " ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_row([&](size_t i) { return table.columns[i]; });
  for (const auto& row : table.rows) add_row([&](size_t i) { return FormatCell(row[i]); });
  for (const std::string& note : table.notes) text += "  → " + note + "\n";
  return text;
}

}  // namespace eddl::net::sim
