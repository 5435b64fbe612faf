// EDDL_CHECK(condition) << "values": a caller's bug, or an impossible state, ends the process; on in release builds
// too.
//
// What the outside world can cause (a bad file, a lost peer) is a Status, never a check.
#pragma once

#include <sstream>

namespace eddl::internal {

// Collects the message and aborts when it goes out of scope.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;

  std::ostream& stream() { return message_; }

 private:
  std::ostringstream message_;
};

// Lower precedence than <<, higher than ?: — turns the streamed expression into void.
struct CheckVoidify {
  void operator&(std::ostream&) const {}
};

}  // namespace eddl::internal

#define EDDL_CHECK(condition) \
  (condition)                 \
      ? static_cast<void>(0)  \
      : ::eddl::internal::CheckVoidify() & ::eddl::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()
