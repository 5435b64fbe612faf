// Stragglers: ways to deal out a round's work under bursts of native load, and the whole protocol under the same.
#include "net/sim/baselines/straggler.h"
#include "runtime/base/status.h"
#include "tools/eddl_sim/study_list.h"

namespace eddl::net::sim {
namespace {

constexpr int64_t kMicroBatchesPerWorker[] = {4, 8, 16};

}  // namespace

absl::StatusOr<std::vector<StudyTable>> StudyStraggling(const StudyContext& context) {
  std::vector<StudyTable> tables;
  for (const double burst_seconds : {0.0, 3.0}) {
    StudyTable table = {
        .title =
            std::string("Compute part of a round over the oracle's: 16 workers, 5 % of the time 3 times slower, ") +
            (burst_seconds > 0 ? "bursts of 3 s on average" : "bursts as long as a round"),
        .columns = {"method"}};
    std::vector<std::vector<StragglerRow>> columns;
    for (const int64_t micro_batches : kMicroBatchesPerWorker) {
      if (context.progress)
        context.progress("stragglers, " + std::to_string(micro_batches) + " micro-batches a worker");
      const StragglerCase study = {
          .worker_count = 16, .micro_batch_count = 16 * micro_batches, .burst_seconds = burst_seconds};
      columns.push_back(StudyStragglers(study));
      table.columns.push_back("mean, " + std::to_string(micro_batches) + " a worker");
      table.columns.push_back("95 %");
      table.columns.push_back("twice %");
    }
    for (size_t i = 0; i < columns[0].size(); ++i) {
      std::vector<StudyCell> row = {columns[0][i].method};
      for (const auto& column : columns) {
        row.insert(row.end(), {column[i].mean, column[i].p95, 100 * column[i].duplicated});
      }
      table.rows.push_back(std::move(row));
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace eddl::net::sim
