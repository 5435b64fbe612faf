// The outcome of a call inside this backend: a code of the C interface and one line of text.
//
// Not absl::Status: a backend depends on the SDK alone, so that it can be built and loaded like a stranger's. A value;
// any thread.
#pragma once

#include <string>
#include <utility>

#include "backends/sdk/eddl_backend.h"

namespace eddl::cpu {

struct [[nodiscard]] Status {
  eddl_code code = EDDL_OK;
  std::string message;

  bool ok() const { return code == EDDL_OK; }
};

// printf-style; the message says what was attempted, with values, and what to do.
Status Error(eddl_code code, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Fills the caller's record, if there is one, and returns the status's code. Cuts a message that is too long.
eddl_code Report(const Status& status, uint64_t tag, eddl_error* error);

}  // namespace eddl::cpu

#define EDDL_CPU_RETURN_IF_ERROR(expression)                     \
  do {                                                           \
    ::eddl::cpu::Status status_of_expression = (expression);     \
    if (!status_of_expression.ok()) return status_of_expression; \
  } while (false)

// The description breaks the kind's contract unless condition holds.
#define EDDL_CPU_REQUIRE(condition, ...)                                             \
  do {                                                                               \
    if (!(condition)) return ::eddl::cpu::Error(EDDL_INVALID_ARGUMENT, __VA_ARGS__); \
  } while (false)
