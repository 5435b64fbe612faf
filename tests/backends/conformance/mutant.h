// MutantBackend: a working backend with one thing broken on purpose. The conformance suite must notice.
//
// It stands in front of another table and may change what op_prepare is asked for, what an enqueue reads and writes, or
// a slot of the table. For backends that compute before op_enqueue returns and whose buffers have host pointers, like
// the cpu's.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "backends/sdk/eddl_backend.h"
#include "kernels/op.h"

namespace eddl {

// One call of op_enqueue, its tensors as the host sees them.
struct Enqueued {
  kernels::Op op;                           // as the caller described it
  std::vector<std::byte*> inputs, outputs;  // nullptr where absent
  std::vector<eddl_scalar> scalars;         // may be changed before the call
  std::vector<std::byte> saved;             // for a mutation's own use, from before to after

  float* in(size_t i) const { return reinterpret_cast<float*>(inputs[i]); }
  float* out(size_t i) const { return reinterpret_cast<float*>(outputs[i]); }
  int64_t in_size(size_t i) const { return SizeOf(op.inputs[i]); }
  int64_t out_size(size_t i) const { return SizeOf(op.outputs[i]); }

 private:
  static int64_t SizeOf(const eddl_tensor_desc& desc) {
    int64_t size = 1;
    for (uint32_t d = 0; d < desc.rank; ++d) size *= desc.shape[d];
    return size;
  }
};

struct Mutation {
  std::string name;                                      // "drops_the_bias"
  std::string filter;                                    // the cases that must notice, as in conformance::Options
  std::function<void(kernels::Op&)> describe = nullptr;  // changes what the backend is asked to prepare
  std::function<void(Enqueued&)> before = nullptr;
  std::function<void(Enqueued&)> after = nullptr;
  std::function<void(eddl_backend&)> table = nullptr;  // replaces slots; Inner() has the original
};

// At most one exists at a time: the C interface has no context.
class MutantBackend {
 public:
  MutantBackend(const eddl_backend& inner, Mutation mutation);
  ~MutantBackend();
  MutantBackend(const MutantBackend&) = delete;
  MutantBackend& operator=(const MutantBackend&) = delete;

  const eddl_backend& table() const { return table_; }
  // The table behind the one that exists now.
  static const eddl_backend& Inner();

 private:
  static eddl_code OpPrepare(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                             eddl_error* error);
  static eddl_code OpEnqueue(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error);
  static void OpDestroy(eddl_op* op);

  Enqueued View(eddl_op* op, const eddl_op_args& args);

  const eddl_backend& inner_;
  Mutation mutation_;
  eddl_backend table_;
  std::mutex mutex_;
  std::map<eddl_op*, kernels::Op> ops_;
};

}  // namespace eddl
