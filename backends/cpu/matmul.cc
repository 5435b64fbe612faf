// Dense matrix products on plain row-major operands, then bias and epilogue over the output while it is in cache.
//
// dnnl_sgemm, except for a product with a transposed right side (the gradient with respect to a layer's input): it
// packs all of b there, which oneDNN's matmul primitive does not; 250 us against 175 for [32, 512] by [512, 512].
// Elsewhere the primitive is the slower one.
#include <oneapi/dnnl/dnnl.h>

#include <memory>

#include "backends/cpu/dnnl_call.h"
#include "backends/cpu/elementwise.h"
#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

// One product of the batch: y [p, q] = op(a) op(b), inner size r.
struct Product {
  int64_t p, q, r;
  bool transpose_a, transpose_b;
};

Status Sgemm(const Product& m, const float* a, const float* b, float beta, float* y) {
  const dnnl_status_t status = dnnl_sgemm(m.transpose_a ? 'T' : 'N', m.transpose_b ? 'T' : 'N', m.p, m.q, m.r, 1.0f, a,
                                          m.transpose_a ? m.p : m.r, b, m.transpose_b ? m.r : m.q, beta, y, m.q);
  if (status == dnnl_success) return {};
  return Error(EDDL_INTERNAL, "matmul: dnnl_sgemm of [%lld, %lld] by [%lld, %lld] failed with code %d",
               static_cast<long long>(m.p), static_cast<long long>(m.r), static_cast<long long>(m.r),
               static_cast<long long>(m.q), static_cast<int>(status));
}

// Reads the sizes of one product and the count of the batch; checks all shapes.
Status ReadShapes(const OpDesc& desc, Product* product, int64_t* batch) {
  eddl_matmul_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const eddl_tensor_desc& a = desc.in[0];
  const eddl_tensor_desc& b = desc.in[1];
  EDDL_CPU_REQUIRE(a.rank >= 2, "matmul: a is %s, expected rank 2 or more", ToString(a).c_str());
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "b", b, a.rank));
  const uint32_t row = a.rank - 2;
  const uint32_t column = a.rank - 1;
  *product = {.p = a.shape[attrs.transpose_a ? column : row],
              .q = b.shape[attrs.transpose_b ? row : column],
              .r = a.shape[attrs.transpose_a ? row : column],
              .transpose_a = attrs.transpose_a != 0,
              .transpose_b = attrs.transpose_b != 0};
  eddl_tensor_desc expected_b = a;
  expected_b.shape[row] = product->transpose_b ? product->q : product->r;
  expected_b.shape[column] = product->transpose_b ? product->r : product->q;
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "b", b, expected_b));
  eddl_tensor_desc expected_y = a;
  expected_y.shape[row] = product->p;
  expected_y.shape[column] = product->q;
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.out[0], expected_y));
  if (IsPresent(desc.in[2])) EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "bias", desc.in[2], EDDL_F32, {product->q}));
  *batch = 1;
  for (uint32_t d = 0; d < row; ++d) *batch *= a.shape[d];
  return {};
}

struct MatmulPrimitive {
  DnnlCall call;
  uint64_t scratch_bytes = 0;
  std::string implementation;
};

// y = a b^T as a primitive; nullptr where the library has only reference code for it.
std::shared_ptr<MatmulPrimitive> MakeTransposedPrimitive(const Product& m) {
  using Tag = dnnl::memory::format_tag;
  constexpr auto kF32 = dnnl::memory::data_type::f32;
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::memory::desc a({m.p, m.r}, kF32, Tag::ab);
  const dnnl::memory::desc b({m.r, m.q}, kF32, Tag::ba);
  const dnnl::memory::desc y({m.p, m.q}, kF32, Tag::ab);
  const dnnl::matmul::primitive_desc desc({a, b, y}, attr, CpuEngine());
  if (IsReference(desc)) return nullptr;
  auto primitive = std::make_shared<MatmulPrimitive>();
  primitive->call = DnnlCall(dnnl::matmul(desc));
  primitive->call.Add(DNNL_ARG_SRC, a);
  primitive->call.Add(DNNL_ARG_WEIGHTS, b);
  primitive->call.Add(DNNL_ARG_DST, y);
  primitive->call.Add(DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc());
  primitive->scratch_bytes = desc.scratchpad_desc().get_size();
  primitive->implementation = "matmul:" + ImplementationName(desc);
  return primitive;
}

}  // namespace

Status PrepareMatmul(const OpDesc& desc, const Context& context, PreparedOp* op) {
  Product product = {};
  int64_t batch = 0;
  EDDL_CPU_RETURN_IF_ERROR(ReadShapes(desc, &product, &batch));
  const Epilogue epilogue = EpilogueOf(desc);
  const bool accumulates = desc.accumulates(0);
  // The epilogue comes before the accumulation, so that the two together need the product apart.
  const bool apart = accumulates && epilogue.kind != EDDL_EPILOGUE_NONE;
  const float beta = accumulates && !apart ? 1.0f : 0.0f;
  const int64_t size = product.p * product.q;
  const uint64_t apart_bytes = apart ? AlignUp(static_cast<uint64_t>(size) * sizeof(float)) : 0;
  std::shared_ptr<MatmulPrimitive> primitive;
  if (product.transpose_b && !product.transpose_a && beta == 0.0f) primitive = MakeTransposedPrimitive(product);
  op->workspace_bytes = apart_bytes + (primitive != nullptr ? primitive->scratch_bytes : 0);
  op->implementation = primitive != nullptr ? primitive->implementation : "gemm:dnnl_sgemm";
  op->run = [=, threads = context.thread_count](const Args& args) -> Status {
    const float* bias = args.in(2);
    const int64_t grain = kGrain / product.q + 1;
    for (int64_t i = 0; i < batch; ++i) {
      const float* a = args.in(0) + i * product.p * product.r;
      const float* b = args.in(1) + i * product.r * product.q;
      float* y = args.out(0) + i * size;
      float* target = apart ? args.workspace<float>() : y;
      if (primitive != nullptr) {
        EDDL_CPU_RETURN_IF_ERROR(primitive->call.Run({a, b, target, args.workspace<float>(apart_bytes)}));
      } else {
        EDDL_CPU_RETURN_IF_ERROR(Sgemm(product, a, b, beta, target));
      }
      if (bias == nullptr && epilogue.kind == EDDL_EPILOGUE_NONE && !apart) continue;
      ParallelFor(threads, product.p, grain, [&](int64_t begin, int64_t end) {
        BiasEpilogue(target, bias, begin, end, product.q, epilogue);
        if (apart) AddInto(target, y, begin * product.q, end * product.q);
      });
    }
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
