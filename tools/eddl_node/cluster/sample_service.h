// Samples over the network: the manager's side, which hands out rows of its data set, and a member's, which fetches
// them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/wire/cluster.grpc.pb.h"
#include "tools/eddl_node/cluster/job_packet.h"
#include "tools/eddl_node/cluster/training_rows.h"

namespace eddl::cluster {

// Rows of one request at most, and bytes of one piece of the answer.
constexpr int kSamplesPerRequestMax = 65536;
constexpr int64_t kSamplesPieceBytes = int64_t{1} << 18;
// Larger rows do not travel: a piece has at least one, and must fit in a message that nodes accept.
constexpr int64_t kSampleRowBytesMax = int64_t{1} << 22;

// Whose turn it is at the manager's link: rows that a lease waits for go before those that are fetched ahead of need.
// Thread-safe.
class SampleTurns {
 public:
  // What is fetched ahead waits at most this long before each piece, so that it comes even where leases never cease.
  static constexpr absl::Duration kPatience = absl::Milliseconds(200);

  // A request that a lease waits for is being answered, as long as this lives.
  class Leased {
   public:
    explicit Leased(SampleTurns& turns) : turns_(turns) { turns_.Add(1); }
    ~Leased() { turns_.Add(-1); }
    Leased(const Leased&) = delete;
    Leased& operator=(const Leased&) = delete;

   private:
    SampleTurns& turns_;
  };
  // Blocks until no lease waits. False: some do, and the patience is over.
  bool AwaitTurn();

 private:
  void Add(int64_t count);
  bool IsFree() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return leased_ == 0; }

  absl::Mutex mutex_;
  int64_t leased_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Whether the request is for rows of this job, as they are here. kUnavailable: of another job, whose manager was at
// this address before, and may come back. kFailedPrecondition: of other data, or it names none.
absl::Status CheckAsked(const JobPacket& job, const v1::GetSamplesRequest& request);

// Answers a request with the rows in the order of asking. `write`: sends a piece; false: the receiver went away.
// INVALID_ARGUMENT: an index that is not in the data. UNAVAILABLE: they can't be read here, which is not the caller's
// fault.
grpc::Status ServeSamples(const TrainingRows& data, SampleTurns& turns, const v1::GetSamplesRequest& request,
                          const std::function<bool(const v1::SamplesPiece&)>& write);

// Takes some of the samples that were asked for: rows [samples.size(), row bytes], labels [samples.size()]. An error
// ends the fetch.
using SampleSink = std::function<absl::Status(std::span<const int64_t> samples, std::span<const std::byte> rows,
                                              std::span<const int32_t> labels)>;
enum class FetchKind : uint8_t { kLeased, kAhead };  // a lease waits for them, or will
// Blocks until all of them were given to the sink, or it failed. kUnavailable: trying again may help.
using SampleFetcher =
    std::function<absl::Status(std::span<const int64_t> samples, FetchKind kind, const SampleSink& sink)>;

enum class SampleSet : uint8_t { kTraining, kTest };
// Fetches this job's rows over this channel. kDataLoss: the manager sent other samples than were asked for.
// Others: CheckAsked, ServeSamples.
SampleFetcher MakeFetcher(std::shared_ptr<grpc::Channel> channel, const JobPacket& job,
                          SampleSet set = SampleSet::kTraining);

}  // namespace eddl::cluster
