#include "net/transport/refusal_log.h"

namespace eddl::net {

std::optional<std::string> RefusalLog::Note(Instant now, const std::string& who, const std::string& cause) {
  if (causes_.size() >= kCausesMax && !causes_.contains(cause)) {
    std::erase_if(causes_, [now](const auto& entry) { return now - entry.second.told >= kPause; });
  }
  const std::string key = causes_.size() < kCausesMax || causes_.contains(cause) ? cause : "other reasons";
  const auto [it, is_new] = causes_.try_emplace(key);
  Seen& seen = it->second;
  if (!is_new && now - seen.told < kPause) {
    ++seen.untold;
    return std::nullopt;
  }
  std::string line = "turned away" + (who.empty() ? "" : " " + who) + ": " + key;
  if (seen.untold > 0) line += " (and " + std::to_string(seen.untold) + " times more since it was last said)";
  seen = {.told = now};
  return line;
}

}  // namespace eddl::net
