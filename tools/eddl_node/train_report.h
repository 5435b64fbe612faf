// What `train` says at its start and at its end, for people and for programs. Pure, but for the resident memory that is
// asked of the system.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "runtime/train/trainer.h"
#include "tools/eddl_node/train_session.h"

namespace eddl {

inline constexpr char kTrainSchema[] = "eddl.train.v1";

// Outcome of one call of `train`.
struct TrainResult {
  std::string status;  // "finished" or "stopped"
  TrainState state;
  std::optional<EpochReport> last_epoch;  // none before the first epoch's end
  std::optional<double> best_test_accuracy;
  double seconds = 0.0;  // of this process
  int64_t samples = 0;   // of this process
  std::string parameters_hash;
  std::string run_dir;
  std::string model_path;  // empty if stopped
};

// Data, model, device, plan: three to six lines.
std::string StartBanner(TrainSession& session, const std::string& run_dir);

// The last line of --format json.
nlohmann::ordered_json ResultJson(TrainSession& session, const TrainResult& result);
// The last lines of text.
std::string ResultText(const TrainSession& session, const TrainResult& result);

}  // namespace eddl
