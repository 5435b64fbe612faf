// ExitCode: what eddl-node's exit code means, and how a status carries it from where an error happens to main.
//
// The table is the contract of docs/exit-codes.md. A status without a code of its own is an internal error.
#pragma once

#include <span>
#include <string_view>

#include "absl/status/status.h"

namespace eddl {

enum class ExitCode : int {
  kOk = 0,
  kInternal = 1,
  kUsage = 2,
  kData = 3,
  kDevice = 4,
  kDiverged = 5,
  kSave = 6,
  kMismatch = 7,
  kNetwork = 8,
  kRefused = 9,
  kNothingToCheck = 77,
  kInterrupted = 130,
  kTerminated = 143,
};

struct ExitCodeMeaning {
  ExitCode code;
  std::string_view name;     // "data": the error's code in JSON
  std::string_view meaning;  // one sentence
};

// All codes, ascending.
std::span<const ExitCodeMeaning> ExitCodes();
std::string_view NameOf(ExitCode code);

// The same status with an exit code; OK stays OK, and a code that is there already is kept: the first to know, knows
// best.
absl::Status WithExitCode(ExitCode code, absl::Status status);
// kOk for OK, kInternal for a status that carries none.
ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace eddl
