// The outcome of planning an op: a code of the C interface and one line of text. A value; any thread.
#pragma once

#include <string>

#include "backends/sdk/eddl_backend.h"

namespace eddl::kernels {

struct [[nodiscard]] Status {
  eddl_code code = EDDL_OK;
  std::string message;

  bool ok() const { return code == EDDL_OK; }
};

// printf-style; the message says what was attempted, with values, and what to do.
Status Error(eddl_code code, const char* format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace eddl::kernels

#define EDDL_KERNELS_RETURN_IF_ERROR(expression)                 \
  do {                                                           \
    ::eddl::kernels::Status status_of_expression = (expression); \
    if (!status_of_expression.ok()) return status_of_expression; \
  } while (false)

// The description breaks the kind's contract unless condition holds.
#define EDDL_KERNELS_REQUIRE(condition, ...)                                             \
  do {                                                                                   \
    if (!(condition)) return ::eddl::kernels::Error(EDDL_INVALID_ARGUMENT, __VA_ARGS__); \
  } while (false)
