#include "tools/eddl_node/cluster/fetch_pool.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "runtime/base/check.h"

namespace eddl::cluster {

FetchPool::FetchPool(int thread_count, int ahead_max) : ahead_max_(ahead_max) {
  EDDL_CHECK(ahead_max >= 1 && ahead_max <= thread_count) << ahead_max << " of " << thread_count << " threads";
  for (int i = 0; i < thread_count; ++i) threads_.emplace_back([this] { Work(); });
}

FetchPool::~FetchPool() {
  {
    const absl::MutexLock lock(&mutex_);
    EDDL_CHECK(clients_.empty()) << clients_.size() << " caches outlive those who fetch for them";
    stopped_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

FetchPool::Id FetchPool::Add(Fetch fetch) {
  const absl::MutexLock lock(&mutex_);
  const Id id{++last_id_};
  clients_[id].fetch = std::move(fetch);
  return id;
}

void FetchPool::Remove(Id id) {
  const absl::MutexLock lock(&mutex_);
  Client& client = clients_.at(id);
  const auto is_over = [&client] { return !client.running; };
  mutex_.Await(absl::Condition(&is_over));
  clients_.erase(id);
}

void FetchPool::Wake(Id id, Need need) {
  const absl::MutexLock lock(&mutex_);
  Turn& next = clients_.at(id).next;
  next.at = std::min(next.at, absl::Now());
  next.need = std::min(next.need, need);
}

std::map<FetchPool::Id, FetchPool::Client>::iterator FetchPool::Pick(absl::Time now) {
  auto best = clients_.end();
  for (auto it = clients_.begin(); it != clients_.end(); ++it) {
    const auto& [id, client] = *it;
    const bool has_thread = client.next.need == Need::kLeased || ahead_count_ < ahead_max_;
    if (client.running || client.next.at > now || !has_thread) continue;
    const auto rank = [](const Client& one) { return std::pair(one.next.need, one.next.at); };
    if (best == clients_.end() || rank(client) < rank(best->second)) best = it;
  }
  return best;
}

absl::Time FetchPool::NextTurn(absl::Time now) const {
  absl::Time first = absl::InfiniteFuture();
  for (const auto& [id, client] : clients_) {
    if (!client.running && client.next.at > now) first = std::min(first, client.next.at);
  }
  return first;
}

void FetchPool::Work() {
  pthread_setname_np(pthread_self(), "eddl-fetch");
  const absl::MutexLock lock(&mutex_);
  absl::Time until;
  // Also if a turn has come that is sooner than what is waited for: another thread that knew of it may be busy.
  const auto has_news = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const absl::Time now = absl::Now();
    return stopped_ || Pick(now) != clients_.end() || NextTurn(now) < until;
  };
  while (true) {
    until = NextTurn(absl::Now());
    mutex_.AwaitWithDeadline(absl::Condition(&has_news), until);
    if (stopped_) return;
    const auto it = Pick(absl::Now());
    if (it == clients_.end()) continue;
    Client& client = it->second;  // it stays: who removes it waits for the end of the turn
    const bool ahead = client.next.need != Need::kLeased;
    client.next = {};
    client.running = true;
    ahead_count_ += ahead ? 1 : 0;
    mutex_.Unlock();
    const Turn next = client.fetch();
    mutex_.Lock();
    ahead_count_ -= ahead ? 1 : 0;
    // It may have been woken meanwhile.
    client.next = {.at = std::min(client.next.at, next.at), .need = std::min(client.next.need, next.need)};
    client.running = false;
  }
}

}  // namespace eddl::cluster
