#include "tools/eddl_node/cluster/status_text.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "tools/eddl_node/text_format.h"

namespace eddl::cluster {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kEventsShown = 8;
constexpr size_t kCandidatesShown = 6;

double Number(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<double>() : 0.0;
}

std::string Text(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::string Count(const Json& json, const char* name) {
  return Grouped(static_cast<int64_t>(Number(json, name) + 0.5));
}

__attribute__((format(printf, 1, 2))) std::string Format(const char* format, ...) {
  std::array<char, 512> buffer{};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer.data(), buffer.size(), format, arguments);
  va_end(arguments);
  return buffer.data();
}

std::string Megabits(double bytes_per_second) {
  return bytes_per_second > 0 ? Format("%.0f", bytes_per_second * 8e-6) : "-";
}

std::string Roles(const Json& member) {
  const double share = Number(member, "leader_share");
  std::string roles = share > 0 ? Format("leads %.0f %%", 100 * share) : "";
  if (member.value("backs_up", false)) roles += roles.empty() ? "backup" : ", backup";
  return roles;
}

std::string MemberLine(const Json& member, double total) {
  const double rate = Number(member, "samples_per_second");
  return Format("%4.0f  %-18.18s %-20.20s %9s %5s  %9s/%-6s %7s  %-20.20s %6.1f\n", Number(member, "node"),
                Text(member, "name").c_str(), Text(member, "state").c_str(),
                Count(member, "samples_per_second").c_str(),
                total > 0 ? Format("%.0f %%", 100 * rate / total).c_str() : "-",
                Megabits(Number(member, "up_bytes_per_second")).c_str(),
                Megabits(Number(member, "down_bytes_per_second")).c_str(),
                Format("%.1f", 1e3 * Number(member, "round_trip_seconds")).c_str(), Roles(member).c_str(),
                Number(member, "last_heard_seconds"));
}

// Who can't go yet, and why.
std::string WaitLine(const Json& member) {
  const std::string what = Text(member, "waits_for");
  return what.empty() ? what : "      it waits for " + what + "\n";
}

// "data 1,600 entries, 320 more from epoch 3".
std::string DataLine(const Json& status) {
  std::string text;
  if (!status.contains("blocks") || !status["blocks"].is_array()) return text;
  for (const Json& block : status["blocks"]) {
    text += text.empty() ? "data " + Count(block, "rows") + " entries" : ", " + Count(block, "rows") + " more";
    if (Number(block, "first_epoch") > 1) text += Format(" from epoch %.0f", Number(block, "first_epoch"));
    if (Number(block, "owner") > 0) text += Format(" on node %.0f alone", Number(block, "owner"));
  }
  return text.empty() ? text : text + "\n";
}

std::string EventLines(const Json& json, size_t most) {
  std::string text;
  if (!json.contains("events") || !json["events"].is_array()) return text;
  const Json& events = json["events"];
  for (size_t i = events.size() - std::min(events.size(), most); i < events.size(); ++i) {
    text += Format("%8.1f s  ", Number(events[i], "seconds")) + Text(events[i], "topic") + ": " +
            Text(events[i], "text") + "\n";
  }
  return text;
}

}  // namespace

std::string StatusText(const Json& status) {
  std::string text = Text(status, "job") + " (" + Text(status, "model") + "): " + Text(status, "phase");
  text += Format(", epoch %.0f/%.0f", Number(status, "epoch"), Number(status, "epochs"));
  text += ", round " + Count(status, "round") + ", view " + Count(status, "view") + "\n";
  // Of an epoch of which nothing is committed, neither is known.
  text += "loss " + (status.contains("loss") ? LossText(Number(status, "loss")) : "-");
  text += "  accuracy " + (status.contains("accuracy") ? PercentText(Number(status, "accuracy")) : "-");
  if (status.contains("test_accuracy")) text += "  test accuracy " + PercentText(Number(status, "test_accuracy"));
  text += "  " + Count(status, "samples_per_second") + " samples/s";
  if (status.contains("eta_seconds")) text += "  " + DurationText(Number(status, "eta_seconds")) + " left";
  text += "\nplan " + Text(status, "plan") + "\n" + DataLine(status) + "\n";
  text +=
      "node  name               state                samples/s share   Mbit/s up/down  rtt ms  roles                "
      "  heard s ago\n";
  const double total = Number(status, "samples_per_second");
  if (status.contains("members") && status["members"].is_array()) {
    for (const Json& member : status["members"]) text += MemberLine(member, total) + WaitLine(member);
  }
  const std::string events = EventLines(status, kEventsShown);
  return events.empty() ? text : text + "\n" + events;
}

std::string WhyText(const Json& why) {
  std::string text;
  if (why.contains("member")) {
    const Json& member = why["member"];
    text += Format("node %.0f, ", Number(member, "node")) + Text(member, "name") + ": " + Text(member, "state") + "\n";
    text += WaitLine(member);
    const double sample = Number(member, "sample_seconds");
    if (sample > 0) {
      text +=
          Format("a lease of b samples takes it %.2f ms + b * %.3f ms: %.0f samples/s at most; measured %.0f\n",
                 1e3 * Number(member, "lease_seconds"), 1e3 * sample, 1 / sample, Number(member, "samples_per_second"));
    }
    text += "its link carries " + Megabits(Number(member, "up_bytes_per_second")) + " up, " +
            Megabits(Number(member, "down_bytes_per_second")) + " down (Mbit/s), " +
            Format("%.1f ms", 1e3 * Number(member, "round_trip_seconds")) + " to the manager and back\n";
    if (!member.value("reachable", false)) text += "others can't open connections to it, so it never leads\n";
    if (Number(member, "strikes") > 0) text += Format("%.0f strikes\n", Number(member, "strikes"));
    const std::string roles = Roles(member);
    if (!roles.empty()) text += roles + "\n";
  }
  text += "\nplan: " + Text(why, "decision") + "\n";
  if (why.contains("candidates") && why["candidates"].is_array()) {
    size_t shown = 0;
    for (const Json& candidate : why["candidates"]) {
      if (shown++ == kCandidatesShown) break;
      text += Format("  %-44s %8.0f samples/s x %.2f  compute %.3f s, exchange %.3f s  bound: ",
                     Text(candidate, "plan").c_str(), Number(candidate, "samples_per_second"),
                     Number(candidate, "efficiency"), Number(candidate, "compute_seconds"),
                     Number(candidate, "exchange_seconds")) +
              Text(candidate, "bound") + "\n";
    }
  }
  const std::string events = EventLines(why, SIZE_MAX);
  return events.empty() ? text : text + "\n" + events;
}

}  // namespace eddl::cluster
