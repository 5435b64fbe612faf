#include "net/wire/validate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <string>

#include "net/wire/text.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

absl::Status Bad(const std::string& what) { return DataLoss(what); }

template <typename T>
bool IsStrictlyAscending(const std::vector<T>& list) {
  return std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()) == list.end();
}

bool IsNorm(double value) { return std::isfinite(value) && value >= 0; }
// Written so that a NaN is none.
bool IsRate(double value) { return value >= 0 && value <= kRateMax; }
bool IsCount(int64_t samples) { return samples >= 0 && samples <= kSamplesMax; }
bool IsDuration(Duration duration) { return duration.ns >= 0 && duration.ns <= kDurationMaxNs; }

// A view, version or micro-batch that can be, and be counted on from.
template <typename... Id>
bool AreOrdinals(Id... ids) {
  return ((ToInt(ids) < kOrdinalMax) && ...);
}
bool IsVersionOrNone(Version version) { return version == kNoVersion || AreOrdinals(version); }

bool AreMicroBatches(const std::vector<MicroBatch>& list) {
  return list.size() <= kListMax && IsStrictlyAscending(list) && (list.empty() || AreOrdinals(list.back()));
}

// Sorted, disjoint, not empty, below the limit.
bool AreRanges(std::span<const StripeRange> ranges) {
  if (ranges.size() > kListMax) return false;
  Stripe end{};
  for (const StripeRange& range : ranges) {
    if (range.begin < end || range.end <= range.begin || ToInt(range.end) > kStripesMax) return false;
    end = range.end;
  }
  return true;
}

absl::Status Check(const Capabilities& capabilities) {
  const bool good = IsRate(capabilities.micro_batches_per_second) && IsRate(capabilities.up_bytes_per_second) &&
                    IsRate(capabilities.down_bytes_per_second) && IsDuration(capabilities.beat_period) &&
                    capabilities.beat_period.ns > 0;
  return good ? absl::OkStatus() : Bad("capabilities out of range");
}

absl::Status Check(const CommitRecord& record) {
  const bool good = AreOrdinals(record.round, record.view) && AreMicroBatches(record.micro_batches) &&
                    IsCount(record.samples) && std::isfinite(record.learning_rate) && IsNorm(record.scale) &&
                    record.step >= 1 && record.step < kOrdinalMax;
  return good ? absl::OkStatus() : Bad("a commit record out of range");
}

absl::Status Check(const std::vector<CommitRecord>& records) {
  if (records.size() > kRecordsMax) return Bad("too many commit records");
  for (size_t i = 0; i < records.size(); ++i) {
    EDDL_RETURN_IF_ERROR(Check(records[i]));
    if (i > 0 && records[i].round <= records[i - 1].round) return Bad("commit records that are not in order");
  }
  return absl::OkStatus();
}

absl::Status Check(const std::vector<Held>& all) {
  if (all.size() > kListMax) return Bad("too many holdings");
  for (const Held& held : all) {
    // Nothing is held, or everything from one version to another.
    const bool none = held.oldest == kNoVersion && held.newest == kNoVersion;
    const bool good =
        AreRanges(held.stripes) && (none || (AreOrdinals(held.oldest, held.newest) && held.oldest <= held.newest));
    if (!good) return Bad("a holding out of range");
  }
  return absl::OkStatus();
}

// Each shard's ranges are as in shard_map.h; together they have every stripe from 0 on, once.
absl::Status Check(const ShardMap& map) {
  if (map.shards.size() > kListMax) return Bad("too many shards");
  std::vector<StripeRange> all;
  for (size_t i = 0; i < map.shards.size(); ++i) {
    const Shard& shard = map.shards[i];
    const bool sorted = i == 0 || map.shards[i - 1].leader < shard.leader;
    const bool named = shard.leader != kManager && shard.backup != kManager;
    const bool adjacent = std::adjacent_find(shard.stripes.begin(), shard.stripes.end(),
                                             [](auto& a, auto& b) { return a.end == b.begin; }) != shard.stripes.end();
    if (!sorted || !named || adjacent || shard.stripes.empty() || !AreRanges(shard.stripes))
      return Bad("a shard out of range");
    all.insert(all.end(), shard.stripes.begin(), shard.stripes.end());
  }
  std::sort(all.begin(), all.end());
  Stripe end{};
  for (const StripeRange& range : all) {
    if (range.begin != end) return Bad("a map that does not have every stripe once");
    end = range.end;
  }
  return absl::OkStatus();
}

absl::Status Check(const std::string& text) {
  return text.size() <= kTextMax ? absl::OkStatus() : Bad("a reason that is too long");
}

absl::Status CheckIf(bool good, const char* what) { return good ? absl::OkStatus() : Bad(what); }

absl::Status CheckContributors(const std::vector<Contributor>& contributors) {
  const bool good = contributors.size() <= kListMax && IsStrictlyAscending(contributors);
  return CheckIf(good, "contributors that are not in order");
}

absl::Status CheckHoldings(const std::vector<Held>& held, View held_view, const std::vector<CommitRecord>& records) {
  EDDL_RETURN_IF_ERROR(Check(held));
  EDDL_RETURN_IF_ERROR(CheckIf(AreOrdinals(held_view), "a view out of range"));
  return Check(records);
}

absl::Status CheckBody(const Hello& body) {
  EDDL_RETURN_IF_ERROR(Check(body.capabilities));
  return CheckHoldings(body.held, body.held_view, body.records);
}
absl::Status CheckBody(const Welcome& body) {
  const bool good = AreOrdinals(body.incarnation.view) && IsVersionOrNone(body.version);
  EDDL_RETURN_IF_ERROR(CheckIf(good, "a version out of range"));
  return Check(body.map);
}
absl::Status CheckBody(const Beat& body) {
  const bool good = IsRate(body.load) && IsRate(body.up_bytes_per_second) && IsRate(body.down_bytes_per_second) &&
                    IsDuration(body.round_trip) && IsVersionOrNone(body.shard);
  return CheckIf(good, "a measurement out of range");
}
absl::Status CheckBody(const Fence& body) {
  EDDL_RETURN_IF_ERROR(CheckIf(AreOrdinals(body.incarnation.view), "an incarnation out of range"));
  return Check(body.why);
}
absl::Status CheckBody(const Leave&) { return absl::OkStatus(); }
absl::Status CheckBody(const Bye& body) { return Check(body.why); }
absl::Status CheckBody(const ViewChange& body) { return Check(body.why); }
absl::Status CheckBody(const ViewAck& body) { return CheckHoldings(body.held, body.held_view, body.records); }
absl::Status CheckBody(const Start& body) {
  if (body.map.shards.empty()) return Bad("a start without leaders");
  if (body.histories.size() > kListMax || body.transfers.size() > kListMax) return Bad("too many transfers");
  for (const Transfer& transfer : body.transfers) {
    if (transfer.stripes.empty() || !AreRanges(transfer.stripes)) return Bad("a transfer out of range");
  }
  const bool views = std::all_of(body.histories.begin(), body.histories.end(), [](View v) { return AreOrdinals(v); });
  EDDL_RETURN_IF_ERROR(CheckIf(views && AreOrdinals(body.version), "a version out of range"));
  return Check(body.map);
}
absl::Status CheckBody(const Move& body) {
  const bool good = !body.stripes.empty() && AreRanges(body.stripes) && AreOrdinals(body.version);
  return CheckIf(good, "stripes out of range");
}
absl::Status CheckBody(const Grant& body) {
  const bool keeps = body.kind == LeaseKind::kEvaluate;  // a version, for what is to come
  if (body.micro_batches.empty() && !body.last && !keeps) return Bad("a lease of nothing");
  const bool good = AreOrdinals(body.round, body.base) && AreMicroBatches(body.micro_batches) && IsCount(body.samples);
  return CheckIf(good, "a lease out of range");
}
absl::Status CheckBody(const Done& body) {
  const bool is_sum = body.cancelled || !body.finite || (std::isfinite(body.loss_sum) && IsNorm(body.gradient_norm2));
  const bool good = is_sum && AreOrdinals(body.round, body.base) && !body.micro_batches.empty() &&
                    AreMicroBatches(body.micro_batches) && IsCount(body.samples) && IsDuration(body.compute) &&
                    body.correct >= 0 && body.correct <= body.samples;
  return CheckIf(good, "a result out of range");
}
absl::Status CheckBody(const Cancel& body) {
  return CheckIf(AreOrdinals(body.round) && AreMicroBatches(body.micro_batches), "a lease out of range");
}
absl::Status CheckBody(const Assign& body) {
  return CheckIf(AreOrdinals(body.round, body.into), "a round out of range");
}
absl::Status CheckBody(const Drop& body) { return CheckIf(AreOrdinals(body.round), "a round out of range"); }
absl::Status CheckBody(const Close& body) {
  EDDL_RETURN_IF_ERROR(CheckIf(AreOrdinals(body.round), "a round out of range"));
  return CheckContributors(body.expected);
}
absl::Status CheckBody(const Push& body) {
  const bool good = AreOrdinals(body.round, body.base) && body.samples > 0 && IsCount(body.samples);
  return CheckIf(good, "a sum over nothing, or out of range");
}
absl::Status CheckBody(const Nack& body) { return CheckIf(AreOrdinals(body.round), "a round out of range"); }
absl::Status CheckBody(const Staged& body) {
  const bool good = AreOrdinals(body.round) && IsCount(body.samples) && (!body.finite || IsNorm(body.norm2));
  return CheckIf(good, "a norm out of range");
}
absl::Status CheckBody(const Waiting& body) {
  EDDL_RETURN_IF_ERROR(CheckIf(AreOrdinals(body.round), "a round out of range"));
  return CheckContributors(body.missing);
}
absl::Status CheckBody(const Commit& body) {
  EDDL_RETURN_IF_ERROR(CheckIf(AreOrdinals(body.stable, body.durable), "a version out of range"));
  return Check(body.record);
}
absl::Status CheckBody(const Replica& body) {
  EDDL_RETURN_IF_ERROR(CheckIf(AreOrdinals(body.durable), "a version out of range"));
  return Check(body.record);
}
absl::Status CheckBody(const ReplicaOk& body) { return CheckIf(AreOrdinals(body.version), "a version out of range"); }
absl::Status CheckBody(const Publish& body) { return CheckIf(AreOrdinals(body.version), "a version out of range"); }
absl::Status CheckBody(const Pull& body) { return CheckIf(IsVersionOrNone(body.have), "a version out of range"); }

}  // namespace

absl::Status Validate(const Message& message) {
  absl::Status status = CheckIf(AreOrdinals(message.view, message.incarnation.view), "a view out of range");
  if (status.ok()) status = std::visit([](const auto& body) { return CheckBody(body); }, message.body);
  return WithContext(status, NameOf(message.body));
}

absl::Status Validate(const Directory& directory) {
  constexpr size_t kAddressMax = 512;
  const auto by_node = [](const Directory::Entry& a, const Directory::Entry& b) { return a.node >= b.node; };
  const bool good =
      directory.entries.size() <= kListMax && directory.revoked.size() <= kListMax &&
      IsStrictlyAscending(directory.revoked) &&
      std::adjacent_find(directory.entries.begin(), directory.entries.end(), by_node) == directory.entries.end() &&
      std::all_of(directory.entries.begin(), directory.entries.end(),
                  [](const Directory::Entry& entry) { return entry.address.size() <= kAddressMax; });
  return good ? absl::OkStatus() : Bad("a directory out of range");
}

absl::Status Validate(const DataBlock& block) {
  const bool good = block.first_row >= 0 && block.row_count > 0 && block.row_count <= kDataRowsMax &&
                    block.first_row <= kDataRowsMax - block.row_count && block.first_epoch >= 0 &&
                    block.first_epoch <= kSamplesMax;
  return CheckIf(good, "a block of rows out of range");
}

absl::Status Validate(const DataBlocks& blocks) {
  if (static_cast<int64_t>(blocks.blocks.size()) > kDataBlocksMax) return Bad("too many blocks of rows");
  for (const DataBlock& block : blocks.blocks) EDDL_RETURN_IF_ERROR(Validate(block));
  return absl::OkStatus();
}

absl::Status Validate(const Opening& opening) {
  constexpr size_t kJobIdMax = 64;
  const bool good = opening.job_id.size() <= kJobIdMax && opening.protocol_min <= opening.protocol_max;
  return good ? absl::OkStatus() : Bad("an opening out of range");
}

absl::Status Validate(const Opened& opened) { return Check(opened.error); }

absl::Status Validate(const Ping&) { return absl::OkStatus(); }

absl::Status Validate(const Pong&) { return absl::OkStatus(); }

absl::Status Validate(const CommitRecord& record) { return Check(record); }

absl::Status Validate(const ShardMap& map) { return Check(map); }

absl::Status Validate(View view) { return CheckIf(AreOrdinals(view), "a view out of range"); }

absl::Status Validate(Version version) { return CheckIf(AreOrdinals(version), "a version out of range"); }

}  // namespace eddl::net
