// Answer: the way back of one fallible call — the caller's error record on one side, the backend's answer on the other.
#pragma once

#include "backends/checked/violation.h"
#include "backends/sdk/eddl_backend.h"

namespace eddl::checked {

class Answer {
 public:
  // slot names the function in messages; error may be NULL.
  Answer(const char* slot, eddl_error* error);

  // The caller's record, if there is one, has its size set.
  Verdict CheckCaller() const;
  // The record to give to the backend.
  eddl_error* record() { return &record_; }
  // The caller broke a rule: its code and text.
  eddl_code Refuse(const Violation& violation);
  // The backend broke a rule: EDDL_INTERNAL and the text.
  eddl_code Blame(const std::string& text);
  // The backend's answer, handed on; EDDL_INTERNAL if code or message break the contract.
  eddl_code Pass(eddl_code code);

 private:
  eddl_code Fill(eddl_code code, const std::string& text);

  const char* slot_;
  eddl_error* error_;
  eddl_error record_;
};

}  // namespace eddl::checked
