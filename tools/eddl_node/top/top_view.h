// TopView: what `eddl-node top` draws: a cluster on one screen of text, from one `status` a second.
//
// Pure; one thread. Lines are cut to the width by characters, so that nothing wraps.
#pragma once

#include <cstddef>
#include <deque>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace eddl {

struct TopScreen {
  size_t width = 80;
  size_t height = 24;
  bool color = false;    // ANSI colours
  bool unicode = false;  // block characters; else ASCII
};

class TopView {
 public:
  // A `status` (eddl.status.v1); the newest one is drawn, of those before the total rate.
  void Add(const nlohmann::ordered_json& status);

  // At most height lines, each ended by a line feed. REQUIRES: something was added.
  std::string Text(const TopScreen& screen) const;

 private:
  static constexpr size_t kRatesKept = 512;

  std::deque<double> rates_;
  std::string status_;  // as text: the type is only known by name here
};

}  // namespace eddl
