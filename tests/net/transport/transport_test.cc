// What every Transport does: one suite, run on all of them.
#include "net/transport/transport.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <thread>

#include "net/wire/frame.h"
#include "tests/net/transport/fabric.h"
#include "tests/net/transport/witness.h"

namespace eddl::net {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr NodeId kC{3};

Bytes SomeBytes(size_t size, unsigned seed = 1) {
  std::vector<std::byte> bytes(size);
  unsigned state = seed;
  for (std::byte& byte : bytes) byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
}

Message Control(uint64_t number) { return {.view = View{1}, .body = Pull{.have = Version{number}}}; }
Message Bulk(uint64_t number) { return {.view = View{1}, .body = Publish{.version = Version{number}}}; }

// Numbers of the messages that came over a lane, in order of arrival.
std::vector<uint64_t> Numbers(const Witness::Story& story, Lane lane) {
  std::vector<uint64_t> numbers;
  for (const Witness::Got& got : story.messages) {
    if (LaneOf(got.message.body) != lane) continue;
    const auto* pull = std::get_if<Pull>(&got.message.body);
    numbers.push_back(ToInt(pull != nullptr ? pull->have : std::get<Publish>(got.message.body).version));
  }
  return numbers;
}

std::vector<uint64_t> UpTo(size_t count) {
  std::vector<uint64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), uint64_t{0});
  return numbers;
}

struct Kind {
  const char* name;
  std::unique_ptr<Fabric> (*make)();
};

class TransportTest : public testing::TestWithParam<Kind> {
 protected:
  // a and b, connected by a.
  void ConnectPair() {
    a_ = fabric_->Start(kA, heard_a_);
    b_ = fabric_->Start(kB, heard_b_);
    a_->Connect(kB, fabric_->AddressOf(kB));
    ASSERT_TRUE(heard_a_.AwaitUp(kB));
    ASSERT_TRUE(heard_b_.AwaitUp(kA));
  }

  std::unique_ptr<Fabric> fabric_ = GetParam().make();
  Witness heard_a_, heard_b_;  // outlive the transports
  std::unique_ptr<Transport> a_, b_;
};

TEST_P(TransportTest, KeepsTheOrderOfEachLaneInBothDirections) {
  ConnectPair();
  constexpr uint64_t kCount = 300;
  for (uint64_t number = 0; number < kCount; ++number) {
    a_->Send(kB, Control(number), nullptr);
    a_->Send(kB, Bulk(number), SomeBytes(number * 10));
    b_->Send(kA, Bulk(number), SomeBytes(number * 10));
    b_->Send(kA, Control(number), nullptr);
  }
  for (const Witness* heard : {&heard_a_, &heard_b_}) {
    ASSERT_TRUE(heard->AwaitMessages(2 * kCount));
    EXPECT_EQ(Numbers(heard->story(), Lane::kControl), UpTo(kCount));
    EXPECT_EQ(Numbers(heard->story(), Lane::kBulk), UpTo(kCount));
  }
}

TEST_P(TransportTest, BringsPayloadsOfAllSizesWhole) {
  ConnectPair();
  const std::vector<size_t> sizes = {0, 1, kChunkSizeMax - 1, kChunkSizeMax, kChunkSizeMax + 1, 20'000'000, 7};
  for (const size_t size : sizes) a_->Send(kB, Bulk(size), SomeBytes(size));
  a_->Send(kB, Bulk(99), nullptr);
  ASSERT_TRUE(heard_b_.AwaitMessages(sizes.size() + 1));
  const Witness::Story story = heard_b_.story();
  for (size_t i = 0; i < sizes.size(); ++i) {
    const Witness::Got& got = story.messages[i];
    ASSERT_TRUE(got.intact && got.payload != nullptr) << sizes[i];
    EXPECT_EQ(got.from, kA);
    EXPECT_TRUE(*got.payload == *SomeBytes(sizes[i])) << sizes[i];
  }
  EXPECT_EQ(story.messages.back().payload, nullptr);
}

TEST_P(TransportTest, TellsOfAPublishWhileItArrives) {
  ConnectPair();
  const Bytes payload = SomeBytes(300'000);
  a_->Send(kB, Bulk(0), payload);
  ASSERT_TRUE(heard_b_.AwaitMessages(1));
  const Witness::Story story = heard_b_.story();
  ASSERT_GE(story.arriving.size(), 3u);
  ASSERT_LT(story.arrived.size(), payload->size()) << "the last chunk makes it whole";
  EXPECT_TRUE(std::equal(story.arrived.begin(), story.arrived.end(), payload->begin()));
}

TEST_P(TransportTest, ControlOvertakesBulk) {
  ConnectPair();
  const Bytes payload = SomeBytes(20'000'000);
  constexpr uint64_t kCount = 10;
  for (uint64_t number = 0; number < kCount; ++number) a_->Send(kB, Bulk(number), payload);
  a_->Send(kB, Control(77), nullptr);
  ASSERT_TRUE(heard_b_.Await([](const auto& story) { return !Numbers(story, Lane::kControl).empty(); }));
  EXPECT_LT(Numbers(heard_b_.story(), Lane::kBulk).size(), kCount) << "control waited behind 200 MB";
  ASSERT_TRUE(heard_b_.AwaitMessages(kCount + 1));
}

TEST_P(TransportTest, TellsDirectories) {
  ConnectPair();
  const Directory directory = {.entries = {{.node = kA, .address = "host:1"}, {.node = kC, .address = ":2"}},
                               .revoked = {NodeId{7}}};
  b_->Send(kA, directory);
  ASSERT_TRUE(heard_a_.Await([](const auto& story) { return !story.directories.empty(); }));
  EXPECT_EQ(heard_a_.story().directories.front(), directory);
}

TEST_P(TransportTest, MarksAMessageDamagedThatLacksItsBytes) {
  ConnectPair();
  a_->Send(kB, Message{.view = View{1}, .body = Push{.round = Version{1}, .samples = 5}}, nullptr);
  a_->Send(kB, Bulk(1), SomeBytes(10));
  ASSERT_TRUE(heard_b_.AwaitMessages(2));
  const Witness::Story story = heard_b_.story();
  EXPECT_FALSE(story.messages[0].intact);
  EXPECT_TRUE(story.messages[1].intact) << "the connection goes on";
}

TEST_P(TransportTest, DropsWhatIsSentToNobody) {
  ConnectPair();
  a_->Send(kC, Bulk(1), SomeBytes(1000));
  a_->Send(kC, Directory());
  EXPECT_EQ(a_->Counters(kC).queued_bytes, 0);
  a_->Send(kB, Control(5), nullptr);
  ASSERT_TRUE(heard_b_.AwaitMessages(1));
  EXPECT_EQ(heard_b_.story().messages.size(), 1u);
}

TEST_P(TransportTest, StaysDownAfterDisconnectUntilConnect) {
  ConnectPair();
  a_->Disconnect(kB, "is no leader any more");
  ASSERT_TRUE(heard_a_.AwaitDown(kB));
  ASSERT_TRUE(heard_b_.AwaitDown(kA));
  EXPECT_EQ(heard_a_.story().peers.back(), "down 2: is no leader any more");
  a_->Disconnect(kB, "is no leader any more");
  a_->Disconnect(kC, "never was");
  a_->Send(kB, Control(1), nullptr);
  a_->Connect(kB, fabric_->AddressOf(kB));
  ASSERT_TRUE(heard_a_.AwaitUp(kB));
  ASSERT_TRUE(heard_b_.AwaitUp(kA));
  EXPECT_EQ(heard_a_.story().Count("up 2"), 2);
  a_->Send(kB, Control(2), nullptr);
  ASSERT_TRUE(heard_b_.AwaitMessages(1));
  EXPECT_EQ(Numbers(heard_b_.story(), Lane::kControl), std::vector<uint64_t>{2}) << "what was lost does not come back";
}

TEST_P(TransportTest, ComesBackWhenTheOtherSideDisconnects) {
  ConnectPair();
  b_->Disconnect(kA, "sent away");
  ASSERT_TRUE(heard_a_.Await([](const auto& story) { return story.Count("up 2") == 2; }));
  ASSERT_TRUE(heard_b_.Await([](const auto& story) { return story.Count("up 1") == 2; }));
}

TEST_P(TransportTest, ConnectsAgainAfterTheServerRestarts) {
  ConnectPair();
  for (uint64_t life = 0; life < 3; ++life) {
    b_.reset();
    ASSERT_TRUE(heard_a_.AwaitDown(kB));
    b_ = fabric_->Start(kB, heard_b_);
    ASSERT_TRUE(heard_a_.AwaitUp(kB));
    ASSERT_TRUE(heard_b_.AwaitUp(kA));
    a_->Send(kB, Control(life), nullptr);
    b_->Send(kA, Bulk(life), SomeBytes(100));
    ASSERT_TRUE(heard_a_.AwaitMessages(life + 1));
    ASSERT_TRUE(heard_b_.AwaitMessages(life + 1));
  }
}

TEST_P(TransportTest, ConnectsAsSoonAsThePeerIsThere) {
  b_ = fabric_->Start(kB, heard_b_);
  const std::string address = fabric_->AddressOf(kB);
  b_.reset();
  a_ = fabric_->Start(kA, heard_a_);
  a_->Connect(kB, address);
  a_->Connect(kB, address);
  b_ = fabric_->Start(kB, heard_b_);
  ASSERT_TRUE(heard_a_.AwaitUp(kB));
  EXPECT_EQ(heard_a_.story().peers, std::vector<std::string>{"up 2"});
}

// A device that was cut off comes back before the manager has noticed.
TEST_P(TransportTest, NewConnectionTakesThePlaceOfTheOld) {
  ConnectPair();
  Witness heard_again;
  const auto again = fabric_->StartTwin(kA, heard_again);
  again->Connect(kB, fabric_->AddressOf(kB));
  ASSERT_TRUE(heard_again.AwaitUp(kB));
  ASSERT_TRUE(heard_a_.Await([](const auto& story) { return story.Count("down 2") >= 1; }));
  ASSERT_TRUE(heard_b_.Await([](const auto& story) { return story.peers.size() >= 3; }));
  const std::vector<std::string> peers = heard_b_.story().peers;
  EXPECT_EQ(std::vector(peers.begin(), peers.begin() + 3),
            (std::vector<std::string>{"up 1", "down 1: it connected again", "up 1"}));
}

TEST_P(TransportTest, ConnectLeavesAConnectionAloneThatThePeerOpened) {
  ConnectPair();
  b_->Connect(kA, fabric_->AddressOf(kA));
  b_->Send(kA, Control(1), nullptr);
  a_->Send(kB, Control(1), nullptr);
  ASSERT_TRUE(heard_a_.AwaitMessages(1));
  ASSERT_TRUE(heard_b_.AwaitMessages(1));
  EXPECT_EQ(heard_b_.story().peers, std::vector<std::string>{"up 1"});
}

TEST_P(TransportTest, ClosesTheConnectionToAPeerThatDoesNotRead) {
  a_ = fabric_->Start(kA, heard_a_);
  b_ = fabric_->Start(kB, heard_b_);
  a_->Connect(kB, fabric_->StallableAddressOf(kB));
  ASSERT_TRUE(heard_a_.AwaitUp(kB));
  fabric_->Stall(kA, kB, true);
  const Bytes payload = SomeBytes(20'000'000);
  bool closed = false;
  for (uint64_t number = 0; number < 100 && !closed; ++number) {
    a_->Send(kB, Bulk(number), payload);
    closed = heard_a_.story().Count("down 2: it does not read what is sent to it") > 0;
  }
  EXPECT_TRUE(heard_a_.AwaitLine("down 2: it does not read what is sent to it"));
  fabric_->Stall(kA, kB, false);
  EXPECT_TRUE(heard_a_.Await([](const auto& story) { return story.Count("up 2") == 2; })) << "it gets another chance";
}

TEST_P(TransportTest, ShutsOutWhoIsRevoked) {
  ConnectPair();
  Witness heard_c;
  const auto c = fabric_->Start(kC, heard_c);
  c->Connect(kB, fabric_->AddressOf(kB));
  ASSERT_TRUE(heard_b_.AwaitUp(kC));
  b_->Revoke({kA, NodeId{9}});
  ASSERT_TRUE(heard_b_.AwaitLine("down 1: its certificate is revoked"));
  ASSERT_TRUE(heard_a_.AwaitDown(kB));
  a_->Disconnect(kB, "");
  a_->Connect(kB, fabric_->AddressOf(kB));
  b_->Connect(kA, fabric_->AddressOf(kA));
  // Others come and go meanwhile.
  c->Disconnect(kB, "");
  ASSERT_TRUE(heard_b_.AwaitDown(kC));
  c->Connect(kB, fabric_->AddressOf(kB));
  ASSERT_TRUE(heard_b_.Await([](const auto& story) { return story.Count("up 3") == 2; }));
  EXPECT_EQ(heard_b_.story().Count("up 1"), 1);
  EXPECT_EQ(heard_a_.story().Count("up 2"), 1);
}

TEST_P(TransportTest, CountsBytes) {
  ConnectPair();
  a_->Send(kB, Bulk(1), SomeBytes(1'000'000));
  a_->Send(kB, Control(1), nullptr);
  ASSERT_TRUE(heard_b_.AwaitMessages(2));
  const LinkCounters there = b_->Counters(kA);
  EXPECT_GT(there.received_bytes, 1'000'000);
  EXPECT_LT(there.received_bytes, 1'010'000);
  EXPECT_EQ(b_->Total().received_bytes, there.received_bytes);
  b_.reset();
  ASSERT_TRUE(heard_a_.AwaitDown(kB));
  EXPECT_EQ(a_->Counters(kB).sent_bytes, 0);
  EXPECT_GT(a_->Total().sent_bytes, 1'000'000);
  EXPECT_EQ(a_->Total().queued_bytes, 0);
}

// Many threads, many peers, everybody to everybody.
TEST_P(TransportTest, CarriesTheTalkOfAWholeCluster) {
  constexpr uint32_t kNodes = 6;
  constexpr uint64_t kCount = 20;
  std::array<Witness, kNodes> heard;
  std::array<std::unique_ptr<Transport>, kNodes> nodes;
  for (uint32_t i = 0; i < kNodes; ++i) nodes[i] = fabric_->Start(NodeId{i}, heard[i]);
  for (uint32_t i = 0; i < kNodes; ++i) {
    for (uint32_t peer = 0; peer < i; ++peer) nodes[i]->Connect(NodeId{peer}, fabric_->AddressOf(NodeId{peer}));
  }
  for (const Witness& witness : heard) {
    ASSERT_TRUE(witness.Await([](const auto& story) { return story.peers.size() == kNodes - 1; }));
  }
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kNodes; ++i) {
    threads.emplace_back([&, i] {
      const Bytes payload = SomeBytes(300'000, i);
      for (uint64_t number = 0; number < kCount; ++number) {
        for (uint32_t peer = 0; peer < kNodes; ++peer) {
          if (peer == i) continue;
          nodes[i]->Send(NodeId{peer}, Bulk(number), payload);
          nodes[i]->Send(NodeId{peer}, Control(number), nullptr);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Witness& witness : heard) ASSERT_TRUE(witness.AwaitMessages(2 * kCount * (kNodes - 1)));
  for (const Witness& witness : heard) {
    for (const Witness::Got& got : witness.story().messages) {
      if (got.payload == nullptr) continue;
      EXPECT_TRUE(*got.payload == *SomeBytes(300'000, ToInt(got.from)));
    }
  }
}

// A transport goes while its peers are talking to it, at every moment of a connection's life.
TEST_P(TransportTest, GoesAtAnyMoment) {
  const Bytes payload = SomeBytes(1'000'000);
  for (int round = 0; round < 20; ++round) {
    Witness heard_a, heard_b;
    auto a = fabric_->Start(kA, heard_a);
    auto b = fabric_->Start(kB, heard_b);
    a->Connect(kB, fabric_->AddressOf(kB));
    if (round % 4 != 0) {
      ASSERT_TRUE(heard_a.AwaitUp(kB));
      for (uint64_t number = 0; number < 5; ++number) {
        a->Send(kB, Bulk(number), payload);
        b->Send(kA, Bulk(number), payload);
      }
    }
    ASSERT_TRUE(heard_b.AwaitMessages(round % 4 == 2 ? 1 : 0));
    if (round % 2 == 0) std::swap(a, b);
    a.reset();
    b.reset();
    for (const Witness* heard : {&heard_a, &heard_b}) EXPECT_EQ(heard->story().Count("bad"), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TransportTest,
                         testing::Values(Kind{"Loopback", MakeLoopback}, Kind{"InsecureGrpc", MakeInsecureGrpc},
                                         Kind{"SecureGrpc", MakeSecureGrpc}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace eddl::net
