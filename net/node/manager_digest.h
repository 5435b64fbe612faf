// Manager's part of a digest (digest.h): each member is added, or left out for a reason.
//
// Pure. For model checkers: whoever digests a Manager includes this.
#pragma once

#include "net/node/manager.h"

namespace eddl::net {

template <typename Digest>
void Manager::AddTo(Digest& digest) const {
  const auto& [options, phase, view, started, is_new_life, histories, started_version, version, checkpoint, saved,
               disk_said, durable, map, plan, decision, measured, measuring_since, measuring_samples, ledger,
               checkpoint_ledger, checkpoint_ledgers, checkpoint_parts, checkpoint_wanted, last_leaves, save_asked,
               roster, gate, waiting_gate, noise_scale, step_gain, rounds, ends, duplicates, results, async_leases,
               granted_since_probe, batch_seconds, poisoned_by, poisoned_count, missing_since, away_said, closed,
               closed_said, epochs_over, epoch_ends, rejected_count, records, evaluations, tested, tested_by,
               told_to_stop, names, next_counter, next_attempt, serve, replan, planned_with_noise, planned_with_gain,
               planned_blind, planned_exchange, planned_at, planned_when, plan_rounds, started_at, load_bound,
               next_tick, deaf_since, ask_again, agreeing_since, waiting_since, safe_since, patience_over, agree_bound,
               stage_bound] = *this;
  digest.Add(phase, view, started, is_new_life, histories, started_version, version, checkpoint, saved, durable, map,
             plan, ledger, checkpoint_ledger, checkpoint_ledgers, checkpoint_parts, checkpoint_wanted, last_leaves,
             roster, rounds, duplicates, results, poisoned_by, poisoned_count, away_said, closed, closed_said,
             epochs_over, epoch_ends, records, evaluations, tested, told_to_stop, next_counter, next_attempt, serve,
             replan, planned_with_noise, planned_with_gain, planned_blind, planned_at, plan_rounds, patience_over);
  digest.Add(tested_by.size());
  for (const NodeId node : tested_by) digest.Add(node);  // by micro-batch: their order counts
  digest.AddUnordered(missing_since, [](Digest& part, const auto& entry) { part.Add(entry.first); });
  for (const Round& round : rounds) {
    digest.AddUnordered(map.shards, [&shards = map, &round](Digest& part, const Shard& shard) {
      const size_t index = *shards.LedBy(shard.leader);
      part.Add(shard.leader, index < round.staged.size() && round.staged[index],
               index < round.answered.size() && round.answered[index]);
    });
  }
  // Times and speeds, and what is learnt of them.
  digest.Omit(measured, measuring_since, measuring_samples, save_asked, gate, waiting_gate, noise_scale, step_gain,
              granted_since_probe, batch_seconds, planned_exchange, planned_when, started_at, load_bound, next_tick,
              deaf_since, ask_again, agreeing_since, waiting_since, safe_since, agree_bound, stage_bound);
  digest.Omit(options, names);                       // the same in all states; what payloads are called
  digest.Omit(ends, async_leases);                   // what leases say
  digest.Omit(decision, rejected_count, disk_said);  // for people
}

}  // namespace eddl::net
