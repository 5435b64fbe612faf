// Dense and sparse matrix products.
#include "backends/sdk/conformance/op_case.h"

namespace eddl::conformance {
namespace {

using kernels::F32;
using kernels::Op;

struct MatmulShape {
  std::vector<int64_t> batch;
  int64_t rows, columns, inner;
};

eddl_tensor_desc Matrix(const std::vector<int64_t>& batch, int64_t rows, int64_t columns) {
  std::vector<int64_t> shape = batch;
  shape.push_back(rows);
  shape.push_back(columns);
  return kernels::Describe(EDDL_F32, shape);
}

Op Matmul(const MatmulShape& shape, bool transpose_a, bool transpose_b, bool bias) {
  const auto oriented = [&](int64_t rows, int64_t columns, bool transposed) {
    return transposed ? Matrix(shape.batch, columns, rows) : Matrix(shape.batch, rows, columns);
  };
  return {EDDL_OP_MATMUL,
          {oriented(shape.rows, shape.inner, transpose_a), oriented(shape.inner, shape.columns, transpose_b),
           bias ? F32({shape.columns}) : eddl_tensor_desc{}},
          {Matrix(shape.batch, shape.rows, shape.columns)},
          eddl_matmul_attrs{.transpose_a = transpose_a, .transpose_b = transpose_b}};
}

void SetEpilogue(Op& op, int choice) {
  op.epilogue = static_cast<eddl_epilogue>(choice % 3);
  op.epilogue_min = -0.25f;
  op.epilogue_max = 0.5f;
}

MatmulShape RandomShape(Random& random) {
  MatmulShape shape = {{}, random.Size(33), random.Size(33), random.Size(65)};
  for (int64_t d = random.Between(0, 2); d > 0; --d) shape.batch.push_back(random.Between(1, 4));
  return shape;
}

void AddSparse(CaseList& list) {
  Random& random = list.random();
  for (int i = 0; i < 12; ++i) {
    const int64_t n = random.Size(33), f = random.Size(97), m = random.Size(65);
    Op op(EDDL_OP_SPARSE_MATMUL, {F32({n, f}), F32({f, m})}, {F32({n, m})});
    if (i % 2 == 0) op.inputs.push_back(F32({m}));
    SetEpilogue(op, i / 2);
    list.Add(op, {i == 11 ? WithNan(Sparse(0.15)) : Sparse(i % 4 == 3 ? 1 : 0.15), Uniform(), Uniform()});

    Op grad(EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT, {F32({n, f}), F32({n, m})}, {F32({f, m})});
    grad.accumulate_mask = i % 2;
    list.Add(grad, {Sparse(i % 4 == 3 ? 1 : 0.15), Uniform()});
  }
  list.Add({EDDL_OP_SPARSE_MATMUL, {F32({128, 427}), F32({427, 512}), F32({512})}, {F32({128, 512})}},
           {Sparse(0.05), Uniform(), Uniform()});
}

}  // namespace

void AddMatmulCases(CaseList& list) {
  list.StartFamily("matmul");
  for (int i = 0; i < 48; ++i) {
    Op op = Matmul(RandomShape(list.random()), i & 1, i & 2, i & 4);
    op.accumulate_mask = i & 8 ? 1 : 0;
    SetEpilogue(op, i / 16);
    list.Add(op, {Uniform(), Uniform(), Uniform()});
  }
  const MatmulShape shapes[] = {{{}, 1, 1, 1},    {{}, 1, 1, 1000},   {{}, 1, 257, 129},
                                {{}, 257, 1, 63}, {{}, 129, 97, 257}, {{2, 3, 2, 1}, 5, 3, 7}};
  for (const MatmulShape& shape : shapes) {
    list.Add(Matmul(shape, false, false, true), {Uniform(), Uniform(), Uniform()});
    Op grad = Matmul(shape, true, false, false);
    grad.accumulate_mask = 1;
    list.Add(grad, {Uniform(), Uniform(), Uniform()});
  }
  for (const eddl_epilogue epilogue : {EDDL_EPILOGUE_NONE, EDDL_EPILOGUE_RELU, EDDL_EPILOGUE_CLAMP}) {
    Op op = Matmul({{}, 7, 5, 9}, false, true, true);
    SetEpilogue(op, static_cast<int>(epilogue));
    list.Add(op, {WithNan(Uniform()), Uniform(), Uniform()});
    list.Add(op, {Uniform(), WithNan(Uniform()), Uniform()});
    list.Add(op, {Uniform(), Uniform(), WithNan(Uniform())});
  }
  // Squares, where only the numbers tell a matrix from its transpose.
  for (int i = 0; i < 4; ++i) list.Add(Matmul({{}, 8, 8, 8}, i & 1, i & 2, false), {Uniform(), Uniform(), Uniform()});
  // Without the bias in the counts at all.
  Op two_inputs = Matmul({{}, 3, 4, 5}, false, false, false);
  two_inputs.inputs.pop_back();
  list.Add(two_inputs, {Uniform(), Uniform()});
  AddSparse(list);
}

}  // namespace eddl::conformance
