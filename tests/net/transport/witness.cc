#include "tests/net/transport/witness.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

namespace eddl::net {

int64_t Witness::Story::Count(const std::string& beginning) const {
  return std::count_if(peers.begin(), peers.end(),
                       [&](const std::string& line) { return line.starts_with(beginning); });
}

bool Witness::Story::IsUp(NodeId peer) const {
  const std::string name = std::to_string(ToInt(peer));
  return Count("up " + name) > Count("down " + name + ":");
}

bool Witness::Await(const std::function<bool(const Story&)>& what) const {
  const absl::MutexLock lock(&mutex_);
  const auto holds = [this, &what]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return what(story_); };
  return mutex_.AwaitWithTimeout(absl::Condition(&holds), absl::Seconds(kPatienceSeconds));
}

bool Witness::AwaitUp(NodeId peer) const {
  return Await([peer](const Story& story) { return story.IsUp(peer); });
}

bool Witness::AwaitDown(NodeId peer) const {
  return Await([peer](const Story& story) { return !story.IsUp(peer); });
}

bool Witness::AwaitLine(const std::string& text) const {
  return Await([&text](const Story& story) {
    return std::any_of(story.peers.begin(), story.peers.end(),
                       [&text](const std::string& line) { return line.find(text) != std::string::npos; });
  });
}

bool Witness::AwaitMessages(size_t count) const {
  return Await([count](const Story& story) { return story.messages.size() >= count; });
}

Witness::Story Witness::story() const {
  const absl::MutexLock lock(&mutex_);
  return story_;
}

void Witness::OnPeerUp(NodeId peer) {
  const absl::MutexLock lock(&mutex_);
  story_.peers.push_back("up " + std::to_string(ToInt(peer)));
}

void Witness::OnPeerDown(NodeId peer, const std::string& why) {
  const absl::MutexLock lock(&mutex_);
  story_.peers.push_back("down " + std::to_string(ToInt(peer)) + ": " + why);
}

void Witness::OnMessage(NodeId from, Message message, Bytes payload, bool intact) {
  const absl::MutexLock lock(&mutex_);
  story_.messages.push_back(
      {.from = from, .message = std::move(message), .payload = std::move(payload), .intact = intact});
}

void Witness::OnArriving(NodeId, const Message&, uint64_t, std::span<const std::byte> chunk) {
  const absl::MutexLock lock(&mutex_);
  story_.arriving.push_back(chunk.size());
  story_.arrived.insert(story_.arrived.end(), chunk.begin(), chunk.end());
}

void Witness::OnDirectory(NodeId, Directory directory) {
  const absl::MutexLock lock(&mutex_);
  story_.directories.push_back(std::move(directory));
}

void Witness::OnDataBlocks(NodeId, DataBlocks blocks) {
  const absl::MutexLock lock(&mutex_);
  story_.data_blocks.push_back(std::move(blocks));
}

void Witness::OnBadPeer(NodeId peer, const std::string& why) {
  const absl::MutexLock lock(&mutex_);
  story_.peers.push_back("bad " + std::to_string(ToInt(peer)) + ": " + why);
}

}  // namespace eddl::net
