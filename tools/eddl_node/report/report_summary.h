// What a run's report adds up: totals, where devices' time went, what was predicted. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace eddl {

// A row a device, those that computed most first: {"node", "name", "samples", "share", "leases", "compute_seconds",
// "seconds", "time": {"compute", "exchange", "wait", "away"} (fractions; null if it was never seen),
// "samples_per_second" (while it was there), "predicted_samples_per_second"}. `history`: of RunHistory; null: none.
nlohmann::ordered_json DeviceRows(const nlohmann::ordered_json& history);

// {"seconds", "samples", "samples_per_second", "predicted_samples_per_second", "measured_against_predicted",
// "test_accuracy", "best_test_accuracy", "epochs", "time": {...} of all devices}; null where nothing is known.
nlohmann::ordered_json SummaryOf(const nlohmann::ordered_json& epochs, const nlohmann::ordered_json& history);

}  // namespace eddl
