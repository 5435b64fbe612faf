#include "net/sim/baselines/straggler.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>

#include "net/sim/baselines/straggler_pull.h"
#include "net/sim/baselines/straggler_speed.h"
#include "net/sim/device.h"
#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net::sim {
namespace {

// The workers of one round.
struct Workers {
  std::vector<double> predicted;  // seconds a micro-batch
  std::vector<WorkerSpeed> speeds;
};

Workers Draw(const StragglerCase& study, int64_t round) {
  Rng rng(DeriveSeed(study.seed, static_cast<uint64_t>(round)));
  Workers workers;
  for (int64_t i = 0; i < study.worker_count; ++i) {
    workers.predicted.push_back(study.micro_batch_seconds * std::exp(study.speed_spread * rng.Normal()));
    workers.speeds.emplace_back(study, workers.predicted.back(), rng);
  }
  return workers;
}

// The earliest instant by which `done` says enough.
double Earliest(const std::function<bool(double)>& done) {
  double high = 1;
  while (!done(high)) high *= 2;
  double low = 0;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (done(middle) ? high : low) = middle;
  }
  return high;
}

double Oracle(const StragglerCase& study, const Workers& workers) {
  return Earliest([&](double end) {
    double work = 0;
    for (const WorkerSpeed& speed : workers.speeds) work += speed.DoneBy(end);
    return work >= static_cast<double>(study.micro_batch_count);
  });
}

double WholeMicroBatches(const StragglerCase& study, const Workers& workers) {
  return Earliest([&](double end) {
    double work = 0;
    for (const WorkerSpeed& speed : workers.speeds) work += std::floor(speed.DoneBy(end));
    return work >= static_cast<double>(study.micro_batch_count);
  });
}

double EqualSplit(const StragglerCase& study, const Workers& workers) {
  const double share = static_cast<double>(study.micro_batch_count) / static_cast<double>(study.worker_count);
  double end = 0;
  for (const WorkerSpeed& speed : workers.speeds) end = std::max(end, speed.Finish(0, share));
  return end;
}

// Shares in proportion to speed, cut at will: every worker is predicted to end at the same instant.
double LbBsp(const StragglerCase& study, const Workers& workers) {
  double rate = 0;
  for (const double cost : workers.predicted) rate += 1 / cost;
  const double predicted_end = static_cast<double>(study.micro_batch_count) / rate;
  double end = 0;
  for (size_t i = 0; i < workers.speeds.size(); ++i) {
    end = std::max(end, workers.speeds[i].Finish(0, predicted_end / workers.predicted[i]));
  }
  return end;
}

// Equal shares such that the fastest `worker_count - backups` make the batch; the rest is thrown away.
double BackupWorkers(const StragglerCase& study, const Workers& workers, int64_t backups) {
  const int64_t needed = study.worker_count - backups;
  const double share = static_cast<double>(study.micro_batch_count) / static_cast<double>(needed);
  std::vector<double> ends;
  for (const WorkerSpeed& speed : workers.speeds) ends.push_back(speed.Finish(0, share));
  std::sort(ends.begin(), ends.end());
  return ends[static_cast<size_t>(needed - 1)];
}

StragglerRow Summarize(std::string method, std::vector<double> ratios, double duplicated) {
  std::sort(ratios.begin(), ratios.end());
  const auto count = static_cast<double>(ratios.size());
  return {.method = std::move(method),
          .mean = std::accumulate(ratios.begin(), ratios.end(), 0.0) / count,
          .p95 = ratios[static_cast<size_t>(0.95 * (count - 1))],
          .duplicated = duplicated};
}

// One round time for each round, over the oracle's.
using Method = std::function<double(const Workers&)>;
std::vector<double> Ratios(const std::vector<Workers>& rounds, const std::vector<double>& oracles,
                           const Method& method) {
  std::vector<double> ratios;
  for (size_t i = 0; i < rounds.size(); ++i) ratios.push_back(method(rounds[i]) / oracles[i]);
  return ratios;
}

}  // namespace

std::vector<StragglerRow> StudyStragglers(const StragglerCase& study) {
  EDDL_CHECK(study.worker_count > 0 && study.micro_batch_count > 0 && study.round_count > 0 && study.burst_fraction < 1)
      << study.worker_count << " workers, " << study.micro_batch_count << " micro-batches, " << study.round_count
      << " rounds, bursts " << study.burst_fraction << " of the time";
  std::vector<Workers> rounds;
  std::vector<double> oracles;
  for (int64_t round = 0; round < study.round_count; ++round) {
    rounds.push_back(Draw(study, round));
    oracles.push_back(Oracle(study, rounds.back()));
  }
  std::vector<StragglerRow> rows;
  const auto add = [&](const char* name, const Method& method) {
    rows.push_back(Summarize(name, Ratios(rounds, oracles, method), 0));
  };
  add("whole micro-batches, known speeds", [&](const Workers& w) { return WholeMicroBatches(study, w); });
  add("equal split", [&](const Workers& w) { return EqualSplit(study, w); });
  add("LB-BSP, perfect means", [&](const Workers& w) { return LbBsp(study, w); });

  StragglerRow best{.mean = INFINITY};
  for (int64_t backups = 0; backups < study.worker_count; ++backups) {
    StragglerRow row =
        Summarize("backup workers, best " + std::to_string(backups) + " of " + std::to_string(study.worker_count),
                  Ratios(rounds, oracles, [&](const Workers& w) { return BackupWorkers(study, w, backups); }),
                  static_cast<double>(backups) / static_cast<double>(study.worker_count - backups));
    if (row.mean < best.mean) best = std::move(row);
  }
  rows.push_back(std::move(best));

  const auto add_pull = [&](const char* name, PullRule rule) {
    int64_t duplicates = 0;
    std::vector<double> ratios = Ratios(rounds, oracles, [&](const Workers& w) {
      PullRound round(rule, w.predicted, w.speeds, study.micro_batch_count, FromSeconds(study.round_trip_seconds));
      const double seconds = round.Run();
      duplicates += round.duplicates();
      return seconds;
    });
    rows.push_back(
        Summarize(name, std::move(ratios),
                  static_cast<double>(duplicates) / static_cast<double>(study.round_count * study.micro_batch_count)));
  };
  add_pull("pull", PullRule::kAny);
  add_pull("pull, earliest finish as a sum", PullRule::kSum);
  add_pull("pull, lease gate", PullRule::kGate);
  add_pull("pull, lease gate and duplicates", PullRule::kDuplicate);
  return rows;
}

std::string ToString(const std::vector<StragglerRow>& rows) {
  char line[128];
  std::snprintf(line, sizeof line, "%-36s %8s %8s %11s\n", "round time over the oracle's", "mean", "p95", "duplicated");
  std::string text = line;
  for (const StragglerRow& row : rows) {
    std::snprintf(line, sizeof line, "%-36s %8.3f %8.3f %9.1f %%\n", row.method.c_str(), row.mean, row.p95,
                  100 * row.duplicated);
    text += line;
  }
  return text;
}

}  // namespace eddl::net::sim
