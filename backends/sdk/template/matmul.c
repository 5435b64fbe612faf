#include "matmul.h"

#include <string.h>

static int is_present(const eddl_tensor_desc* tensor) { return tensor->rank != 0 || tensor->dtype != 0; }

static int is_matrix(const eddl_tensor_desc* tensor) {
  if (tensor->rank < 2 || tensor->rank > EDDL_RANK_MAX) return 0;
  for (uint32_t d = 0; d < tensor->rank; ++d) {
    if (tensor->shape[d] < 0) return 0;
  }
  return 1;
}

/* Fields that an older caller does not know are zero here. */
static int read_attrs(const eddl_op_desc* desc, eddl_matmul_attrs* attrs) {
  memset(attrs, 0, sizeof(*attrs));
  if (desc->attrs == NULL || desc->attrs_size < sizeof(uint32_t)) return 0;
  memcpy(attrs, desc->attrs, desc->attrs_size < sizeof(*attrs) ? desc->attrs_size : sizeof(*attrs));
  return 1;
}

eddl_code matmul_describe(const eddl_op_desc* desc, matmul* op, const char** why) {
  *why = "this backend has matmul only";
  if (desc->kind != EDDL_OP_MATMUL) return EDDL_UNIMPLEMENTED;

  *why = "matmul takes a, b and an optional bias, and leaves y";
  if (desc->input_count < 2 || desc->input_count > 3 || desc->output_count != 1) return EDDL_INVALID_ARGUMENT;
  const eddl_tensor_desc *a = &desc->inputs[0], *b = &desc->inputs[1], *y = &desc->outputs[0];
  const eddl_tensor_desc* bias = desc->input_count == 3 && is_present(&desc->inputs[2]) ? &desc->inputs[2] : NULL;
  *why = "matmul is for f32 here";
  if (a->dtype != EDDL_F32 || b->dtype != EDDL_F32 || y->dtype != EDDL_F32) return EDDL_UNIMPLEMENTED;
  *why = "matmul: a, b and y have one rank, 2 or more, and no negative sizes";
  if (!is_matrix(a) || !is_matrix(b) || !is_matrix(y) || a->rank != b->rank || a->rank != y->rank)
    return EDDL_INVALID_ARGUMENT;
  *why = "matmul: there are no attributes";
  eddl_matmul_attrs attrs;
  if (!read_attrs(desc, &attrs)) return EDDL_INVALID_ARGUMENT;
  *why = "matmul: y alone can be accumulated, with epilogue none, relu or clamp";
  if (desc->accumulate_mask > 1 || desc->epilogue > EDDL_EPILOGUE_CLAMP) return EDDL_INVALID_ARGUMENT;

  memset(op, 0, sizeof(*op));
  op->batch = 1;
  *why = "matmul: leading dimensions of a, b and y differ";
  for (uint32_t d = 0; d + 2 < a->rank; ++d) {
    if (b->shape[d] != a->shape[d] || y->shape[d] != a->shape[d]) return EDDL_INVALID_ARGUMENT;
    op->batch *= a->shape[d];
  }
  const int64_t *a_size = a->shape + a->rank - 2, *b_size = b->shape + a->rank - 2, *y_size = y->shape + a->rank - 2;
  op->rows = attrs.transpose_a ? a_size[1] : a_size[0];
  op->inner = attrs.transpose_a ? a_size[0] : a_size[1];
  op->columns = attrs.transpose_b ? b_size[0] : b_size[1];
  *why = "matmul: the shapes of a, b, bias and y do not belong together";
  if ((attrs.transpose_b ? b_size[1] : b_size[0]) != op->inner) return EDDL_INVALID_ARGUMENT;
  if (y_size[0] != op->rows || y_size[1] != op->columns) return EDDL_INVALID_ARGUMENT;
  if (bias != NULL && (bias->dtype != EDDL_F32 || bias->rank != 1 || bias->shape[0] != op->columns))
    return EDDL_INVALID_ARGUMENT;

  op->a_row = attrs.transpose_a ? 1 : op->inner;
  op->a_inner = attrs.transpose_a ? op->rows : 1;
  op->b_inner = attrs.transpose_b ? 1 : op->columns;
  op->b_column = attrs.transpose_b ? op->inner : 1;
  op->has_bias = bias != NULL;
  op->accumulate = desc->accumulate_mask & 1;
  op->epilogue = desc->epilogue;
  op->epilogue_min = desc->epilogue_min;
  op->epilogue_max = desc->epilogue_max;
  return EDDL_OK;
}

/* Comparisons are written so that NaN stays NaN. */
static float apply_epilogue(const matmul* op, float value) {
  if (op->epilogue == EDDL_EPILOGUE_RELU) return value < 0 ? 0 : value;
  if (op->epilogue == EDDL_EPILOGUE_CLAMP) {
    if (value < op->epilogue_min) return op->epilogue_min;
    if (value > op->epilogue_max) return op->epilogue_max;
  }
  return value;
}

/* The plainest loop that is right. This is the place for your device. */
void matmul_run(const matmul* op, const float* a, const float* b, const float* bias, float* y) {
  for (int64_t n = 0; n < op->batch; ++n) {
    const float* a_n = a + n * op->rows * op->inner;
    const float* b_n = b + n * op->inner * op->columns;
    float* y_n = y + n * op->rows * op->columns;
    for (int64_t row = 0; row < op->rows; ++row) {
      for (int64_t column = 0; column < op->columns; ++column) {
        float sum = bias != NULL ? bias[column] : 0;
        for (int64_t i = 0; i < op->inner; ++i) {
          sum += a_n[row * op->a_row + i * op->a_inner] * b_n[i * op->b_inner + column * op->b_column];
        }
        float* target = &y_n[row * op->columns + column];
        *target = (op->accumulate ? *target : 0) + apply_epilogue(op, sum);
      }
    }
  }
}
