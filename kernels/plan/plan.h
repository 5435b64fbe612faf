// DevicePlan: an op as what a GPU is told to do, in order: launches of .knl kernels, matrix products for the vendor's
// library, zero fills.
//
// The same for every device language: a backend that has the kernels of this folder turns a description into a plan,
// once, and walks through its steps at each enqueue. Pure: no device is needed to make one. Values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "kernels/plan/status.h"

namespace eddl::kernels {

// What planning needs to know of a device.
struct DeviceTraits {
  const char* backend = "device";               // for messages: "opencl"
  int group = 256;                              // GROUP of kernels/dialect.h
  int lanes = 1;                                // LANES of it, for launches that want it; other kernels have LANES 1
  int64_t groups_wanted = 512;                  // as many groups as keep the device busy
  uint64_t columns_bytes = uint64_t{64} << 20;  // largest im2col matrix
  bool has_double = true;
};

// Bytes that a step reads or writes.
struct Operand {
  enum class Source : uint8_t { kAbsent, kInput, kOutput, kWorkspace, kState };
  Source source = Source::kAbsent;
  uint32_t index = 0;  // of an input or output
  uint64_t offset_bytes = 0;

  Operand Plus(uint64_t bytes) const { return {source, index, offset_bytes + bytes}; }
  Operand PlusFloats(int64_t count) const { return Plus(static_cast<uint64_t>(count) * sizeof(float)); }
};
inline Operand Input(uint32_t index) { return {Operand::Source::kInput, index, 0}; }
inline Operand Output(uint32_t index) { return {Operand::Source::kOutput, index, 0}; }
inline Operand State() { return {Operand::Source::kState, 0, 0}; }

// A number that a kernel gets; which member is read depends on the argument's type.
union Value {
  int32_t i;
  uint32_t u;
  float f;
  double d;
};

// One IN, OUT or plain argument of a kernel. DIVISOR and INTS6 are several.
struct Argument {
  enum class Type : uint8_t { kTensor, kInt, kUnsigned, kFloat, kDouble };
  Type type = Type::kInt;
  Operand tensor;              // kTensor; absent: a null pointer and offset 0
  uint32_t element_bytes = 0;  // kTensor
  Value value = {};            // other types, unless slot says otherwise
  int slot = -1;               // index into what DevicePlan::fill_slots wrote for this enqueue
};

struct Launch {
  const char* kernel = "";
  int lanes = 1;                // LANES that the kernel is compiled with: 1, or what DeviceTraits says
  uint32_t groups[2] = {1, 1};  // groups of DeviceTraits::group work-items
  std::vector<Argument> arguments;
};

// Row-major c [m, n] = op(a) [m, k] op(b) [k, n] + beta c, floats; leading dimensions are in elements. With beta 0, c
// is not read.
struct Product {
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0;
  Operand a, b, c;
  int64_t a_stride = 0, b_stride = 0, c_stride = 0;
  float beta = 0;
};

struct ZeroFill {
  Operand target;
  uint64_t size_bytes = 0;
};

using Step = std::variant<Launch, Product, ZeroFill>;

inline constexpr int kSlotsMax = 8;

struct DevicePlan {
  std::vector<Step> steps;
  uint64_t workspace_bytes = 0;
  uint64_t state_bytes = 0;       // what a forward op leaves
  uint64_t state_read_bytes = 0;  // what a gradient op finds
  uint32_t scalar_count = 0;
  std::string implementation;  // "im2col+gemm"
  // Writes the slots of one enqueue from the caller's scalars, or says what is wrong with these; empty where the op has
  // none. Allocates nothing when all is well.
  std::function<Status(const eddl_scalar* scalars, Value* slots)> fill_slots;
};

// Checks a description against the contract of its kind and plans it. EDDL_INVALID_ARGUMENT where it breaks the
// contract; EDDL_UNIMPLEMENTED for what the kernels lack: an unknown kind, another dtype, 2^31 elements or more.
Status PlanOp(const eddl_op_desc& desc, const DeviceTraits& traits, DevicePlan* plan);

}  // namespace eddl::kernels
