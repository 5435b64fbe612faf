#include "tools/eddl_node/cluster/member_registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "runtime/base/status.h"
#include "tests/runtime/data/files.h"

namespace eddl::cluster {
namespace {

class MemberRegistryTest : public ::testing::Test {
 protected:
  std::unique_ptr<MemberRegistry> Open() const {
    auto registry = MemberRegistry::Open(path_);
    EXPECT_TRUE(registry.ok()) << registry.status();
    return *std::move(registry);
  }
  // "1 a, 2 b revoked, 3 manager's device own".
  static std::string Text(const MemberRegistry& registry) {
    std::string text;
    for (const MemberInfo& info : registry.All()) {
      text += (text.empty() ? "" : ", ") + std::to_string(ToInt(info.node)) + " " + info.name +
              (info.revoked ? " revoked" : "") + (info.own ? " own" : "");
    }
    return text;
  }
  void WriteOld(const std::string& members) const { std::ofstream(path_) << "{\"members\": [" + members + "]}"; }
  static std::string OldEntry(int node, const std::string& name, const std::string& address) {
    return "{\"node\": " + std::to_string(node) + ", \"name\": \"" + name + "\", \"device\": \"\", \"address\": \"" +
           address + "\", \"revoked\": false, \"version\": \"\"}";
  }

  TempDir folder_;
  const std::string path_ = folder_.Path("members.json");
};

// Its Join waited for its turn while it was sent away.
TEST_F(MemberRegistryTest, WhoIsRevokedDoesNotComeBackAsTheSameNode) {
  {
    const auto registry = Open();
    ASSERT_EQ(*registry->Admit({.name = "a"}), net::NodeId{1});
    ASSERT_TRUE(registry->Revoke(net::NodeId{1}).ok());
    const absl::Status again = registry->Admit({.node = net::NodeId{1}, .name = "a"}).status();
    EXPECT_EQ(again.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(MessageOf(again), "node 1 is not welcome here");
    EXPECT_EQ(Text(*registry), "1 a revoked");
    // With the token it may, as another one.
    EXPECT_EQ(*registry->Admit({.name = "a"}), net::NodeId{2});
  }
  EXPECT_EQ(Text(*Open()), "1 a revoked, 2 a");
}

TEST_F(MemberRegistryTest, AFullDiskDoesNotUndoARevocation) {
  const auto registry = Open();
  ASSERT_TRUE(registry->Admit({.name = "a"}).ok());
  std::filesystem::create_directory(path_ + ".tmp");  // in the way of the file that replaces it
  EXPECT_FALSE(registry->Revoke(net::NodeId{1}).ok());
  EXPECT_EQ(registry->ToDirectory().revoked, std::vector{net::NodeId{1}});
  EXPECT_EQ(Text(*Open()), "1 a");
  EXPECT_FALSE(registry->SaveAgain().ok());
  std::filesystem::remove(path_ + ".tmp");
  EXPECT_TRUE(registry->SaveAgain().ok());
  EXPECT_EQ(Text(*Open()), "1 a revoked");
}

TEST_F(MemberRegistryTest, TheManagersOwnDeviceIsNotKnownByItsName) {
  {
    const auto registry = Open();
    ASSERT_EQ(*registry->Admit({.name = kOwnDeviceName, .address = ":7", .own = true}), net::NodeId{1});
    EXPECT_EQ(*registry->AdmitOwn({.name = kOwnDeviceName, .address = ":8"}), net::NodeId{2});
  }
  const auto registry = Open();
  EXPECT_EQ(Text(*registry), "1 manager's device, 2 manager's device own");
  EXPECT_EQ(*registry->AdmitOwn({.name = kOwnDeviceName, .address = ":9"}), net::NodeId{2});
  EXPECT_EQ(registry->Admit({.node = net::NodeId{2}, .name = "b"}).status().code(),
            absl::StatusCode::kPermissionDenied);
  ASSERT_TRUE(registry->Revoke(net::NodeId{2}).ok());
  EXPECT_EQ(*registry->AdmitOwn({.name = kOwnDeviceName}), net::NodeId{3});
}

TEST_F(MemberRegistryTest, AFolderOfAnEarlierProgramKeepsItsOwnDevice) {
  WriteOld(OldEntry(1, kOwnDeviceName, "10.0.0.9:7000") + ", " + OldEntry(2, kOwnDeviceName, ":7001") + ", " +
           OldEntry(3, "b", ":7002"));
  {
    const auto registry = Open();
    ASSERT_TRUE(registry->Admit({.node = net::NodeId{3}, .name = "b"}).ok());
  }
  EXPECT_EQ(*Open()->AdmitOwn({.name = kOwnDeviceName}), net::NodeId{2}) << "nobody else's host is without a name";
}

}  // namespace
}  // namespace eddl::cluster
