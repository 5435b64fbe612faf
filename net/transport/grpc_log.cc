#include "net/transport/grpc_log.h"

#include <grpc/support/log.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "net/transport/refusal_log.h"
#include "net/wire/text.h"

namespace eddl::net {
namespace {

// gRPC's log is one for the process, and takes a function without an argument of its own.
ABSL_CONST_INIT absl::Mutex log_mutex(absl::kConstInit);

struct Target {
  const GrpcLog* owner = nullptr;
  std::function<void(const std::string&)> sink;
  RefusalLog refusals;
};

Target& TheTarget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(log_mutex) {
  static Target* const target = new Target();  // gRPC's threads may speak until the very end
  return *target;
}

void Take(gpr_log_func_args* line) {
  if (line->severity != GPR_LOG_SEVERITY_ERROR) return;
  const absl::MutexLock lock(&log_mutex);
  Target& target = TheTarget();
  if (!target.sink) return;
  const std::optional<std::string> told = target.refusals.Note(Now(), "", WordsForGrpcError(line->message));
  if (told) target.sink(*told);
}

}  // namespace

GrpcLog::GrpcLog(std::function<void(const std::string&)> sink) {
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function(Take);
  const absl::MutexLock lock(&log_mutex);
  TheTarget() = {.owner = this, .sink = std::move(sink)};
}

GrpcLog::~GrpcLog() {
  const absl::MutexLock lock(&log_mutex);
  if (TheTarget().owner == this) TheTarget() = {};
}

std::string WordsForGrpcError(const std::string& message) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kKnown = {{
      {"wrong version number", "it does not speak TLS (a port scan, or a node that runs with --insecure)"},
      {"http request", "it speaks HTTP without TLS"},
      {"certificate verify failed", "its certificate is not of this cluster, or not valid now"},
      {"EVP lib", "its certificate is of another cluster's authority"},
      {"unknown ca", "it does not trust this cluster's authority: it has the token of another cluster"},
      {"No match found for server name", "the node that answers at its address is another one"},
  }};
  for (const auto& [part, words] : kKnown) {
    if (message.find(part) != std::string::npos) return std::string(words);
  }
  return CleanText(message);
}

}  // namespace eddl::net
