#include "tools/eddl_sim/scenario_keys.h"

#include <utility>

namespace eddl::net::sim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr KeyRange kAny = {};
constexpr KeyRange kFromZero = {.min = 0};
constexpr KeyRange kFromOne = {.min = 1};
constexpr KeyRange kAboveZero = {.min = 0, .max = kInfinity, .min_excluded = true};
constexpr KeyRange kFraction = {.min = 0, .max = 1};
constexpr KeyRange kFractionBelowOne = {.min = 0, .max = 1, .max_excluded = true};
constexpr KeyRange kPartOfRate = {.min = 0, .max = 1, .min_excluded = true};

constexpr double kMbitPerSecond = 1e6 / 8;
constexpr double kMilli = 1e-3;
constexpr double kMicro = 1e-6;
constexpr double kNano = 1e-9;

struct Traits {
  KeyRange range = kAny;
  std::string_view unit;
  double factor = 1;
};

// Collects keys below one prefix.
class Table {
 public:
  Table(std::vector<Key>& keys, std::string prefix) : keys_(keys), prefix_(std::move(prefix)) {}

  void Add(std::string_view name, KeyField field, const Traits& traits, std::string_view doc) {
    keys_.push_back({.name = prefix_ + std::string(name),
                     .field = field,
                     .range = traits.range,
                     .unit = traits.unit,
                     .factor = traits.factor,
                     .doc = doc});
  }
  Table Inner(std::string_view name) { return Table(keys_, prefix_ + std::string(name) + "."); }

 private:
  std::vector<Key>& keys_;
  std::string prefix_;
};

constexpr Traits kSeconds = {kFromZero, "seconds"};
constexpr Traits kPerSecond = {kFromZero, "per second, over the whole cluster"};
constexpr Traits kProbability = {kFraction, "probability a message"};
constexpr Traits kMbps = {kAboveZero, "Mbit/s", kMbitPerSecond};

void AddLink(Table table, LinkSpec& link) {
  table.Add("up_mbps", &link.up_bytes_per_second, kMbps, "What the device can send.");
  table.Add("down_mbps", &link.down_bytes_per_second, kMbps, "What the device can receive.");
  table.Add("latency_ms", &link.latency_seconds, {kFromZero, "ms", kMilli},
            "One way to another node; the greater of a pair's two counts.");
  table.Add("efficiency", &link.efficiency, {kPartOfRate},
            "Goodput over rate: what headers of Ethernet, IP and TCP leave.");
  table.Add("cell", &link.cell, {kFromZero}, "The shared medium that it hangs on, of [[cells]]. 0: a wire of its own.");
  table.Add("fan_in_free", &link.fan_in_free, {kFromZero, "senders"},
            "As many senders at once cost a receiving port nothing.");
  table.Add("fan_in_loss", &link.fan_in_loss, {kFractionBelowOne},
            "Part of its rate that a receiving port loses for each sender beyond fan_in_free, as TCP incast does.");
  table.Add("variation", &link.variation, {kFromZero},
            "Standard deviation of the rate over its mean, log-normal, drawn anew every period.");
  table.Add("variation_period_seconds", &link.variation_period_seconds, {kAboveZero, "seconds"},
            "How often the rate is drawn.");
  table.Add("changes", &link.changes, {kFromZero},
            "Changes of the rate at known instants: a list of [seconds, factor of the link's own rate].");
  table.Add("known_seconds", &link.known_seconds, {kFromZero, "seconds"},
            "What the device takes to measure its rates, exactly. 0: known when it starts.");
}

void AddTask(Table table, TaskSpec& task) {
  table.Add("kind", &task.kind, {},
            "What learns. none: bytes and times only. softmax: softmax regression on dense inputs. mlp: one hidden "
            "layer. sparse: softmax regression on few binary inputs of many, like permissions of applications.");
  table.Add("input_count", &task.input_count, {kFromOne}, "Length of an input.");
  table.Add("hidden_count", &task.hidden_count, {kFromOne}, "mlp: units of the hidden layer.");
  table.Add("class_count", &task.class_count, {{.min = 2}, "classes"}, "Classes to tell apart.");
  table.Add("active_fraction", &task.active_fraction, {kPartOfRate}, "sparse: part of the inputs that are 1.");
  table.Add("label_noise", &task.label_noise, {kFractionBelowOne}, "Part of the labels that are drawn at random.");
  table.Add("separation", &task.separation, {kAboveZero}, "Scale of the teacher that gives labels: greater is easier.");
  table.Add("test_count", &task.test_count, {kFromOne, "samples"},
            "Samples that accuracy is measured on; they are not trained on.");
}

void AddJob(Table table, JobSpec& job) {
  table.Add("sample_count", &job.sample_count, {kFromOne, "samples"}, "Training samples of an epoch.");
  table.Add("epoch_count", &job.epoch_count, {kFromOne, "epochs"}, "How often each sample is used.");
  table.Add("batch_size", &job.batch_size, {kFromOne, "samples"}, "Samples a round, all workers together.");
  table.Add("micro_batch_size", &job.micro_batch_size, {kFromOne, "samples"},
            "The unit that is dealt out and accounted for.");
  table.Add("seed", &job.seed, {kFromZero},
            "Seed of the order of samples, of the first parameters and of generated data; the world's own is --seed.");
  table.Add("parameter_count", &job.parameter_count, {kFromZero, "parameters"},
            "Size of the model. Where something learns, links are loaded as if it were this large; 0: its own size.");
  table.Add("first_layer", &job.first_layer, {kFraction},
            "Part of the parameters that a forward pass needs to begin; it waits for others as it gets to them. 1: it "
            "begins when all are there.");
  table.Add("stripe_count", &job.stripe_count, {kFromZero, "stripes"},
            "Equal pieces that the parameters are dealt to leaders in. 0: the manager's choice.");
  table.Add("optimizer", &job.optimizer, {}, "The optimizer that leaders run.");
  table.Add("learning_rate", &job.learning_rate, {kAboveZero}, "Its learning rate.");
  table.Add("momentum", &job.momentum, {kFractionBelowOne}, "momentum: its factor. adam: the first beta.");
  table.Add("gradient_norm_max", &job.gradient_norm_max, {kFromZero},
            "Longer mean gradients are scaled down to this norm. 0: never.");
  table.Add("noise_scale", &job.noise_scale, {kFromZero, "samples"},
            "Where nothing learns: noise scale that the norms of gradients are made from. 0: 1000.");
  table.Add("exact", &job.exact, {},
            "Sums in fixed point: the result does not depend on who computed what. Fixes mode and codec.");
  table.Add("checkpoint_rounds", &job.checkpoint_rounds, {kFromZero, "rounds"}, "Rounds between checkpoints. 0: none.");
  table.Add("checkpoint_epochs", &job.checkpoint_epochs, {}, "A checkpoint at the end of each epoch, too.");
  table.Add("checkpoint_end", &job.checkpoint_end, {}, "The job is over only when its last version is a checkpoint.");
  table.Add("target_accuracy", &job.target_accuracy, {kFraction}, "Stop at this accuracy on test data. 0: never.");
  table.Add("evaluate_rounds", &job.evaluate_rounds, {kFromZero, "rounds"},
            "Rounds between measurements of the accuracy. 0: once an epoch.");
  table.Add(
      "test_leases", &job.test_leases, {},
      "The workers test the model on task.test_count samples, after each epoch and with each regular checkpoint.");
  AddTask(table.Inner("task"), job.task);
}

void AddPins(Table table, PinSpec& pins) {
  table.Add("mode", &pins.mode, {}, "How rounds are closed. auto: the planner's choice.");
  table.Add("codec", &pins.codec, {}, "How gradients and parameters travel. auto: the planner's choice.");
  table.Add("leaders", &pins.leaders, {kFromOne, "node numbers"}, "Who leads. Empty: the planner's choice.");
  table.Add("leader_count", &pins.leader_count, {kFromZero, "leaders"},
            "So many lead, with equal shares, of those that can. 0: the planner's choice.");
  table.Add("quorum", &pins.quorum, {kFromOne, "contributions"}, "async: how many close a round.");
  table.Add("staleness_max", &pins.staleness_max, {kFromZero, "rounds"},
            "async: how old the base of a contribution may be.");
  table.Add("admit_all", &pins.admit_all, {}, "Nobody is parked for being slow.");
  table.Add("speculate", &pins.speculate, {},
            "Slow leases are computed a second time by a device that has nothing to do.");
}

void AddFaultRates(Table table, FaultRates& rates) {
  table.Add("reset", &rates.reset, kProbability, "The connections of a pair break; what is under way is lost.");
  table.Add("duplicate", &rates.duplicate, kProbability, "A bulk message comes twice.");
  table.Add("corrupt", &rates.corrupt, kProbability, "A bulk message comes damaged.");
  table.Add("delay", &rates.delay, kProbability, "A message comes later; those of other pairs and lanes overtake it.");
  table.Add("delay_seconds", &rates.delay_seconds, kSeconds, "At most so much later.");
  table.Add("crash_per_second", &rates.crash_per_second, kPerSecond, "A process ends, and its memory is lost.");
  table.Add("hang_per_second", &rates.hang_per_second, kPerSecond, "A process stands still, then goes on.");
  table.Add("partition_per_second", &rates.partition_per_second, kPerSecond, "A node can't reach anyone.");
  table.Add("manager_crash_per_second", &rates.manager_crash_per_second, kPerSecond,
            "The manager's process ends, and comes back from its journal.");
  table.Add("slow_per_second", &rates.slow_per_second, kPerSecond, "A device computes slower.");
  table.Add("leave_per_second", &rates.leave_per_second, kPerSecond, "A device leaves as the protocol asks.");
  table.Add("never_back", &rates.never_back, {kFraction}, "Part of those that crashed or left that never come back.");
  table.Add("seconds_mean", &rates.seconds_mean, {kAboveZero, "seconds"}, "How long each lasts, exponential.");
  table.Add("from_seconds", &rates.from_seconds, kSeconds, "No fault at random before.");
  table.Add("until_seconds", &rates.until_seconds, kSeconds, "No fault at random after.");
}

void AddFaults(Table table, FaultSpec& faults) {
  table.Add("journal_sync_seconds", &faults.journal_sync_seconds, kSeconds,
            "A record of the manager's journal is durable after that.");
  table.Add("checkpoint_save_seconds", &faults.checkpoint_save_seconds, kSeconds,
            "A checkpoint is on the manager's disk after that.");
  AddFaultRates(table.Inner("rates"), faults.rates);
  Table churn = table.Inner("churn");
  churn.Add("period_seconds", &faults.churn.period_seconds, kSeconds, "How often the cluster changes. 0: never.");
  churn.Add("worker_fraction", &faults.churn.worker_fraction, {kFraction}, "Part of the workers replaced each time.");
  churn.Add("leaders_killed", &faults.churn.leaders_killed, {kFromZero, "leaders"}, "Leaders killed each time.");
  churn.Add("back_seconds", &faults.churn.back_seconds, kSeconds, "Until the replacement is there.");
}

void AddDevice(Table table, DeviceSpec& device) {
  table.Add("can_work", &device.can_work, {}, "May compute leases.");
  table.Add("can_lead", &device.can_lead, {}, "May lead a part of the parameters: others can reach it.");
  table.Add("fixed_seconds", &device.fixed_seconds, kSeconds,
            "A lease takes this, and seconds_per_sample for each sample.");
  table.Add("seconds_per_sample", &device.seconds_per_sample, {kAboveZero, "seconds"}, "Computing one sample.");
  table.Add("variation", &device.variation, {kFromZero},
            "Standard deviation of a lease's time over its mean, log-normal.");
  table.Add("microseconds_per_message", &device.seconds_per_message, {kFromZero, "us", kMicro},
            "What handling one received message costs, beside the computation.");
  table.Add("nanoseconds_per_byte", &device.seconds_per_byte, {kFromZero, "ns", kNano},
            "What each byte that is sent, folded, merged or applied costs, beside the computation.");
  table.Add("memory_mb_max", &device.memory_bytes_max, {kFromZero, "MB", 1e6}, "Memory for training. 0: enough.");
  Table bursts = table.Inner("bursts");
  bursts.Add("idle_seconds", &device.bursts.idle_seconds, kSeconds,
             "Native load of the owner comes in bursts; mean time between them. 0: never any.");
  bursts.Add("busy_seconds", &device.bursts.busy_seconds, {kAboveZero, "seconds"}, "Mean length of a burst.");
  bursts.Add("factor_min", &device.bursts.factor_min, {kFromOne},
             "In a burst, computing takes longer by a factor: at least this.");
  bursts.Add("factor_max", &device.bursts.factor_max, {kFromOne}, "And at most this; drawn for each burst.");
  Table sessions = table.Inner("sessions");
  sessions.Add("on_seconds", &device.sessions.on_seconds, kSeconds,
               "Mean time that the device stays. 0: always there.");
  sessions.Add("off_seconds", &device.sessions.off_seconds, kSeconds, "Mean time that it is away.");
  sessions.Add("spread", &device.sessions.spread, {kFromZero}, "Sigma of the logarithm of both.");
  sessions.Add("announced", &device.sessions.announced, {},
               "It leaves as the protocol asks, not with a cut connection.");
  AddLink(table.Inner("link"), device.link);
}

}  // namespace

std::vector<Key> KeysOf(Scenario& scenario) {
  std::vector<Key> keys;
  Table top(keys, "");
  top.Add("name", &scenario.name, {}, "What the run is called in its summary.");
  top.Add("description", &scenario.description, {}, "What it is to show.");
  top.Add("duration_seconds", &scenario.duration_seconds, {kAboveZero, "virtual seconds"},
          "Stop there even if the job is not finished.");
  top.Add("round_count_max", &scenario.round_count_max, {kFromZero, "rounds"},
          "Stop after so many commits. 0: no limit.");
  top.Add("separate_lanes", &scenario.separate_lanes, {},
          "Small messages have a connection of their own. false: they wait behind bulk ones.");
  top.Add("connect_seconds", &scenario.connect_seconds, kSeconds, "Until a broken connection is up again.");
  top.Add("beat_seconds", &scenario.beat_seconds, {kAboveZero, "seconds"}, "How often a node says that it is alive.");
  top.Add("progress_seconds_max", &scenario.progress_seconds_max, kSeconds,
          "Longest time without a commit, with a worker alive and no fault, before that is a violation. 0: learned.");
  AddJob(top.Inner("job"), scenario.job);
  AddPins(top.Inner("pins"), scenario.pins);
  AddFaults(top.Inner("faults"), scenario.faults);
  Table manager = top.Inner("manager");
  manager.Add("microseconds_per_message", &scenario.manager_seconds_per_message, {kFromZero, "us", kMicro},
              "What handling one received message costs the manager.");
  AddLink(manager.Inner("link"), scenario.manager_link);
  return keys;
}

std::vector<Key> KeysOf(DeviceGroup& group) {
  std::vector<Key> keys;
  Table table(keys, "devices.");
  table.Add("name", &group.name, {}, "What devices of this kind are called.");
  table.Add("count", &group.count, {kFromOne, "devices"}, "How many there are.");
  table.Add("speed_spread", &group.speed_spread, {kFromZero},
            "Their speeds differ by a log-normal factor; sigma of its logarithm.");
  table.Add("rate_spread", &group.rate_spread, {kFromZero}, "The same for the rates of their links.");
  table.Add("join_seconds", &group.join_seconds, kSeconds, "When the first comes.");
  table.Add("join_spacing_seconds", &group.join_spacing_seconds, kSeconds, "Between one and the next.");
  AddDevice(table, group.device);
  return keys;
}

std::vector<Key> KeysOf(CellSpec& cell) {
  std::vector<Key> keys;
  Table table(keys, "cells.");
  table.Add("cell", &cell.cell, {kFromOne}, "The number that links name it by.");
  table.Add("mbps", &cell.bytes_per_second, kMbps, "What all its members together can send and receive.");
  return keys;
}

std::vector<Key> KeysOf(FaultEvent& event) {
  std::vector<Key> keys;
  Table table(keys, "faults.events.");
  table.Add(
      "kind", &event.kind, {},
      "reset: connections break. crash: a process ends. hang: it stands still. partition: a node can't reach "
      "anyone. manager_crash: as crash. slow: computes slower. leave: leaves and joins. pause: by its owner. "
      "contribute: no fault; the job's data grow, from the next epoch on, by samples that `node` alone has (0: all).");
  table.Add("at_seconds", &event.at_seconds, kSeconds, "When.");
  table.Add("node", &event.node, {kFromZero}, "Whom; nodes are numbered from 1. 0: drawn by seed.");
  table.Add("who", &event.who, {}, "Among whom it is drawn.");
  table.Add("seconds", &event.seconds, {kAny, "seconds"}, "How long. crash and leave: below 0 is for ever.");
  table.Add("factor", &event.factor, {kFromOne}, "slow: computing takes so many times longer.");
  table.Add("samples", &event.samples, {kFromZero, "samples"}, "contribute: how many come.");
  return keys;
}

}  // namespace eddl::net::sim
