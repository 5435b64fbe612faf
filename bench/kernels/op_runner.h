// Runs single ops of any backend through its C table: loads the plugin, holds one device and queue, owns an op's
// buffers.
//
// For benchmarks and tests that look at a backend alone, without the runtime. A failure ends the process with the
// backend's message. One thread.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "backends/sdk/eddl_backend.h"
#include "backends/sdk/eddl_ops.h"

namespace eddl::bench {

inline void Check(eddl_code code, const eddl_error& error, const char* what) {
  if (code == EDDL_OK) return;
  std::fprintf(stderr, "%s failed with code %d: %s\n", what, code, error.message);
  std::exit(1);
}

inline eddl_error NoError() {
  eddl_error error = {};
  error.struct_size = sizeof(error);
  return error;
}

// The table of EDDL_BACKEND_PATH, or of the plugin EDDL_BACKEND (default cpu) in EDDL_BACKEND_DIR.
inline const eddl_backend* LoadBackend(const char* default_dir) {
  std::string path;
  if (const char* explicit_path = std::getenv("EDDL_BACKEND_PATH")) {
    path = explicit_path;
  } else {
    const char* dir = std::getenv("EDDL_BACKEND_DIR");
    const char* name = std::getenv("EDDL_BACKEND");
    path = std::string(dir != nullptr ? dir : default_dir) + "/libeddl_backend_" + (name != nullptr ? name : "cpu") +
           ".so";
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* entry = library == nullptr ? nullptr : dlsym(library, EDDL_BACKEND_ENTRY);
  if (entry == nullptr) {
    std::fprintf(stderr, "cannot load the backend %s: %s\n", path.c_str(), dlerror());
    std::exit(1);
  }
  return reinterpret_cast<eddl_backend_get_fn>(entry)(nullptr);
}

// One device with one queue.
class Session {
 public:
  Session(const eddl_backend* backend, uint32_t thread_count, uint64_t memory_limit_bytes = 0) : backend_(backend) {
    eddl_error error = NoError();
    eddl_device_options options = {};
    options.struct_size = sizeof(options);
    options.thread_count = thread_count;
    options.memory_limit_bytes = memory_limit_bytes;
    Check(backend->device_open(0, &options, &device_, &error), error, "device_open");
    Check(backend->queue_create(device_, EDDL_QUEUE_COMPUTE, &queue_, &error), error, "queue_create");
  }
  ~Session() {
    backend_->queue_destroy(queue_);
    backend_->device_close(device_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const eddl_backend& table() const { return *backend_; }
  eddl_device* device() const { return device_; }
  eddl_queue* queue() const { return queue_; }

  eddl_buffer* NewBuffer(uint64_t size_bytes) const {
    eddl_error error = NoError();
    eddl_buffer* buffer = nullptr;
    Check(backend_->buffer_create(device_, size_bytes, EDDL_BUFFER_DEVICE, &buffer, &error), error, "buffer_create");
    return buffer;
  }
  void Wait() const {
    eddl_error error = NoError();
    Check(backend_->queue_wait(queue_, &error), error, "queue_wait");
  }

 private:
  const eddl_backend* backend_;
  eddl_device* device_ = nullptr;
  eddl_queue* queue_ = nullptr;
};

inline eddl_tensor_desc Tensor(std::initializer_list<int64_t> shape, eddl_dtype dtype = EDDL_F32) {
  eddl_tensor_desc tensor = {};
  tensor.dtype = dtype;
  for (const int64_t size : shape) tensor.shape[tensor.rank++] = size;
  return tensor;
}
inline eddl_tensor_desc Absent() { return {}; }

inline uint64_t SizeBytes(const eddl_tensor_desc& tensor) {
  uint64_t size = tensor.dtype == EDDL_I64 ? 8 : tensor.dtype == EDDL_F16 ? 2 : tensor.dtype == EDDL_U8 ? 1 : 4;
  for (uint32_t d = 0; d < tensor.rank; ++d) size *= static_cast<uint64_t>(tensor.shape[d]);
  return tensor.dtype == 0 ? 0 : size;
}

// A description that owns what it points to.
struct OpSpec {
  eddl_op_kind kind = 0;
  std::vector<eddl_tensor_desc> inputs;
  std::vector<eddl_tensor_desc> outputs;
  std::vector<unsigned char> attrs;
  eddl_epilogue epilogue = EDDL_EPILOGUE_NONE;
  uint32_t accumulate_mask = 0;
  std::vector<eddl_scalar> scalars;

  template <typename T>
  OpSpec& With(T value) {
    value.struct_size = sizeof(T);
    attrs.resize(sizeof(T));
    std::memcpy(attrs.data(), &value, sizeof(T));
    return *this;
  }
  eddl_op_desc Describe() const {
    eddl_op_desc desc = {};
    desc.struct_size = sizeof(desc);
    desc.kind = kind;
    desc.input_count = static_cast<uint32_t>(inputs.size());
    desc.output_count = static_cast<uint32_t>(outputs.size());
    desc.inputs = inputs.data();
    desc.outputs = outputs.data();
    desc.attrs = attrs.empty() ? nullptr : attrs.data();
    desc.attrs_size = attrs.size();
    desc.epilogue = epilogue;
    desc.accumulate_mask = accumulate_mask;
    desc.tag = kind;
    return desc;
  }
};

// A prepared op with buffers of its own. Float inputs are normal numbers, labels and sample indices count up modulo 10,
// the rest are random bytes; the state is shared with an earlier op where one is given.
class OpRunner {
 public:
  OpRunner(const Session& session, const OpSpec& spec, const OpRunner* forward = nullptr)
      : session_(session), spec_(spec) {
    eddl_error error = NoError();
    info_.struct_size = sizeof(info_);
    const eddl_op_desc desc = spec_.Describe();
    Check(session.table().op_prepare(session.device(), &desc, &op_, &info_, &error), error, "op_prepare");
    uint32_t seed = 1;
    for (const eddl_tensor_desc& tensor : spec_.inputs) inputs_.push_back(Bind(SizeBytes(tensor)));
    for (const eddl_tensor_desc& tensor : spec_.outputs) outputs_.push_back(Bind(SizeBytes(tensor)));
    for (size_t i = 0; i < inputs_.size(); ++i) FillRandom(spec_.inputs[i], inputs_[i], seed++);
    for (size_t i = 0; i < outputs_.size(); ++i) FillRandom(spec_.outputs[i], outputs_[i], seed++);
    args_.struct_size = sizeof(args_);
    args_.scalar_count = static_cast<uint32_t>(spec_.scalars.size());
    args_.scalars = spec_.scalars.data();
    args_.inputs = inputs_.data();
    args_.outputs = outputs_.data();
    args_.workspace = Bind(info_.workspace_bytes);
    args_.state = forward != nullptr ? forward->args_.state : Bind(info_.state_bytes);
  }
  ~OpRunner() {
    session_.Wait();
    session_.table().op_destroy(op_);
    for (eddl_buffer* buffer : owned_) session_.table().buffer_destroy(buffer);
  }
  OpRunner(const OpRunner&) = delete;
  OpRunner& operator=(const OpRunner&) = delete;

  void Run() {
    eddl_error error = NoError();
    Check(session_.table().op_enqueue(session_.queue(), op_, &args_, &error), error, "op_enqueue");
    session_.Wait();
  }
  template <typename T = float>
  void Write(const eddl_binding& binding, const std::vector<T>& values) const {
    eddl_error error = NoError();
    Check(session_.table().write(session_.queue(), binding.buffer, binding.offset_bytes, values.data(),
                                 values.size() * sizeof(T), &error),
          error, "write");
    session_.Wait();
  }
  template <typename T = float>
  std::vector<T> Read(const eddl_binding& binding, uint64_t size_bytes) const {
    eddl_error error = NoError();
    std::vector<T> values(size_bytes / sizeof(T));
    Check(session_.table().read(session_.queue(), binding.buffer, binding.offset_bytes, values.data(), size_bytes,
                                &error),
          error, "read");
    session_.Wait();
    return values;
  }
  template <typename T = float>
  std::vector<T> Input(size_t index) const {
    return Read<T>(inputs_[index], SizeBytes(spec_.inputs[index]));
  }
  template <typename T = float>
  std::vector<T> Output(size_t index) const {
    return Read<T>(outputs_[index], SizeBytes(spec_.outputs[index]));
  }

  const eddl_op_info& info() const { return info_; }
  eddl_op* op() const { return op_; }
  eddl_op_args& args() { return args_; }
  std::vector<eddl_binding>& inputs() { return inputs_; }
  std::vector<eddl_binding>& outputs() { return outputs_; }

 private:
  eddl_binding Bind(uint64_t size_bytes) {
    if (size_bytes == 0) return {.buffer = nullptr, .offset_bytes = 0};
    owned_.push_back(session_.NewBuffer(size_bytes));
    return {.buffer = owned_.back(), .offset_bytes = 0};
  }
  void FillRandom(const eddl_tensor_desc& tensor, const eddl_binding& binding, uint32_t seed) const {
    const uint64_t size_bytes = SizeBytes(tensor);
    if (size_bytes == 0) return;
    std::mt19937 random(seed);
    if (tensor.dtype == EDDL_F32) {
      std::normal_distribution<float> normal;
      std::vector<float> values(size_bytes / sizeof(float));
      for (float& value : values) value = normal(random);
      return Write(binding, values);
    }
    if (tensor.dtype == EDDL_I32) {
      std::vector<int32_t> values(size_bytes / sizeof(int32_t));
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i % 10);
      return Write(binding, values);
    }
    if (tensor.dtype == EDDL_I64) {
      std::vector<int64_t> values(size_bytes / sizeof(int64_t));
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int64_t>(i % 10);
      return Write(binding, values);
    }
    std::vector<unsigned char> values(size_bytes);
    for (unsigned char& value : values) value = static_cast<unsigned char>(random());
    Write(binding, values);
  }

  const Session& session_;
  OpSpec spec_;
  eddl_op* op_ = nullptr;
  eddl_op_info info_ = {};
  std::vector<eddl_buffer*> owned_;
  std::vector<eddl_binding> inputs_;
  std::vector<eddl_binding> outputs_;
  eddl_op_args args_ = {};
};

}  // namespace eddl::bench
