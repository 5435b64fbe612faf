// Short vectors for loops that the compiler does not vectorise by itself: a fixed count of lanes, any instruction set.
//
// The compiler splits a vector into what the target has, so that a function that uses them is EDDL_MULTIVERSION like
// any other hot loop. Loads and stores need no alignment.
#pragma once

#include <cstdint>
#include <cstring>

#include "backends/cpu/parallel.h"

namespace eddl::cpu {

template <int kLanes>
struct Lanes {
  typedef float Float __attribute__((vector_size(kLanes * sizeof(float))));
  typedef int32_t Int __attribute__((vector_size(kLanes * sizeof(int32_t))));
  typedef uint8_t Byte __attribute__((vector_size(kLanes)));
};

template <typename Vector, typename T>
EDDL_INLINE Vector Load(const T* from) {
  Vector vector;
  __builtin_memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <typename Vector, typename T>
EDDL_INLINE void Store(const Vector& vector, T* to) {
  __builtin_memcpy(to, &vector, sizeof(vector));
}

// The first count lanes; the others read as 0.
template <typename Vector, typename T>
EDDL_INLINE Vector LoadSome(const T* from, int64_t count) {
  Vector vector = {};
  __builtin_memcpy(&vector, from, static_cast<size_t>(count) * sizeof(T));
  return vector;
}

template <typename Vector, typename T>
EDDL_INLINE void StoreSome(const Vector& vector, T* to, int64_t count) {
  __builtin_memcpy(to, &vector, static_cast<size_t>(count) * sizeof(T));
}

// Eight bytes as numbers. The compiler's own conversion goes byte by byte.
EDDL_INLINE Lanes<8>::Int WidenBytes(uint64_t bytes) {
  const int32_t low = static_cast<int32_t>(bytes);
  const int32_t high = static_cast<int32_t>(bytes >> 32);
  const Lanes<8>::Int words = {low, low, low, low, high, high, high, high};
  const Lanes<8>::Int shifts = {0, 8, 16, 24, 0, 8, 16, 24};
  return (words >> shifts) & 0xff;
}

}  // namespace eddl::cpu
