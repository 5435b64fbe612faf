// Validate: whether what a peer says can be true at all, before a state machine believes it.
//
// Looks at one message alone: ranges, orders, finiteness, limits. Whether it fits the job and the moment, the machines
// check. Pure.
#pragma once

#include "absl/status/status.h"
#include "net/messages.h"
#include "net/wire/parcel.h"

namespace eddl::net {

// Lengths that no honest message exceeds.
constexpr size_t kListMax = size_t{1} << 20;     // micro-batches, stripes, contributors
constexpr size_t kRecordsMax = size_t{1} << 16;  // commit records of one node
constexpr uint32_t kStripesMax = 1u << 24;
// Numbers that are counted up, or added up: so far from their type's end that no sum of honest ones gets there.
constexpr uint64_t kOrdinalMax = uint64_t{1} << 62;  // views, versions, micro-batches, optimizer steps
constexpr int64_t kSamplesMax = int64_t{1} << 40;    // of one lease, push or round
constexpr int64_t kDurationMaxNs = 1'000'000'000'000'000'000;
constexpr double kRateMax = 1e18;  // per second

// kDataLoss names the message and what is wrong with it.
absl::Status Validate(const Message& message);
absl::Status Validate(const Directory& directory);
absl::Status Validate(const DataBlocks& blocks);
absl::Status Validate(const Opening& opening);
absl::Status Validate(const Opened& opened);
absl::Status Validate(const Ping& ping);
absl::Status Validate(const Pong& pong);

// Parts of them, which the journal has, too.
absl::Status Validate(const CommitRecord& record);
absl::Status Validate(const ShardMap& map);
absl::Status Validate(const DataBlock& block);
absl::Status Validate(View view);
absl::Status Validate(Version version);

}  // namespace eddl::net
