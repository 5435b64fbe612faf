// Scenario: all that defines a simulated run but its seed: devices, links, the job, what goes wrong, and until when.
//
// Plain values, in seconds and bytes per second as a person writes them; Run (run.h) checks them. Not a file format:
// tools/eddl_sim reads those.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/plan.h"

namespace eddl::net::sim {

// Native load of a device's owner: bursts that come and go at random (a two-state Markov chain in continuous time).
struct BurstSpec {
  double idle_seconds = 0;  // mean time from one burst's end to the next one's start; 0: never any
  double busy_seconds = 1;  // mean length of a burst
  double factor_min = 1.3;  // computing takes longer by a factor, drawn for each burst
  double factor_max = 3;
};

// When a device is there at all: sessions of log-normal length, with its training process ended in between.
struct SessionSpec {
  double on_seconds = 0;   // mean; 0: always there
  double off_seconds = 0;  // mean
  double spread = 1;       // sigma of the logarithm of both
  bool announced = false;  // leaves as the protocol asks, rather than with a closed connection
};

// A change of a link's rate at a known instant.
struct RateChange {
  double at_seconds = 0;
  double factor = 1;  // of the link's own rate, from now on

  bool operator==(const RateChange&) const = default;
};

struct LinkSpec {
  double up_bytes_per_second = 12.5e6;
  double down_bytes_per_second = 12.5e6;
  double latency_seconds = 0.00015;  // one way to another node; the greater of a pair's two counts
  double efficiency = 0.94;          // goodput over rate: headers of Ethernet, IP and TCP
  uint32_t cell = 0;                 // shared medium; 0: a wire of its own
  // What many senders at once cost a receiving port: from `fan_in_free` senders on, each more takes this part of its
  // rate.
  uint32_t fan_in_free = 0;
  double fan_in_loss = 0;
  double variation = 0;                 // standard deviation of the rate over its mean, log-normal
  double variation_period_seconds = 1;  // how often it is drawn
  std::vector<RateChange> changes;      // sorted by instant
  double known_seconds = 0;             // after its start, its rates are known, exactly; until then, not at all
};

struct DeviceSpec {
  bool can_work = true;
  bool can_lead = true;
  // A lease of b samples takes (fixed + per sample · b) · LogNormal(mean 1, variation) · load.
  double fixed_seconds = 0;
  double seconds_per_sample = 0.009;
  double variation = 0;
  BurstSpec bursts;
  SessionSpec sessions;
  // What one thread beside the computation does with messages: each received one, and each byte of gradients and
  // parameters that it adds up, applies, or makes ready to send.
  double seconds_per_message = 20e-6;
  double seconds_per_byte = 0.5e-9;
  double memory_bytes_max = 0;  // reserved for admission; 0: enough
  LinkSpec link;
};

// Devices of one kind; their speeds and rates may differ by a log-normal factor with these standard deviations.
struct DeviceGroup {
  std::string name = "device";
  uint32_t count = 1;
  DeviceSpec device;
  double speed_spread = 0;
  double rate_spread = 0;
  double join_seconds = 0;          // when the first comes
  double join_spacing_seconds = 0;  // between one and the next
};

// A shared medium. Its members' `rate` is still what one of them can do alone.
struct CellSpec {
  uint32_t cell = 1;  // > 0
  double bytes_per_second = 12.5e6;
};

enum class OptimizerKind : uint8_t { kSgd, kMomentum, kAdam };

// What learns, in learning mode. The data are generated: a teacher's labels on random inputs, so that there is an
// accuracy to reach and noise in the gradients.
struct TaskSpec {
  enum class Kind : uint8_t {
    kNone,     // timing mode: bytes, no numbers
    kSoftmax,  // softmax regression on dense inputs
    kMlp,      // one hidden layer
    kSparse,   // softmax regression on few binary inputs of many, like permissions of applications
  };
  Kind kind = Kind::kNone;
  uint32_t input_count = 20;
  uint32_t hidden_count = 32;
  uint32_t class_count = 5;
  double active_fraction = 0.05;  // kSparse: inputs that are 1
  double label_noise = 0.05;      // labels drawn at random
  double separation = 3;          // scale of the teacher: greater is easier
  int64_t test_count = 1000;      // samples that accuracy is measured on, not trained on
};

struct JobSpec {
  int64_t sample_count = 6656;
  int64_t epoch_count = 1;
  int64_t batch_size = 2048;  // samples a round, all workers together
  int64_t micro_batch_size = 32;
  uint64_t seed = 1;  // of the order of samples, of the first parameters and of the generated data
  // In learning mode the task gives the parameter count; links are loaded as if it were this, if it is not 0.
  int64_t parameter_count = 720'967;
  double first_layer = 1;     // part of the parameters that a forward pass needs to begin; 1: it waits for all of them
  uint32_t stripe_count = 0;  // 0: chosen by the manager
  OptimizerKind optimizer = OptimizerKind::kSgd;
  double learning_rate = 0.05;
  double momentum = 0.9;         // kMomentum; the first beta of kAdam
  double gradient_norm_max = 0;  // clips by the global norm of the mean gradient; 0: never
  double noise_scale = 0;        // timing mode: φ that norms of gradients are made from; 0: 1000
  bool exact = false;
  int64_t checkpoint_rounds = 0;   // a checkpoint every so many; 0: none
  bool checkpoint_epochs = false;  // one at the end of each epoch, too
  bool checkpoint_end = false;     // the job is over only when its last version is one
  double target_accuracy = 0;      // learning mode: stop when the test accuracy reaches it; 0: never
  int64_t evaluate_rounds = 0;     // learning mode: accuracy is measured every so many; 0: once an epoch
  bool test_leases = false;        // the workers test on task.test_count samples, after each epoch and with each
                                   // regular checkpoint; also in timing mode. evaluate_rounds has no effect then
  TaskSpec task;
};

// What to decide oneself rather than leave to the planner.
struct PinSpec {
  std::optional<Mode> mode;
  std::optional<Codec> codec;
  std::vector<uint32_t> leaders;  // node numbers; empty: the planner's choice
  uint32_t leader_count = 0;      // this many, equal shares, of those that can; 0: the planner's choice
  std::optional<uint32_t> quorum;
  std::optional<uint32_t> staleness_max;
  bool admit_all = false;  // nobody is parked for being slow
  bool speculate = true;   // duplicates of slow leases
};

enum class FaultKind : uint8_t {
  kReset,         // a pair's connections break: what is under way is lost; they come back after `seconds`
  kCrash,         // a process ends, its memory is lost; a new life starts after `seconds`, < 0: never
  kHang,          // a process stands still for `seconds`, then goes on as if nothing had been
  kPartition,     // a node can't reach anyone for `seconds`; its connections are not closed
  kManagerCrash,  // as kCrash, of the manager: restarts from what is durable in its journal
  kSlow,          // computes slower by `factor` for `seconds`
  kLeave,         // leaves cleanly, and joins anew after `seconds`, < 0: never
  kPause,         // its owner pauses it for `seconds`
  kContribute,    // no fault: `samples` more come to the job's data, used from the next epoch, which `node` alone has
                  // (0: everybody)
};

// One fault. `node` 0: drawn by seed among those that `who` allows when it happens.
struct FaultEvent {
  enum class Who : uint8_t { kAny, kWorker, kLeader };
  FaultKind kind = FaultKind::kCrash;
  double at_seconds = 0;
  uint32_t node = 0;
  Who who = Who::kAny;
  double seconds = 1;
  double factor = 3;
  int64_t samples = 0;  // kContribute
};

// Faults at random. Probabilities are for each message; rates are per second, over the whole cluster.
struct FaultRates {
  double reset = 0;
  double duplicate = 0;  // bulk messages only: a stream never does it, a retry on a new one may
  double corrupt = 0;    // bulk messages only: control messages have checksums of their own
  double delay = 0;
  double delay_seconds = 0.5;  // at most; order within a lane of a pair is kept, others overtake
  double crash_per_second = 0;
  double hang_per_second = 0;
  double partition_per_second = 0;
  double manager_crash_per_second = 0;
  double slow_per_second = 0;
  double leave_per_second = 0;
  double never_back = 0;    // part of the crashed and of those that left that never comes back
  double seconds_mean = 1;  // how long each lasts: exponential
  double from_seconds = 0;
  double until_seconds = 1e300;
};

// In every `period`, a part of the workers is replaced, and so many leaders are killed.
struct ChurnSpec {
  double period_seconds = 0;  // 0: none
  double worker_fraction = 0;
  uint32_t leaders_killed = 0;
  double back_seconds = 1;  // until the replacement is there
  bool at_once = true;      // all at the period's end; false: one after the other, evenly over it
};

struct FaultSpec {
  FaultRates rates;
  ChurnSpec churn;
  std::vector<FaultEvent> events;
  double journal_sync_seconds = 0.02;     // a record of the journal is durable after that
  double checkpoint_save_seconds = 0.02;  // a checkpoint is on the manager's disk after that
};

struct Scenario {
  std::string name = "unnamed";
  std::string description;
  std::vector<DeviceGroup> devices;  // nodes are numbered from 1 in this order; the manager is node 0
  std::vector<CellSpec> cells;
  LinkSpec manager_link;
  double manager_seconds_per_message = 10e-6;
  bool separate_lanes = true;     // false: control messages wait behind bulk ones of the same pair
  double connect_seconds = 0.01;  // until a connection is up again after it broke
  double keepalive_seconds = 10;  // a connection to a node out of reach is closed after that
  double beat_seconds = 1;
  JobSpec job;
  PinSpec pins;
  FaultSpec faults;
  double duration_seconds = 3600;  // stops there even if the job is not finished
  int64_t round_count_max = 0;     // stops after so many commits; 0: no limit
  // Longest time without a commit while a worker is alive and no fault is under way, before that is a violation. 0:
  // from what a round should take.
  double progress_seconds_max = 0;
};

}  // namespace eddl::net::sim
