#include "net/sim/baselines/tree.h"

#include <algorithm>
#include <vector>

#include "net/sim/device.h"
#include "net/sim/event_queue.h"
#include "net/sim/network.h"
#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net::sim {
namespace {

class Tree {
 public:
  explicit Tree(const TreeCase& study);
  TreeResult Run();

 private:
  // Kinds of events, and what their index is.
  static constexpr uint32_t kTick = 0;      // the network's
  static constexpr uint32_t kArrival = 1;   // a message
  static constexpr uint32_t kHandled = 2;   // a message that its leader has folded in or applied
  static constexpr uint32_t kComputed = 3;  // a worker

  enum class Kind : uint8_t { kPush, kPull, kMerge, kMerged };
  struct Message {
    Kind kind = Kind::kPush;
    uint32_t group = 0;
    uint32_t worker = 0;  // of a push or a pull
  };
  struct Worker {
    Device device;
    uint32_t group = 0;
    int64_t epoch = 0;
    int64_t left = 0;   // samples of the epoch
    int64_t batch = 0;  // the one under way; 0: all epochs are done
  };
  struct Group {
    uint32_t first = 0;  // workers [first, end)
    uint32_t end = 0;
    int64_t pushes = 0;  // to come in this round
    int64_t pulls = 0;
    bool whole = false;  // all have a whole batch
    Instant started;
    bool exchanging = false;
    bool last_merged = false;  // its parameters are with the top leader as they are
    Instant exchange_started;
    Instant busy_until;  // its thread
  };

  NodeId Top() const { return NodeId{0}; }
  NodeId SubLeader(uint32_t group) const { return NodeId{group + 1}; }
  NodeId Node(uint32_t worker) const { return NodeId{static_cast<uint32_t>(groups_.size()) + worker + 1}; }
  int64_t ShareOf(uint32_t worker) const;
  void Send(NodeId from, NodeId to, const Message& message);
  void StartBatch(uint32_t worker);
  void StartRound(uint32_t group);
  void StartExchange(uint32_t group);
  void OnArrival(uint32_t index);
  void OnHandled(Message message);

  TreeCase study_;
  EventQueue events_;
  Network network_;
  std::vector<Worker> workers_;
  std::vector<Group> groups_;
  std::vector<Message> messages_;
  Instant top_busy_until_;
  Instant now_;
  TreeResult result_;
  int64_t whole_rounds_ = 0;
};

Tree::Tree(const TreeCase& study) : study_(study), network_(events_, kTick, study.seed) {
  EDDL_CHECK(study.worker_count > 0 && study.group_size > 0 && study.batch_per_worker > 0 && study.epoch_count > 0)
      << study.worker_count << " workers in groups of " << study.group_size << ", batches of " << study.batch_per_worker
      << ", " << study.epoch_count << " epochs";
  EDDL_CHECK(study.sample_count >= study.worker_count) << study.sample_count << " samples for " << study.worker_count;
  for (uint32_t i = 0; i < study.worker_count; ++i) {
    if (i % study.group_size == 0) groups_.push_back({.first = i, .end = i});
    ++groups_.back().end;
    workers_.push_back({.device = Device(study.worker, 1, DeriveSeed(study.seed, i)),
                        .group = static_cast<uint32_t>(groups_.size() - 1)});
  }
  for (size_t i = 0; i <= groups_.size(); ++i) network_.AddNode(study.leader.link, 1);
  for (size_t i = 0; i < workers_.size(); ++i) network_.AddNode(study.worker.link, 1);
}

int64_t Tree::ShareOf(uint32_t worker) const {
  const int64_t n = study_.worker_count;
  return study_.sample_count * (worker + 1) / n - study_.sample_count * worker / n;
}

void Tree::Send(NodeId from, NodeId to, const Message& message) {
  messages_.push_back(message);
  network_.SendBulk(now_, from, to, study_.model_bytes, static_cast<uint32_t>(messages_.size() - 1));
}

void Tree::StartBatch(uint32_t index) {
  Worker& worker = workers_[index];
  if (worker.left == 0 && worker.epoch < study_.epoch_count) {
    ++worker.epoch;
    worker.left = ShareOf(index);
  }
  worker.batch = std::min(worker.left, study_.batch_per_worker);
  worker.left -= worker.batch;
  if (worker.batch > 0) events_.Push(now_ + worker.device.Compute(now_, worker.batch), kComputed, index);
}

void Tree::StartRound(uint32_t index) {
  Group& group = groups_[index];
  group.started = now_;
  group.whole = true;
  for (uint32_t worker = group.first; worker < group.end; ++worker) {
    StartBatch(worker);
    group.pushes += workers_[worker].batch > 0 ? 1 : 0;
    group.whole = group.whole && workers_[worker].batch == study_.batch_per_worker;
  }
}

void Tree::StartExchange(uint32_t index) {
  Group& group = groups_[index];
  if (group.exchanging) return;
  group.exchanging = group.last_merged = true;
  group.exchange_started = now_;
  Send(SubLeader(index), Top(), {.kind = Kind::kMerge, .group = index});
}

void Tree::OnArrival(uint32_t index) {
  const Message& message = messages_[index];
  if (message.kind == Kind::kPull) return OnHandled(message);
  Instant& busy_until = message.kind == Kind::kMerge ? top_busy_until_ : groups_[message.group].busy_until;
  const DeviceSpec& leader = study_.leader;
  busy_until = std::max(now_, busy_until) +
               FromSeconds(leader.seconds_per_message + leader.seconds_per_byte * study_.model_bytes);
  events_.Push(busy_until, kHandled, index);
}

void Tree::OnHandled(Message message) {
  const uint32_t index = message.group;
  Group& group = groups_[index];
  switch (message.kind) {
    case Kind::kPush:
      if (--group.pushes > 0) return;
      for (uint32_t worker = group.first; worker < group.end; ++worker) {
        if (workers_[worker].batch == 0) continue;
        ++group.pulls;
        Send(SubLeader(index), Node(worker), {.kind = Kind::kPull, .group = index, .worker = worker});
      }
      return;
    case Kind::kPull:
      if (--group.pulls > 0) return;
      ++result_.cycles;
      if (group.whole) {
        ++whole_rounds_;
        result_.cycle_seconds += (now_ - group.started).seconds();
      }
      group.last_merged = false;
      StartExchange(index);
      return StartRound(index);
    case Kind::kMerge:
      return Send(Top(), SubLeader(index), {.kind = Kind::kMerged, .group = index});
    case Kind::kMerged:
      ++result_.exchanges;
      result_.exchange_seconds += (now_ - group.exchange_started).seconds();
      group.exchanging = false;
      // What the last round made must get there too.
      if (group.pushes == 0 && group.pulls == 0 && !group.last_merged) StartExchange(index);
      return;
  }
}

TreeResult Tree::Run() {
  for (uint32_t group = 0; group < groups_.size(); ++group) StartRound(group);
  std::vector<Network::Arrival> arrivals;
  while (!events_.empty()) {
    const EventQueue::Entry event = events_.Pop();
    now_ = event.at;
    if (event.kind == kComputed) {
      const uint32_t group = workers_[event.index].group;
      Send(Node(event.index), SubLeader(group), {.kind = Kind::kPush, .group = group, .worker = event.index});
    } else if (event.kind == kArrival) {
      OnArrival(event.index);
    } else if (event.kind == kHandled) {
      OnHandled(messages_[event.index]);
    } else {
      arrivals.clear();
      network_.OnTick(now_, event.index, arrivals);
      for (const Network::Arrival& arrival : arrivals) events_.Push(arrival.at, kArrival, arrival.token);
    }
  }
  result_.seconds = (now_ - Instant{}).seconds();
  if (whole_rounds_ > 0) result_.cycle_seconds /= static_cast<double>(whole_rounds_);
  if (result_.exchanges > 0) result_.exchange_seconds /= static_cast<double>(result_.exchanges);
  return result_;
}

}  // namespace

TreeResult RunTree(const TreeCase& study) { return Tree(study).Run(); }

}  // namespace eddl::net::sim
