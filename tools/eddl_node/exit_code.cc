#include "tools/eddl_node/exit_code.h"

#include <array>
#include <charconv>
#include <string>

#include "absl/strings/cord.h"

namespace eddl {
namespace {

constexpr char kPayload[] = "eddl.exit_code";

constexpr std::array kMeanings = {
    ExitCodeMeaning{ExitCode::kOk, "ok", "Done. Also: the run to be resumed is finished already."},
    ExitCodeMeaning{ExitCode::kInternal, "internal",
                    "An error of the program itself; please report it. `check`: something is wrong with the device; "
                    "the output says what."},
    ExitCodeMeaning{ExitCode::kUsage, "usage", "The command line or the job file is wrong: nothing was started."},
    ExitCodeMeaning{
        ExitCode::kData, "data",
        "The data can't be read, or do not fit the model: a missing, truncated or corrupt file, a bad row, a "
        "label out of range."},
    ExitCodeMeaning{ExitCode::kDevice, "device",
                    "A backend or device is missing, failed, does not open, or has too little memory."},
    ExitCodeMeaning{ExitCode::kDiverged, "diverged",
                    "Training diverged: the loss is not a number. The last checkpoint before it is kept."},
    ExitCodeMeaning{
        ExitCode::kSave, "save",
        "The run folder or an output can't be written: no permission, or the disk is full. Earlier files are "
        "kept."},
    ExitCodeMeaning{ExitCode::kMismatch, "mismatch",
                    "A checkpoint or run folder belongs to another model, job or data set, or is damaged."},
    ExitCodeMeaning{ExitCode::kNetwork, "network", "A cluster can't be reached, or an address can't be listened at."},
    ExitCodeMeaning{ExitCode::kRefused, "refused",
                    "The cluster said no: a wrong token, another version, a quarantined device, or no right to ask."},
    ExitCodeMeaning{ExitCode::kNothingToCheck, "nothing_to_check",
                    "`check` only: the backend is here, but has no device on this machine."},
    ExitCodeMeaning{ExitCode::kInterrupted, "interrupted",
                    "Stopped by Ctrl-C (SIGINT). `train` saved a checkpoint first, and said how to resume."},
    ExitCodeMeaning{ExitCode::kTerminated, "terminated", "The same, by SIGTERM."},
};

}  // namespace

std::span<const ExitCodeMeaning> ExitCodes() { return kMeanings; }

std::string_view NameOf(ExitCode code) {
  for (const ExitCodeMeaning& entry : kMeanings) {
    if (entry.code == code) return entry.name;
  }
  return "internal";
}

absl::Status WithExitCode(ExitCode code, absl::Status status) {
  if (!status.ok() && !status.GetPayload(kPayload).has_value()) {
    status.SetPayload(kPayload, absl::Cord(std::to_string(static_cast<int>(code))));
  }
  return status;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return ExitCode::kOk;
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return ExitCode::kInternal;
  const std::string text(*payload);
  int code = static_cast<int>(ExitCode::kInternal);
  std::from_chars(text.data(), text.data() + text.size(), code);
  return static_cast<ExitCode>(code);
}

}  // namespace eddl
