#include "tools/eddl_sim/chrome_trace.h"

#include <nlohmann/json.hpp>

#include "net/plan.h"

namespace eddl::net::sim {
namespace {

// Rows of a node, in the order that viewers show them. Transfers overlap, and so are asynchronous events without a row.
enum Row : int { kRounds, kCompute, kWait, kControl, kOwner };
constexpr const char* kRowNames[] = {"rounds", "compute", "wait", "control", "device"};

bool IsTransfer(Span::Kind kind) {
  return kind == Span::Kind::kPush || kind == Span::Kind::kPublish || kind == Span::Kind::kReplica ||
         kind == Span::Kind::kMove;
}

double Microseconds(int64_t ns) { return static_cast<double>(ns) * 1e-3; }

nlohmann::ordered_json Event(std::string name, const char* phase, Instant at, NodeId node, Row row) {
  return {{"name", std::move(name)}, {"ph", phase}, {"ts", Microseconds(at.ns)}, {"pid", ToInt(node)}, {"tid", row}};
}

nlohmann::ordered_json Named(const char* what, NodeId node, int row, std::string name) {
  return {{"name", what}, {"ph", "M"}, {"pid", ToInt(node)}, {"tid", row}, {"args", {{"name", std::move(name)}}}};
}

void AddNames(nlohmann::ordered_json& events, const Record& record) {
  for (const NodeTotals& node : record.nodes) {
    const std::string number = std::to_string(ToInt(node.node));
    events.push_back(Named("process_name", node.node, 0,
                           node.node == kManager ? "manager" : "node " + number + " (" + node.group + ")"));
    for (int row = 0; row < static_cast<int>(std::size(kRowNames)); ++row) {
      events.push_back(Named("thread_name", node.node, row, kRowNames[row]));
    }
  }
}

void AddRounds(nlohmann::ordered_json& events, const Record& record) {
  for (const RoundSample& round : record.rounds) {
    auto event = Event("round " + std::to_string(ToInt(round.round)), "X",
                       Instant{round.committed.ns - round.length.ns}, kManager, kRounds);
    event["dur"] = Microseconds(round.length.ns);
    event["args"] = {
        {"mode", ToString(round.mode)},           {"samples", round.samples}, {"compute_s", round.compute.seconds()},
        {"exchange_s", round.exchange.seconds()}, {"loss", round.loss},       {"undone", round.undone}};
    events.push_back(std::move(event));
    auto commit = Event("commit", "i", round.committed, kManager, kRounds);
    commit["s"] = "p";
    events.push_back(std::move(commit));
  }
}

// What a worker does between two leases is waiting. Spans of one node come in the order of their ends.
void AddWaits(nlohmann::ordered_json& events, const Record& record) {
  std::vector<Instant> free_since(record.nodes.size(), Instant{-1});
  for (const Span& span : record.spans) {
    if (span.kind != Span::Kind::kCompute) continue;
    Instant& since = free_since[ToInt(span.node)];
    if (since.ns >= 0 && span.begin > since) {
      auto event = Event("wait", "X", since, span.node, kWait);
      event["dur"] = Microseconds((span.begin - since).ns);
      events.push_back(std::move(event));
    }
    since = span.end;
  }
}

void AddTransfer(nlohmann::ordered_json& events, const Span& span, size_t id) {
  const std::string name = ToString(span.kind) + " to " + std::to_string(ToInt(span.peer));
  auto begin = Event(name, "b", span.begin, span.node, kRounds);
  begin["cat"] = "transfer";
  begin["id"] = id;
  auto end = begin;
  end["ph"] = "e";
  end["ts"] = Microseconds(span.end.ns);
  begin["args"] = {{"round", ToInt(span.round)}, {"bytes", span.amount}};
  events.push_back(std::move(begin));
  events.push_back(std::move(end));
}

void AddSpans(nlohmann::ordered_json& events, const Record& record) {
  size_t id = 0;
  for (const Span& span : record.spans) {
    if (IsTransfer(span.kind)) {
      AddTransfer(events, span, ++id);
      continue;
    }
    const bool lease = span.kind == Span::Kind::kCompute;
    const Row row = lease ? kCompute : span.kind == Span::Kind::kControl ? kControl : kOwner;
    auto event = Event(ToString(span.kind), "X", span.begin, span.node, row);
    event["dur"] = Microseconds((span.end - span.begin).ns);
    if (lease) event["args"] = {{"round", ToInt(span.round)}, {"samples", span.amount}, {"wasted", span.wasted}};
    events.push_back(std::move(event));
  }
}

void AddMarks(nlohmann::ordered_json& events, const Record& record) {
  for (const Mark& mark : record.marks) {
    auto event = Event(mark.what, "i", mark.at, mark.node, kOwner);
    event["s"] = "p";
    events.push_back(std::move(event));
  }
  for (const Explanation& explanation : record.explanations) {
    auto event = Event(explanation.topic + ": " + explanation.text, "i", explanation.at, kManager, kOwner);
    event["s"] = "g";
    events.push_back(std::move(event));
  }
}

}  // namespace

std::string ChromeTrace(const Record& record) {
  auto events = nlohmann::ordered_json::array();
  AddNames(events, record);
  AddRounds(events, record);
  AddWaits(events, record);
  AddSpans(events, record);
  AddMarks(events, record);
  const nlohmann::ordered_json trace = {
      {"displayTimeUnit", "ms"},
      {"otherData", {{"scenario", record.scenario}, {"seed", record.seed}}},
      {"traceEvents", std::move(events)},
  };
  return trace.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace eddl::net::sim
