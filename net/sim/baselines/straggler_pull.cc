#include "net/sim/baselines/straggler_pull.h"

#include <algorithm>
#include <cmath>

#include "net/sim/device.h"
#include "runtime/base/check.h"

namespace eddl::net::sim {

PullRound::PullRound(PullRule rule, std::span<const double> predicted, std::span<const WorkerSpeed> speeds,
                     int64_t micro_batch_count, Duration round_trip)
    : rule_(rule),
      speeds_(speeds),
      round_trip_(round_trip),
      costs_(predicted.begin(), predicted.end()),
      lease_of_(predicted.size(), -1),
      done_(static_cast<size_t>(micro_batch_count), false) {
  for (size_t worker = 0; worker < costs_.size(); ++worker) {
    gate_.Join(Node(worker));
    gate_.SetRate(Node(worker), 1 / costs_[worker]);
  }
}

double PullRound::Run() {
  AskAll();
  while (done_count_ < done_.size()) {
    EDDL_CHECK(!events_.empty()) << taken_ << " of " << done_.size() << " micro-batches taken, and all workers parked";
    const EventQueue::Entry event = events_.Pop();
    now_ = event.at;
    if (event.kind == kAsk) {
      ask_again_ = {INT64_MAX};
    } else if (leases_[event.index].over) {
      continue;
    } else {
      OnFinish(event.index);
    }
    AskAll();
  }
  return (now_ - Instant{}).seconds();
}

void PullRound::AskAll() {
  for (size_t worker = 0; worker < lease_of_.size(); ++worker) {
    if (lease_of_[worker] >= 0) continue;
    if (MayTake(worker)) {
      Start(worker, taken_++);
    } else if (rule_ == PullRule::kDuplicate && taken_ == done_.size()) {
      Duplicate(worker);
    }
  }
}

bool PullRound::MayTake(size_t worker) {
  if (rule_ == PullRule::kAny) return taken_ < done_.size();
  if (rule_ == PullRule::kSum) return taken_ < done_.size() && SumAllows(worker);
  const auto free = static_cast<int64_t>(done_.size() - taken_);
  const LeaseDecision decision = gate_.Decide(Node(worker), now_, free, round_trip_);
  if (decision.micro_batches == 0 && decision.ask_again < ask_again_) {
    ask_again_ = decision.ask_again;
    events_.Push(ask_again_, kAsk, 0);
  }
  return decision.micro_batches > 0;
}

bool PullRound::SumAllows(size_t worker) const {
  const double cost = costs_[worker];
  double others = 0;
  bool computing = false;
  for (size_t other = 0; other < costs_.size(); ++other) {
    if (other == worker) continue;
    double wait = 0;
    if (lease_of_[other] >= 0) {
      computing = true;
      wait = std::max(0.0, costs_[other] - (now_ - leases_[static_cast<size_t>(lease_of_[other])].started).seconds());
    }
    others += std::max(0.0, std::floor((cost - wait) / costs_[other]));
  }
  // Equal workers leave a small pool to each other: without this, for ever.
  return others < static_cast<double>(done_.size() - taken_) || !computing;
}

void PullRound::Duplicate(size_t worker) {
  const Lease* latest = nullptr;
  Instant end;
  for (const int64_t index : lease_of_) {
    if (index < 0 || leases_[static_cast<size_t>(index)].doubled) continue;
    const Lease& lease = leases_[static_cast<size_t>(index)];
    const Instant finish = gate_.PredictedFinish(Node(lease.worker), now_);
    if (latest != nullptr && finish <= end) continue;
    latest = &lease;
    end = finish;
  }
  if (latest == nullptr || !gate_.ShouldDuplicate(Node(worker), Node(latest->worker), now_)) return;
  leases_[static_cast<size_t>(lease_of_[latest->worker])].doubled = true;
  ++duplicates_;
  Start(worker, latest->micro_batch);
  leases_.back().doubled = true;
}

void PullRound::Start(size_t worker, size_t micro_batch) {
  const double begin = (now_ + round_trip_ - Instant{}).seconds();
  const Instant end = Instant{} + FromSeconds(speeds_[worker].Finish(begin, 1));
  lease_of_[worker] = static_cast<int64_t>(leases_.size());
  events_.Push(end, kFinish, static_cast<uint32_t>(leases_.size()));
  leases_.push_back({.worker = worker, .micro_batch = micro_batch, .started = now_});
  gate_.Granted(Node(worker), 1, now_);
}

void PullRound::End(Lease& lease) {
  lease.over = true;
  lease_of_[lease.worker] = -1;
  gate_.Finished(Node(lease.worker), 1, now_);
}

void PullRound::OnFinish(size_t index) {
  Lease& lease = leases_[index];
  End(lease);
  costs_[lease.worker] = (now_ - (lease.started + round_trip_)).seconds();
  gate_.SetRate(Node(lease.worker), 1 / costs_[lease.worker]);
  done_[lease.micro_batch] = true;
  ++done_count_;
  if (!lease.doubled) return;
  for (Lease& other : leases_) {
    if (!other.over && other.micro_batch == lease.micro_batch) End(other);
  }
}

}  // namespace eddl::net::sim
