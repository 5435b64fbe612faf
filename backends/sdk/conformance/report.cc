#include <algorithm>
#include <iomanip>
#include <sstream>

#include "backends/sdk/conformance/conformance.h"

namespace eddl::conformance {
namespace {

void AppendTable(const Report& report, std::ostringstream& text) {
  text << std::left << std::setw(28) << "" << std::right << std::setw(7) << "cases" << std::setw(8) << "passed"
       << std::setw(8) << "failed" << std::setw(9) << "lacking"
       << "  worst error / tolerance\n";
  text << std::fixed << std::setprecision(3);
  for (const KindSummary& kind : Summarize(report)) {
    text << std::left << std::setw(28) << kind.kind << std::right << std::setw(7) << kind.cases << std::setw(8)
         << kind.passed << std::setw(8) << kind.failed << std::setw(9) << kind.lacking << "  " << kind.worst_error
         << "\n";
  }
}

void AppendVerdict(const Report& report, std::ostringstream& text) {
  const auto count = [&](Outcome outcome) {
    return std::count_if(report.cases.begin(), report.cases.end(),
                         [outcome](const CaseResult& one) { return one.outcome == outcome; });
  };
  text << report.cases.size() << " cases: " << count(Outcome::kPass) << " passed, " << count(Outcome::kFail)
       << " failed, " << count(Outcome::kLacking) << " lacking";
  if (count(Outcome::kLacking) > 0) text << " (these fall back to the cpu)";
  text << "\n";
}

}  // namespace

std::vector<KindSummary> Summarize(const Report& report) {
  std::vector<KindSummary> kinds;
  for (const CaseResult& one : report.cases) {
    auto kind =
        std::find_if(kinds.begin(), kinds.end(), [&](const KindSummary& known) { return known.kind == one.kind; });
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), KindSummary{.kind = one.kind});
    ++kind->cases;
    kind->passed += one.outcome == Outcome::kPass ? 1 : 0;
    kind->failed += one.outcome == Outcome::kFail ? 1 : 0;
    kind->lacking += one.outcome == Outcome::kLacking ? 1 : 0;
    if (one.outcome == Outcome::kPass) kind->worst_error = std::max(kind->worst_error, one.error);
  }
  return kinds;
}

std::string FormatReport(const Report& report) {
  std::ostringstream text;
  text << report.backend << " " << report.version << ", " << report.device << ", seed " << report.seed << "\n";
  AppendTable(report, text);
  for (const CaseResult& one : report.cases) {
    if (one.outcome == Outcome::kFail) text << "FAILED " << one.reproducer;
  }
  AppendVerdict(report, text);
  return text.str();
}

}  // namespace eddl::conformance
