// Who may ask a dashboard for what, by the request's headers. Pure.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace eddl {

// Whether a Host header names this machine by address or by a name of its own: a page of another name that resolves to
// this address (DNS rebinding) says its own. `listen_host`: as the dashboard was told; `own_name`: the machine's.
bool IsOwnHost(const std::string& host_header, const std::string& listen_host, const std::string& own_name);

// What an action needs.
struct ActionRequest {
  std::string remote_address;  // of the connection
  std::string authorization;   // header
  std::string origin;          // header; empty: none
  std::string host;            // header
};
// kPermissionDenied says what is missing. The token is compared in constant time. REQUIRES: a token that is not empty.
absl::Status MayAct(const ActionRequest& request, const std::string& token);

}  // namespace eddl
