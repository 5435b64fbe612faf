// What only the loopback does: the same in every run, over links with delay and bandwidth, and with faults on order.
#include "net/transport/loopback.h"

#include <gtest/gtest.h>

#include "tests/net/transport/witness.h"

namespace eddl::net {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};

Message Control(uint64_t number) { return {.view = View{1}, .body = Pull{.have = Version{number}}}; }
Message Bulk() { return {.view = View{1}, .body = Push{.round = Version{1}, .samples = 5}}; }
Bytes Zeros(size_t size) { return std::make_shared<const std::vector<std::byte>>(size); }

// Pull, Push and Directory as they came, and what happened to the peers, by the network's clock.
class Diary final : public TransportObserver {
 public:
  explicit Diary(LoopbackNetwork& network) : network_(network) {}

  void OnPeerUp(NodeId) override { Write("up"); }
  void OnPeerDown(NodeId, const std::string& why) override { Write("down: " + why); }
  void OnMessage(NodeId, Message message, Bytes, bool intact) override {
    Write(NameOf(message.body) + (intact ? "" : " damaged"));
  }
  void OnDirectory(NodeId, Directory) override { Write("Directory"); }
  void OnDataBlocks(NodeId, DataBlocks) override { Write("DataBlocks"); }
  void OnBadPeer(NodeId, const std::string& why) override { Write("bad: " + why); }

  // "1250 Pull": milliseconds since the start. The clock is asked from outside, as observers must not.
  std::string Read() {
    std::string text;
    while (network_.Pump()) {
      for (const std::string& line : lines_) text += std::to_string(network_.now().ns / 1'000'000) + " " + line + "\n";
      lines_.clear();
    }
    return text;
  }

 private:
  void Write(std::string line) { lines_.push_back(std::move(line)); }

  LoopbackNetwork& network_;
  std::vector<std::string> lines_;
};

class LoopbackTest : public testing::Test {
 protected:
  void Connect() {
    a_->Connect(kB, LoopbackNetwork::AddressOf(kB));
    ASSERT_EQ(diary_.Read(), "0 up\n");
  }

  std::unique_ptr<LoopbackNetwork> network_ = LoopbackNetwork::Make(LoopbackNetwork::Clock::kManual);
  Diary diary_{*network_};  // of b
  Witness heard_a_;
  std::unique_ptr<Transport> a_ = network_->Add(kA, heard_a_);
  std::unique_ptr<Transport> b_ = network_->Add(kB, diary_);
};

TEST_F(LoopbackTest, DoesNothingUntilItIsPumped) {
  a_->Connect(kB, LoopbackNetwork::AddressOf(kB));
  EXPECT_TRUE(heard_a_.story().peers.empty());
  EXPECT_EQ(diary_.Read(), "0 up\n");
  a_->Send(kB, Control(1), nullptr);
  EXPECT_GT(a_->Counters(kB).queued_bytes, 0);
  EXPECT_EQ(diary_.Read(), "0 Pull\n");
  EXPECT_EQ(a_->Counters(kB).queued_bytes, 0);
  EXPECT_FALSE(network_->Pump());
}

TEST_F(LoopbackTest, TakesTheTimeOfItsLinks) {
  Connect();
  network_->SetLink(kA, kB, {.delay = Seconds(0.1), .bytes_per_second = 1e6});
  network_->SetLink(kB, kA, {.delay = Seconds(0.2)});
  a_->Send(kB, Bulk(), Zeros(1'000'000));
  a_->Send(kB, Bulk(), Zeros(500'000));
  // Behind the one frame that is on its way.
  a_->Send(kB, Control(1), nullptr);
  EXPECT_EQ(diary_.Read(), "362 Pull\n1100 Push\n1600 Push\n");
  EXPECT_EQ(a_->Counters(kB).round_trip, Seconds(0.3));
  EXPECT_EQ(b_->Counters(kA).round_trip, Seconds(0.3));
  b_->Send(kA, Control(1), nullptr);
  EXPECT_EQ(diary_.Read(), "");
  EXPECT_EQ(heard_a_.story().messages.size(), 1u);
}

TEST_F(LoopbackTest, KeepsTheOrderWhenALinkGetsFaster) {
  Connect();
  network_->SetLink(kA, kB, {.delay = Seconds(1)});
  a_->Send(kB, Control(1), nullptr);
  network_->Pump();
  network_->SetLink(kA, kB, {});
  a_->Send(kB, Directory());
  EXPECT_EQ(diary_.Read(), "1000 Pull\n1000 Directory\n");
}

TEST_F(LoopbackTest, LosesWhatIsUnderWayWhenALinkBreaks) {
  Connect();
  network_->SetLink(kA, kB, {.delay = Seconds(1)});
  a_->Send(kB, Control(1), nullptr);
  network_->Pump();
  network_->Break(kA, kB);
  a_->Send(kB, Control(2), nullptr);
  b_->Connect(kA, LoopbackNetwork::AddressOf(kA));
  EXPECT_EQ(heard_a_.story().peers, (std::vector<std::string>{"up 2", "down 2: the connection was lost"}));
  diary_.Read();
  EXPECT_EQ(heard_a_.story().peers.size(), 2u);
  network_->Heal(kA, kB);
  EXPECT_EQ(diary_.Read(), "1000 up\n");
  a_->Send(kB, Directory());
  EXPECT_EQ(diary_.Read(), "2000 Directory\n");
}

TEST_F(LoopbackTest, DamagesAPayloadOnOrder) {
  Connect();
  network_->DamageNext(kA, kB, LoopbackNetwork::Part::kChunk);
  a_->Send(kB, Control(1), nullptr);
  a_->Send(kB, Bulk(), Zeros(600'000));
  a_->Send(kB, Bulk(), Zeros(600'000));
  EXPECT_EQ(diary_.Read(), "0 Pull\n0 Push damaged\n0 Push\n");
}

TEST_F(LoopbackTest, PartsFromAPeerWhoseFramesAreWrongAndComesBack) {
  Connect();
  network_->DamageNext(kA, kB, LoopbackNetwork::Part::kHeader);
  a_->Send(kB, Control(1), nullptr);
  EXPECT_EQ(diary_.Read(), "0 bad: bytes that are no frame\n0 down: bytes that are no frame\n0 up\n");
  EXPECT_EQ(heard_a_.story().peers, (std::vector<std::string>{"up 2", "down 2: bytes that are no frame", "up 2"}));
}

}  // namespace
}  // namespace eddl::net
