#include "net/wire/codec.h"

#include <utility>

#include "net/wire/field_codec.h"
#include "net/wire/validate.h"

namespace eddl::net {

// clang-format off
template <> inline constexpr auto kFields<Directory::Entry> = std::tuple{
    Field{"node", &Directory::Entry::node}, Field{"address", &Directory::Entry::address}};
template <> inline constexpr auto kFields<Directory> = std::tuple{
    Field{"entries", &Directory::entries}, Field{"revoked", &Directory::revoked}};
template <> inline constexpr auto kFields<DataBlocks> = std::tuple{Field{"blocks", &DataBlocks::blocks}};
template <> inline constexpr auto kFields<Opening> = std::tuple{
    Field{"protocol_min", &Opening::protocol_min}, Field{"protocol_max", &Opening::protocol_max},
    Field{"job_id", &Opening::job_id}, Field{"from", &Opening::from}, Field{"to", &Opening::to},
    Field{"lane", &Opening::lane}, Field{"connection", &Opening::connection}};
template <> inline constexpr auto kFields<Opened> = std::tuple{
    Field{"protocol", &Opened::protocol}, Field{"error", &Opened::error}};
template <> inline constexpr auto kFields<Ping> = std::tuple{Field{"sent_ns", &Ping::sent_ns}};
template <> inline constexpr auto kFields<Pong> = std::tuple{Field{"sent_ns", &Pong::sent_ns}};
// clang-format on

namespace {

// eddl.v1.Parcel.
struct Envelope {
  Parcel parcel;
};

}  // namespace

template <>
inline constexpr auto kFields<Envelope> = std::tuple{Field{"parcel", &Envelope::parcel}};

std::string Encode(const Parcel& parcel) { return EncodeVariant(parcel); }

std::string Encode(const Message& message) { return EncodeAlternative(0, message); }

absl::StatusOr<Parcel> Decode(std::string_view bytes) {
  EDDL_ASSIGN_OR_RETURN(Envelope envelope, DecodeFields<Envelope>(bytes));
  EDDL_RETURN_IF_ERROR(std::visit([](const auto& parcel) { return Validate(parcel); }, envelope.parcel));
  return std::move(envelope.parcel);
}

}  // namespace eddl::net
