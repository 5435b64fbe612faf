#include "net/transport/certificate.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "runtime/base/status.h"
#include "tests/runtime/data/files.h"

namespace eddl::net {
namespace {

constexpr int64_t kHour = 3600;

struct Freer {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
};

std::unique_ptr<X509, Freer> Parse(const std::string& pem) {
  const std::unique_ptr<BIO, Freer> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return std::unique_ptr<X509, Freer>(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

// What OpenSSL, which every connection asks, says of a certificate when it trusts this authority alone.
std::string Verdict(const std::string& authority, const std::string& certificate) {
  const auto ca = Parse(authority), leaf = Parse(certificate);
  const std::unique_ptr<X509_STORE, Freer> store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), ca.get());
  const std::unique_ptr<X509_STORE_CTX, Freer> context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
  if (X509_verify_cert(context.get()) == 1) return "ok";
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

std::string IssueFor(const CertificateAuthority& authority, const std::string& name, const Lifetime& lifetime = {}) {
  const auto issued = authority.Issue(*MakeSigningRequest(*MakeKey()), name, lifetime);
  EXPECT_TRUE(issued.ok()) << issued.status();
  return issued.ok() ? *issued : "";
}

mode_t ModeOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST(CertificateTest, NodesHaveNamesAndNamesNodes) {
  for (const uint32_t number : {0u, 1u, 7u, 4294967295u}) {
    EXPECT_EQ(*NodeOfName(NameOfNode(NodeId{number})), NodeId{number});
  }
  for (const std::string name : {"", "eddl-node-", "eddl-node-07", "eddl-node-+7", "eddl-node-7 ",
                                 "eddl-node-4294967296", "eddl-node--1", "eddl-operator", "eddl-node-7x"}) {
    EXPECT_EQ(NodeOfName(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(CertificateTest, WhatTheAuthorityIssuesIsTrustedUnderItsNameOnly) {
  const auto authority = *CertificateAuthority::Make();
  const std::string certificate = IssueFor(authority, "eddl-node-7");
  EXPECT_EQ(Verdict(authority.certificate(), certificate), "ok");
  EXPECT_EQ(X509_check_host(Parse(certificate).get(), "eddl-node-7", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(Parse(certificate).get(), "eddl-node-8", 0, 0, nullptr), 0);
}

TEST(CertificateTest, AnotherAuthoritysCertificatesAreNot) {
  const auto authority = *CertificateAuthority::Make();
  const auto other = *CertificateAuthority::Make();
  EXPECT_NE(Verdict(authority.certificate(), IssueFor(other, "eddl-node-7")), "ok");
  EXPECT_NE(*Fingerprint(authority.certificate()), *Fingerprint(other.certificate()));
}

// A member that signs for its friends.
TEST(CertificateTest, AMembersCertificateIsNoAuthoritys) {
  const auto authority = *CertificateAuthority::Make();
  const auto certificate = Parse(IssueFor(authority, "eddl-node-7"));
  EXPECT_EQ(X509_check_ca(certificate.get()), 0);
  EXPECT_EQ(X509_check_ca(Parse(authority.certificate()).get()), 1);
}

// Clocks of devices differ: an hour is forgiven, in both directions.
TEST(CertificateTest, IsValidAnHourBeforeItWasMade) {
  const auto authority = *CertificateAuthority::Make();
  const auto begin_of = [](const std::string& pem) {
    int days = 0, seconds = 0;
    EXPECT_EQ(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(Parse(pem).get()), nullptr), 1);
    return int64_t{days} * 24 * kHour + seconds;
  };
  for (const std::string& pem : {authority.certificate(), IssueFor(authority, "eddl-node-7")}) {
    EXPECT_NEAR(static_cast<double>(begin_of(pem)), static_cast<double>(kHour), 60);
    EXPECT_TRUE(CheckDates(pem).ok());
  }
}

TEST(CertificateTest, SaysWhenItIsNotValid) {
  const auto authority = *CertificateAuthority::Make();
  const std::string early = IssueFor(authority, "eddl-node-7", {.begin_seconds = kHour, .end_seconds = 2 * kHour});
  const std::string late = IssueFor(authority, "eddl-node-7", {.begin_seconds = -2 * kHour, .end_seconds = -kHour});
  EXPECT_EQ(CheckDates(early).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(MessageOf(CheckDates(early)).find("the certificate begins "), std::string::npos);
  EXPECT_NE(MessageOf(CheckDates(early)).find(", and this device's clock says "), std::string::npos);
  EXPECT_NE(MessageOf(CheckDates(late)).find("the certificate ended "), std::string::npos);
  EXPECT_EQ(Verdict(authority.certificate(), early), "certificate is not yet valid");
  EXPECT_EQ(Verdict(authority.certificate(), late), "certificate has expired");
  EXPECT_NEAR(static_cast<double>(*SecondsLeft(early)), 2.0 * kHour, 60);
  EXPECT_NEAR(static_cast<double>(*SecondsLeft(late)), -1.0 * kHour, 60);
}

TEST(CertificateTest, SaysWhatOfANodesPapersDoesNotFit) {
  const auto authority = *CertificateAuthority::Make(), other = *CertificateAuthority::Make();
  const auto papers = [](const CertificateAuthority& from) {
    const std::string key = *MakeKey();
    const std::string certificate = *from.Issue(*MakeSigningRequest(key), "eddl-node-7", {});
    return Papers{.ca = from.certificate(), .certificate = certificate + from.certificate(), .key = key};
  };
  const auto said = [](const Papers& kept, const char* name) { return MessageOf(CheckPapers(kept, name)); };
  const Papers good = papers(authority);
  EXPECT_EQ(said(good, "eddl-node-7"), "");
  EXPECT_EQ(said(good, "eddl-node-8"), "the certificate is not that of eddl-node-8");
  Papers torn = good;
  torn.key = papers(authority).key;
  EXPECT_EQ(said(torn, "eddl-node-7"), "the key is not the certificate's");
  torn = good;
  torn.ca = other.certificate();
  EXPECT_EQ(said(torn, "eddl-node-7"), "the certificate is another authority's");
  torn.key.resize(40);
  EXPECT_EQ(CheckPapers(torn, "eddl-node-7").code(), absl::StatusCode::kInvalidArgument);
}

TEST(CertificateTest, EverySerialNumberIsAnother) {
  const auto authority = *CertificateAuthority::Make();
  std::set<std::string> fingerprints;
  for (int i = 0; i < 20; ++i) fingerprints.insert(*Fingerprint(IssueFor(authority, "eddl-node-7")));
  EXPECT_EQ(fingerprints.size(), 20u);
}

TEST(CertificateTest, IssuesNothingForARequestThatIsDamagedOrIsNone) {
  const auto authority = *CertificateAuthority::Make();
  const std::string request = *MakeSigningRequest(*MakeKey());
  int refused = 0;
  for (size_t i = 0; i < request.size(); ++i) {
    std::string wrong = request;
    wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
    const auto issued = authority.Issue(wrong, "eddl-node-7", {});
    // Some damage is none: a padding bit of base64.
    if (issued.ok()) continue;
    EXPECT_EQ(issued.status().code(), absl::StatusCode::kInvalidArgument);
    ++refused;
  }
  EXPECT_GT(refused, static_cast<int>(request.size()) - 8);
  for (const std::string& wrong : {std::string(), std::string("garbage"), authority.certificate(), *MakeKey(),
                                   std::string(100'000, 'A'), request.substr(0, request.size() / 2)}) {
    EXPECT_EQ(authority.Issue(wrong, "eddl-node-7", {}).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(CertificateTest, TakesNothingElseForAKeyOrACertificate) {
  for (const std::string& wrong :
       {std::string(), std::string("-----BEGIN CERTIFICATE-----\n"), std::string(100'000, 'A')}) {
    EXPECT_EQ(MakeSigningRequest(wrong).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(Fingerprint(wrong).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(SecondsLeft(wrong).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(CheckDates(wrong).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(CertificateTest, AnAuthorityIsTheSameWhenItIsOpenedAgain) {
  const TempDir folder;
  const auto made = CertificateAuthority::Open(folder.Path("authority"));
  ASSERT_TRUE(made.ok()) << made.status();
  const auto opened = CertificateAuthority::Open(folder.Path("authority"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->certificate(), made->certificate());
  EXPECT_EQ(Verdict(made->certificate(), IssueFor(*opened, "eddl-node-7")), "ok");
}

TEST(CertificateTest, SecretsAreTheirOwnersAlone) {
  const TempDir folder;
  const mode_t before = umask(0);
  ASSERT_TRUE(CertificateAuthority::Open(folder.Path("authority")).ok());
  umask(before);
  EXPECT_EQ(ModeOf(folder.Path("authority")), 0700u);
  EXPECT_EQ(ModeOf(folder.Path("authority/ca.key")), 0600u);
  EXPECT_EQ(ModeOf(folder.Path("authority/ca.pem")), 0600u);
}

TEST(CertificateTest, AKeyThatOthersCanReadIsRefused) {
  const TempDir folder;
  ASSERT_TRUE(CertificateAuthority::Open(folder.Path("authority")).ok());
  const std::string key = folder.Path("authority/ca.key");
  for (const mode_t mode : {0640u, 0604u, 0620u, 0777u}) {
    ASSERT_EQ(chmod(key.c_str(), mode), 0);
    const absl::Status status = CertificateAuthority::Open(folder.Path("authority")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << mode;
    EXPECT_EQ(folder.Relative(MessageOf(status)),
              "others can read DIR/authority/ca.key, which is a secret; run: chmod 600 DIR/authority/ca.key");
  }
  ASSERT_EQ(chmod(key.c_str(), 0600), 0);
  EXPECT_TRUE(CertificateAuthority::Open(folder.Path("authority")).ok());
}

// A key that is gone would be made anew, and every member shut out; one that is damaged is said.
TEST(CertificateTest, ADamagedAuthorityIsAnErrorThatNamesTheFile) {
  for (const std::string name : {"ca.key", "ca.pem"}) {
    const TempDir folder;
    ASSERT_TRUE(CertificateAuthority::Open(folder.Path("authority")).ok());
    ASSERT_TRUE(WriteSecret(folder.Path("authority"), name, "rubbish").ok());
    const absl::Status status = CertificateAuthority::Open(folder.Path("authority")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(MessageOf(status).find("authority/" + name), std::string::npos) << status;
  }
}

TEST(CertificateTest, ASecretIsReplacedAsAWhole) {
  const TempDir folder;
  ASSERT_TRUE(WriteSecret(folder.Path("a/b"), "token", std::string(10'000, 'x')).ok());
  ASSERT_TRUE(WriteSecret(folder.Path("a/b"), "token", "short").ok());
  EXPECT_EQ(*ReadSecret(folder.Path("a/b"), "token"), "short");
  // A temporary file that an earlier process left behind, readable by all.
  folder.Write("a/b/token.tmp", "left");
  chmod(folder.Path("a/b/token.tmp").c_str(), 0666);
  ASSERT_TRUE(WriteSecret(folder.Path("a/b"), "token", "new").ok());
  EXPECT_EQ(*ReadSecret(folder.Path("a/b"), "token"), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.Path("a/b")), {}), 1);
}

TEST(CertificateTest, SaysWhatCanNotBeReadOrWritten) {
  const TempDir folder;
  EXPECT_EQ(ReadSecret(folder.Path("none"), "token").status().code(), absl::StatusCode::kNotFound);
  folder.Write("file", "");
  const absl::Status status = WriteSecret(folder.Path("file"), "token", "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(folder.Relative(MessageOf(status)), "can't write DIR/file/token: Not a directory");
}

}  // namespace
}  // namespace eddl::net
