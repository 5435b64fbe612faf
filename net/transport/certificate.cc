#include "net/transport/certificate.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <utility>

#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr char kNodePrefix[] = "eddl-node-";
constexpr size_t kPemMax = 65536;
constexpr size_t kSecretMax = size_t{1} << 20;  // what is behind it is not read
constexpr int64_t kAuthoritySeconds = int64_t{3650} * 24 * 3600;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* value) const {
    Free(value);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;

// What OpenSSL has to say about the call that failed.
absl::Status Failed(const std::string& what) {
  std::string reason = "unknown reason";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    std::array<char, 256> text{};
    ERR_error_string_n(code, text.data(), text.size());
    reason = text.data();
  }
  ERR_clear_error();
  return InvalidArgument(what + ": " + reason);
}

BioPtr ReadBio(const std::string& text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

std::string TextOf(const ASN1_TIME* time) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  return ASN1_TIME_print(bio.get(), time) == 1 ? TextOf(bio.get()) : "at an unreadable time";
}

absl::StatusOr<KeyPtr> ParseKey(const std::string& pem) {
  if (pem.size() > kPemMax) return InvalidArgument("a key that is too long");
  KeyPtr key(PEM_read_bio_PrivateKey(ReadBio(pem).get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return Failed("can't read a private key");
  return key;
}

absl::StatusOr<CertificatePtr> ParseCertificate(const std::string& pem) {
  if (pem.size() > kPemMax) return InvalidArgument("a certificate that is too long");
  CertificatePtr certificate(PEM_read_bio_X509(ReadBio(pem).get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return Failed("can't read a certificate");
  return certificate;
}

absl::StatusOr<std::string> PemOf(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return Failed("can't write a certificate");
  return TextOf(bio.get());
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetName(X509_NAME* name, const std::string& common_name) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool SetSerial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] &= 0x7f;  // positive
  const std::unique_ptr<BIGNUM, Freer<BN_free>> number(
      BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number != nullptr && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// Everything of a certificate but its extensions and signature.
absl::StatusOr<CertificatePtr> MakeCertificate(const std::string& name, EVP_PKEY* key, const Lifetime& lifetime) {
  CertificatePtr certificate(X509_new());
  const bool made =
      certificate != nullptr && X509_set_version(certificate.get(), 2) == 1 && SetSerial(certificate.get()) &&
      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), lifetime.begin_seconds) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(certificate.get()), lifetime.end_seconds) != nullptr &&
      SetName(X509_get_subject_name(certificate.get()), name) && X509_set_pubkey(certificate.get(), key) == 1;
  if (!made) return Failed("can't make a certificate");
  return certificate;
}

// All of an open file that only its owner can read.
absl::StatusOr<std::string> ReadPrivate(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return FailedPrecondition("others can read " + path + ", which is a secret; run: chmod 600 " + path);
  }
  std::string text(kSecretMax, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = read(fd, text.data() + size, text.size() - size);
    if (count < 0) return FailedPrecondition("can't read " + path + ": " + std::strerror(errno));
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  text.resize(size);
  return text;
}

}  // namespace

std::string NameOfNode(NodeId node) { return kNodePrefix + std::to_string(ToInt(node)); }

absl::StatusOr<NodeId> NodeOfName(std::string_view name) {
  uint32_t number = 0;
  if (name.starts_with(kNodePrefix)) {
    const std::string_view digits = name.substr(sizeof(kNodePrefix) - 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool whole = error == std::errc() && end == digits.data() + digits.size();
    if (whole && NameOfNode(NodeId{number}) == name) return NodeId{number};
  }
  return InvalidArgument("'" + std::string(name) + "' is not the name of a node");
}

absl::StatusOr<std::string> MakeKey() {
  const KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const BioPtr bio(BIO_new(BIO_s_mem()));
  const bool written =
      key != nullptr && PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  if (!written) return Failed("can't make a key");
  return TextOf(bio.get());
}

absl::StatusOr<std::string> MakeSigningRequest(const std::string& key_pem) {
  EDDL_ASSIGN_OR_RETURN(const KeyPtr key, ParseKey(key_pem));
  const RequestPtr request(X509_REQ_new());
  const BioPtr bio(BIO_new(BIO_s_mem()));
  const bool made = request != nullptr && X509_REQ_set_version(request.get(), 0) == 1 &&
                    SetName(X509_REQ_get_subject_name(request.get()), "eddl") &&
                    X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                    X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0 &&
                    PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1;
  if (!made) return Failed("can't make a signing request");
  return TextOf(bio.get());
}

absl::StatusOr<std::string> Fingerprint(const std::string& pem) {
  EDDL_ASSIGN_OR_RETURN(const CertificatePtr certificate, ParseCertificate(pem));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) != 1)
    return Failed("can't hash a certificate");
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", digest[i]);
    hex += digits.data();
  }
  return hex;
}

absl::StatusOr<int64_t> SecondsLeft(const std::string& pem) {
  EDDL_ASSIGN_OR_RETURN(const CertificatePtr certificate, ParseCertificate(pem));
  int days = 0, seconds = 0;
  if (ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate.get())) != 1) {
    return Failed("can't read a certificate's dates");
  }
  return int64_t{days} * 24 * 3600 + seconds;
}

absl::Status CheckDates(const std::string& pem) {
  EDDL_ASSIGN_OR_RETURN(const CertificatePtr certificate, ParseCertificate(pem));
  const ASN1_TIME* const begin = X509_get0_notBefore(certificate.get());
  const ASN1_TIME* const end = X509_get0_notAfter(certificate.get());
  const time_t now = std::time(nullptr);
  const std::unique_ptr<ASN1_TIME, Freer<ASN1_TIME_free>> clock(ASN1_TIME_set(nullptr, now));
  if (clock == nullptr) return Failed("can't read the clock");
  const bool is_early = ASN1_TIME_cmp_time_t(begin, now) > 0;
  if (!is_early && ASN1_TIME_cmp_time_t(end, now) >= 0) return absl::OkStatus();
  return FailedPrecondition(std::string("the certificate ") +
                            (is_early ? "begins " + TextOf(begin) : "ended " + TextOf(end)) +
                            ", and this device's clock says " + TextOf(clock.get()));
}

absl::Status CheckPapers(const Papers& papers, const std::string& name) {
  EDDL_ASSIGN_OR_RETURN(const CertificatePtr authority, ParseCertificate(papers.ca));
  EDDL_ASSIGN_OR_RETURN(const CertificatePtr certificate, ParseCertificate(papers.certificate));
  EDDL_ASSIGN_OR_RETURN(const KeyPtr key, ParseKey(papers.key));
  const bool has_key = X509_check_private_key(certificate.get(), key.get()) == 1;
  const bool is_issued = X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) == 1;
  const bool is_named = X509_check_host(certificate.get(), name.data(), name.size(), 0, nullptr) == 1;
  ERR_clear_error();
  if (!has_key) return FailedPrecondition("the key is not the certificate's");
  if (!is_issued) return FailedPrecondition("the certificate is another authority's");
  if (!is_named) return FailedPrecondition("the certificate is not that of " + name);
  return absl::OkStatus();
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::Make() {
  EDDL_ASSIGN_OR_RETURN(const std::string key_pem, MakeKey());
  EDDL_ASSIGN_OR_RETURN(const KeyPtr key, ParseKey(key_pem));
  EDDL_ASSIGN_OR_RETURN(const CertificatePtr certificate,
                        MakeCertificate("eddl cluster authority", key.get(), {.end_seconds = kAuthoritySeconds}));
  X509* const raw = certificate.get();
  const bool made = X509_set_issuer_name(raw, X509_get_subject_name(raw)) == 1 &&
                    AddExtension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                    AddExtension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                    AddExtension(raw, raw, NID_subject_key_identifier, "hash") &&
                    X509_sign(raw, key.get(), EVP_sha256()) > 0;
  if (!made) return Failed("can't make a certificate authority");
  EDDL_ASSIGN_OR_RETURN(std::string pem, PemOf(raw));
  return CertificateAuthority(std::move(pem), key_pem);
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::Open(const std::string& folder) {
  auto key = ReadSecret(folder, "ca.key");
  if (absl::IsNotFound(key.status())) {
    EDDL_ASSIGN_OR_RETURN(CertificateAuthority made, Make());
    EDDL_RETURN_IF_ERROR(WriteSecret(folder, "ca.pem", made.certificate_));
    EDDL_RETURN_IF_ERROR(WriteSecret(folder, "ca.key", made.key_));
    return made;
  }
  EDDL_RETURN_IF_ERROR(key.status());
  EDDL_ASSIGN_OR_RETURN(std::string certificate, ReadSecret(folder, "ca.pem"));
  EDDL_RETURN_IF_ERROR(WithContext(ParseCertificate(certificate).status(), folder + "/ca.pem"));
  EDDL_RETURN_IF_ERROR(WithContext(ParseKey(*key).status(), folder + "/ca.key"));
  return CertificateAuthority(std::move(certificate), *std::move(key));
}

absl::StatusOr<std::string> CertificateAuthority::Issue(const std::string& request_pem, const std::string& name,
                                                        const Lifetime& lifetime) const {
  if (request_pem.size() > kPemMax) return InvalidArgument("a signing request that is too long");
  const RequestPtr request(PEM_read_bio_X509_REQ(ReadBio(request_pem).get(), nullptr, nullptr, nullptr));
  if (request == nullptr) return Failed("can't read a signing request");
  EVP_PKEY* const subject_key = X509_REQ_get0_pubkey(request.get());
  if (subject_key == nullptr || X509_REQ_verify(request.get(), subject_key) != 1) {
    return Failed("a signing request whose signature is wrong");
  }
  EDDL_ASSIGN_OR_RETURN(const CertificatePtr issuer, ParseCertificate(certificate_));
  EDDL_ASSIGN_OR_RETURN(const KeyPtr key, ParseKey(key_));
  EDDL_ASSIGN_OR_RETURN(const CertificatePtr certificate, MakeCertificate(name, subject_key, lifetime));
  X509* const raw = certificate.get();
  const bool made = X509_set_issuer_name(raw, X509_get_subject_name(issuer.get())) == 1 &&
                    AddExtension(raw, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                    AddExtension(raw, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
                    AddExtension(raw, issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth") &&
                    AddExtension(raw, issuer.get(), NID_subject_alt_name, "DNS:" + name) &&
                    X509_sign(raw, key.get(), EVP_sha256()) > 0;
  if (!made) return Failed("can't issue a certificate");
  return PemOf(raw);
}

absl::Status WriteSecret(const std::string& folder, const std::string& name, const std::string& text) {
  std::error_code error;
  if (std::filesystem::create_directories(folder, error)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  const std::string path = folder + "/" + name;
  const std::string temporary = path + ".tmp";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
  bool written = fd >= 0 && fchmod(fd, S_IRUSR | S_IWUSR) == 0;
  written = written && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  if (fd >= 0) close(fd);
  if (written && rename(temporary.c_str(), path.c_str()) == 0) return SyncFolderOf(path);
  const int reason = errno;
  unlink(temporary.c_str());
  return FailedPrecondition("can't write " + path + ": " + std::strerror(reason));
}

absl::StatusOr<std::string> ReadSecret(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return NotFound("there is no " + path);
  if (fd < 0) return FailedPrecondition("can't read " + path + ": " + std::strerror(errno));
  auto text = ReadPrivate(fd, path);
  close(fd);
  return text;
}

}  // namespace eddl::net
