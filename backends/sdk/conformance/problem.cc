#include "backends/sdk/conformance/problem.h"

#include <cstring>

namespace eddl::conformance {

ErrorRecord::ErrorRecord() {
  std::memset(&error_, 0x5a, sizeof(error_));
  error_.struct_size = sizeof(error_);
}

std::string ErrorRecord::message() const {
  return std::string(error_.message, strnlen(error_.message, sizeof(error_.message)));
}

Problem ErrorRecord::Check(eddl_code code) const {
  if (error_.code != code)
    return Text("the call returned ", NameOf(code), " but wrote ", NameOf(error_.code), " to error.code");
  if (strnlen(error_.message, sizeof(error_.message)) == sizeof(error_.message))
    return "error.message is not terminated";
  if (error_.message[0] == '\0') return "error.message is empty";
  return std::nullopt;
}

Problem Expect(const std::string& what, eddl_code code, const ErrorRecord& error) {
  if (code == EDDL_OK) return std::nullopt;
  return Text(what, " returned ", NameOf(code), ": ", error.message());
}

Problem ExpectCode(const std::string& what, eddl_code expected, eddl_code code, const ErrorRecord& error) {
  if (code != expected) return Text(what, " returned ", NameOf(code), ", not ", NameOf(expected));
  if (expected == EDDL_OK) return std::nullopt;
  if (Problem problem = error.Check(code)) return Text(what, ": ", *problem);
  return std::nullopt;
}

std::string NameOf(eddl_code code) {
  switch (code) {
    case EDDL_OK:
      return "OK";
    case EDDL_INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case EDDL_NOT_FOUND:
      return "NOT_FOUND";
    case EDDL_RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case EDDL_FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case EDDL_UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case EDDL_INTERNAL:
      return "INTERNAL";
    case EDDL_UNAVAILABLE:
      return "UNAVAILABLE";
    default:
      return "code " + std::to_string(code);
  }
}

}  // namespace eddl::conformance
