#include "tools/eddl_node/cluster/sample_service.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "net/wire/frame.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_service.h"

namespace eddl::cluster {
namespace {

// A fetch of a few hundred rows that takes longer is given up and tried again.
constexpr std::chrono::seconds kFetchPatience{60};

// What a row's number and label, and the fields' headers, add to a piece of one row.
constexpr int64_t kPieceOverheadMax = 64;
static_assert(kSampleRowBytesMax + kPieceOverheadMax <=
              static_cast<int64_t>(net::kFrameHeaderSize + net::kParcelSizeMax + net::kChunkSizeMax));

const std::string& FingerprintOf(const JobPacket& job, bool test) {
  return test ? job.test_fingerprint : job.data_fingerprint;
}

// An error of the manager's own disk must not pass for one of what was asked for, which ends the device that asked.
grpc::Status ReadError(const absl::Status& read) {
  if (absl::IsInvalidArgument(read)) return ToGrpc(read);
  return ToGrpc(Unavailable("the manager can't read its data: " + MessageOf(read)));
}

absl::Status TakePiece(const v1::SamplesPiece& piece, std::span<const int64_t> wanted, const SampleSink& sink) {
  const auto count = static_cast<size_t>(piece.samples_size());
  const bool fits = count > 0 && count <= wanted.size() && piece.labels_size() == piece.samples_size() &&
                    std::equal(piece.samples().begin(), piece.samples().end(), wanted.begin());
  if (!fits) return DataLoss("the manager sent other samples than were asked for");
  return sink(wanted.first(count), std::as_bytes(std::span(piece.rows().data(), piece.rows().size())),
              std::span(piece.labels().data(), count));
}

}  // namespace

void SampleTurns::Add(int64_t count) {
  const absl::MutexLock lock(&mutex_);
  leased_ += count;
}

bool SampleTurns::AwaitTurn() {
  const absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(this, &SampleTurns::IsFree), kPatience);
}

absl::Status CheckAsked(const JobPacket& job, const v1::GetSamplesRequest& request) {
  if (request.job_id().empty() || request.data().empty()) {
    return FailedPrecondition(
        "the request does not say which job's samples it is for; use the same version of eddl-node everywhere");
  }
  if (request.job_id() != job.job_id) return Unavailable("this manager has another job now");
  if (request.data() == FingerprintOf(job, request.test())) return absl::OkStatus();
  return FailedPrecondition(
      "the manager's data are not those that this device joined for: they were changed while the job was down; "
      "restore them, or join again");
}

grpc::Status ServeSamples(const TrainingRows& data, SampleTurns& turns, const v1::GetSamplesRequest& request,
                          const std::function<bool(const v1::SamplesPiece&)>& write) {
  if (request.samples_size() > kSamplesPerRequestMax) return ToGrpc(InvalidArgument("too many samples at once"));
  const std::vector<int64_t> samples(request.samples().begin(), request.samples().end());
  if (const absl::Status ready = data.WaitFor(samples); !ready.ok()) return ReadError(ready);
  std::optional<SampleTurns::Leased> leased;
  if (!request.ahead()) leased.emplace(turns);
  v1::SamplesPiece piece;
  for (int i = 0; i < request.samples_size(); ++i) {
    const int64_t sample = request.samples(i);
    int32_t label = 0;
    if (const absl::Status read = data.Append(sample, *piece.mutable_rows(), label); !read.ok()) return ReadError(read);
    piece.add_samples(sample);
    piece.add_labels(label);
    const bool full = static_cast<int64_t>(piece.rows().size()) >= kSamplesPieceBytes;
    if (!full && i + 1 < request.samples_size()) continue;
    if (request.ahead()) turns.AwaitTurn();
    if (!write(piece)) return ToGrpc(MakeStatus(absl::StatusCode::kCancelled, "the receiver went away"));
    piece.Clear();
  }
  return grpc::Status::OK;
}

SampleFetcher MakeFetcher(std::shared_ptr<grpc::Channel> channel, const JobPacket& job, SampleSet set) {
  const bool test = set == SampleSet::kTest;
  return [channel = std::move(channel), test, job_id = job.job_id, data = FingerprintOf(job, test)](
             std::span<const int64_t> samples, FetchKind kind, const SampleSink& sink) -> absl::Status {
    const auto stub = v1::Cluster::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kFetchPatience);
    v1::GetSamplesRequest request;
    request.set_ahead(kind == FetchKind::kAhead);
    request.set_test(test);
    request.set_job_id(job_id);
    request.set_data(data);
    for (const int64_t sample : samples) request.add_samples(sample);
    const auto reader = stub->GetSamples(&context, request);
    absl::Status taken = absl::OkStatus();
    v1::SamplesPiece piece;
    while (taken.ok() && reader->Read(&piece)) {
      taken = TakePiece(piece, samples, sink);
      if (taken.ok()) samples = samples.subspan(static_cast<size_t>(piece.samples_size()));
    }
    if (!taken.ok()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    EDDL_RETURN_IF_ERROR(taken);
    EDDL_RETURN_IF_ERROR(FromGrpc(status));
    return samples.empty() ? absl::OkStatus() : DataLoss("the manager sent fewer samples than were asked for");
  };
}

}  // namespace eddl::cluster
