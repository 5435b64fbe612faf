#include "kernels/tolerance.h"

#include <cmath>
#include <limits>

#include "kernels/flat/half.h"

namespace eddl::kernels {
namespace {

double RoundTo(eddl_dtype dtype, double value) {
  return dtype == EDDL_F16 ? HalfToDouble(DoubleToHalf(value)) : static_cast<double>(static_cast<float>(value));
}

}  // namespace

Tolerance ToleranceOf(eddl_op_kind kind, uint32_t output) {
  switch (kind) {
    case EDDL_OP_CONV2D:
    case EDDL_OP_CONV2D_GRAD_INPUT:
    case EDDL_OP_CONV2D_GRAD_WEIGHT:
      return {.rtol = 2e-5};
    case EDDL_OP_BATCH_NORM:
    case EDDL_OP_BATCH_NORM_GRAD:
    case EDDL_OP_BATCH_NORM_INFERENCE:
    case EDDL_OP_LAYER_NORM:
    case EDDL_OP_LAYER_NORM_GRAD:
      return {.rtol = 1e-4};
    case EDDL_OP_GELU:
    case EDDL_OP_GELU_GRAD:
      return {.rtol = 5e-6};
    case EDDL_OP_LEAKY_RELU:
    case EDDL_OP_LEAKY_RELU_GRAD:
    case EDDL_OP_SIGMOID:
    case EDDL_OP_TANH:
    case EDDL_OP_SIGMOID_GRAD:
    case EDDL_OP_TANH_GRAD:
      return {.rtol = 2e-6};
    case EDDL_OP_MAX_POOL2D_GRAD:
    case EDDL_OP_GLOBAL_AVG_POOL_GRAD:
    case EDDL_OP_NORMALIZE_U8:
    case EDDL_OP_AXPY:
    case EDDL_OP_SCALE:
      return {.rtol = 1e-6};
    case EDDL_OP_DROPOUT:  // what is dropped is exactly 0
      return {.rtol = 1e-6, .atol = 0};
    case EDDL_OP_SOFTMAX_XENT:
      return output == 1 ? Tolerance{.exact = true} : Tolerance{.rtol = 1e-5};
    case EDDL_OP_SUM_SQUARES:
      return {.rtol = 1e-5, .any_not_finite = true};
    case EDDL_OP_MAX_POOL2D:
    case EDDL_OP_RELU:
    case EDDL_OP_CLAMP:
    case EDDL_OP_RELU_GRAD:
    case EDDL_OP_CLAMP_GRAD:
    case EDDL_OP_ADD:
    case EDDL_OP_MUL:
    case EDDL_OP_CONCAT:
    case EDDL_OP_SPLIT:
    case EDDL_OP_SLICE:
    case EDDL_OP_PAD:
    case EDDL_OP_TRANSPOSE:
    case EDDL_OP_BROADCAST:
    case EDDL_OP_ABS_MAX:
    case EDDL_OP_PACK_F16:
    case EDDL_OP_UNPACK_F16:
    case EDDL_OP_FIXED_ADD:
    case EDDL_OP_FIXED_TO_FLOAT:
      return {.exact = true};
    default:
      return {.rtol = 1e-5};
  }
}

double ErrorFraction(double result, const Sum& expected, eddl_dtype dtype, const Tolerance& tolerance) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  const double rounded = RoundTo(dtype, expected.value);
  if (!std::isfinite(rounded)) {
    if (tolerance.any_not_finite) return std::isfinite(result) ? kWrong : 0;
    return result == rounded || (std::isnan(rounded) && std::isnan(result)) ? 0 : kWrong;
  }
  if (result == rounded) return 0;
  const double allowed = tolerance.exact ? 0 : tolerance.atol + tolerance.rtol * expected.scale;
  const double fraction = std::abs(result - expected.value) / allowed;
  return std::isnan(fraction) ? kWrong : fraction;
}

}  // namespace eddl::kernels
