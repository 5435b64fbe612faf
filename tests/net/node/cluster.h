// Cluster: a manager and members on one queue of messages, for stories about the state machines.
//
// Messages arrive in the order of sending, a tenth of a millisecond apart; computing takes no time. A test stops it at
// an event, breaks something, and lets it go on. Delivery orders and faults at random are the business of the model
// checker and the simulator.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "net/node/manager.h"
#include "net/node/member.h"

namespace eddl::net {

class Cluster {
 public:
  struct Options {
    uint32_t workers = 2;  // nodes 1, 2, …; they can't lead
    uint32_t leaders = 2;  // the nodes after them; they can't work
    Mode mode = Mode::kSync;
    double link_bytes_per_second = 0;  // that all say they have, both ways; messages take no longer
    ManagerOptions manager = {.ledger = {.sample_count = 96, .micro_batch_size = 4, .epoch_count = 1},
                              .batch_size = 16,
                              .parameter_count = 100,
                              .stripe_count = 8};
  };

  explicit Cluster(Options options) : options_(std::move(options)), members_(1 + options_.workers + options_.leaders) {
    options_.manager.workers_min = options_.workers;
    options_.manager.leaders_min = options_.leaders;
    options_.manager.planner.mode = options_.mode;
    for (uint32_t i = 1; i <= options_.leaders; ++i) {
      options_.manager.planner.leaders.push_back({NodeId{options_.workers + i}, 1.0 / options_.leaders});
    }
    StartManager({});
    for (uint32_t i = 1; i < members_.size(); ++i) Join(i);
  }

  // Delivers until nothing is under way and the job is over, `done` says so, or a million events have passed (false).
  bool Run(const std::function<bool()>& done = [] { return false; }) {
    for (int i = 0; i < 1'000'000 && !over_; ++i) {
      if (done()) return true;
      if (!Deliver()) FireTimer();
    }
    return over_;
  }
  bool RunToVersion(uint64_t version) {
    return Run([&] { return manager_ != nullptr && manager_->version() >= Version{version}; });
  }

  void StartManager(const Started& started) {
    manager_ = std::make_unique<Manager>(options_.manager);
    Handle(0, started);
  }
  void Join(uint32_t node) {
    members_[node] = std::make_unique<Member>(
        MemberOptions{.self = NodeId{node},
                      .capabilities = {.can_work = node <= options_.workers,
                                       .can_lead = node > options_.workers,
                                       .up_bytes_per_second = options_.link_bytes_per_second,
                                       .down_bytes_per_second = options_.link_bytes_per_second}});
    Handle(node, PeerUp{kManager});
  }
  // The process is gone, and with it all that was on its way from and to it.
  void Crash(uint32_t node) {
    std::erase_if(queue_, [&](const auto& item) { return item.first == node || IsFrom(item.second, node); });
    timers_.erase(node);
    node == 0 ? manager_.reset() : members_[node].reset();
    for (uint32_t i = 0; i < members_.size(); ++i) {
      if (i != node && Alive(i)) Handle(i, PeerDown{.node = NodeId{node}, .why = "its process ended"});
    }
  }
  // What the journal says; `lost`: so many of its last records were not on disk yet.
  void RestartManager(size_t lost, Version untested = {}) {
    Started started = journal_;
    started.untested = untested;
    started.records.resize(started.records.size() - lost);
    journal_ = started;
    StartManager(started);
    for (uint32_t i = 1; i < members_.size(); ++i) {
      if (Alive(i)) Handle(i, PeerUp{kManager});
    }
  }
  void Handle(uint32_t node, const Event& event) {
    Actions actions;
    node == 0 ? manager_->Handle(now_, event, actions) : members_[node]->Handle(now_, event, actions);
    for (const Action& action : actions) CarryOut(node, action);
  }

  bool Alive(uint32_t node) const { return node == 0 ? manager_ != nullptr : members_[node] != nullptr; }
  const Manager& manager() const { return *manager_; }
  const Member& member(uint32_t node) const { return *members_[node]; }
  const Started& journal() const { return journal_; }
  bool over() const { return over_; }
  Instant now() const { return now_; }
  const std::string& why() const { return why_; }
  // Micro-batches in computations so far, repeated ones counted again.
  int64_t computed(uint32_t node) const { return computed_.contains(node) ? computed_.at(node) : 0; }
  // Likewise of test samples, and the tests that are over.
  int64_t tested(uint32_t node) const { return tested_.contains(node) ? tested_.at(node) : 0; }
  const std::vector<Evaluated>& tests() const { return tests_; }
  // Ends of epochs that were told, and checkpoints that got to the disk.
  const std::vector<EpochsOver>& epochs_over() const { return epochs_over_; }
  const std::vector<Version>& saved() const { return saved_; }
  // Explanations so far, one a line.
  const std::string& said() const { return said_; }
  bool left(uint32_t node) const { return left_.contains(node); }
  // How often a message of this name was sent.
  int64_t sent(const std::string& name) const { return sent_.contains(name) ? sent_.at(name) : 0; }

  // What is done to a lease's result on its way back, for tests of bad data and slow nodes.
  std::function<void(uint32_t node, LeaseFinished& finished)> on_finished = [](uint32_t, LeaseFinished&) {};
  // Results of these nodes stay with them until they are taken out of here.
  std::map<uint32_t, bool> stalled;
  // Likewise of tests alone.
  std::map<uint32_t, bool> stalled_tests;
  // What these nodes compute they don't give up.
  std::map<uint32_t, bool> hangs;
  // Checkpoints don't get to the manager's disk.
  bool disk_full = false;
  // Pushes to these nodes are on their way until then.
  std::map<uint32_t, Instant> pushes_arrive;

 private:
  static bool IsFrom(const Event& event, uint32_t node) {
    const auto* received = std::get_if<Received>(&event);
    return received != nullptr && received->from == NodeId{node};
  }

  bool IsLatePush(uint32_t node, const Event& event) const {
    const auto* received = std::get_if<Received>(&event);
    const auto arrives = pushes_arrive.find(node);
    return received != nullptr && std::holds_alternative<Push>(received->message.body) &&
           arrives != pushes_arrive.end() && now_ < arrives->second;
  }

  bool Deliver() {
    const auto next = std::find_if(queue_.begin(), queue_.end(), [this](const auto& item) {
      if (IsLatePush(item.first, item.second)) return false;
      const auto* finished = std::get_if<LeaseFinished>(&item.second);
      if (finished == nullptr) return !(disk_full && std::holds_alternative<CheckpointSaved>(item.second));
      return !stalled[item.first] && !(finished->done.kind == LeaseKind::kEvaluate && stalled_tests[item.first]);
    });
    if (next == queue_.end()) return false;
    auto [node, event] = *next;
    queue_.erase(next);
    now_ = now_ + Duration{100'000};
    if (auto* finished = std::get_if<LeaseFinished>(&event)) on_finished(node, *finished);
    if (const auto* saved = std::get_if<CheckpointSaved>(&event)) {
      journal_.checkpoint = saved->version;
      saved_.push_back(saved->version);
    }
    if (Alive(node)) Handle(node, event);
    return true;
  }

  void FireTimer() {
    const auto next = std::min_element(timers_.begin(), timers_.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    if (next == timers_.end()) return;
    const uint32_t node = next->first;
    now_ = std::max(now_, next->second);
    timers_.erase(next);
    Handle(node, Timer{});
  }

  void Post(uint32_t from, NodeId to, const Message& message) {
    ++sent_[NameOf(message.body)];
    if (Alive(ToInt(to))) queue_.push_back({ToInt(to), Received{NodeId{from}, message}});
  }

  void CarryOut(uint32_t node, const Action& action) {
    if (const auto* send = std::get_if<Send>(&action)) {
      Post(node, send->to, send->message);
    } else if (const auto* multicast = std::get_if<Multicast>(&action)) {
      for (const NodeId to : multicast->to) Post(node, to, multicast->message);
    } else if (const auto* timer = std::get_if<SetTimer>(&action)) {
      timers_[node] = timer->at;
    } else if (const auto* compute = std::get_if<Compute>(&action)) {
      const Grant& grant = compute->grant;
      const bool tests = grant.kind == LeaseKind::kEvaluate;
      (tests ? tested_ : computed_)[node] += static_cast<int64_t>(grant.micro_batches.size());
      Done done = {.round = grant.round,
                   .base = grant.base,
                   .part = grant.part,
                   .micro_batches = grant.micro_batches,
                   .samples = grant.samples,
                   .compute = Duration{50'000},
                   .kind = grant.kind};
      if (tests) {
        // The loss says which micro-batches of the test samples went in, and how often; the count, of which version.
        for (const MicroBatch mb : done.micro_batches) {
          done.loss_sum += static_cast<double>(uint64_t{1} << (4 * ToInt(mb)));
        }
        done.correct = static_cast<int64_t>(ToInt(grant.base) / 6 * grant.micro_batches.size());
        queue_.push_back({node, LeaseFinished{.done = done}});
        return;
      }
      done.gradient_norm2 = 1;
      queue_.push_back({node, LeaseFinished{.done = done, .payload = Payload{(uint64_t{1} << 63) + ++payloads_}}});
    } else if (const auto* abandon = std::get_if<Abandon>(&action)) {
      if (hangs[node]) return;
      for (auto& [owner, event] : queue_) {
        auto* finished = std::get_if<LeaseFinished>(&event);
        if (finished == nullptr || owner != node || finished->done.micro_batches != abandon->micro_batches) continue;
        if (finished->done.part != abandon->part) continue;
        finished->done.cancelled = true;
        finished->payload = Payload{};
        stalled[node] = stalled_tests[node] = false;
      }
    } else if (const auto* seal = std::get_if<Seal>(&action)) {
      queue_.push_back({node, Sealed{.round = seal->round, .attempt = seal->attempt, .norm2 = 1}});
    } else if (const auto* load = std::get_if<Load>(&action)) {
      queue_.push_back({node, Loaded{.stripes = load->stripes, .version = load->version, .backup = load->backup}});
    } else {
      Record(node, action);
    }
  }

  void Record(uint32_t node, const Action& action) {
    if (const auto* explain = std::get_if<Explain>(&action)) {
      said_ += explain->topic + ": " + explain->text + "\n";
    } else if (const auto* journal = std::get_if<Journal>(&action)) {
      journal_.records.push_back(journal->record);
    } else if (const auto* view = std::get_if<JournalView>(&action)) {
      journal_.last_view = view->view;
    } else if (const auto* start = std::get_if<JournalStart>(&action)) {
      journal_.view = start->view;
      journal_.version = start->version;
      journal_.map = start->map;
      journal_.histories = start->histories;
      std::erase_if(journal_.records, [&](const CommitRecord& record) { return record.round >= start->version; });
      std::erase_if(journal_.closed, [&](const ClosedEpoch& closed) { return closed.version > start->version; });
    } else if (const auto* block = std::get_if<JournalBlock>(&action)) {
      journal_.blocks.push_back(block->block);
    } else if (const auto* epoch = std::get_if<JournalEpoch>(&action)) {
      journal_.closed.push_back(epoch->closed);
    } else if (const auto* away = std::get_if<JournalAway>(&action)) {
      journal_.away = away->owners;
    } else if (const auto* over = std::get_if<EpochsOver>(&action)) {
      epochs_over_.push_back(*over);
    } else if (const auto* checkpoint = std::get_if<Checkpointed>(&action)) {
      queue_.push_back({node, CheckpointSaved{checkpoint->version}});
    } else if (const auto* here = std::get_if<TestHere>(&action)) {
      queue_.push_back({node, Tested{.version = here->version, .loss = -1}});
    } else if (const auto* evaluated = std::get_if<Evaluated>(&action)) {
      tests_.push_back(*evaluated);
    } else if (const auto* halt = std::get_if<Halt>(&action)) {
      if (node == 0) {
        over_ = true;
        why_ = halt->why;
      } else {
        left_[node] = true;
      }
    }
  }

  Options options_;
  std::unique_ptr<Manager> manager_;
  std::vector<std::unique_ptr<Member>> members_;
  Instant now_{};
  std::deque<std::pair<uint32_t, Event>> queue_;
  std::map<uint32_t, Instant> timers_;
  uint64_t payloads_ = 0;
  Started journal_;
  bool over_ = false;
  std::string why_;
  std::string said_;
  std::map<uint32_t, int64_t> computed_;
  std::map<uint32_t, int64_t> tested_;
  std::vector<Evaluated> tests_;
  std::vector<EpochsOver> epochs_over_;
  std::vector<Version> saved_;
  std::map<uint32_t, bool> left_;
  std::map<std::string, int64_t> sent_;
};

// Every micro-batch of the journal, with how often it was committed.
inline std::string CoverOf(const Cluster& cluster) {
  std::map<uint64_t, int> times;
  for (const CommitRecord& record : cluster.journal().records) {
    for (const MicroBatch mb : record.micro_batches) ++times[ToInt(mb)];
  }
  std::set<int> counts;
  for (const auto& [mb, count] : times) counts.insert(count);
  return std::to_string(times.size()) + " micro-batches" + (counts == std::set<int>{1} ? " once" : " not once");
}

inline bool Says(const Cluster& cluster, const std::string& text) {
  return cluster.said().find(text) != std::string::npos;
}

}  // namespace eddl::net
