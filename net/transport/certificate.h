// Certificates: who belongs to a cluster. The manager is its certificate authority; a node is who its certificate says.
//
// X.509 with ECDSA P-256 keys, on OpenSSL. All texts are PEM. Thread-safe: no state but what is passed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/ids.h"

namespace eddl::net {

// Common name of the person's certificate who runs the manager.
inline constexpr char kOperatorName[] = "eddl-operator";

// "eddl-node-7": common name and DNS name in the node's certificate.
std::string NameOfNode(NodeId node);
// The inverse. kInvalidArgument: no such name.
absl::StatusOr<NodeId> NodeOfName(std::string_view name);

// A private key.
absl::StatusOr<std::string> MakeKey();
// A signing request for that key: proves that who asks has it. The name in it is not looked at.
absl::StatusOr<std::string> MakeSigningRequest(const std::string& key);

// SHA-256 of a certificate (DER), 64 hex digits.
absl::StatusOr<std::string> Fingerprint(const std::string& certificate);
// Seconds from now until it expires; negative: it has.
absl::StatusOr<int64_t> SecondsLeft(const std::string& certificate);

// Whether it is valid now, by this device's clock. kFailedPrecondition: not yet, or no more; says the dates, since a
// device without a clock of its own may be years behind.
absl::Status CheckDates(const std::string& certificate);

// What a node keeps to show who it is. All PEM.
struct Papers {
  std::string ca;
  std::string certificate;
  std::string key;
};
// Whether they belong together, and to the node of that name. kFailedPrecondition says what does not fit: a kill
// between two files leaves such. kInvalidArgument: one of them can't be read.
absl::Status CheckPapers(const Papers& papers, const std::string& name);

struct Lifetime {
  int64_t begin_seconds = -3600;                   // from now: clocks of devices differ
  int64_t end_seconds = int64_t{365} * 24 * 3600;  // from now
};

class CertificateAuthority {
 public:
  // A new one: key and certificate, valid for ten years.
  static absl::StatusOr<CertificateAuthority> Make();
  // Reads ca.pem and ca.key of the folder, or makes them there. kFailedPrecondition: others than the owner can read the
  // key.
  static absl::StatusOr<CertificateAuthority> Open(const std::string& folder);

  const std::string& certificate() const { return certificate_; }
  // A certificate for whoever has the key of the request, under this name alone. kInvalidArgument: no request, or its
  // signature is wrong.
  absl::StatusOr<std::string> Issue(const std::string& signing_request, const std::string& name,
                                    const Lifetime& lifetime) const;

 private:
  CertificateAuthority(std::string certificate, std::string key)
      : certificate_(std::move(certificate)), key_(std::move(key)) {}

  std::string certificate_;
  std::string key_;
};

// A small file that only its owner can read, written as a whole. Makes the folder, for its owner alone, if there is
// none.
absl::Status WriteSecret(const std::string& folder, const std::string& name, const std::string& text);
// kNotFound: there is none. kFailedPrecondition: others can read it.
absl::StatusOr<std::string> ReadSecret(const std::string& folder, const std::string& name);

}  // namespace eddl::net
