// Text: what nodes tell each other for people, made fit to be printed.
//
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace eddl::net {

constexpr size_t kTextMax = 4096;  // bytes of a reason, a name or an address

// The text, cut to kTextMax bytes between characters. What is not UTF-8, and control characters but for tab and
// newline, become '?': a peer's words must not steer a terminal. Clean text comes back as it is.
std::string CleanText(std::string_view text);

}  // namespace eddl::net
