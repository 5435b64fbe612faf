// FetchCa: asks a manager for its certificate authority, trusting only the fingerprint in the join token.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "runtime/base/time.h"

namespace eddl::net {

// The CA's certificate (PEM): the one of the server's chain that has this fingerprint. Says nothing to the server.
// `timeout`: of each step. kUnavailable: nobody answers at that address. kPermissionDenied: it is another cluster's.
// kFailedPrecondition: by this device's clock its certificates are not valid now.
absl::StatusOr<std::string> FetchCa(const std::string& host, const std::string& port, const std::string& fingerprint,
                                    Duration timeout);

}  // namespace eddl::net
