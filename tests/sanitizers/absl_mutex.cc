// Tells the thread sanitizer what absl's mutexes order. Linked into every program of a `tsan` build, before the
// library.
//
// The sanitizer sees what is compiled with it, and pthreads. Debian's absl is neither: its mutexes are atomics in a
// library that the sanitizer does not look into, and everything that they guard would be reported. So each function
// that locks or unlocks is put in front of the library's here, and says to the sanitizer that what came before an
// unlock happened before what comes after a lock. gRPC, which locks with absl, is covered by that, too.
//
// A Condition is evaluated under the mutex, but by whichever thread unlocks it, in the middle of the library's
// unlocking, where nothing can be said: what it reads is not looked at.
#pragma GCC visibility push(default)
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#pragma GCC visibility pop

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

// The library's function that `mine` hides: the next one of the same (mangled) name.
template <typename Function, typename Method>
Function* Hidden(Method mine) {
  void* address = nullptr;
  std::memcpy(&address, &mine, sizeof(address));
  Dl_info info;
  void* found = nullptr;
  if (dladdr(address, &info) != 0 && info.dli_sname != nullptr) found = dlsym(RTLD_NEXT, info.dli_sname);
  if (found == nullptr) {
    std::fprintf(stderr,
                 "absl_mutex.cc: a function of libabsl_synchronization is not found; is it linked statically?\n");
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

// Waiting unlocks and locks again.
template <typename Wait>
auto UnlockedDuring(void* mutex, Wait wait) {
  __tsan_release(mutex);
  const auto result = wait();
  __tsan_acquire(mutex);
  return result;
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

bool Condition::Eval() const {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  const bool holds = eval_ == nullptr || (*eval_)(this);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return holds;
}

void Mutex::Lock() {
  static auto* const next = Hidden<void(Mutex*)>(&Mutex::Lock);
  next(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static auto* const next = Hidden<void(Mutex*)>(&Mutex::Unlock);
  __tsan_release(this);
  next(this);
}

void Mutex::ReaderLock() {
  static auto* const next = Hidden<void(Mutex*)>(&Mutex::ReaderLock);
  next(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  static auto* const next = Hidden<void(Mutex*)>(&Mutex::ReaderUnlock);
  __tsan_release(this);
  next(this);
}

bool Mutex::TryLock() {
  static auto* const next = Hidden<bool(Mutex*)>(&Mutex::TryLock);
  const bool locked = next(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Await(const Condition& condition) {
  static auto* const next = Hidden<void(Mutex*, const Condition&)>(&Mutex::Await);
  UnlockedDuring(this, [&] { return next(this, condition), true; });
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static auto* const next = Hidden<bool(Mutex*, const Condition&, Duration)>(&Mutex::AwaitWithTimeout);
  return UnlockedDuring(this, [&] { return next(this, condition, timeout); });
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static auto* const next = Hidden<bool(Mutex*, const Condition&, Time)>(&Mutex::AwaitWithDeadline);
  return UnlockedDuring(this, [&] { return next(this, condition, deadline); });
}

void Mutex::LockWhen(const Condition& condition) {
  static auto* const next = Hidden<void(Mutex*, const Condition&)>(&Mutex::LockWhen);
  next(this, condition);
  __tsan_acquire(this);
}

void CondVar::Wait(Mutex* mutex) {
  static auto* const next = Hidden<void(CondVar*, Mutex*)>(&CondVar::Wait);
  UnlockedDuring(mutex, [&] { return next(this, mutex), true; });
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const next = Hidden<bool(CondVar*, Mutex*, Duration)>(&CondVar::WaitWithTimeout);
  return UnlockedDuring(mutex, [&] { return next(this, mutex, timeout); });
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const next = Hidden<bool(CondVar*, Mutex*, Time)>(&CondVar::WaitWithDeadline);
  return UnlockedDuring(mutex, [&] { return next(this, mutex, deadline); });
}

void Notification::Notify() {
  static auto* const next = Hidden<void(Notification*)>(&Notification::Notify);
  __tsan_release(this);
  next(this);
}

void Notification::WaitForNotification() const {
  static auto* const next = Hidden<void(const Notification*)>(&Notification::WaitForNotification);
  next(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

ABSL_NAMESPACE_END
}  // namespace absl
