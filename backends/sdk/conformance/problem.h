// Problem: what is wrong, or nothing. The suite's only kind of error; also the checks on what a call returned.
#pragma once

#include <optional>
#include <sstream>
#include <string>

#include "backends/sdk/eddl_backend.h"

namespace eddl::conformance {

using Problem = std::optional<std::string>;

// Joins its arguments as a stream would.
template <typename... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream text;
  text.precision(9);
  (text << ... << parts);
  return text.str();
}

// A record that shows whether it was written as it should be.
class ErrorRecord {
 public:
  ErrorRecord();
  eddl_error* get() { return &error_; }
  // The message, cut at its end also where it is not terminated.
  std::string message() const;
  // What is wrong with the record of a call that failed with `code`: another code, no message, no terminator.
  Problem Check(eddl_code code) const;

 private:
  eddl_error error_;
};

// nullopt for EDDL_OK; else what was called, the code's name and the message.
Problem Expect(const std::string& what, eddl_code code, const ErrorRecord& error);
// nullopt for the expected code with a well-formed record.
Problem ExpectCode(const std::string& what, eddl_code expected, eddl_code code, const ErrorRecord& error);

// "INVALID_ARGUMENT", or the number.
std::string NameOf(eddl_code code);

}  // namespace eddl::conformance
