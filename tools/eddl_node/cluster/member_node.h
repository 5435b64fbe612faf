// MemberNode: one device of a cluster, for real: the Member machine with a clock, a network, bytes and a processor.
//
// The driver of net/node's contract: every event goes in through Handle on the loop's thread, and the actions that come
// out are carried out in order: messages by the transport, bytes by the TensorStore, leases by the LeaseRunner. Decides
// nothing. Threads: the loop (whoever calls Run), the runner's, one that reads test
// rows, the transport's.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "net/node/member.h"
#include "net/policy/link_backlog.h"
#include "net/transport/transport.h"
#include "tools/eddl_node/cluster/interface_counters.h"
#include "tools/eddl_node/cluster/lease_runner.h"
#include "tools/eddl_node/cluster/link_meter.h"
#include "tools/eddl_node/cluster/link_probe.h"
#include "tools/eddl_node/cluster/loop.h"
#include "tools/eddl_node/cluster/owner_load.h"
#include "tools/eddl_node/cluster/tensor_store.h"
#include "tools/eddl_node/cluster/test_row_reader.h"
#include "tools/eddl_node/log/log.h"
#include "tools/eddl_node/trace/span_log.h"

namespace eddl::cluster {

// Bulk messages of a view that has not started here are kept, of each peer: it sends a few at most.
constexpr int64_t kEarlyOfPeerMax = 32;
// How long a node that wants to go waits for the manager's goodbye, if it holds nothing that may be nowhere else, or if
// the manager has gone; and after how long it says that it waits.
constexpr Duration kLeavePatience{15'000'000'000};
constexpr Duration kLeaveQuiet{2'000'000'000};

struct MemberNodeOptions {
  net::NodeId self{};
  net::Capabilities capabilities;
  std::string manager_address;
  Duration beat_period{500'000'000};
  std::string record_path;                     // every event and a hash of its answer, for eddl-sim replay; empty: none
  Duration manager_patience{600'000'000'000};  // without the manager, then it goes
  double owner_load_max = 0;  // cores that the device's owner may use before training pauses; 0: it never does
  const Log* log = nullptr;   // what it does, at level debug; null: nowhere. Outlives the node
  SpanLog* spans = nullptr;   // where to say what was done when; null: nowhere. Outlives the node
};

// Where a node stands, for its console.
struct MemberStatus {
  bool connected = false;    // to the manager
  uint64_t connections = 0;  // to the manager, so far
  bool active = false;       // in a view that has started
  bool leads = false;
  bool paused = false;
  int64_t samples = 0;  // that this process has computed
  int64_t leases = 0;
  uint64_t version = 0;  // newest that it has whole
  std::string last_error;
};

class MemberNode final : public net::TransportObserver {
 public:
  // The store and the runner belong to the node's replica and data (lease_runner.h), which outlive it. `on_status` is
  // called on the loop's thread about once a second.
  MemberNode(const MemberNodeOptions& options, std::unique_ptr<TensorStore> store, Replica& replica,
             SampleSource& samples, const LeaseRunnerOptions& runner,
             std::function<void(const MemberStatus&)> on_status);
  ~MemberNode() override;

  // Connects to the manager through `transport` (whose observer this is) and takes part until the manager says goodbye.
  // `stop` true: leaves cleanly; true a second time or no answer: just goes. Returns why it ended; empty: the job is
  // over or it wanted to go. kDataLoss, kInternal: the device or the data failed for good.
  absl::StatusOr<std::string> Run(net::Transport& transport, const std::atomic<bool>& stop);

  // What probes of the link have found; from any thread.
  void SetLink(const LinkEstimate& estimate);

  void OnPeerUp(net::NodeId peer) override;
  void OnPeerDown(net::NodeId peer, const std::string& why) override;
  void OnMessage(net::NodeId from, net::Message message, net::Bytes payload, bool intact) override;
  void OnArriving(net::NodeId from, const net::Message& message, uint64_t offset,
                  std::span<const std::byte> chunk) override;
  void OnDirectory(net::NodeId from, net::Directory directory) override;
  void OnDataBlocks(net::NodeId from, net::DataBlocks blocks) override;
  void OnBadPeer(net::NodeId peer, const std::string& why) override;

 private:
  struct Incoming {
    net::NodeId from{};
    net::Message message;
    net::Bytes payload;
    bool intact = true;
  };

  // Waits until the link is free.
  struct Outgoing {
    Instant due;
    net::NodeId to{};
    net::Message message;
    net::Bytes bytes;
  };

  void Handle(const net::Event& event);
  void Record(Instant now, const net::Event& event, const net::Actions& actions);
  // After an event that may have started a view: its map, for bytes and connections.
  void EnterView(const net::Event& event);
  void ConnectPeers(const net::ShardMap& map);
  void Take(Incoming incoming);
  void TakeEarly();
  void Deliver(Incoming incoming);
  // What is here of a publish, before and when it is whole.
  void TakeChunk(net::NodeId from, const net::Message& message, uint64_t offset, std::span<const std::byte> chunk);
  // Begins the lease that will be computed once the version that arrives is here, or drops what began so and won't be.
  // A matter of time alone: the brain knows nothing of it.
  void ComputeAhead();
  // Rows of a lease are fetched as soon as it is granted; it is computed when its base is here.
  void Prefetch(const net::Grant& grant);
  // Before a lease of test samples is told: the device is not held up by rows that are still to come.
  void AwaitTestRows(const net::Grant& grant);
  // Test rows that nobody waits for any more are not fetched.
  void DropTestRows(const net::Body& body);
  void TakeBlocks(const net::DataBlocks& blocks);
  // What passed this node's link until now.
  void MeterLink(Instant now);
  void OnDriverTimer();
  // A node that wants to go waits, still.
  bool MayStay(Instant now);
  void OnResult(LeaseResult result);
  void Fail(const absl::Status& status);
  // `text` makes the line, if it is wanted.
  template <typename Text>
  void Debug(const Text& text) const {
    if (options_.log != nullptr && options_.log->Has(LogLevel::kDebug)) options_.log->Debug(text());
  }
  // What the loop's thread has done since `begin`.
  void AddSpan(NodeSpan::Kind kind, net::Version round, Instant begin);

  void CarryOut(net::Actions& actions);
  void Do(net::Send& action);
  void Do(net::Multicast& action);
  void Do(const net::SetTimer& action);
  void Do(const net::Compute& action);
  void Do(const net::Abandon& action);
  void Do(const net::Merge& action);
  void Do(const net::Release& action);
  void Do(const net::Adopt& action);
  void Do(const net::Discard& action);
  void Do(const net::Fold& action);
  void Do(const net::ClearFold& action);
  void Do(const net::Seal& action);
  void Do(const net::Apply& action);
  void Do(const net::ApplyBackup& action);
  void Do(const net::Rollback& action);
  void Do(const net::Forget& action);
  void Do(const net::Snapshot& action);
  void Do(const net::Export& action);
  void Do(const net::Load& action);
  void Do(const net::Explain& action);
  void Do(const net::Halt& action);
  // A manager's: never a member's.
  void Do(const net::Journal&) {}
  void Do(const net::JournalView&) {}
  void Do(const net::JournalStart&) {}
  void Do(const net::Checkpointed&) {}
  void Do(const net::EpochsOver&) {}
  void Do(const net::JournalBlock&) {}
  void Do(const net::TestHere&) {}
  void Do(const net::Evaluated&) {}
  void Do(const net::JournalEpoch&) {}
  void Do(const net::JournalAway&) {}
  void SendOne(net::NodeId to, const net::Message& message);
  // What somebody waits for at once; else when the link has sent that.
  void SendBytes(net::NodeId to, const net::Message& message, net::Bytes bytes);
  // Of a message with bytes.
  void SendTraced(net::NodeId to, const net::Message& message, net::Bytes bytes);
  void SendBackground();
  // What the link carries at least, by a probe and by what was seen to pass since.
  LinkRates Carries(LinkRates probed) const;
  // For the manager: zeros, as long as no probe is believed.
  LinkRates LinkToTell() const;

  MemberNodeOptions options_;
  std::unique_ptr<TensorStore> store_;
  SampleSource& samples_;
  SampleSource* const tests_;  // null: no test samples come here
  const net::TestSet test_set_;
  const net::LedgerOptions ledger_options_;
  net::Ledger ledger_;  // which samples a lease is of
  std::function<void(const MemberStatus&)> on_status_;
  Loop loop_;
  net::Member member_;
  LeaseRunner runner_;                          // after the loop, which its thread posts to
  std::unique_ptr<TestRowReader> test_reader_;  // likewise; null: no test samples come here
  net::Transport* transport_ = nullptr;
  const std::atomic<bool>* stop_ = nullptr;
  net::Directory directory_;
  std::set<net::NodeId> dialled_;
  net::ShardMap map_;
  std::vector<Incoming> early_;
  std::unique_ptr<InterfaceCounters> interface_;  // over which the manager is reached; null: not known
  LinkMeter meter_;
  LinkEstimate link_;
  net::LinkBacklog backlog_;
  // Begun before the brain asked for it.
  struct Ahead {
    net::Grant grant;
    std::shared_ptr<const std::vector<float>> base;
  };
  std::optional<Ahead> ahead_;
  std::deque<Outgoing> background_;
  OwnerLoad owner_load_;
  bool paused_ = false;
  bool connected_ = false;
  Instant leave_asked_{-1};  // < 0: it is to stay
  Instant leaving_since_;    // since then its patience runs
  bool leave_said_ = false;
  Instant alone_since_{-1};  // without the manager; < 0: with it
  Instant last_second_;
  MemberStatus status_;
  absl::Status failure_;
  std::string goodbye_;
  std::ofstream record_;
};

}  // namespace eddl::cluster
