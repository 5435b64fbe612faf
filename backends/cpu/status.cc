#include "backends/cpu/status.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace eddl::cpu {

Status Error(eddl_code code, const char* format, ...) {
  char text[sizeof(eddl_error::message)];
  va_list list;
  va_start(list, format);
  std::vsnprintf(text, sizeof(text), format, list);
  va_end(list);
  return {.code = code, .message = text};
}

eddl_code Report(const Status& status, uint64_t tag, eddl_error* error) {
  if (status.ok() || error == nullptr) return status.code;
  error->code = status.code;
  error->flags = status.code == EDDL_RESOURCE_EXHAUSTED ? EDDL_ERROR_OUT_OF_MEMORY : 0;
  error->reserved = 0;
  error->tag = tag;
  const size_t size = std::min(status.message.size(), sizeof(error->message) - 1);
  std::memcpy(error->message, status.message.data(), size);
  error->message[size] = '\0';
  return status.code;
}

}  // namespace eddl::cpu
