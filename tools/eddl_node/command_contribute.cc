// eddl-node contribute: adds labelled entries to a running job.
#include <algorithm>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_client.h"
#include "tools/eddl_node/cluster/job_packet.h"
#include "tools/eddl_node/cluster/sample_service.h"
#include "tools/eddl_node/cluster/training_rows.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/labelled_data.h"
#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

using cluster::ClusterClient;
using cluster::JobPacket;

constexpr char kContributeSchema[] = "eddl.contribute.v1";

// Cuts the entries into pieces that a stream takes well.
class Pieces {
 public:
  explicit Pieces(const LabelledData& data) : data_(data) {}

  bool Next(ClusterClient::Entries& entries) {
    const int64_t row_bytes = data_.rows.row_bytes();
    const int64_t most = std::max<int64_t>(1, cluster::kSamplesPieceBytes / row_bytes);
    const int64_t end = std::min(data_.rows.size(), begin_ + most);
    if (begin_ == end) return false;
    bytes_.clear();
    for (int64_t row = begin_; row < end; ++row) {
      const std::span<const std::byte> bytes = data_.rows.Row(row);
      bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
    entries = {
        .rows = bytes_,
        .labels = std::span(data_.labels).subspan(static_cast<size_t>(begin_), static_cast<size_t>(end - begin_))};
    begin_ = end;
    return true;
  }

 private:
  const LabelledData& data_;
  int64_t begin_ = 0;
  std::vector<std::byte> bytes_;
};

absl::Status Contribute(const ContributeArguments& arguments, const Console& console) {
  JobConfig reading;
  EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kUsage, ApplyOverrides(reading, arguments.overrides)));
  EDDL_ASSIGN_OR_RETURN(
      ClusterClient client,
      ClusterClient::Create({.manager = arguments.manager, .insecure = arguments.insecure, .state = arguments.state}));
  EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json status, client.Status(/*with_job=*/true));
  const auto job = JobPacket::FromJson(status.value("job_packet", std::string()));
  if (!job.ok()) return WithExitCode(ExitCode::kMismatch, job.status());
  EDDL_ASSIGN_OR_RETURN(const LabelledData data, OpenLabelledData(arguments.data, reading, job->data));
  for (const std::string& note : data.notes) console.Line(note);
  const absl::Status ready = data.rows.WaitFor(data.rows.size());
  if (!ready.ok()) return WithExitCode(ExitCode::kData, ready);
  // The manager looks at each, too; but here nothing has travelled yet.
  for (int64_t row = 0; row < data.rows.size(); ++row) {
    const absl::Status good =
        cluster::CheckEntry(job->data, row + 1, data.rows.Row(row), data.labels[static_cast<size_t>(row)]);
    if (!good.ok()) return WithExitCode(ExitCode::kData, WithContext(good, arguments.data));
  }
  Pieces pieces(data);
  EDDL_ASSIGN_OR_RETURN(const ClusterClient::Contributed done,
                        client.Contribute([&](ClusterClient::Entries& entries) { return pieces.Next(entries); }));
  console.Line(Grouped(done.accepted) + " entries accepted: used from epoch " + std::to_string(done.first_epoch) +
               " on");
  console.Json({{"schema", kContributeSchema}, {"accepted", done.accepted}, {"first_epoch", done.first_epoch}});
  return absl::OkStatus();
}

}  // namespace

int RunCommand(const ContributeArguments& arguments) {
  const Console console(arguments.format);
  const absl::Status status = Contribute(arguments, console);
  return status.ok() ? 0 : ReportFailure(console, kContributeSchema, status);
}

}  // namespace eddl
