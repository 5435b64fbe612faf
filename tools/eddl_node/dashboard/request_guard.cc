#include "tools/eddl_node/dashboard/request_guard.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>

#include <string_view>

#include "absl/strings/match.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

// "127.0.0.1:80" without the port, "[::1]:80" without brackets, too.
std::string NameOf(const std::string& host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') == std::string::npos ? 0 : host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool IsAddress(const std::string& name) {
  in6_addr address = {};
  return inet_pton(AF_INET, name.c_str(), &address) == 1 || inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

bool IsLoopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

absl::Status Denied(std::string_view message) { return MakeStatus(absl::StatusCode::kPermissionDenied, message); }

}  // namespace

bool IsOwnHost(const std::string& host_header, const std::string& listen_host, const std::string& own_name) {
  const std::string name = NameOf(host_header);
  if (name.empty()) return false;
  // Browsers write names small, whatever the machine is called.
  const auto is = [&name](const std::string& other) { return absl::EqualsIgnoreCase(name, other); };
  if (is("localhost") || is(listen_host) || IsAddress(name)) return true;
  return !own_name.empty() && (is(own_name) || is(own_name + ".local"));
}

absl::Status MayAct(const ActionRequest& request, const std::string& token) {
  EDDL_CHECK(!token.empty()) << "an empty token";
  if (!IsLoopback(request.remote_address)) {
    return Denied(
        "the token would travel unencrypted: act from the manager's own machine, or through `ssh -L` to its loopback "
        "address");
  }
  if (!request.origin.empty() && request.origin != "http://" + request.host) {
    return Denied("this page does not come from this dashboard");
  }
  constexpr std::string_view kBearer = "Bearer ";
  if (!request.authorization.starts_with(kBearer)) return Denied("the operator's token is needed");
  const std::string given = request.authorization.substr(kBearer.size());
  const bool same = given.size() == token.size() && CRYPTO_memcmp(given.data(), token.data(), token.size()) == 0;
  return same ? absl::OkStatus() : Denied("wrong token: it is in authority/operator_token of the run's folder");
}

}  // namespace eddl
