// TcpProxy: a network that misbehaves: passes connections on to a port of this machine, falls silent, gets stuck, flips
// bits.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace eddl::net {

class TcpProxy {
 public:
  // Passes on to 127.0.0.1:target_port.
  explicit TcpProxy(int target_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // While true, all bytes are lost, and no connection ends: a cable that was pulled out.
  void SetSilent(bool silent) { silent_ = silent; }
  // While true, nothing is read: bytes pile up at who sends them.
  void SetStuck(bool stuck) { stuck_ = stuck; }
  // The next time that this run of bytes passes by, one bit of its last byte is flipped.
  void FlipBitOf(const std::string& bytes);
  bool has_flipped() const { return flipped_; }

 private:
  void Run();
  void Accept();
  // False: the connection is over.
  bool PassOn(int from, int to);
  void MaybeFlip(std::vector<char>& bytes);

  const int target_port_;
  int listener_ = -1;
  int port_ = 0;
  std::map<int, int> other_ends_;  // of every socket, both ways; the thread's own
  std::atomic<bool> silent_{false};
  std::atomic<bool> stuck_{false};
  std::atomic<bool> flipped_{false};
  std::atomic<bool> stopping_{false};
  absl::Mutex mutex_;
  std::string to_flip_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// A socket that is connected to 127.0.0.1:port, or -1: nobody listens there. The caller closes it.
int ConnectTo(int port);

}  // namespace eddl::net
