/* The one op of this backend: y = op(a) op(b) + bias, as eddl_ops.h has it. */
#ifndef EXAMPLE_MATMUL_H_
#define EXAMPLE_MATMUL_H_

#include <stdint.h>

#include "eddl/eddl_backend.h"
#include "eddl/eddl_ops.h"

typedef struct matmul {
  int64_t batch;                /* product of the leading dimensions */
  int64_t rows, columns, inner; /* y [rows, columns] sums over inner */
  int64_t a_row, a_inner;       /* a[row, inner] lies at row a_row + inner a_inner */
  int64_t b_inner, b_column;    /* b alike */
  int has_bias;
  int accumulate; /* y += instead of y = */
  eddl_epilogue epilogue;
  float epilogue_min, epilogue_max;
} matmul;

/* Reads and checks a description. EDDL_UNIMPLEMENTED: the runtime takes the cpu for it. EDDL_INVALID_ARGUMENT: it
 * breaks the contract. *why gets a constant text then. */
eddl_code matmul_describe(const eddl_op_desc* desc, matmul* op, const char** why);

/* bias may be NULL. */
void matmul_run(const matmul* op, const float* a, const float* b, const float* bias, float* y);

#endif /* EXAMPLE_MATMUL_H_ */
