#include "tools/eddl_node/cluster/test_row_reader.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace eddl::cluster {
namespace {

bool IsOf(const net::TestRows& name, net::Version base, const std::vector<net::MicroBatch>& micro_batches) {
  return name.base == base && name.micro_batches == micro_batches;
}

}  // namespace

TestRowReader::TestRowReader(SampleSource& source, const net::TestSet& set,
                             std::function<void(const net::TestRows&)> on_read)
    : source_(source), set_(set), on_read_(std::move(on_read)), thread_([this] { Work(); }) {}

TestRowReader::~TestRowReader() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

void TestRowReader::Read(const net::Grant& lease) {
  const absl::MutexLock lock(&mutex_);
  waiting_.push_back({.name = {.base = lease.base, .micro_batches = lease.micro_batches}});
}

std::shared_ptr<const LeaseRows> TestRowReader::Take(const net::Grant& lease) {
  const absl::MutexLock lock(&mutex_);
  const auto it = std::find_if(read_.begin(), read_.end(),
                               [&](const Lease& one) { return IsOf(one.name, lease.base, lease.micro_batches); });
  if (it == read_.end()) return nullptr;
  std::shared_ptr<const LeaseRows> rows = std::move(it->rows);
  read_.erase(it);
  return rows;
}

void TestRowReader::Drop(net::Version base, const std::vector<net::MicroBatch>& micro_batches) {
  DropIf([&](const net::TestRows& name) { return IsOf(name, base, micro_batches); });
}

void TestRowReader::Drop(net::Version base) {
  DropIf([&](const net::TestRows& name) { return name.base == base; });
}

void TestRowReader::DropIf(const std::function<bool(const net::TestRows&)>& is_meant) {
  const absl::MutexLock lock(&mutex_);
  // Those that wait are answered by the thread, in their turn.
  for (Lease& lease : waiting_) lease.dropped = lease.dropped || is_meant(lease.name);
  if (reading_ && is_meant(reading_->name)) reading_->dropped = true;
  std::erase_if(read_, [&](const Lease& lease) { return is_meant(lease.name); });
}

void TestRowReader::Clear() {
  const absl::MutexLock lock(&mutex_);
  waiting_.clear();
  reading_.reset();
  read_.clear();
}

std::optional<net::TestRows> TestRowReader::Begin() {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &TestRowReader::HasWork));
  if (stopped_) return std::nullopt;
  reading_ = std::move(waiting_.front());
  waiting_.pop_front();
  return reading_->name;
}

bool TestRowReader::IsGivenUp() {
  const absl::MutexLock lock(&mutex_);
  return stopped_ || !reading_ || reading_->dropped;
}

void TestRowReader::Work() {
  pthread_setname_np(pthread_self(), "eddl-test-rows");
  while (const std::optional<net::TestRows> name = Begin()) {
    std::vector<int64_t> samples;
    for (const net::MicroBatch mb : name->micro_batches) {
      const std::vector<int64_t> some = set_.Samples(mb);
      samples.insert(samples.end(), some.begin(), some.end());
    }
    auto rows = std::make_shared<LeaseRows>();
    const bool is_read =
        !IsGivenUp() && source_.Read(samples, rows->rows, rows->labels, [this] { return IsGivenUp(); }).ok();
    {
      const absl::MutexLock lock(&mutex_);
      if (stopped_) return;
      std::optional<Lease> lease = std::exchange(reading_, std::nullopt);
      if (!lease) continue;
      if (is_read && !lease->dropped) {
        if (read_.size() >= kLeasesKept) read_.pop_front();
        read_.push_back({.name = *name, .rows = std::move(rows)});
      }
    }
    on_read_(*name);
  }
}

}  // namespace eddl::cluster
