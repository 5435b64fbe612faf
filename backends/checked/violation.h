// Violation: one broken rule, as the code and the text that the caller gets; and the words to write it with.
#pragma once

#include <optional>
#include <sstream>
#include <string>

#include "backends/sdk/eddl_backend.h"

namespace eddl::checked {

struct Violation {
  eddl_code code = EDDL_INVALID_ARGUMENT;
  std::string text;
};

// Nothing where the rules are kept.
using Verdict = std::optional<Violation>;

// All parts streamed into one string.
template <typename... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

// The argument alone is wrong.
template <typename... Parts>
Violation Invalid(const Parts&... parts) {
  return {EDDL_INVALID_ARGUMENT, Text(parts...)};
}

// The state is wrong: the same call could be right at another time.
template <typename... Parts>
Violation Misused(const Parts&... parts) {
  return {EDDL_FAILED_PRECONDITION, Text(parts...)};
}

// A struct that its owner has not sized, or that is shorter than its first version.
template <typename T>
Verdict CheckSize(const T* value, const char* what) {
  if (value == nullptr) return Invalid(what, " is NULL");
  if (value->struct_size < sizeof(T)) {
    return Invalid(what, ".struct_size is ", value->struct_size, ", set it to ", sizeof(T));
  }
  return std::nullopt;
}

}  // namespace eddl::checked
