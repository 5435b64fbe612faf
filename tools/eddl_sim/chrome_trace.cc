#include "tools/eddl_sim/chrome_trace.h"

#include <cstdio>

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

// Events as text, one after the other: a long run has a million, too many to be held as a document.
class EventList {
 public:
  void Add(const nlohmann::ordered_json& event) {
    text_ += text_.empty() ? "" : ",\n";
    text_ += event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

nlohmann::ordered_json Event(std::string name, const char* phase, Instant at, NodeId node, Row row) {
  return {{"name", std::move(name)}, {"ph", phase}, {"ts", Microseconds(at.ns)}, {"pid", ToInt(node)}, {"tid", row}};
}

nlohmann::ordered_json Named(const char* what, NodeId node, int row, std::string name) {
  return {{"name", what}, {"ph", "M"}, {"pid", ToInt(node)}, {"tid", row}, {"args", {{"name", std::move(name)}}}};
}

void AddNames(EventList& events, const Record& record) {
  for (const NodeTotals& node : record.nodes) {
    const std::string number = std::to_string(ToInt(node.node));
    events.Add(Named("process_name", node.node, 0,
                     node.node == kManager ? "manager" : "node " + number + " (" + node.group + ")"));
    if (node.clock_error.ns > 0) {
      char text[64];
      std::snprintf(text, sizeof(text), "clock within %.3f ms", static_cast<double>(node.clock_error.ns) * 1e-6);
      auto label = Named("process_labels", node.node, 0, "");
      label["args"] = {{"labels", text}};
      events.Add(label);
    }
    for (int row = 0; row < static_cast<int>(std::size(kRowNames)); ++row) {
      events.Add(Named("thread_name", node.node, row, kRowNames[row]));
    }
  }
}

void AddRounds(EventList& events, const Record& record) {
  for (const RoundSample& round : record.rounds) {
    auto event = Event("round " + std::to_string(ToInt(round.round)), "X",
                       Instant{round.committed.ns - round.length.ns}, kManager, kRounds);
    event["dur"] = Microseconds(round.length.ns);
    event["args"] = {
        {"mode", ToString(round.mode)},           {"samples", round.samples}, {"compute_s", round.compute.seconds()},
        {"exchange_s", round.exchange.seconds()}, {"loss", round.loss},       {"undone", round.undone}};
    events.Add(event);
    auto commit = Event("commit", "i", round.committed, kManager, kRounds);
    commit["s"] = "p";
    events.Add(commit);
  }
}

// What a worker does between two leases is waiting. Spans of one node come in the order of their ends.
void AddWaits(EventList& events, const Record& record) {
  std::vector<Instant> free_since(record.nodes.size(), Instant{-1});
  for (const Span& span : record.spans) {
    if (span.kind != Span::Kind::kCompute) continue;
    Instant& since = free_since[ToInt(span.node)];
    if (since.ns >= 0 && span.begin > since) {
      auto event = Event("wait", "X", since, span.node, kWait);
      event["dur"] = Microseconds((span.begin - since).ns);
      events.Add(event);
    }
    since = span.end;
  }
}

void AddTransfer(EventList& events, const Span& span, size_t id) {
  // A worker's pull is what its leader publishes: bytes go as soon as they are there.
  const bool pull = span.kind == Span::Kind::kPublish;
  const std::string name = (pull ? "pull by " : ToString(span.kind) + " to ") + std::to_string(ToInt(span.peer));
  auto begin = Event(name, "b", span.begin, span.node, kRounds);
  begin["cat"] = "transfer";
  begin["id"] = id;
  auto end = begin;
  end["ph"] = "e";
  end["ts"] = Microseconds(span.end.ns);
  begin["args"] = {{"round", ToInt(span.round)}, {"bytes", span.amount}};
  events.Add(begin);
  events.Add(end);
}

void AddSpans(EventList& events, const Record& record) {
  size_t id = 0;
  for (const Span& span : record.spans) {
    if (IsTransfer(span.kind)) {
      AddTransfer(events, span, ++id);
      continue;
    }
    const bool lease = span.kind == Span::Kind::kCompute;
    const bool control = span.kind == Span::Kind::kAggregate || span.kind == Span::Kind::kApply;
    const Row row = lease ? kCompute : control ? kControl : kOwner;
    auto event = Event(ToString(span.kind), "X", span.begin, span.node, row);
    event["dur"] = Microseconds((span.end - span.begin).ns);
    if (lease) event["args"] = {{"round", ToInt(span.round)}, {"samples", span.amount}, {"wasted", span.wasted}};
    if (control) event["args"] = {{"round", ToInt(span.round)}};
    events.Add(event);
  }
}

void AddMarks(EventList& events, const Record& record) {
  for (const Mark& mark : record.marks) {
    auto event = Event(mark.what, "i", mark.at, mark.node, kOwner);
    event["s"] = "p";
    events.Add(event);
  }
  for (const Explanation& explanation : record.explanations) {
    auto event = Event(explanation.topic + ": " + explanation.text, "i", explanation.at, kManager, kOwner);
    event["s"] = "g";
    events.Add(event);
  }
}

}  // namespace

std::string ChromeTrace(const Record& record) {
  EventList events;
  AddNames(events, record);
  AddRounds(events, record);
  AddWaits(events, record);
  AddSpans(events, record);
  AddMarks(events, record);
  nlohmann::ordered_json other = {{"scenario", record.scenario}, {"seed", record.seed}};
  for (const NodeTotals& node : record.nodes) {
    if (node.clock_error.ns == 0) continue;
    other["clock_error_us"][std::to_string(ToInt(node.node))] = Microseconds(node.clock_error.ns);
  }
  return "{\"displayTimeUnit\":\"ms\",\"otherData\":" +
         other.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + ",\"traceEvents\":[\n" + events.text() +
         "\n]}\n";
}

}  // namespace eddl::net::sim
