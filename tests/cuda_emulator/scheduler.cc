#include "tests/cuda_emulator/scheduler.h"

#include <algorithm>

#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

constexpr uint64_t kOperationNs = 1000;  // each takes as long: times are in order, and mean nothing else

}  // namespace

Scheduler::Scheduler(const Options& options, DeviceMemory& memory,
                     std::function<void(int32_t, const std::string&)> on_violation)
    : options_(options),
      memory_(memory),
      on_violation_(std::move(on_violation)),
      random_(options.seed),
      broken_(static_cast<size_t>(std::max(options.device_count, 1))) {}

Stream* Scheduler::CreateStream(int32_t device) {
  auto stream = std::make_unique<Stream>();
  stream->index = next_index_++;
  stream->device = device;
  Stream* created = stream.get();
  streams_[created->index] = std::move(stream);
  return created;
}

bool Scheduler::IsStream(const Stream* stream) const {
  return std::any_of(streams_.begin(), streams_.end(), [&](const auto& known) { return known.second.get() == stream; });
}

Stream* Scheduler::FindStream(int32_t device) const {
  for (const auto& [index, stream] : streams_) {
    if (stream->device == device) return stream.get();
  }
  return nullptr;
}

void Scheduler::DestroyStream(Stream* stream) { streams_.erase(stream->index); }

void Scheduler::Enqueue(Stream& stream, Work work) {
  Stream::Entry entry;
  entry.work = std::move(work);
  Push(stream, std::move(entry));
}

void Scheduler::Record(Stream& stream, const std::shared_ptr<Event>& event) {
  Stream::Entry entry;
  entry.work.name = "event record";
  entry.records = event;
  entry.generation = ++event->recorded;
  event->clock = stream.clock;
  event->clock.Join(host_clock_);
  Push(stream, std::move(entry));
}

void Scheduler::Wait(Stream& stream, const std::shared_ptr<Event>& event) {
  Stream::Entry entry;
  entry.work.name = "event wait";
  entry.waits_for = event;
  entry.generation = event->recorded;  // one that was never recorded is not waited for
  stream.clock.Join(event->clock);
  Push(stream, std::move(entry));
}

void Scheduler::Push(Stream& stream, Stream::Entry entry) {
  stream.clock.Join(host_clock_);
  stream.clock.Set({.stream = stream.index, .tick = ++stream.tick});
  entry.id.device = stream.device;
  entry.id.point = {.stream = stream.index, .tick = stream.tick};
  entry.id.clock = stream.clock;
  entry.id.name = entry.work.name;
  stream.queue.push_back(std::move(entry));
  if (options_.order != Order::kEager) return;
  while (AdvanceAny()) {
  }
}

bool Scheduler::CanStep(const Stream& stream) const {
  if (stream.queue.empty()) return false;
  if (broken_[static_cast<size_t>(stream.device)]) return true;  // nothing of it is run, so nothing is waited for
  const Stream::Entry& head = stream.queue.front();
  if (head.waits_for != nullptr && head.waits_for->reached < head.generation) return false;
  return head.work.ready == nullptr || head.work.ready();
}

bool Scheduler::Step(Stream& stream) {
  if (!CanStep(stream)) return false;
  Stream::Entry entry = std::move(stream.queue.front());
  stream.queue.pop_front();
  Run(entry);
  return true;
}

void Scheduler::Run(Stream::Entry& entry) {
  time_ns_ += kOperationNs;
  if (entry.work.run != nullptr && !broken_[static_cast<size_t>(entry.id.device)]) {
    memory_.Begin(&entry.id);
    try {
      entry.work.run(entry.id);
    } catch (const Violation& violation) {
      broken_[static_cast<size_t>(entry.id.device)] = true;
      on_violation_(entry.id.device, violation.what());
    }
  }
  if (entry.records != nullptr && entry.records->reached < entry.generation) {
    entry.records->reached = entry.generation;
    entry.records->time_ns = time_ns_;
  }
}

bool Scheduler::AdvanceAny() {
  return std::any_of(streams_.begin(), streams_.end(), [this](const auto& known) { return Step(*known.second); });
}

bool Scheduler::Advance(Stream& wanted) {
  if (options_.order == Order::kRandom) {
    std::vector<Stream*> able;
    for (const auto& [index, stream] : streams_) {
      if (CanStep(*stream)) able.push_back(stream.get());
    }
    return !able.empty() && Step(*able[random_() % able.size()]);
  }
  return Step(wanted) || AdvanceAny();
}

void Scheduler::Stir() {
  if (options_.order != Order::kRandom || streams_.empty()) return;
  for (uint64_t steps = random_() % 3; steps > 0; --steps) {
    Step(*std::next(streams_.begin(), static_cast<ptrdiff_t>(random_() % streams_.size()))->second);
  }
}

std::string Scheduler::HeadOf(const Stream& stream) {
  return stream.queue.empty() ? "nothing" : stream.queue.front().work.name;
}

}  // namespace eddl::cuda_emulator
