// FetchFile: a file of the manager's, such as the newest model, onto this device's disk.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/status.h"

namespace eddl::cluster {

// `kind`: "newest" or "initial". The file is seen whole or not at all. Errors carry exit codes.
absl::Status FetchFile(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind, const std::string& path);

}  // namespace eddl::cluster
