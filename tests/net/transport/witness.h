// Witness: an observer that remembers all it was told, and lets tests wait for it.
//
// Thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "net/transport/transport.h"

namespace eddl::net {

class Witness : public TransportObserver {
 public:
  struct Got {
    NodeId from{};
    Message message;
    Bytes payload;
    bool intact = true;
  };
  // All of it, in order.
  struct Story {
    std::vector<std::string> peers;  // "up 1", "down 1: why", "bad 1: why"
    std::vector<Got> messages;
    std::vector<Directory> directories;
    std::vector<DataBlocks> data_blocks;
    std::vector<size_t> arriving;    // sizes of chunks
    std::vector<std::byte> arrived;  // all of them

    int64_t Count(const std::string& beginning) const;  // of lines of `peers`
    bool IsUp(NodeId peer) const;
  };
  // In all, before a test gives up: sanitizers and busy machines are slow.
  static constexpr int kPatienceSeconds = 60;

  // Whether it came to that, in time.
  bool Await(const std::function<bool(const Story&)>& what) const;
  bool AwaitUp(NodeId peer) const;
  bool AwaitDown(NodeId peer) const;
  // A line that has this in it.
  bool AwaitLine(const std::string& text) const;
  bool AwaitMessages(size_t count) const;
  Story story() const;

  void OnPeerUp(NodeId peer) override;
  void OnPeerDown(NodeId peer, const std::string& why) override;
  void OnMessage(NodeId from, Message message, Bytes payload, bool intact) override;
  void OnArriving(NodeId from, const Message& message, uint64_t offset, std::span<const std::byte> chunk) override;
  void OnDirectory(NodeId from, Directory directory) override;
  void OnDataBlocks(NodeId from, DataBlocks blocks) override;
  void OnBadPeer(NodeId peer, const std::string& why) override;

 private:
  mutable absl::Mutex mutex_;
  Story story_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eddl::net
