// Numbers as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace eddl {

// "14,812".
std::string Grouped(int64_t value);
// "3.4 MB", "12 kB", "1.2 GB": powers of 1000.
std::string BytesText(uint64_t bytes);
// "0:21", "1:02:03"; of whole seconds, rounded.
std::string DurationText(double seconds);
// Three decimals up to a minute ("1.234 s"), else as a duration.
std::string SecondsText(double seconds);
// "88.54 %".
std::string PercentText(double fraction);
// Four digits behind the point where that says enough: "0.4312", "1.2e-05".
std::string LossText(double loss);

}  // namespace eddl
