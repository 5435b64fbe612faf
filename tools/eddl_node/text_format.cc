#include "tools/eddl_node/text_format.h"

#include <cmath>
#include <cstdio>

namespace eddl {
namespace {

template <typename... Args>
std::string Print(const char* format, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), format, args...);
  return buffer;
}

}  // namespace

std::string Grouped(int64_t value) {
  std::string text = std::to_string(value);
  const int64_t first = value < 0 ? 1 : 0;
  for (int64_t at = static_cast<int64_t>(text.size()) - 3; at > first; at -= 3)
    text.insert(static_cast<size_t>(at), ",");
  return text;
}

std::string BytesText(uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes < 1000) return std::to_string(bytes) + " B";
  if (bytes < 1'000'000) return Print("%.1f kB", value / 1e3);
  if (bytes < 1'000'000'000) return Print("%.1f MB", value / 1e6);
  return Print("%.2f GB", value / 1e9);
}

std::string DurationText(double seconds) {
  const long long total = std::llround(seconds);
  if (total < 3600) return Print("%lld:%02lld", total / 60, total % 60);
  return Print("%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
}

std::string SecondsText(double seconds) { return seconds < 60.0 ? Print("%.3f s", seconds) : DurationText(seconds); }

std::string PercentText(double fraction) { return Print("%.2f %%", 100.0 * fraction); }

std::string LossText(double loss) {
  const double size = std::abs(loss);
  return loss != 0.0 && (size < 1e-3 || size >= 1e6) ? Print("%.2e", loss) : Print("%.4f", loss);
}

}  // namespace eddl
