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
#include "net/wire/cluster.grpc.pb.h"
#include "runtime/data/dataset.h"

namespace eddl::cluster {

// Rows of one request at most, and bytes of one piece of the answer.
constexpr int kSamplesPerRequestMax = 65536;
constexpr int64_t kSamplesPieceBytes = int64_t{1} << 18;

// Answers a request with the rows in the order of asking. INVALID_ARGUMENT: an index that is not in the data.
grpc::Status ServeSamples(const Dataset& data, const v1::GetSamplesRequest& request,
                          grpc::ServerWriter<v1::SamplesPiece>& writer);

// Takes some of the samples that were asked for: rows [samples.size(), row bytes], labels [samples.size()]. An error
// ends the fetch.
using SampleSink = std::function<absl::Status(std::span<const int64_t> samples, std::span<const std::byte> rows,
                                              std::span<const int32_t> labels)>;
// Blocks until all of them were given to the sink, or it failed. kUnavailable: trying again may help.
using SampleFetcher = std::function<absl::Status(std::span<const int64_t> samples, const SampleSink& sink)>;

// Fetches over this channel. kDataLoss: the manager sent other samples than were asked for.
SampleFetcher MakeFetcher(std::shared_ptr<grpc::Channel> channel);

}  // namespace eddl::cluster
