#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "tools/eddl_sim/commands.h"
#include "tools/eddl_sim/output.h"
#include "tools/eddl_sim/progress.h"
#include "tools/eddl_sim/studies.h"

namespace eddl::net::sim {
namespace {

nlohmann::ordered_json ToJson(const StudyCell& cell) {
  if (const auto* number = std::get_if<double>(&cell); number != nullptr && std::isnan(*number)) return nullptr;
  return std::visit([](const auto& value) { return nlohmann::ordered_json(value); }, cell);
}

nlohmann::ordered_json ToJson(const std::string& study, const StudyTable& table) {
  auto rows = nlohmann::ordered_json::array();
  for (const auto& row : table.rows) {
    nlohmann::ordered_json object;
    for (size_t i = 0; i < row.size(); ++i) object[table.columns[i]] = ToJson(row[i]);
    rows.push_back(std::move(object));
  }
  return {{"schema", "eddl.sim.study.v1"},
          {"study", study},
          {"title", table.title},
          {"rows", std::move(rows)},
          {"notes", table.notes}};
}

}  // namespace

int RunCommand(const StudyArguments& arguments) {
  absl::StatusOr<std::vector<StudyTable>> tables;
  {
    ProgressLine line(0);
    tables = RunStudy(arguments.name, {.folder = arguments.folder,
                                       .overrides = arguments.overrides,
                                       .progress = [&line](const std::string& text) { line.Show("  " + text); },
                                       .jobs = arguments.jobs});
  }
  if (!tables.ok()) {
    const bool broken = tables.status().code() == absl::StatusCode::kDataLoss;
    return Fail(arguments.format, tables.status(), broken ? kExitBroken : kExitUsage);
  }
  for (const StudyTable& table : *tables) {
    if (arguments.format == OutputFormat::kJson) {
      PrintJson(ToJson(arguments.name, table));
    } else {
      std::printf("%s\n", FormatTable(table).c_str());
    }
  }
  return kExitOk;
}

}  // namespace eddl::net::sim
