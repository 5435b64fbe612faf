#include "net/sim/replay.h"

#include "runtime/base/status.h"

namespace eddl::net::sim {

absl::StatusOr<ReplayResult> Replay(std::span<const std::string> lines, NodeId node, const MachineMaker& make,
                                    const std::function<void(const LogLine&, const Actions&)>& see) {
  ReplayResult result;
  Actions actions;
  Machine machine;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find("\"at\"") == std::string::npos && lines[i].starts_with('{')) continue;
    absl::StatusOr<LogLine> line = LogLine::FromJson(lines[i]);
    if (!line.ok()) return WithContext(line.status(), "line " + std::to_string(i + 1));
    if (line->node != node) continue;
    if (line->start) {
      machine = make(*line->start);
      ++result.start_count;
      continue;
    }
    if (!machine) return DataLoss("line " + std::to_string(i + 1) + ": an event before the process started");
    actions.clear();
    machine(line->at, line->event, actions);
    ++result.event_count;
    if (see) see(*line, actions);
    if (HashOf(actions) == line->actions) continue;
    result.first_difference = static_cast<int64_t>(i + 1);
    result.event = ToText(line->event);
    for (const Action& action : actions) result.answer += ToText(action) + "\n";
    return result;
  }
  if (result.event_count == 0) {
    return InvalidArgument("the log has no line of node " + std::to_string(ToInt(node)));
  }
  return result;
}

}  // namespace eddl::net::sim
