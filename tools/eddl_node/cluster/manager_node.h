// ManagerNode: the manager of a cluster, for real: the Manager machine with a clock, a network, a journal and a disk.
//
// The driver of net/node's contract, as MemberNode is for members. It decides nothing, but for one fact that only it
// can find out: whether a device that says it can lead is reached by dialling back. Threads: the loop (whoever calls
// Run), the journal's, the checkpoint keeper's, a few for dialling back, the transport's.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "net/node/manager.h"
#include "net/transport/transport.h"
#include "runtime/base/status.h"
#include "runtime/train/trainer.h"
#include "tools/eddl_node/cluster/checkpoint_keeper.h"
#include "tools/eddl_node/cluster/dial_back.h"
#include "tools/eddl_node/cluster/journal_file.h"
#include "tools/eddl_node/cluster/loop.h"
#include "tools/eddl_node/cluster/member_registry.h"
#include "tools/eddl_node/cluster/run_progress.h"
#include "tools/eddl_node/history/run_watch.h"
#include "tools/eddl_node/vitals/node_vitals.h"

namespace eddl::cluster {

// How many past events are kept for `why`, and sent with `status`.
constexpr size_t kEventsKept = 1000;
// A stop waits so long for a last checkpoint, and for a disk that takes nothing.
constexpr Duration kStopPatience{30'000'000'000};
// What of the members could not be saved is tried again so often.
constexpr Duration kSaveMembersAgain{5'000'000'000};
// So long a question of a person waits for its turn.
constexpr Duration kAskPatience{10'000'000'000};
// So long rows that come wait for nodes to agree on a view, and so often they are tried.
constexpr Duration kGrowPatience{60'000'000'000};
constexpr absl::Duration kGrowPause = absl::Milliseconds(100);
// Between two samples for the run's history.
constexpr Duration kSamplePeriod{500'000'000};

// The topic of what disks do not take.
inline constexpr char kDiskTopic[] = "disk";

// Something that happened, for people.
struct ClusterEvent {
  double seconds = 0;  // since this process began to manage
  std::string topic;   // "view", "plan", "node 3", "checkpoint"
  std::string text;
};

// What the command that runs a manager is told. Called on the loop's thread, but for on_trouble.
struct ManagerObserver {
  std::function<void(const StepReport&)> on_step;
  std::function<void(const EpochReport&, const Checkpoint& model)> on_epoch;
  std::function<void(int64_t samples)> on_growth;  // entries came: what the job has now, in all epochs
  std::function<void(const ClusterEvent&)> on_event;
  // Of topic kDiskTopic, at once and from any thread: it may be what the loop waits for. on_event follows.
  std::function<void(const ClusterEvent&)> on_trouble;
  std::function<void(const RunSample&)> on_sample;  // every kSamplePeriod
};

struct ManagerNodeOptions {
  net::ManagerOptions manager;
  int64_t epochs = 1;
  std::string record_path;  // as in MemberNodeOptions
  Duration stop_patience = kStopPatience;
  Duration dial_wait_max = kDialWaitMax;  // as DialBack's
};

// How a job ended.
struct ManagerEnd {
  bool finished = false;  // else it was stopped, or can't go on
  std::string why;
  std::optional<SavedCheckpoint> last;      // the newest checkpoint that was saved, and its test if that was over
  std::shared_ptr<const Checkpoint> model;  // what it holds
};

class ManagerNode final : public net::TransportObserver {
 public:
  // `keeper`, `registry` and `journal` outlive the node.
  ManagerNode(ManagerNodeOptions options, MemberRegistry& registry, ManagerObserver observer, DialBack::Dial dial_back);
  ~ManagerNode() override;

  // Until the job is over. `stop` true: takes a checkpoint and ends; without one if it can't be had, or the disk does
  // not take it, for as long as the options say.
  // `seconds_before`: of training, of earlier parts of the run; `epochs_reported`: by those.
  ManagerEnd Run(net::Transport& transport, JournalFile& journal, CheckpointKeeper& keeper, double seconds_before,
                 int64_t epochs_reported, const std::atomic<bool>& stop);

  // From other threads: run on the loop, the answer is waited for. kUnavailable once the loop has ended.
  absl::StatusOr<nlohmann::ordered_json> Status();
  absl::StatusOr<nlohmann::ordered_json> Why(net::NodeId node);
  // The node is asked to go, as if its owner had pressed Ctrl-C there.
  absl::Status AskToLeave(net::NodeId node);
  // The node gets no leases until it is asked to go on, as if its owner needed it; node 0: all of them, also those that
  // are still to come. kNotFound: it is not here.
  absl::Status AskToPause(net::NodeId node, bool pause);
  // What the node alone has, if it has brought any.
  absl::StatusOr<std::optional<net::DataBlock>> BlockOf(net::NodeId node);
  // The node has so many rows for itself; as AddBlock, but the same rows once more change nothing, and nobody waits:
  // none is returned while the moment does not suit, and the rows come when it does. It may be this very node that the
  // others wait for. kFailedPrecondition: it has brought others before. kInvalidArgument: none, or too many.
  absl::StatusOr<std::optional<net::DataBlock>> Bring(net::NodeId node, int64_t row_count, uint64_t hash);
  // Rows come to the training set; waits for a moment that suits. `keep` makes them last, before the journal says that
  // they are there; it is called on the loop's thread. Returns the block as it is now part of the job.
  // kFailedPrecondition: no epoch is left to use them; kResourceExhausted: the job has as many as it may; kUnavailable:
  // nodes were agreeing on a view all the while.
  absl::StatusOr<net::DataBlock> AddBlock(int64_t row_count, uint64_t hash, net::NodeId owner,
                                          const std::function<absl::Status(const net::DataBlock&)>& keep);
  // Called on the loop's thread ten times a second. Before Run.
  void set_on_tick(std::function<void(Instant)> on_tick) { on_tick_ = std::move(on_tick); }
  // What a member says of its machine. Thread-safe.
  void OnVitals(net::NodeId node, const NodeVitals& vitals);
  void Stop();

  // For the keeper and the journal; thread-safe.
  void OnSaved(const SavedCheckpoint& saved, std::shared_ptr<const Checkpoint> model);
  void OnTested(net::Version version, const absl::StatusOr<BatchSums>& sums);
  void OnDurable(net::Version below);
  void OnTrouble(const std::string& text);
  // Somebody was turned away; thread-safe.
  void OnRefused(const std::string& text);

  void OnPeerUp(net::NodeId peer) override;
  void OnPeerDown(net::NodeId peer, const std::string& why) override;
  void OnMessage(net::NodeId from, net::Message message, net::Bytes payload, bool intact) override;
  void OnDirectory(net::NodeId from, net::Directory directory) override;
  void OnDataBlocks(net::NodeId from, net::DataBlocks blocks) override;
  void OnBadPeer(net::NodeId peer, const std::string& why) override;

 private:
  struct Peer {
    bool up = false;
    bool told_bye = false;
    uint64_t directory_generation = 0;  // that it was told
    size_t block_count = 0;             // likewise
    Instant last_heard;
    int32_t bad_count = 0;
    std::string reached_late;           // an address; its next Hello counts with it, without another dial
    bool dialled_late = false;          // it was let in as one that can't lead, until it is tried
    std::optional<net::Message> hello;  // waits for the dial
    NodeVitals vitals;
    Instant vitals_at;
  };

  // Opens the record, if there is to be one; rates that the machine asks for are written there, too.
  net::ManagerOptions WithRecord(net::ManagerOptions options);
  void Handle(const net::Event& event);
  void Take(net::NodeId from, net::Message message, const net::Bytes& payload, bool intact);
  void TakeHello(net::NodeId from, net::Message message);
  void OnDialled(net::NodeId node, const std::string& address, Dialled result);
  // When it was let in before.
  void OnDialledLate(net::NodeId node, const std::string& address, bool reached);
  void Revoke(net::NodeId node);
  // What could not be saved when it changed.
  void SaveMembers(Instant now);
  void OnDriverTimer();
  // Whether somebody wants it to end, as any thread may ask.
  bool IsStopping() const { return stop_asked_ || stop_->load(); }
  void BeginStop();
  // The job is over here: empty: it is finished. What devices are told: empty: so it is for them.
  void End(const std::string& why, const std::string& goodbye);
  // Nothing may be told any more of what the machine did last.
  void GiveUp(const std::string& why, const std::string& goodbye);
  // To all who are connected and were not told.
  void SayGoodbye();
  // After the loop: what is being saved and tested, for as long as it may take.
  void AwaitKeeper();
  void AddEvent(const std::string& topic, const std::string& text);
  // The journal's word, and the checkpoint whose test was not over when an earlier process ended.
  net::Started Restore(const net::Started& started);
  // Tests that wait for their checkpoint, and checkpoints that wait for the end of their test.
  void SettleTests();
  // Checkpoints whose file is on disk, when the journal's word of them is, too.
  void SettleSaved();
  void ReportEpochs(net::Version version, const std::optional<BatchSums>& test, const Checkpoint& model);

  void CarryOut(net::Actions& actions);
  void Do(net::Send& action);
  void Do(net::Multicast& action);
  void Do(const net::SetTimer& action);
  void Do(const net::Release& action);
  void Do(const net::Journal& action);
  void Do(const net::JournalView& action);
  void Do(const net::JournalStart& action);
  void Do(const net::Checkpointed& action);
  void Do(const net::JournalBlock& action);
  void Do(const net::TestHere& action);
  void Do(const net::Evaluated& action);
  void Do(const net::JournalEpoch& action);
  void Do(const net::JournalAway& action);
  void Do(const net::EpochsOver& action);
  void Do(const net::Explain& action);
  void Do(const net::Halt& action);
  // A member's: never the manager's. A part of a checkpoint is made when it is sent.
  template <typename Other>
  void Do(const Other&) {}
  void SendOne(net::NodeId to, const net::Message& message);
  // To a node that does not know the newest.
  void TellDirectory(net::NodeId to);
  // Nothing of what it says may be told if it is not on disk.
  void CheckDurable(const absl::Status& appended);
  // What came to the data, to a node that does not know all of it.
  void TellBlocks(net::NodeId to);
  void TellGrowth();
  struct Growth {
    absl::Status status;
    std::optional<net::DataBlock> block;  // none if the rows can't be added just now
  };
  // What nodes brought while the moment did not suit.
  void TryBrought();
  Growth TryAddBlock(net::DataBlock block, const std::function<absl::Status(const net::DataBlock&)>& keep);

  // manager_sample.cc: what the run's history is made of.
  void Watch(Instant now);
  // At the last checkpoint that was tested; unknown before.
  double TestAccuracy() const;
  RunSample Sample(Instant now) const;
  DeviceSample SampleOf(const MemberInfo& info, Instant now) const;
  // Pauses a node that a person wants to be paused: its own beats say otherwise.
  void OverrideBeat(net::NodeId from, net::Message& message) const;
  // kUnknown if they are too old.
  NodeVitals VitalsNow(net::NodeId node, Instant now) const;
  double PredictedRate() const;

  bool IsPausedByPerson(net::NodeId node) const { return all_paused_ || paused_.contains(node); }

  nlohmann::ordered_json StatusJson() const;
  nlohmann::ordered_json MemberJson(const MemberInfo& info, Instant now) const;
  nlohmann::ordered_json WhyJson(net::NodeId node) const;
  template <typename T>
  absl::StatusOr<T> Ask(std::function<T()> question);

  ManagerNodeOptions options_;
  MemberRegistry& registry_;
  ManagerObserver observer_;
  std::function<void(Instant)> on_tick_;
  Loop loop_;
  std::ofstream record_;
  net::Manager manager_;
  RunProgress progress_;
  RunWatch watch_;
  Instant sampled_at_;
  std::optional<RunSample> last_sample_;  // of a job that is over
  bool all_paused_ = false;               // by a person
  std::set<net::NodeId> paused_;          // likewise
  net::Transport* transport_ = nullptr;
  JournalFile* journal_ = nullptr;
  CheckpointKeeper* keeper_ = nullptr;
  const std::atomic<bool>* stop_ = nullptr;
  std::atomic<bool> stop_asked_ = false;
  std::atomic<Instant> begin_;
  std::map<net::NodeId, Peer> peers_;
  std::map<net::NodeId, net::DataBlock> brought_;  // not part of the job yet
  std::map<net::Payload, net::Bytes> payloads_;    // parts of checkpoints that just came
  uint64_t payload_count_ = 0;
  std::deque<ClusterEvent> events_;
  std::map<net::Version, int64_t> epoch_ends_;  // versions with which so many epochs were over, not reported yet
  int64_t epochs_reported_ = 0;
  int64_t saving_ = 0;  // checkpoints on their way to disk
  struct Saved {
    SavedCheckpoint checkpoint;
    std::shared_ptr<const Checkpoint> model;
  };
  std::map<net::Version, Saved> written_;      // which the journal's file does not name yet
  std::map<net::Version, Saved> saved_;        // whose test may still be under way
  std::map<net::Version, BatchSums> results_;  // of tests whose checkpoint is on its way to disk
  std::set<net::Version> tests_here_;          // which this device has to do, once the checkpoint is on disk
  std::set<net::Version> failed_tests_;        // of those
  std::optional<net::Version> newest_saved_;
  bool members_unsaved_ = false;
  Instant members_tried_;
  bool over_ = false;
  bool given_up_ = false;
  Instant over_since_;
  Instant stopping_since_{-1};  // as a person asked; < 0: nobody did
  std::string goodbye_;
  ManagerEnd end_;

  DialBack dial_back_;  // last: its threads use the others
};

template <typename T>
absl::StatusOr<T> ManagerNode::Ask(std::function<T()> question) {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> answer = promise->get_future();
  loop_.Post([promise, question = std::move(question)] { promise->set_value(question()); });
  if (answer.wait_for(std::chrono::nanoseconds(kAskPatience.ns)) == std::future_status::ready) return answer.get();
  return Unavailable("the manager is busy or at its end; try again");
}

}  // namespace eddl::cluster
