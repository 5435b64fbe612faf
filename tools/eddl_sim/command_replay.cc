// eddl-sim replay: plays a node's event log through the same core, and tells whether it decides the same.
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "net/node/manager.h"
#include "net/node/member.h"
#include "net/sim/event_log.h"
#include "net/sim/recorded_options.h"
#include "net/sim/replay.h"
#include "runtime/base/status.h"
#include "tools/eddl_sim/commands.h"
#include "tools/eddl_sim/output.h"

namespace eddl::net::sim {
namespace {

absl::StatusOr<std::vector<std::string>> ReadLines(const std::string& path) {
  std::ifstream file(path);
  if (!file) return NotFound("can't read the log " + path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  // A process that was killed leaves half a line.
  if (!lines.empty() && lines.back().find_last_of('}') == std::string::npos) lines.pop_back();
  return lines;
}

std::set<NodeId> NodesOf(const std::vector<std::string>& lines) {
  std::set<NodeId> nodes;
  for (const std::string& line : lines) {
    if (const auto parsed = LogLine::FromJson(line); parsed.ok()) nodes.insert(parsed->node);
  }
  return nodes;
}

Machine MakeManager(const ManagerOptions& options) {
  auto manager = std::make_shared<Manager>(options);  // the machine is copied about
  return [manager](Instant now, const Event& event, Actions& actions) { manager->Handle(now, event, actions); };
}

Machine MakeMember(NodeId node, const Capabilities& capabilities) {
  auto member = std::make_shared<Member>(
      MemberOptions{.self = node, .capabilities = capabilities, .beat_period = capabilities.beat_period});
  return [member](Instant now, const Event& event, Actions& actions) { member->Handle(now, event, actions); };
}

void PrintEvent(const LogLine& line, const Actions& actions) {
  std::printf("%14.6f s  %s\n", static_cast<double>(line.at.ns) * 1e-9, ToText(line.event).c_str());
  for (const Action& action : actions) std::printf("                  → %s\n", ToText(action).c_str());
}

absl::StatusOr<bool> ReplayNode(const ReplayArguments& arguments, const std::vector<std::string>& lines, NodeId node) {
  std::optional<ManagerOptions> options;
  if (node == kManager) {
    EDDL_ASSIGN_OR_RETURN(options, ReadManagerOptions(lines));
  }
  const auto make = [&](const Capabilities& capabilities) {
    return node == kManager ? MakeManager(*options) : MakeMember(node, capabilities);
  };
  const auto see = [&](const LogLine& line, const Actions& actions) {
    if (arguments.verbose) PrintEvent(line, actions);
  };
  EDDL_ASSIGN_OR_RETURN(const ReplayResult result, Replay(lines, node, make, see));
  const bool same = result.first_difference == 0;
  const std::string name = node == kManager ? "manager" : "node " + std::to_string(ToInt(node));
  if (arguments.format == OutputFormat::kJson) {
    const nlohmann::ordered_json json = {
        {"schema", "eddl.replay.v1"},   {"node", ToInt(node)}, {"events", result.event_count},
        {"starts", result.start_count}, {"same", same},        {"first_difference", result.first_difference}};
    std::printf("%s\n", json.dump().c_str());
    return same;
  }
  std::printf("%s: %lld events in %lld lives, %s\n", name.c_str(), static_cast<long long>(result.event_count),
              static_cast<long long>(result.start_count), same ? "all answered the same" : "NOT the same");
  if (!same) {
    std::printf("line %lld: %s\nanswered here:\n%s", static_cast<long long>(result.first_difference),
                result.event.c_str(), result.answer.c_str());
  }
  return same;
}

}  // namespace

int RunCommand(const ReplayArguments& arguments) {
  const auto lines = ReadLines(arguments.log);
  if (!lines.ok()) return Fail(arguments.format, lines.status(), kExitUsage);
  std::set<NodeId> nodes = NodesOf(*lines);
  if (arguments.node) nodes = {NodeId{*arguments.node}};
  if (nodes.empty()) return Fail(arguments.format, DataLoss(arguments.log + " is no event log"), kExitUsage);
  bool all_same = true;
  for (const NodeId node : nodes) {
    const auto same = ReplayNode(arguments, *lines, node);
    if (!same.ok()) return Fail(arguments.format, WithContext(same.status(), arguments.log), kExitUsage);
    all_same = all_same && *same;
  }
  return all_same ? kExitOk : kExitBroken;
}

}  // namespace eddl::net::sim
