#include "backends/checked/answer.h"

#include <cstdio>
#include <cstring>

namespace eddl::checked {
namespace {

bool IsKnown(eddl_code code) {
  switch (code) {
    case EDDL_OK:
    case EDDL_INVALID_ARGUMENT:
    case EDDL_NOT_FOUND:
    case EDDL_RESOURCE_EXHAUSTED:
    case EDDL_FAILED_PRECONDITION:
    case EDDL_UNIMPLEMENTED:
    case EDDL_INTERNAL:
    case EDDL_UNAVAILABLE:
      return true;
    default:
      return false;
  }
}

}  // namespace

Answer::Answer(const char* slot, eddl_error* error)
    : slot_(slot), error_(error), record_({.struct_size = sizeof(eddl_error)}) {}

Verdict Answer::CheckCaller() const {
  if (error_ == nullptr) return std::nullopt;
  return CheckSize(error_, "error");
}

eddl_code Answer::Fill(eddl_code code, const std::string& text) {
  if (error_ == nullptr || error_->struct_size < sizeof(eddl_error)) return code;
  error_->code = code;
  error_->flags = 0;
  error_->tag = 0;
  std::snprintf(error_->message, sizeof(error_->message), "checked: %s: %s", slot_, text.c_str());
  return code;
}

eddl_code Answer::Refuse(const Violation& violation) { return Fill(violation.code, violation.text); }

eddl_code Answer::Blame(const std::string& text) { return Fill(EDDL_INTERNAL, "the backend " + text); }

eddl_code Answer::Pass(eddl_code code) {
  if (code == EDDL_OK) return code;
  if (!IsKnown(code)) return Blame(Text("returned the unknown code ", code));
  const size_t length = strnlen(record_.message, sizeof(record_.message));
  if (length == sizeof(record_.message))
    return Blame(Text("returned code ", code, " with a message that is not terminated"));
  if (length == 0) return Blame(Text("returned code ", code, " without a message"));
  if (record_.code != code) {
    return Blame(Text("returned code ", code, " but error.code ", record_.code, ": ", record_.message));
  }
  if (error_ != nullptr && error_->struct_size >= sizeof(eddl_error)) *error_ = record_;
  return code;
}

}  // namespace eddl::checked
