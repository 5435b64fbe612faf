// Loops over threads and over instruction sets: ParallelFor and EDDL_MULTIVERSION.
//
// Hot loops are plain functions over a range, marked EDDL_MULTIVERSION; closures cut the range with ParallelFor. The
// mark must not sit on a function that holds the OpenMP region itself: the outlined body would be compiled for the
// baseline only. For the same reason a helper that such a loop calls is EDDL_INLINE: the compiler inlines nothing else
// across instruction sets.
#pragma once

#include <omp.h>

#include <cstdint>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(EDDL_NO_MULTIVERSION)
#define EDDL_MULTIVERSION __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define EDDL_MULTIVERSION
#endif
// Before a loop in which iteration i touches element i alone: operands may be one and the same, and the compiler need
// not ask.
#if defined(__GNUC__) && !defined(__clang__)
#define EDDL_ELEMENTWISE _Pragma("GCC ivdep")
#else
#define EDDL_ELEMENTWISE
#endif
#define EDDL_INLINE inline __attribute__((always_inline))

namespace eddl::cpu {

// Elements of a float loop below which a second thread costs more than it brings.
inline constexpr int64_t kGrain = 16384;

// Calls body(begin, end) on disjoint ranges that cover [0, count), on at most thread_count threads, none with much less
// than grain elements. The cut depends on the arguments alone.
template <typename Body>
void ParallelFor(int thread_count, int64_t count, int64_t grain, const Body& body) {
  const int64_t pieces = count / (grain > 0 ? grain : 1);
  const int wanted = pieces < thread_count ? static_cast<int>(pieces) : thread_count;
  if (wanted <= 1) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(wanted)
  {
    const int64_t total = omp_get_num_threads();
    const int64_t index = omp_get_thread_num();
    const int64_t begin = count * index / total;
    const int64_t end = count * (index + 1) / total;
    if (begin < end) body(begin, end);
  }
}

}  // namespace eddl::cpu
