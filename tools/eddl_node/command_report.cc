// eddl-node report: what came of a run, from its folder.
#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/report/run_report.h"

namespace eddl {
namespace {

absl::Status Run(const ReportArguments& arguments, const Console& console) {
  const RunReportOptions options = {.evaluate = !arguments.no_evaluation};
  EDDL_RETURN_IF_ERROR(WriteReport(arguments.folder, options));
  console.Line("report: " + arguments.folder + "/report.html, and report.json beside it");
  console.Json({{"schema", "eddl.report_written.v1"},
                {"html", arguments.folder + "/report.html"},
                {"json", arguments.folder + "/report.json"}});
  return absl::OkStatus();
}

}  // namespace

int RunCommand(const ReportArguments& arguments) {
  const Console console(arguments.format);
  const absl::Status status = Run(arguments, console);
  return status.ok() ? 0 : ReportFailure(console, "eddl.report_written.v1", status);
}

}  // namespace eddl
