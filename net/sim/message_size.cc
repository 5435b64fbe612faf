#include "net/sim/message_size.h"

#include "net/node/overloaded.h"

namespace eddl::net::sim {
namespace {

// HTTP/2 and gRPC framing, job, view, incarnation, and a few small fields.
constexpr double kEnvelope = 64;
constexpr double kMicroBatch = 3;  // a varint, as a difference to the one before
constexpr double kRange = 4;
constexpr double kContributor = 8;
constexpr double kRecord = 48;

double Bytes(const std::vector<CommitRecord>& records) {
  double bytes = 0;
  for (const CommitRecord& record : records) {
    bytes += kRecord + kMicroBatch * static_cast<double>(record.micro_batches.size());
  }
  return bytes;
}

double Bytes(const ShardMap& map) {
  double bytes = 0;
  for (const Shard& shard : map.shards) bytes += kContributor + kRange * static_cast<double>(shard.stripes.size());
  return bytes;
}

double Bytes(const std::vector<Held>& all) {
  double bytes = 0;
  for (const Held& held : all) bytes += kContributor + kRange * static_cast<double>(held.stripes.size());
  return bytes;
}

double Bytes(const std::vector<MicroBatch>& mbs) { return kMicroBatch * static_cast<double>(mbs.size()); }

double BytesPerNumber(Codec codec, bool gradient) {
  switch (codec) {
    case Codec::kF32:
      return 4;
    case Codec::kF16:
      return 2;
    case Codec::kExact:
      return gradient ? 8 : 4;
  }
  return 4;
}

}  // namespace

double ControlBytes(const Body& body) {
  return kEnvelope +
         std::visit(Overloaded{
                        [](const Hello& m) { return Bytes(m.held) + Bytes(m.records); },
                        [](const Welcome& m) { return Bytes(m.map); },
                        [](const ViewAck& m) { return Bytes(m.held) + Bytes(m.records); },
                        [](const Start& m) {
                          double bytes = Bytes(m.map);
                          for (const Transfer& t : m.transfers) {
                            bytes += kContributor + kRange * static_cast<double>(t.stripes.size());
                          }
                          return bytes;
                        },
                        [](const Grant& m) { return Bytes(m.micro_batches); },
                        [](const Done& m) { return 32 + Bytes(m.micro_batches); },
                        [](const Cancel& m) { return Bytes(m.micro_batches); },
                        [](const Close& m) { return kContributor * static_cast<double>(m.expected.size()); },
                        [](const Waiting& m) { return kContributor * static_cast<double>(m.missing.size()); },
                        [](const Commit& m) { return kRecord + Bytes(m.record.micro_batches); },
                        [](const Replica& m) { return kRecord + Bytes(m.record.micro_batches); },
                        [](const auto&) { return 0.0; },
                    },
                    body);
}

double PayloadBytes(const Body& body, uint32_t stripes, Codec codec, const PayloadShape& shape) {
  const double numbers = static_cast<double>(shape.parameter_count) * stripes / shape.stripe_count;
  if (std::holds_alternative<Push>(body)) return numbers * BytesPerNumber(codec, /*gradient=*/true);
  if (std::holds_alternative<Publish>(body)) return numbers * BytesPerNumber(codec, /*gradient=*/false);
  // The backup has to reach the same bits as the owner: no rounding on the way.
  const Codec whole = codec == Codec::kF16 ? Codec::kF32 : codec;
  if (std::holds_alternative<Replica>(body)) return numbers * BytesPerNumber(whole, /*gradient=*/true);
  if (std::holds_alternative<Move>(body)) return numbers * 4 * (1 + shape.moment_count);
  return 0;
}

}  // namespace eddl::net::sim
