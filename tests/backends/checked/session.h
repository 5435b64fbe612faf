// Session: a checked fake backend with an open device, a queue and a few buffers, and calls that return what they say.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "backends/checked/checked.h"
#include "backends/sdk/eddl_ops.h"
#include "tests/runtime/device/fake_backend.h"

namespace eddl {

// A description with the arrays that it borrows. Tensors are f32 [4] unless said.
struct Description {
  explicit Description(eddl_op_kind kind, size_t input_count = 1, size_t output_count = 1)
      : inputs(input_count, kTensor), outputs(output_count, kTensor) {
    desc.kind = kind;
  }

  // Attributes of the kind; struct_size is set here.
  template <typename T>
  Description& With(T attrs) {
    attrs.struct_size = sizeof(T);
    bytes.resize(sizeof(T));
    std::memcpy(bytes.data(), &attrs, sizeof(T));
    return *this;
  }
  // Fills the pointers and sizes.
  const eddl_op_desc* Get() {
    desc.struct_size = sizeof(desc);
    desc.input_count = static_cast<uint32_t>(inputs.size());
    desc.output_count = static_cast<uint32_t>(outputs.size());
    desc.inputs = inputs.data();
    desc.outputs = outputs.data();
    desc.attrs = bytes.empty() ? nullptr : bytes.data();
    desc.attrs_size = bytes.size();
    return &desc;
  }

  static constexpr eddl_tensor_desc kTensor = {.shape = {4}, .rank = 1, .dtype = EDDL_F32};
  static constexpr eddl_tensor_desc kAbsent = {};
  std::vector<eddl_tensor_desc> inputs, outputs;
  eddl_op_desc desc = {.tag = 7};

 private:
  std::vector<std::byte> bytes;
};

class Session : public ::testing::Test {
 protected:
  static constexpr uint64_t kBufferBytes = 128;

  Session() : Session(FakeTable("fake")) {}
  explicit Session(const eddl_backend& inner) : inner_(inner) {
    EXPECT_EQ(Say(table().device_open(0, &options, &device, &error)), "");
    for (eddl_buffer*& buffer : buffers) buffer = NewBuffer();
    EXPECT_EQ(Say(table().queue_create(device, EDDL_QUEUE_COMPUTE, &queue, &error)), "");
  }
  // Closes what is open: a session without violations leaves none behind.
  ~Session() override {
    EXPECT_EQ(Say(table().queue_wait(queue, &error)), "");
    for (eddl_op* op : ops_) table().op_destroy(op);
    for (eddl_buffer* buffer : made_) table().buffer_destroy(buffer);
    table().queue_destroy(queue);
    table().device_close(device);
    EXPECT_EQ(reported, "");
    EXPECT_EQ(FakeLiveHandles(), 0);
  }

  const eddl_backend& table() const { return checked_.table(); }

  // "" for EDDL_OK, else code and message.
  std::string Say(eddl_code code) const {
    if (code == EDDL_OK) return "";
    const std::string name = code == EDDL_INVALID_ARGUMENT      ? "INVALID_ARGUMENT"
                             : code == EDDL_FAILED_PRECONDITION ? "FAILED_PRECONDITION"
                             : code == EDDL_INTERNAL            ? "INTERNAL"
                                                                : std::to_string(code);
    return name + " " + error.message;
  }
  // What the handler was told since the last time.
  std::string Reported() { return std::exchange(reported, ""); }

  eddl_buffer* NewBuffer(uint64_t size_bytes = kBufferBytes) {
    eddl_buffer* buffer = nullptr;
    EXPECT_EQ(Say(table().buffer_create(device, size_bytes, EDDL_BUFFER_DEVICE, &buffer, &error)), "");
    made_.push_back(buffer);
    return buffer;
  }
  void Forget(eddl_buffer* buffer) { std::erase(made_, buffer); }
  void Forget(eddl_op* op) { std::erase(ops_, op); }

  // The refusal, or "".
  std::string Prepare(Description& description) {
    eddl_op* op = nullptr;
    const std::string said = Say(table().op_prepare(device, description.Get(), &op, nullptr, &error));
    if (op != nullptr) ops_.push_back(op);
    return said;
  }
  eddl_op* Prepared(Description description) {
    EXPECT_EQ(Prepare(description), "");
    return ops_.empty() ? nullptr : ops_.back();
  }

  struct Arguments {
    std::vector<eddl_binding> inputs, outputs;
    eddl_binding state = {};
    std::vector<eddl_scalar> scalars;
    eddl_binding workspace = {};  // none: buffer 4, offset 0
  };
  std::string Enqueue(eddl_op* op, const Arguments& arguments) {
    const bool own_workspace = arguments.workspace.buffer == nullptr;
    const eddl_op_args args = {.struct_size = sizeof(args),
                               .scalar_count = static_cast<uint32_t>(arguments.scalars.size()),
                               .inputs = arguments.inputs.data(),
                               .outputs = arguments.outputs.data(),
                               .workspace = own_workspace ? At(4) : arguments.workspace,
                               .state = arguments.state,
                               .scalars = arguments.scalars.data()};
    return Say(table().op_enqueue(queue, op, &args, &error));
  }
  eddl_binding At(size_t buffer, uint64_t offset_bytes = 0) const { return {buffers[buffer], offset_bytes}; }

  std::string reported;
  eddl_device_options options = {.struct_size = sizeof(eddl_device_options)};
  eddl_error error = {.struct_size = sizeof(eddl_error)};
  eddl_device* device = nullptr;
  eddl_queue* queue = nullptr;
  std::array<eddl_buffer*, 5> buffers = {};

 private:
  const eddl_backend inner_;
  CheckedBackend checked_{inner_, [this](const std::string& message) { reported += message; }};
  std::vector<eddl_op*> ops_;
  std::vector<eddl_buffer*> made_;
};

}  // namespace eddl
