// FetchCa: asks a manager for its certificate authority, trusting only the fingerprint in the join token.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "runtime/base/time.h"

namespace eddl::net {

// The CA's certificate (PEM): the one of the server's chain that has this fingerprint. Says nothing to the server.
// kUnavailable: nobody answers at that address. kPermissionDenied: it is another cluster's.
absl::StatusOr<std::string> FetchCa(const std::string& host, const std::string& port, const std::string& fingerprint,
                                    Duration timeout);

}  // namespace eddl::net
