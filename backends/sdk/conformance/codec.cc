#include "backends/sdk/conformance/codec.h"

#include <cstring>

#include "kernels/flat/half.h"

namespace eddl::conformance {
namespace {

template <typename T>
void Put(std::byte* bytes, int64_t i, T value) {
  std::memcpy(bytes + static_cast<size_t>(i) * sizeof(T), &value, sizeof(T));
}

template <typename T>
T Get(const std::byte* bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

uint64_t ElementBytes(eddl_dtype dtype) {
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

uint64_t TensorBytes(const eddl_tensor_desc& desc) {
  uint64_t bytes = ElementBytes(desc.dtype);
  for (uint32_t d = 0; d < desc.rank; ++d) bytes *= static_cast<uint64_t>(desc.shape[d]);
  return bytes;
}

void Encode(const kernels::Tensor& tensor, std::byte* bytes) {
  for (int64_t i = 0; i < tensor.size(); ++i) {
    switch (tensor.desc().dtype) {
      case EDDL_F32:
        Put(bytes, i, static_cast<float>(tensor[i]));
        break;
      case EDDL_F16:
        Put(bytes, i, kernels::DoubleToHalf(tensor[i]));
        break;
      case EDDL_I32:
        Put(bytes, i, static_cast<int32_t>(tensor.Integer(i)));
        break;
      case EDDL_U8:
        Put(bytes, i, static_cast<uint8_t>(tensor.Integer(i)));
        break;
      default:
        Put(bytes, i, tensor.Integer(i));
    }
  }
}

kernels::Tensor Decode(const eddl_tensor_desc& desc, const std::byte* bytes) {
  kernels::Tensor tensor(desc);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    switch (desc.dtype) {
      case EDDL_F32:
        tensor.At(i) = static_cast<double>(Get<float>(bytes, i));
        break;
      case EDDL_F16:
        tensor.At(i) = kernels::HalfToDouble(Get<uint16_t>(bytes, i));
        break;
      case EDDL_I32:
        tensor.Integer(i) = Get<int32_t>(bytes, i);
        break;
      case EDDL_U8:
        tensor.Integer(i) = Get<uint8_t>(bytes, i);
        break;
      default:
        tensor.Integer(i) = Get<int64_t>(bytes, i);
    }
  }
  return tensor;
}

}  // namespace eddl::conformance
