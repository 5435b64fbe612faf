// A oneDNN primitive with its memory objects and argument list, built at prepare; an enqueue only moves addresses.
//
// Not thread-safe: one run at a time (eddl_op's mutex). Building throws dnnl::error; running returns a status.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "backends/cpu/status.h"

namespace eddl::cpu {

// The process's one oneDNN engine.
const dnnl::engine& CpuEngine();

// The library's name of an implementation ("brgconv:avx512_core"). Names that begin with "ref" are its slow reference
// code.
std::string ImplementationName(const dnnl::primitive_desc_base& desc);
bool IsReference(const dnnl::primitive_desc_base& desc);

class DnnlCall {
 public:
  DnnlCall() = default;
  explicit DnnlCall(const dnnl::primitive& primitive) : primitive_(primitive) {}

  // Adds an argument (DNNL_ARG_...) and returns its slot.
  size_t Add(int arg, const dnnl::memory::desc& desc);
  void Bind(size_t slot, const void* address);
  // Binds the slots in the order in which they were added, then executes in the calling thread and its team.
  Status Run(std::initializer_list<const void*> addresses);
  bool empty() const { return arguments_.empty(); }

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

// A reorder between two layouts of one tensor; empty if they are equal and nothing needs to move.
DnnlCall MakeReorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to);

}  // namespace eddl::cpu
