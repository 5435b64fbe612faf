// Small text functions for messages: the nearest of some names, and lists.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace eddl {

// Levenshtein's distance: the fewest insertions, deletions and replacements that make one text the other.
size_t EditDistance(std::string_view a, std::string_view b);

// The candidate with the smallest edit distance to the name, if that is small enough to be a typing mistake; else
// empty.
std::string Nearest(std::string_view name, std::span<const std::string> candidates);

// "a, b, c".
std::string Join(std::span<const std::string> items);

}  // namespace eddl
