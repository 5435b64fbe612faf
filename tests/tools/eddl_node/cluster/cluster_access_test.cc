#include "tools/eddl_node/cluster/cluster_access.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "net/transport/certificate.h"
#include "runtime/base/status.h"
#include "tests/runtime/data/files.h"

namespace eddl::cluster {
namespace {

// In the order in which SaveIdentity replaces them.
constexpr std::array kFiles = {"ca.pem", "certificate.pem", "key.pem", "node"};

Identity IdentityFrom(const net::CertificateAuthority& authority, uint32_t node) {
  const std::string key = *net::MakeKey();
  const std::string name = node == 0 ? net::kOperatorName : net::NameOfNode(net::NodeId{node});
  const std::string certificate = *authority.Issue(*net::MakeSigningRequest(key), name, {});
  return {
      .node = net::NodeId{node},
      .credentials = {.ca = authority.certificate(), .certificate = certificate + authority.certificate(), .key = key}};
}

class ClusterAccessTest : public ::testing::Test {
 protected:
  // What is known after the first `count` files of the second identity have replaced those of the first.
  std::string KnownAfter(const Identity& first, const Identity& second, size_t count) const {
    const std::string folder = folder_.Path("identity"), other = folder_.Path("other");
    EXPECT_TRUE(SaveIdentity(folder, first).ok());
    EXPECT_TRUE(SaveIdentity(other, second).ok());
    for (size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(net::WriteSecret(folder, kFiles.at(i), *net::ReadSecret(other, kFiles.at(i))).ok());
    }
    const auto known = LoadIdentity(folder);
    if (!known.ok()) return absl::IsDataLoss(known.status()) ? "torn" : MessageOf(known.status());
    return known->credentials.key == first.credentials.key ? "first" : "second";
  }

  TempDir folder_;
  const net::CertificateAuthority authority_ = *net::CertificateAuthority::Make();
};

TEST_F(ClusterAccessTest, AnIdentityIsAsItWasSaved) {
  const std::string folder = folder_.Path("identity");
  EXPECT_TRUE(absl::IsNotFound(LoadIdentity(folder).status()));
  for (const uint32_t node : {0u, 7u}) {
    ASSERT_TRUE(SaveIdentity(folder, IdentityFrom(authority_, node)).ok());
    const auto known = LoadIdentity(folder);
    ASSERT_TRUE(known.ok()) << known.status();
    EXPECT_EQ(known->node, net::NodeId{node});
  }
}

// A device gets a new certificate each time that it joins.
TEST_F(ClusterAccessTest, OneThatWasHalfReplacedIsNone) {
  const Identity first = IdentityFrom(authority_, 3), second = IdentityFrom(authority_, 3);
  EXPECT_EQ(KnownAfter(first, second, 1), "first");
  EXPECT_EQ(KnownAfter(first, second, 2), "torn");
  EXPECT_EQ(KnownAfter(first, second, 3), "second");
  EXPECT_EQ(KnownAfter(first, second, 4), "second");
}

TEST_F(ClusterAccessTest, SoIsOneOfAnotherClusterOrNode) {
  const Identity first = IdentityFrom(authority_, 3);
  const Identity other_cluster = IdentityFrom(*net::CertificateAuthority::Make(), 3);
  for (const size_t count : {size_t{1}, size_t{2}}) EXPECT_EQ(KnownAfter(first, other_cluster, count), "torn");
  EXPECT_EQ(KnownAfter(first, IdentityFrom(authority_, 4), 3), "torn");
}

}  // namespace
}  // namespace eddl::cluster
