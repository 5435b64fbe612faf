// JoinToken: what a device needs to join a cluster: which one (its authority's fingerprint), and a secret.
//
//   EDDL1-<fingerprint, 64 hex digits>-<secret, 32 hex digits>-<checksum, 8 hex digits>
//
// Pure, but for Make, which draws the secret.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace eddl::net {

struct JoinToken {
  std::string fingerprint;  // of the CA's certificate
  std::string secret;

  bool operator==(const JoinToken&) const = default;
  // As a person copies it.
  std::string ToString() const;
  // Blanks and quotes around it are passed over. kInvalidArgument: cut off, mistyped, or no token at all; says which,
  // and where.
  static absl::StatusOr<JoinToken> Parse(std::string_view text);
  // A new secret.
  static absl::StatusOr<JoinToken> Make(const std::string& fingerprint);
};

}  // namespace eddl::net
