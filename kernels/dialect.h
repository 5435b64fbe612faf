/* The words that make one kernel file OpenCL C 1.2 and CUDA C++.
 *
 * A .knl file includes this and the C99 subset that both languages share; it is compiled unchanged as either. Every
 * kernel runs in one-dimensional groups of GROUP work-items (CUDA: threads of a block); GROUP is a power of two that
 * the host chooses when it compiles (-DGROUP=64). Barriers stand outside of conditions, in loops with uniform bounds.
 *
 * Tensors. OpenCL 1.2 cannot pass an address inside a buffer, so that a tensor is two arguments there: the buffer and
 * an offset in elements. IN(float, x) and OUT(float, y) declare the arguments, BIND_IN and BIND_OUT, first in the body,
 * make x and y pointers. In CUDA a tensor is one pointer. A kernel whose text calls a tensor optional gets a null
 * pointer for an absent one, beside the flag that tells so. Elements of a tensor are counted by int: fewer than 2^31.
 */
#pragma once

#ifndef GROUP
#define GROUP 256
#endif

#if defined(__OPENCL_VERSION__) || defined(__OPENCL_C_VERSION__)

#define KERNEL __kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
#define DEVICE static inline
#define GLOBAL __global
#define LOCAL __local
#define LOCAL_ARRAY(type, name, count) __local type name[count]
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE)
#define LOCAL_ID ((int)get_local_id(0))
#define GROUP_ID(dimension) ((int)get_group_id(dimension)) /* 0: up to 2^31; 1: up to 65535 */
#define IN(type, name) __global const type *name##_buffer, long name##_offset
#define OUT(type, name) __global type *name##_buffer, long name##_offset
#define BIND_IN(type, name) __global const type* name = name##_buffer + name##_offset
#define BIND_OUT(type, name) __global type* name = name##_buffer + name##_offset
#define AS_UINT(x) as_uint(x)
#define AS_FLOAT(x) as_float(x)
#define EXP(x) exp(x)
#define LOG(x) log(x)
#define LOG1P(x) log1p(x)
#define SQRT(x) sqrt(x)
#define TANH(x) tanh(x)
#define ERFC(x) erfc(x)
#define FMA(a, b, c) fma(a, b, c)
#define MULTIPLY_HIGH(a, b) mul_hi(a, b)
/* double is optional in OpenCL 1.2: kernels that need it are left out on devices without. */
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define HAS_DOUBLE
#endif

#elif defined(__CUDACC__)

#define KERNEL extern "C" __global__ void __launch_bounds__(GROUP)
#define DEVICE static __device__ __forceinline__
#define GLOBAL
#define LOCAL
#define LOCAL_ARRAY(type, name, count) __shared__ type name[count]
#define BARRIER() __syncthreads()
#define LOCAL_ID ((int)threadIdx.x)
#define GROUP_ID(dimension) ((int)((dimension) == 0 ? blockIdx.x : blockIdx.y))
#define IN(type, name) const type* name
#define OUT(type, name) type* name
#define BIND_IN(type, name)
#define BIND_OUT(type, name)
#define AS_UINT(x) __float_as_uint(x)
#define AS_FLOAT(x) __uint_as_float(x)
#define EXP(x) expf(x)
#define LOG(x) logf(x)
#define LOG1P(x) log1pf(x)
#define SQRT(x) sqrtf(x)
#define TANH(x) tanhf(x)
#define ERFC(x) erfcf(x)
#define FMA(a, b, c) fmaf(a, b, c)
#define MULTIPLY_HIGH(a, b) __umulhi(a, b)
#define HAS_DOUBLE

#else
#error "kernels are OpenCL C or CUDA C++"
#endif

/* As many floats as one work-item takes at a time where a kernel says so: 1 on GPUs, whose work-items are lanes
 * themselves; a vector's on CPUs (-DLANES=16), whose compilers make none of work-items that loop. The memory needs no
 * alignment but a float's. Comparisons of Lanes are IntLanes, joined by & and | and read by ?: alone. */
#ifndef LANES
#define LANES 1
#endif
#if LANES == 16
typedef float16 Lanes;
typedef int16 IntLanes;
#define LOAD_LANES(from) vload16(0, from)
#define STORE_LANES(value, to) vstore16(value, 0, to)
/* LANES floats of which the first are wanted, where only `room` are left of the tensor: others are what they are. */
DEVICE Lanes LoadSomeLanes(GLOBAL const float* from, int room) {
  if (room >= LANES) return LOAD_LANES(from);
  float parts[LANES];
  for (int k = 0; k < LANES; ++k) parts[k] = from[k < room ? k : 0];
  return LOAD_LANES(parts);
}
#define LOAD_SOME_LANES(from, room) LoadSomeLanes(from, room)
/* The first `some` elements of the vector: one store for each bit of `some`. */
#define DEFINE_STORE_SOME(name, vector, scalar)                 \
  DEVICE void name(vector value, GLOBAL scalar* to, int some) { \
    if (some >= LANES) {                                        \
      STORE_LANES(value, to);                                   \
      return;                                                   \
    }                                                           \
    if (some & 8) {                                             \
      vstore8(value.lo, 0, to);                                 \
      value.lo = value.hi;                                      \
    }                                                           \
    if (some & 4) {                                             \
      vstore4(value.s0123, 0, to + (some & 8));                 \
      value.s0123 = value.s4567;                                \
    }                                                           \
    if (some & 2) {                                             \
      vstore2(value.s01, 0, to + (some & 12));                  \
      value.s0 = value.s2;                                      \
    }                                                           \
    if (some & 1) to[some & 14] = value.s0;                     \
  }
DEFINE_STORE_SOME(StoreSomeLanes, Lanes, float)
DEFINE_STORE_SOME(StoreSomeIntLanes, IntLanes, int)
#define STORE_SOME_LANES(value, to, some) StoreSomeLanes(value, to, some)
#define STORE_SOME_INT_LANES(value, to, some) StoreSomeIntLanes(value, to, some)
#else
typedef float Lanes;
typedef int IntLanes;
#define LOAD_LANES(from) (*(from))
#define STORE_LANES(value, to) (*(to) = (value))
#define LOAD_SOME_LANES(from, room) ((void)(room), LOAD_LANES(from))
#define STORE_SOME_LANES(value, to, some) ((void)(some), STORE_LANES(value, to))
#define STORE_SOME_INT_LANES(value, to, some) ((void)(some), STORE_LANES(value, to))
#endif

/* The work-item's number among all of dimension 0. */
#define FLAT_ID (GROUP_ID(0) * GROUP + LOCAL_ID)

/* Division by a number that the host knows, without dividing: i / d = i multiplier >> (31 + bits), for 0 <= i < 2^31,
 * with bits = ceil(log2 d) and multiplier = floor(2^(31 + bits) / d) + 1 (Granlund and Montgomery, "Division by
 * invariant integers using multiplication", 1994). */
#define DIVISOR(name) int name, unsigned name##_multiplier, int name##_bits
#define QUOTIENT(i, name) ((int)(((unsigned long)(unsigned)(i)*name##_multiplier) >> (31 + name##_bits)))

/* A DIVISOR argument handed on to a function that has one. */
#define PASS_DIVISOR(name) name, name##_multiplier, name##_bits

#define INTS6(name) int name##0, int name##1, int name##2, int name##3, int name##4, int name##5

/* eddl_epilogue */
#define EPILOGUE_NONE 0
#define EPILOGUE_RELU 1
#define EPILOGUE_CLAMP 2

/* NaN stays NaN. */
DEVICE float AtLeast(float x, float low) { return x < low ? low : x; }
DEVICE float AtMost(float x, float high) { return x > high ? high : x; }

DEVICE float Epilogue(float y, int epilogue, float low, float high) {
  if (epilogue == EPILOGUE_RELU) return AtLeast(y, 0.0f);
  if (epilogue == EPILOGUE_CLAMP) return AtMost(AtLeast(y, low), high);
  return y;
}

/* The same for LANES floats. */
DEVICE Lanes LanesEpilogue(Lanes y, int epilogue, float low, float high) {
  const Lanes least = epilogue == EPILOGUE_RELU ? 0.0f : low;
  const Lanes most = high;
  if (epilogue != EPILOGUE_NONE) y = y < least ? least : y;
  if (epilogue == EPILOGUE_CLAMP) y = y > most ? most : y;
  return y;
}
