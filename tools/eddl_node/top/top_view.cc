#include "tools/eddl_node/top/top_view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/base/check.h"
#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kBar = 12;
// Lines that stay for events, if there are so many.
constexpr size_t kEventLines = 5;

double Number(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<double>() : 0.0;
}

std::string Text(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

const Json& List(const Json& json, const char* name) {
  static const Json none = Json::array();
  const auto it = json.find(name);
  return it != json.end() && it->is_array() ? *it : none;
}

std::string Count(const Json& json, const char* name) {
  return Grouped(static_cast<int64_t>(Number(json, name) + 0.5));
}

// A byte that continues a character of UTF-8.
bool Continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// At most `width` characters.
std::string Cut(const std::string& text, size_t width) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!Continues(text[i]) && ++count > width) return text.substr(0, i);
  }
  return text;
}

// Exactly `width` characters.
std::string Padded(const std::string& text, size_t width, bool right = false) {
  const std::string cut = Cut(text, width);
  size_t count = 0;
  for (const char byte : cut) count += Continues(byte) ? 0 : 1;
  const std::string blanks(width - count, ' ');
  return right ? blanks + cut : cut + blanks;
}

std::string Bar(double fraction, size_t width, bool unicode) {
  const double bounded = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const auto full = static_cast<size_t>(bounded * static_cast<double>(width) + 0.5);
  std::string bar;
  for (size_t i = 0; i < width; ++i) bar += i < full ? (unicode ? "█" : "#") : (unicode ? "░" : ".");
  return bar;
}

std::string Sparkline(const std::deque<double>& rates, size_t width, bool unicode) {
  constexpr std::array<const char*, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr std::array<const char*, 8> kAscii = {"_", ".", "-", "-", "=", "=", "#", "#"};
  const size_t count = std::min(width, rates.size());
  const double most = *std::max_element(rates.end() - static_cast<std::ptrdiff_t>(count), rates.end());
  std::string line;
  for (size_t i = rates.size() - count; i < rates.size(); ++i) {
    const double part = most > 0 ? rates[i] / most : 0;
    const auto level = static_cast<size_t>(std::clamp(part, 0.0, 1.0) * 7 + 0.5);
    line += unicode ? kBlocks[level] : kAscii[level];
  }
  return line;
}

std::string ColorOf(const std::string& state) {
  if (state == "working") return "32";
  return state == "gone" || state == "quarantined" || state == "connection lost" ? "31" : "33";
}

std::string Colored(const std::string& text, const std::string& code, bool color) {
  return color ? "\x1b[" + code + "m" + text + "\x1b[0m" : text;
}

std::string Figures(const Json& status) {
  // Of an epoch of which nothing is committed, neither is known.
  std::string line = "loss " + (status.contains("loss") ? LossText(Number(status, "loss")) : "-");
  line += "  accuracy " + (status.contains("accuracy") ? PercentText(Number(status, "accuracy")) : "-");
  if (status.contains("test_accuracy")) line += "  test " + PercentText(Number(status, "test_accuracy"));
  line += "  " + Count(status, "samples_per_second") + " samples/s";
  if (status.contains("predicted_samples_per_second")) {
    line += " (predicted " + Count(status, "predicted_samples_per_second") + ")";
  }
  return line;
}

std::string MemberLine(const Json& member, double total, const TopScreen& screen) {
  const std::string state = Text(member, "state");
  const double share = total > 0 ? Number(member, "samples_per_second") / total : 0;
  std::string roles;
  char leads[32];
  std::snprintf(leads, sizeof(leads), "leads %.0f %%", 100 * Number(member, "leader_share"));
  if (Number(member, "leader_share") > 0) roles = leads;
  if (member.value("backs_up", false)) roles += roles.empty() ? "backup" : ", backup";
  char cpu[16] = "-";
  if (member.contains("cpu_cores")) std::snprintf(cpu, sizeof(cpu), "%.0f %%", 100 * Number(member, "cpu_cores"));
  char percent[16];
  std::snprintf(percent, sizeof(percent), "%.0f %%", 100 * share);
  const std::string left = Padded(std::to_string(static_cast<int64_t>(Number(member, "node"))), 4, true) + "  " +
                           Padded(Text(member, "name"), 16) + " ";
  const std::string right = " " + Padded(Count(member, "samples_per_second"), 9, true) + " " +
                            Padded(percent, 6, true) + " " + Bar(share, kBar, screen.unicode) + " " +
                            Padded(cpu, 6, true) + "  " + roles;
  // Colours take no room: cut first.
  const std::string cell = Padded(state, 16);
  const size_t used = 4 + 2 + 16 + 1;
  if (screen.width <= used + 16) return Cut(left + cell, screen.width);
  return left + Colored(cell, ColorOf(state), screen.color) + Cut(right, screen.width - used - 16);
}

}  // namespace

void TopView::Add(const Json& status) {
  rates_.push_back(Number(status, "samples_per_second"));
  if (rates_.size() > kRatesKept) rates_.pop_front();
  status_ = status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string TopView::Text(const TopScreen& screen) const {
  EDDL_CHECK(!rates_.empty()) << "nothing to draw";
  const Json status = Json::parse(status_);
  std::vector<std::string> lines;
  const auto add = [&](const std::string& line) { lines.push_back(Cut(line, screen.width)); };
  std::string head = eddl::Text(status, "job") + " (" + eddl::Text(status, "model") +
                     "): " + eddl::Text(status, "phase") + ", epoch " + Count(status, "epoch") + "/" +
                     Count(status, "epochs") + ", round " + Count(status, "round");
  if (status.contains("eta_seconds")) head += ", " + DurationText(Number(status, "eta_seconds")) + " left";
  add(head);
  const double all = Number(status, "samples_total");
  const double done = all > 0 ? Number(status, "samples") / all : 0;
  add(Bar(done, std::min<size_t>(screen.width, 60) - std::min<size_t>(screen.width, 10), screen.unicode) + " " +
      PercentText(done));
  add(Figures(status));
  add(Sparkline(rates_, screen.width, screen.unicode));
  add("plan " + eddl::Text(status, "plan"));
  lines.emplace_back();
  add("node  name             state            samples/s  share                 CPU  roles");

  std::vector<const Json*> members;
  for (const Json& member : List(status, "members")) members.push_back(&member);
  std::stable_sort(members.begin(), members.end(), [](const Json* a, const Json* b) {
    return Number(*a, "samples_per_second") > Number(*b, "samples_per_second");
  });
  const Json& events = List(status, "events");
  const size_t event_lines = std::min(events.size(), kEventLines);
  const size_t taken = lines.size() + (event_lines > 0 ? event_lines + 1 : 0);
  const size_t room = screen.height > taken ? screen.height - taken : 1;
  const size_t shown = members.size() <= room ? members.size() : room - 1;
  const double total = Number(status, "samples_per_second");
  for (size_t i = 0; i < shown; ++i) lines.push_back(MemberLine(*members[i], total, screen));
  if (shown < members.size()) add("      … and " + std::to_string(members.size() - shown) + " more");
  if (event_lines > 0) lines.emplace_back();
  for (size_t i = events.size() - event_lines; i < events.size(); ++i) {
    add(Padded(DurationText(Number(events[i], "seconds")), 8, true) + "  " + eddl::Text(events[i], "topic") + ": " +
        eddl::Text(events[i], "text"));
  }
  std::string text;
  for (size_t i = 0; i < std::min(lines.size(), screen.height); ++i) text += lines[i] + "\n";
  return text;
}

}  // namespace eddl
