#include "backends/cpu/dnnl_call.h"

namespace eddl::cpu {
namespace {

const dnnl::stream& CpuStream() {
  // A CPU stream has no queue and no state: executing on it is a call.
  static const dnnl::stream stream(CpuEngine());
  return stream;
}

}  // namespace

const dnnl::engine& CpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

std::string ImplementationName(const dnnl::primitive_desc_base& desc) { return desc.impl_info_str(); }

bool IsReference(const dnnl::primitive_desc_base& desc) { return ImplementationName(desc).compare(0, 3, "ref") == 0; }

size_t DnnlCall::Add(int arg, const dnnl::memory::desc& desc) {
  memories_.emplace_back(desc, CpuEngine(), nullptr);
  arguments_.push_back({arg, memories_.back().get()});
  return memories_.size() - 1;
}

void DnnlCall::Bind(size_t slot, const void* address) { memories_[slot].set_data_handle(const_cast<void*>(address)); }

Status DnnlCall::Run(std::initializer_list<const void*> addresses) {
  size_t slot = 0;
  for (const void* address : addresses) Bind(slot++, address);
  const dnnl_status_t status = dnnl_primitive_execute(primitive_.get(), CpuStream().get(),
                                                      static_cast<int>(arguments_.size()), arguments_.data());
  if (status == dnnl_success) return {};
  return Error(EDDL_INTERNAL, "oneDNN failed to execute a primitive, code %d", static_cast<int>(status));
}

DnnlCall MakeReorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to) {
  if (from == to) return {};
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::reorder::primitive_desc desc(CpuEngine(), from, CpuEngine(), to, attr);
  if (desc.scratchpad_desc().get_size() != 0) {
    // Plain to blocked needs none in this version; taking it from the library is correct all the same.
    const dnnl::reorder::primitive_desc own(CpuEngine(), from, CpuEngine(), to);
    DnnlCall call{dnnl::reorder(own)};
    call.Add(DNNL_ARG_FROM, from);
    call.Add(DNNL_ARG_TO, to);
    return call;
  }
  DnnlCall call{dnnl::reorder(desc)};
  call.Add(DNNL_ARG_FROM, from);
  call.Add(DNNL_ARG_TO, to);
  return call;
}

}  // namespace eddl::cpu
