/* Compares the compiler's view of the interface with layout.inc, at compile time; C11 and C++20. */
#pragma once

#include "backends/sdk/eddl_ops.h"

#ifdef __cplusplus
#define EDDL_STATIC_ASSERT static_assert
#else
#define EDDL_STATIC_ASSERT _Static_assert
#endif

#define STRUCT(type, bytes) \
  EDDL_STATIC_ASSERT(sizeof(type) == (bytes), #type " has another size than it was given out with");
#define FIELD(type, field, offset, bytes)                                                       \
  EDDL_STATIC_ASSERT(offsetof(type, field) == (offset) && sizeof(((type*)0)->field) == (bytes), \
                     #type "." #field " is not where it was given out");
#define VALUE(enumerator, value) EDDL_STATIC_ASSERT(enumerator == (value), #enumerator " was renumbered");

#include "tests/abi/layout.inc"

#undef STRUCT
#undef FIELD
#undef VALUE
