// absl::Status, with what Debian's Abseil lacks: macros for early return, and construction from std::string_view.
//
// Every fallible function of the runtime returns one of these; nothing throws across our own interfaces.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eddl {

// A status with a message. The one place where std::string_view meets absl::string_view (they differ in Debian's
// build).
inline absl::Status MakeStatus(absl::StatusCode code, std::string_view message) {
  return absl::Status(code, absl::string_view(message.data(), message.size()));
}
inline absl::Status InvalidArgument(std::string_view message) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, message);
}
inline absl::Status FailedPrecondition(std::string_view message) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, message);
}
inline absl::Status DataLoss(std::string_view message) { return MakeStatus(absl::StatusCode::kDataLoss, message); }
inline absl::Status NotFound(std::string_view message) { return MakeStatus(absl::StatusCode::kNotFound, message); }
inline absl::Status ResourceExhausted(std::string_view message) {
  return MakeStatus(absl::StatusCode::kResourceExhausted, message);
}
inline absl::Status Unavailable(std::string_view message) {
  return MakeStatus(absl::StatusCode::kUnavailable, message);
}
inline absl::Status Unimplemented(std::string_view message) {
  return MakeStatus(absl::StatusCode::kUnimplemented, message);
}

// The message as a std::string.
inline std::string MessageOf(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

// The same code with "context: " before the message; OK stays OK. Added once, by the layer that knows the name.
inline absl::Status WithContext(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return MakeStatus(status.code(), std::string(context) + ": " + MessageOf(status));
}

}  // namespace eddl

#define EDDL_STATUS_CONCAT_INNER(a, b) a##b
#define EDDL_STATUS_CONCAT(a, b) EDDL_STATUS_CONCAT_INNER(a, b)

// Returns the status from the enclosing function unless it is OK.
#define EDDL_RETURN_IF_ERROR(expression)                              \
  do {                                                                \
    if (absl::Status eddl_status = (expression); !eddl_status.ok()) { \
      return eddl_status;                                             \
    }                                                                 \
  } while (false)

// EDDL_ASSIGN_OR_RETURN(auto x, F()): x is the value, or the status is returned.
#define EDDL_ASSIGN_OR_RETURN(target, expression) \
  EDDL_ASSIGN_OR_RETURN_INNER(EDDL_STATUS_CONCAT(eddl_status_or_, __LINE__), target, expression)
#define EDDL_ASSIGN_OR_RETURN_INNER(status_or, target, expression) \
  auto status_or = (expression);                                   \
  if (!status_or.ok()) return status_or.status();                  \
  target = std::move(status_or).value()
