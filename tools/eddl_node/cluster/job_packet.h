// JobPacket: what a joining node must know of a job, as one JSON document. The data themselves come when they are
// needed.
//
// A value. Of every number, the exact bits arrive: whoever trains, trains the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "net/plan.h"
#include "net/policy/evaluation.h"
#include "net/policy/ledger.h"
#include "runtime/data/dataset.h"
#include "runtime/nn/model.h"
#include "runtime/train/trainer.h"

namespace eddl::cluster {

struct JobPacket {
  std::string job_id;  // 16 hex digits: of this job in this cluster
  std::string name;    // of the job file, for people
  ModelSpec model;
  DatasetInfo data;
  std::string data_fingerprint;  // names the cache of rows
  int64_t sample_count = 0;      // of the training set
  TrainOptions options;
  int64_t micro_batch = 32;
  uint32_t stripe_count = 1;
  bool exact = false;
  bool has_initial = false;      // version 0 is not made from the seed, but fetched
  int64_t test_count = 0;        // of the test set that members test on; 0: none, or it stays at the manager
  std::string test_fingerprint;  // names the cache of its rows
  bool local_data = false;       // every device has rows of its own, and none of them travel: sample_count is 0

  std::string ToJson() const;
  // kInvalidArgument names the member that is missing, of another type, or out of range.
  static absl::StatusOr<JobPacket> FromJson(std::string_view json);

  net::LedgerOptions ledger() const {
    return {.sample_count = sample_count,
            .micro_batch_size = micro_batch,
            .epoch_count = options.epochs,
            .seed = options.seed};
  }
  net::TestSet test() const { return {.sample_count = test_count, .micro_batch_size = micro_batch}; }
};

}  // namespace eddl::cluster
