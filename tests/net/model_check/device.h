// Device: carries out the actions of one node on contents, as its driver would on bytes, and says which promise an
// action breaks.
//
// Value type: a state of the model checker has one for each node. Not in charge of messages and timers (Node is).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/node/digest.h"
#include "net/node/event.h"
#include "net/plan.h"
#include "net/policy/evaluation.h"
#include "net/policy/ledger.h"
#include "tests/net/model_check/content.h"

namespace eddl::net::model_check {

// What is promised to the job, apart from what follows from messages.
struct Promises {
  RoundRule rule;
  LedgerOptions ledger;
  uint32_t stripe_count = 0;
  int64_t batch_size = 0;  // samples
  TestSet test;

  // Of the only epoch, counted apart from the ledger: a tail of less than half a micro-batch joins the one before.
  int64_t MicroBatchCount() const {
    return (ledger.sample_count + ledger.micro_batch_size / 2) / ledger.micro_batch_size;
  }
  int64_t CountSamples(const std::vector<MicroBatch>& mbs) const;
  double LearningRate(int64_t samples_done) const { return 1.0 / static_cast<double>(1 + samples_done); }
  // Of a step of so many samples: in proportion, if an asynchronous round has fewer than a batch.
  double LearningRate(int64_t samples_done, int64_t samples) const {
    const double rate = LearningRate(samples_done);
    const bool is_part = rule.mode == Mode::kAsync && samples < batch_size;
    return is_part ? rate * (static_cast<double>(samples) / static_cast<double>(batch_size)) : rate;
  }
};

class Device {
 public:
  // Any action but those that Node carries out itself: Send, Multicast, SetTimer, Explain, Halt. Says what is broken,
  // or "".
  std::string Carry(const Action& action, const Promises& promises);

  // What may come next by itself. Each is one event.
  struct Pending {
    std::optional<Grant> computing;
    bool abandoned = false;
    std::vector<Sealed> sealing;
    std::vector<Loaded> loading;
    std::vector<Version> saving;  // a manager's checkpoints

    bool operator==(const Pending&) const = default;
  };
  const Pending& pending() const { return pending_; }
  LeaseFinished FinishLease(bool cancelled, const Promises& promises);
  Sealed FinishSeal();
  Loaded FinishLoad();
  // Commits that are written but not yet safe on disk. REQUIRES: there are any.
  bool journal_is_behind() const { return durable_ < journal_.records.size(); }
  Journaled SyncJournal();
  CheckpointSaved FinishSave();
  // A manager's: a part of a checkpoint came, unless the machine had no use for it.
  void KeepPart(Version version, Payload payload);

  // A manager's next life: the disk alone, without what was not synced if `tail_lost`; and what it says.
  Device NextLife(bool tail_lost) const;
  Started Restart() const;

  // The content of a payload that is to be sent; nothing for payload 0.
  std::string Read(Payload payload, Content& content) const;
  // A name for bytes that came in.
  Payload Receive(Content content);

  // The newest version whose test is over in this life.
  Version evaluated() const { return evaluated_; }
  // What a manager's own device says of a version: of its journal's history.
  Tested TestByJournal(Version version, const Promises& promises) const;

  // A manager's: the stripes of its checkpoint on disk, if that is of this version.
  Stripes OnDiskAt(Version version) const { return version == journal_.checkpoint ? journal_.saved : Stripes(); }
  // All stripes that it has at this version, by content.
  Stripes HoldingAt(Version version) const;

  PayloadDigests DigestPayloads(const Names& names) const;
  void AddTo(Digest& digest) const;

 private:
  enum class Role : uint8_t { kNone, kOwn, kBackup };
  struct StripeState {
    Role role = Role::kNone;
    std::map<Version, Parameters> versions;
  };
  struct JournalState {
    std::vector<CommitRecord> records;
    View last_view{};
    View view{};
    Version version{};
    ShardMap map;
    std::vector<View> histories;
    Version checkpoint{};
    Stripes saved;  // the checkpoint
  };

  std::string OnCompute(const Compute& compute);
  std::string OnMerge(const Merge& merge);
  std::string OnAdopt(const Adopt& adopt, const Promises& promises);
  std::string OnFold(const Fold& fold);
  std::string OnApply(const Apply& apply, const Promises& promises);
  std::string OnApplyBackup(const ApplyBackup& apply, const Promises& promises);
  std::string OnSnapshot(const Snapshot& snapshot);
  std::string OnLoad(const Load& load);
  std::string OnExport(const Export& action);
  std::string OnJournal(const CommitRecord& record);
  std::string OnEvaluated(const Evaluated& evaluated, const Promises& promises);
  // The optimizer's step on all stripes of a role.
  std::string Step(Role role, const CommitRecord& record, const GradientSum& sum, const Promises& promises);
  std::string Take(Payload payload, Content& content);

  std::map<Payload, Content> payloads_;
  Pending pending_;
  Parameters computing_on_;
  std::map<Version, Parameters> versions_;  // full sets
  std::map<Stripe, StripeState> stripes_;
  std::map<Version, GradientSum> accumulators_;
  JournalState journal_;
  size_t durable_ = 0;                   // journal records that are safe
  std::map<Version, Stripes> gathered_;  // parts of checkpoints
  Version whole_{};                      // the newest of those that is whole
  uint64_t received_count_ = 0;
  Version evaluated_{};
};

}  // namespace eddl::net::model_check
