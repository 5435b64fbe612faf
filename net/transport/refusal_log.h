// RefusalLog: what was turned away, as lines for people: a cause at once, then once a minute with how often it was seen
// meanwhile. A port that is scanned fills no log.
//
// Pure; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "runtime/base/time.h"

namespace eddl::net {

class RefusalLog {
 public:
  static constexpr Duration kPause{60'000'000'000};
  // Causes that are told apart; all others are one. They may have a stranger's words in them.
  static constexpr size_t kCausesMax = 32;

  // Somebody (`who`: an address or "node 7"; empty: not known) was turned away. None: the cause was told lately, or is
  // one of too many.
  std::optional<std::string> Note(Instant now, const std::string& who, const std::string& cause);

 private:
  struct Seen {
    Instant told;
    int64_t untold = 0;
  };
  std::map<std::string, Seen> causes_;
};

}  // namespace eddl::net
