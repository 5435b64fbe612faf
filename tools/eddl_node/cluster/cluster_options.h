// From the words of a job to the options of a manager.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "net/node/manager.h"
#include "runtime/data/open.h"
#include "runtime/graph/param_layout.h"
#include "tools/eddl_node/cluster/job_packet.h"
#include "tools/eddl_node/job_config.h"

namespace eddl::cluster {

// `name`: of the job file. kUsage: keys that contradict each other. kData: rows that can't be read, or are too large to
// travel.
absl::StatusOr<JobPacket> MakeJobPacket(const JobConfig& job, const std::string& name, const std::string& job_id,
                                        const ModelSpec& model, const DataSplit& data, const TrainOptions& options,
                                        const ParamLayout& layout);

net::ManagerOptions MakeManagerOptions(const JobConfig& job, const JobPacket& packet, const ParamLayout& layout);

// What a person should know who asks for pipe or async with momentum; empty for other jobs.
std::string DelayWarning(const JobConfig& job);

// Tells data sets apart, by all labels and rows: names a cache, whose rows are used without another look. Waits for the
// rows.
absl::StatusOr<std::string> CacheFingerprint(const Dataset& train);

}  // namespace eddl::cluster
