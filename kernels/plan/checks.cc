#include <cstdarg>
#include <cstdio>
#include <iterator>

#include "kernels/plan/planner.h"

namespace eddl::kernels {

Status Error(eddl_code code, const char* format, ...) {
  char text[sizeof(eddl_error::message)];
  va_list list;
  va_start(list, format);
  std::vsnprintf(text, sizeof(text), format, list);
  va_end(list);
  return {.code = code, .message = text};
}

int64_t ElementCount(const eddl_tensor_desc& tensor) {
  int64_t count = IsPresent(tensor) ? 1 : 0;
  for (uint32_t d = 0; d < tensor.rank; ++d) count *= tensor.shape[d];
  return count;
}

uint64_t ByteCount(const eddl_tensor_desc& tensor) {
  return static_cast<uint64_t>(ElementCount(tensor)) * ElementBytes(tensor.dtype);
}

uint32_t ElementBytes(eddl_dtype dtype) {
  switch (dtype) {
    case EDDL_F32:
    case EDDL_I32:
      return 4;
    case EDDL_F16:
      return 2;
    case EDDL_U8:
      return 1;
    case EDDL_I64:
      return 8;
    default:
      return 0;
  }
}

std::string ToString(const eddl_tensor_desc& tensor) {
  const char* names[] = {"none", "f32", "f16", "bf16", "i32", "u8", "i64"};
  std::string text = tensor.dtype < std::size(names) ? names[tensor.dtype] : "dtype?";
  text += " [";
  for (uint32_t d = 0; d < tensor.rank; ++d) text += (d > 0 ? ", " : "") + std::to_string(tensor.shape[d]);
  return text + "]";
}

Status ExpectDtype(const OpView& op, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype) {
  if (tensor.dtype == dtype) return {};
  eddl_tensor_desc wanted = tensor;
  wanted.dtype = dtype;
  return Error(EDDL_UNIMPLEMENTED, "%s: %s is %s, the %s backend computes it as %s only", op.name, role,
               ToString(tensor).c_str(), op.backend, ToString(wanted).c_str());
}

Status ExpectRank(const OpView& op, const char* role, const eddl_tensor_desc& tensor, uint32_t rank) {
  EDDL_KERNELS_REQUIRE(tensor.rank == rank, "%s: %s is %s, expected rank %u", op.name, role, ToString(tensor).c_str(),
                       rank);
  return {};
}

Status ExpectLike(const OpView& op, const char* role, const eddl_tensor_desc& tensor, const eddl_tensor_desc& model) {
  bool same = tensor.rank == model.rank && tensor.dtype == model.dtype;
  for (uint32_t d = 0; same && d < tensor.rank; ++d) same = tensor.shape[d] == model.shape[d];
  EDDL_KERNELS_REQUIRE(same, "%s: %s is %s, expected %s", op.name, role, ToString(tensor).c_str(),
                       ToString(model).c_str());
  return {};
}

Status Expect(const OpView& op, const char* role, const eddl_tensor_desc& tensor, eddl_dtype dtype,
              std::initializer_list<int64_t> shape) {
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectDtype(op, role, tensor, dtype));
  eddl_tensor_desc model = {};
  model.dtype = dtype;
  for (const int64_t size : shape) model.shape[model.rank++] = size;
  return ExpectLike(op, role, tensor, model);
}

Status ExpectReduced(const OpView& op, const eddl_tensor_desc& large, const eddl_tensor_desc& small,
                     uint32_t axis_mask) {
  EDDL_KERNELS_REQUIRE(axis_mask < (1u << large.rank), "%s: axis_mask %#x names dimensions that %s lacks", op.name,
                       axis_mask, ToString(large).c_str());
  eddl_tensor_desc without = large;
  eddl_tensor_desc with_ones = large;
  without.rank = 0;
  for (uint32_t d = 0; d < large.rank; ++d) {
    if ((axis_mask >> d) & 1u) {
      with_ones.shape[d] = 1;
    } else {
      without.shape[without.rank++] = large.shape[d];
    }
  }
  if (without.rank == 0) without.shape[without.rank++] = 1;
  if (small.rank == with_ones.rank) return ExpectLike(op, "the smaller tensor", small, with_ones);
  return ExpectLike(op, "the smaller tensor", small, without);
}

}  // namespace eddl::kernels
