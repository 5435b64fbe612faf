// JournalFile: what the manager's disk holds, and what of it survives a crash.
//
// Records are durable a while after they are written; views at once, with all that was written before them. One thread.
#pragma once

#include <vector>

#include "net/messages.h"
#include "net/node/event.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

class JournalFile {
 public:
  // Will be on disk at `durable`. REQUIRES: not before the one written last.
  void Write(const CommitRecord& record, Instant durable);
  void Write(const JournalView& view);
  void Write(const JournalStart& start);
  void Write(const Checkpointed& checkpoint);
  void Write(const JournalBlock& block);
  void Write(const JournalEpoch& epoch);
  void Write(const JournalAway& away);

  // It is now. The new durable mark: records of all rounds below are safe.
  Version MakeDurable(Instant now);
  // What is not durable is gone.
  void Crash();
  // What a manager that starts now finds.
  Started Read() const;
  Version checkpoint() const { return state_.checkpoint; }

 private:
  struct Pending {
    Instant durable;
    CommitRecord record;
  };

  void Flush();

  Started state_;  // durable
  std::vector<Pending> pending_;
};

}  // namespace eddl::net::sim
