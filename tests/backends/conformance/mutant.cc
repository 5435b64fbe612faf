#include "tests/backends/conformance/mutant.h"

#include <utility>

namespace eddl {
namespace {

MutantBackend* current = nullptr;

kernels::Op CopyOf(const eddl_op_desc& desc) {
  kernels::Op op(desc.kind, {desc.inputs, desc.inputs + desc.input_count},
                 {desc.outputs, desc.outputs + desc.output_count});
  if (desc.attrs != nullptr) {
    const auto* const attrs = static_cast<const std::byte*>(desc.attrs);
    op.attrs.assign(attrs, attrs + desc.attrs_size);
  }
  op.epilogue = desc.epilogue;
  op.epilogue_min = desc.epilogue_min;
  op.epilogue_max = desc.epilogue_max;
  op.accumulate_mask = desc.accumulate_mask;
  op.tag = desc.tag;
  return op;
}

}  // namespace

MutantBackend::MutantBackend(const eddl_backend& inner, Mutation mutation)
    : inner_(inner), mutation_(std::move(mutation)), table_(inner) {
  current = this;
  table_.op_prepare = OpPrepare;
  table_.op_enqueue = OpEnqueue;
  table_.op_destroy = OpDestroy;
  if (mutation_.table) mutation_.table(table_);
}

MutantBackend::~MutantBackend() { current = nullptr; }

const eddl_backend& MutantBackend::Inner() { return current->inner_; }

eddl_code MutantBackend::OpPrepare(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                                   eddl_error* error) {
  const kernels::Op asked = CopyOf(*desc);
  kernels::Op changed = asked;
  if (current->mutation_.describe) current->mutation_.describe(changed);
  const eddl_op_desc changed_desc = changed.desc();
  const eddl_code code = current->inner_.op_prepare(device, &changed_desc, op, info, error);
  if (code == EDDL_OK && op != nullptr) {
    const std::lock_guard lock(current->mutex_);
    current->ops_[*op] = asked;
  }
  return code;
}

Enqueued MutantBackend::View(eddl_op* op, const eddl_op_args& args) {
  Enqueued view;
  {
    const std::lock_guard lock(mutex_);
    view.op = ops_.at(op);
  }
  const auto address = [&](const eddl_binding& binding) {
    if (binding.buffer == nullptr) return static_cast<std::byte*>(nullptr);
    return static_cast<std::byte*>(inner_.buffer_host_pointer(binding.buffer)) + binding.offset_bytes;
  };
  for (size_t i = 0; i < view.op.inputs.size(); ++i) view.inputs.push_back(address(args.inputs[i]));
  for (size_t i = 0; i < view.op.outputs.size(); ++i) view.outputs.push_back(address(args.outputs[i]));
  view.scalars.assign(args.scalars, args.scalars + args.scalar_count);
  return view;
}

eddl_code MutantBackend::OpEnqueue(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error) {
  const Mutation& mutation = current->mutation_;
  Enqueued view = current->View(op, *args);
  if (mutation.before) mutation.before(view);
  eddl_op_args changed = *args;
  changed.scalars = view.scalars.data();
  const eddl_code code = current->inner_.op_enqueue(queue, op, &changed, error);
  if (code == EDDL_OK && mutation.after) mutation.after(view);
  return code;
}

void MutantBackend::OpDestroy(eddl_op* op) {
  {
    const std::lock_guard lock(current->mutex_);
    current->ops_.erase(op);
  }
  current->inner_.op_destroy(op);
}

}  // namespace eddl
