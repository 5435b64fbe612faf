#include "net/transport/join_token.h"

#include <openssl/rand.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr char kPrefix[] = "EDDL1";
constexpr size_t kFingerprintDigits = 64;
constexpr size_t kSecretDigits = 32;

std::string Checksum(const std::string& text) {
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size());
  std::array<char, 9> digits{};
  std::snprintf(digits.data(), digits.size(), "%08lx", crc);
  return digits.data();
}

bool IsHex(std::string_view text, size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string JoinToken::ToString() const {
  const std::string text = std::string(kPrefix) + "-" + fingerprint + "-" + secret;
  return text + "-" + Checksum(text);
}

absl::StatusOr<JoinToken> JoinToken::Parse(std::string_view text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '-') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (parts[0] != kPrefix)
    return InvalidArgument("that is no token: one begins with EDDL1-, as `eddl-node manage` printed it");
  if (parts.size() != 4) return InvalidArgument("the token is cut off: copy all of it from the manager's join line");
  const JoinToken token = {.fingerprint = parts[1], .secret = parts[2]};
  const bool good = IsHex(token.fingerprint, kFingerprintDigits) && IsHex(token.secret, kSecretDigits);
  if (!good || token.ToString() != text) {
    return InvalidArgument("the token is mistyped: copy it from the manager's join line");
  }
  return token;
}

absl::StatusOr<JoinToken> JoinToken::Make(const std::string& fingerprint) {
  std::array<unsigned char, kSecretDigits / 2> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return Unavailable("the system has no random numbers for a secret");
  }
  JoinToken token = {.fingerprint = fingerprint};
  for (const unsigned char byte : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", byte);
    token.secret += digits.data();
  }
  return token;
}

}  // namespace eddl::net
