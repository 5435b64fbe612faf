#include "net/transport/join_token.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "runtime/base/crc32.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr char kPrefix[] = "EDDL1";
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr size_t kFingerprintDigits = 64;
constexpr size_t kSecretDigits = 32;
constexpr size_t kChecksumDigits = 8;
constexpr size_t kFingerprintBegin = sizeof(kPrefix);  // with the dash before it
constexpr size_t kSecretBegin = kFingerprintBegin + kFingerprintDigits + 1;
constexpr size_t kChecksumBegin = kSecretBegin + kSecretDigits + 1;
constexpr size_t kTokenSize = kChecksumBegin + kChecksumDigits;

std::string Checksum(const std::string& text) {
  std::array<char, 9> digits{};
  std::snprintf(digits.data(), digits.size(), "%08x", Crc32(text));
  return digits.data();
}

}  // namespace

std::string JoinToken::ToString() const {
  const std::string text = std::string(kPrefix) + "-" + fingerprint + "-" + secret;
  return text + "-" + Checksum(text);
}

absl::StatusOr<JoinToken> JoinToken::Parse(std::string_view text) {
  // What a copied line brings along.
  constexpr std::string_view kAround = " \t\r\n\"'";
  const size_t begin = std::min(text.find_first_not_of(kAround), text.size());
  text = text.substr(begin, text.find_last_not_of(kAround) + 1 - begin);
  if (!text.starts_with(kPrefix)) {
    return InvalidArgument("that is no token: one begins with EDDL1-, as `eddl-node manage` printed it");
  }
  const std::string have = std::to_string(text.size()) + " of " + std::to_string(kTokenSize) + " characters";
  if (text.size() < kTokenSize) {
    return InvalidArgument("the token is cut off (" + have + "): copy all of it from the manager's join line");
  }
  const auto mistyped = [](const std::string& where) {
    return InvalidArgument("the token is mistyped" + where + ": copy it from the manager's join line");
  };
  if (text.size() > kTokenSize) return mistyped(" (" + have + ")");
  for (size_t i = sizeof(kPrefix) - 1; i < text.size(); ++i) {
    const bool is_dash = i == kFingerprintBegin - 1 || i == kSecretBegin - 1 || i == kChecksumBegin - 1;
    const bool good = is_dash ? text[i] == '-' : kHexDigits.find(text[i]) != std::string_view::npos;
    if (!good) return mistyped(" (at character " + std::to_string(i + 1) + ")");
  }
  const JoinToken token = {.fingerprint = std::string(text.substr(kFingerprintBegin, kFingerprintDigits)),
                           .secret = std::string(text.substr(kSecretBegin, kSecretDigits))};
  if (token.ToString() != text) return mistyped(" (its check digits do not fit)");
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
