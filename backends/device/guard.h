// What stands between the C table of a device backend and its C++: statuses and exceptions become codes, and what fails
// on a queue stays in it.
//
// Header-only, for plugins that share nothing at run time. A queue type has first_error and first_error_tag.
#pragma once

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include "backends/sdk/eddl_backend.h"
#include "kernels/plan/status.h"

namespace eddl::device {

using kernels::Error;
using kernels::Status;

// Fills the caller's record, if there is one, and returns the status's code. Cuts a message that is too long.
inline eddl_code Report(const Status& status, uint64_t tag, eddl_error* error) {
  if (status.ok() || error == nullptr) return status.code;
  error->code = status.code;
  error->flags = status.code == EDDL_RESOURCE_EXHAUSTED ? EDDL_ERROR_OUT_OF_MEMORY
                 : status.code == EDDL_UNAVAILABLE      ? EDDL_ERROR_DEVICE_LOST
                                                        : 0;
  error->reserved = 0;
  error->tag = tag;
  const size_t size = std::min(status.message.size(), sizeof(error->message) - 1);
  std::memcpy(error->message, status.message.data(), size);
  error->message[size] = '\0';
  return status.code;
}

// Runs a body that may throw (allocation, a vendor's library) and lets nothing but a status out.
template <typename Body>
Status Guarded(const char* backend, const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Error(EDDL_RESOURCE_EXHAUSTED, "the host is out of memory");
  } catch (const std::exception& exception) {
    return Error(EDDL_INTERNAL, "the %s backend failed: %s", backend, exception.what());
  }
}

// Keeps the first failure of a queue, which its next wait returns.
template <typename Queue>
void Keep(Queue& queue, const Status& status, uint64_t tag) {
  if (status.ok() || !queue.first_error.ok()) return;
  queue.first_error = status;
  queue.first_error_tag = tag;
}

}  // namespace eddl::device
