// The conformance suite: does a backend keep the contract of eddl_backend.h and eddl_ops.h? One suite, for any backend.
//
// It needs nothing but the table. Every op kind is run forward and backward on random and odd shapes and compared with
// the double-precision references of kernels/; outputs, workspace and state are poisoned beforehand, every byte that an
// op should not touch is compared afterwards, and NaN never passes for a number. Then come the rest of the table's
// promises: copies, queues, limits, errors. A kind, shape or dtype that the backend refuses with EDDL_UNIMPLEMENTED is
// lacking, not wrong.
//
// One run uses one device at a time (but for sums over all of them), and the calling thread (but for one check with
// two). Deterministic: the same seed makes the same cases.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backends/sdk/eddl_backend.h"

namespace eddl::conformance {

struct Options {
  uint64_t seed = 1;
  // Only cases whose name begins with this: "conv2d", "conv2d/12", "interface". Empty: all.
  std::string filter;
  bool filter_is_name = false;  // the filter is one case's whole name
  // Called with the name of a case before it runs: who crashes or hangs can be told by it.
  std::function<void(const std::string&)> on_start = nullptr;
  uint32_t thread_count = 0;  // as in eddl_device_options
  eddl_open_flags open_flags = 0;
  const char* cache_dir = nullptr;
};

enum class Outcome { kPass, kFail, kLacking };

struct CaseResult {
  std::string kind;  // "conv2d", or "interface" and "group" for what is not an op
  std::string name;  // "conv2d/12"
  Outcome outcome = Outcome::kPass;
  double error = 0;        // worst, as a fraction of the tolerance; infinite where nothing else was allowed
  std::string message;     // why it failed, or what the backend said when it refused
  std::string reproducer;  // of a failure: op, seed, worst element, expected, got, tolerance; several lines
};

struct Report {
  std::string backend;  // "cpu"
  std::string version;
  std::string device;
  uint64_t seed = 0;
  std::vector<CaseResult> cases;

  // Whether nothing failed. Lacking is allowed.
  bool ok() const;
};

// Totals of one kind of case.
struct KindSummary {
  std::string kind;
  int cases = 0;
  int passed = 0;
  int failed = 0;
  int lacking = 0;
  double worst_error = 0;  // of those that passed
};

// Called after every case, in order.
using Reporter = std::function<void(const CaseResult&)>;

// Opens device `device_index`, runs all cases that the filter lets through, and closes it. A device that can't be
// opened is a report with one failure. REQUIRES: a full table, as the loader makes it (slots that the backend lacks are
// NULL).
Report RunConformance(const eddl_backend& backend, uint32_t device_index, const Options& options = {},
                      const Reporter& reporter = nullptr);

// One entry a kind, in the order of first appearance.
std::vector<KindSummary> Summarize(const Report& report);

// For people: a line about the device, a table with a row a kind, then each failure with its reproducer.
std::string FormatReport(const Report& report);

}  // namespace eddl::conformance
