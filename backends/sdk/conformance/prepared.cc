#include "backends/sdk/conformance/prepared.h"

#include <cstring>

namespace eddl::conformance {
namespace {

std::string NameOf(const eddl_op_info& info) {
  return Text("workspace ", info.workspace_bytes, ", state ", info.state_bytes, ", implementation '",
              std::string(info.implementation, strnlen(info.implementation, sizeof(info.implementation))), "'");
}

}  // namespace

Problem Prepare(const Device& device, const kernels::Op& op, Prepared* prepared) {
  const eddl_op_desc desc = op.desc();
  ErrorRecord dry_error, error;
  eddl_op_info dry_info = {.struct_size = sizeof(dry_info)};
  prepared->info = {.struct_size = sizeof(prepared->info)};
  eddl_op* made = nullptr;
  const eddl_code dry_code = device.table().op_prepare(device.raw(), &desc, nullptr, &dry_info, dry_error.get());
  const eddl_code code = device.table().op_prepare(device.raw(), &desc, &made, &prepared->info, error.get());
  if (code == EDDL_OK) prepared->op.reset(made);
  if (dry_code != code) {
    return Text("a dry run of op_prepare returned ", NameOf(dry_code), ", the real one ", NameOf(code));
  }
  if (code != EDDL_OK) {
    if (Problem problem = error.Check(code)) return Text("op_prepare: ", *problem);
    prepared->refusal = error.message();
    prepared->lacking = code == EDDL_UNIMPLEMENTED;
    return prepared->lacking ? std::nullopt : Expect("op_prepare of a valid description", code, error);
  }
  if (made == nullptr) return "op_prepare returned OK and no op";
  if (NameOf(dry_info) != NameOf(prepared->info)) {
    return Text("a dry run of op_prepare said ", NameOf(dry_info), "; the real one ", NameOf(prepared->info));
  }
  if (prepared->info.implementation[0] == '\0') return "op_prepare left info.implementation empty";
  return std::nullopt;
}

}  // namespace eddl::conformance
