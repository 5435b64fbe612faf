// JobConfig: what a job file says, as a value. The keys, their ranges and their documentation are in job_keys.h.
//
// The initial values here are the defaults that everything else quotes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/data/open.h"

namespace eddl {

struct ModelJob {
  std::string name = "mlp";
  std::vector<int64_t> widths = {128};
  double dropout = 0.0;
  std::string sparse_input = "auto";  // auto | on | off
  std::string init;                   // path of a checkpoint; empty: random
  std::vector<std::string> freeze;
};

struct TrainJob {
  int64_t epochs = 10;
  int64_t batch = 128;
  int64_t micro_batch = 0;
  std::string optimizer = "sgd";
  double learning_rate = 0.01;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  std::string schedule = "constant";
  double warmup_epochs = 0.0;
  double step_epochs = 10.0;
  double step_factor = 0.1;
  double final_fraction = 0.0;
  double clip_norm = 0.0;
  int64_t evaluate_batch = 128;
  int64_t checkpoint_steps = 0;
};

struct DeviceJob {
  std::string name = "auto";
  std::optional<int64_t> threads;  // none: auto
  int64_t memory_limit_mb = 0;
  bool deterministic = false;
  std::string backend_dir;
};

// How many devices train together (`eddl-node manage`); `train` does not look at it.
struct ClusterJob {
  int64_t micro_batch = 32;
  std::string mode = "sync";   // auto | sync | pipe | async
  std::string codec = "auto";  // auto | f32 | f16 | exact
  int64_t leaders = 0;         // 0: as many as pay
  int64_t workers_min = 1;
  bool speculate = true;
  bool parking = true;
  int64_t patience_epochs = 0;
};

struct RunJob {
  std::string dir = "runs/default";
  std::string trace;
  int64_t log_every = 0;
};

struct JobConfig {
  int64_t seed = 1;
  DataOptions data;                    // its seed is the one above, set by MakeDataOptions
  std::string data_policy = "shared";  // shared | local; `train` does not look at it
  ModelJob model;
  TrainJob train;
  DeviceJob device;
  ClusterJob cluster;
  RunJob run;
};

}  // namespace eddl
