// CheckedBackend: a table in front of another backend's table that sees to it that both sides keep the contract.
//
// It refuses a wrong call before it reaches the backend: handles that are destroyed, of another kind or another device,
// bindings out of bounds, unaligned, missing or overlapping, descriptions that break their kind's rules, a queue in two
// threads, memory destroyed while work may use it, state that something has overwritten, leaks at device_close, groups
// whose queues and targets do not belong to their devices. And it looks at the backend's answers: codes, messages,
// alignment, a dry run that disagrees with the real one. It does not check shapes (op_prepare does) nor results (the
// conformance suite does).
//
// A fallible call that is wrong returns EDDL_INVALID_ARGUMENT or EDDL_FAILED_PRECONDITION, a wrong answer becomes
// EDDL_INTERNAL; the message begins with "checked: ". Functions that can't fail report to the handler. Made for tests
// and for hunting bugs: every op is prepared twice. Thread-safe where the interface is.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backends/sdk/eddl_backend.h"

namespace eddl {

// Told of a wrong call of a function that returns no code; the call is not passed on. Called without locks held.
using ViolationHandler = std::function<void(const std::string& message)>;

// Prints the message and ends the process.
void AbortOnViolation(const std::string& message);

namespace checked {
class Checker;
}

class CheckedBackend {
 public:
  // Tables that can exist at once in a process: the C interface has no context, so each is compiled in.
  static constexpr int kTablesMax = 8;

  // inner is full (slots that it lacks are NULL) and outlives this. Aborts if kTablesMax tables exist.
  explicit CheckedBackend(const eddl_backend& inner, ViolationHandler handler = AbortOnViolation);
  // REQUIRES: no handle of the table is used afterwards.
  ~CheckedBackend();
  CheckedBackend(const CheckedBackend&) = delete;
  CheckedBackend& operator=(const CheckedBackend&) = delete;

  // Named "<inner>_checked". Lacks the optional slots that inner lacks.
  const eddl_backend& table() const { return table_; }

 private:
  std::string name_;
  std::unique_ptr<checked::Checker> checker_;
  int slot_ = 0;
  eddl_backend table_ = {};
};

}  // namespace eddl
