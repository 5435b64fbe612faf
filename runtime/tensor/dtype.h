// DType: element types of tensors. Values are those of the backend interface.
#pragma once

#include <cstdint>
#include <string_view>

#include "backends/sdk/eddl_backend.h"

namespace eddl {

enum class DType : uint32_t {
  kNone = 0,  // an absent tensor
  kF32 = EDDL_F32,
  kF16 = EDDL_F16,
  kI32 = EDDL_I32,
  kU8 = EDDL_U8,
  kI64 = EDDL_I64,
};

// Bytes of one element; 0 for kNone.
constexpr int64_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
      return 2;
    case DType::kU8:
      return 1;
    case DType::kI64:
      return 8;
    case DType::kNone:
      return 0;
  }
  return 0;
}

// "f32"; "none" for kNone.
constexpr std::string_view NameOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    case DType::kI32:
      return "i32";
    case DType::kU8:
      return "u8";
    case DType::kI64:
      return "i64";
    case DType::kNone:
      return "none";
  }
  return "?";
}

}  // namespace eddl
