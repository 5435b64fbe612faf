// What the operating system knows of this process: when it began, what it holds, how many cores it may use.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace eddl {

// Seconds since the kernel started this process; its clock for that counts hundredths. 0 if it is not known.
double SecondsSinceProcessStart();
// Largest resident memory so far, in bytes.
int64_t PeakResidentBytes();
// Cores that this process may run on: at least 1.
int64_t UsableCores();
// A process with many threads, each of which allocates now and then, such as gRPC's, keeps what they free in few
// places. By itself glibc gives each thread a heap, up to eight for each core, and what bursts leave in them is never
// given back. Once, before threads are started; nothing with another library.
void LimitHeaps();
// Gives back to the system what is free in the heaps: glibc by itself gives back only what is free at their ends. Takes
// some milliseconds, and what is needed again has to be asked for again: now and then, not in a loop. Nothing with
// another library.
void ReturnFreeMemory();

// Does so every ten seconds, if it is asked to look that often.
class FreeMemoryReturner {
 public:
  // Whether it did so.
  bool Look(Instant now);

 private:
  Instant returned_at_;
};

}  // namespace eddl
