// TrainSession: what a training run works with: data, device, model and replica, made ready in that order.
//
// Data are opened on a thread of their own while the plugins are loaded and the device is opened. Also used by `plan`.
// Errors carry exit codes. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/data/open.h"
#include "runtime/device/backend.h"
#include "runtime/nn/model.h"
#include "runtime/train/replica.h"
#include "runtime/train/trainer.h"
#include "tools/eddl_node/compute.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

// Seconds spent on the way to the first step.
struct StartTimes {
  double ready = 0.0;         // from the process's start to a finished plan, without waiting for data
  double data_wait = 0.0;     // waiting for data before that
  double thread_trial = 0.0;  // choosing a number of threads, after that
};

class TrainSession {
 public:
  // Everything up to the plan of a training step. threads_before: what an earlier part of the run used; 0 if there is
  // none.
  static absl::StatusOr<std::unique_ptr<TrainSession>> Open(const JobConfig& job, int64_t threads_before);

  // Where device.threads is "auto" and nothing has settled it: tries, and opens the device again if another count won.
  absl::Status SettleThreads();

  const JobConfig& job() const { return job_; }
  const DataSplit& data() const { return data_; }
  const BackendRegistry& registry() const { return registry_; }
  const Compute& compute() const { return compute_; }
  const Model& model() const { return *model_; }
  Replica& replica() { return *replica_; }
  const TrainOptions& options() const { return options_; }
  const StartTimes& times() const { return times_; }
  // The plan of a full training batch. Borrowed until the next call.
  absl::StatusOr<const Plan*> TrainPlan();
  int64_t threads() const { return threads_; }  // 0: the backend's choice
  // Why so many; empty if there was no choice.
  const std::string& threads_reason() const { return threads_reason_; }

 private:
  explicit TrainSession(const JobConfig& job) : job_(job) {}
  absl::Status OpenDevice(int64_t threads_before);
  absl::Status MakeModel();
  absl::Status MakeReplica();

  JobConfig job_;
  DataSplit data_;
  BackendRegistry registry_;
  Compute compute_;
  std::optional<Model> model_;
  TrainOptions options_;
  std::unique_ptr<Replica> replica_;  // goes before the devices
  StartTimes times_;
  int64_t threads_ = 0;
  bool threads_settled_ = true;
  std::string threads_reason_;
};

}  // namespace eddl
