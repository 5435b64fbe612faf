#include "tools/eddl_node/cluster/interface_counters.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

constexpr char kText[] = R"(Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1234567    8901    0    0    0     0          0         0  7654321    8901    0    0    0     0       0          0
  eth0:98765432101 55     0    0    0     0          0         0 42 7    0    0    0     0       0          0
  bad0: 12 x
)";

TEST(InterfaceCountersTest, ALineIsReadByItsName) {
  const auto lo = InterfaceCounters::Parse(kText, "lo");
  ASSERT_TRUE(lo.has_value());
  EXPECT_EQ(lo->received, 1'234'567);
  EXPECT_EQ(lo->sent, 7'654'321);
  const auto eth = InterfaceCounters::Parse(kText, "eth0");
  ASSERT_TRUE(eth.has_value());
  EXPECT_EQ(eth->received, 98'765'432'101);
  EXPECT_EQ(eth->sent, 42);
}

TEST(InterfaceCountersTest, WhatIsNotThereIsNothing) {
  EXPECT_FALSE(InterfaceCounters::Parse(kText, "eth").has_value());
  EXPECT_FALSE(InterfaceCounters::Parse(kText, "bad0").has_value());
  EXPECT_FALSE(InterfaceCounters::Parse("", "lo").has_value());
}

TEST(InterfaceCountersTest, LoopbackLeadsToThisMachineAndCountsWhatIsSentToIt) {
  const auto counters = InterfaceCounters::Open("127.0.0.1:7447");
  if (!counters.ok()) GTEST_SKIP() << MessageOf(counters.status());
  EXPECT_EQ((*counters)->name(), "lo");
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  ASSERT_GE(fd, 0);
  sockaddr_in nobody{};
  nobody.sin_family = AF_INET;
  nobody.sin_port = htons(9);
  nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto before = (*counters)->Read();
  const std::vector<char> bytes(1'000);
  for (int i = 0; i < 100; ++i) {
    sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&nobody), sizeof(nobody));
  }
  close(fd);
  const auto after = (*counters)->Read();
  ASSERT_TRUE(before.has_value());
  ASSERT_TRUE(after.has_value());
  EXPECT_GE(after->sent - before->sent, 100'000);
}

TEST(InterfaceCountersTest, APeerThatCanNotBeReachedIsSaid) {
  const auto counters = InterfaceCounters::Open("no-such-host.invalid:7447");
  EXPECT_NE(MessageOf(counters.status()).find("no-such-host.invalid"), std::string::npos);
}

}  // namespace
}  // namespace eddl::cluster
