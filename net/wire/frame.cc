#include "net/wire/frame.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "net/wire/codec.h"
#include "runtime/base/check.h"
#include "runtime/base/crc32.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr uint32_t kMagic = 0x52464445;  // "EDFR"
constexpr uint16_t kVersion = 1;
constexpr uint16_t kHasParcel = 1;  // flags; others are reserved, and refused
constexpr uint16_t kHasPayload = 2;
constexpr uint16_t kKnownFlags = kHasParcel | kHasPayload;
// A payload that is used as it arrives has at least so many chunks, unless they would be smaller than this.
constexpr size_t kEarlyChunks = 4;
constexpr size_t kEarlyChunkSizeMin = size_t{1} << 15;
// Memory for a payload is taken as its chunks come, beyond this.
constexpr size_t kReserveMax = size_t{1} << 24;

}  // namespace

// As on the wire, byte by byte.
struct FrameHeader {
  uint32_t magic = kMagic;
  uint16_t version = kVersion;
  uint16_t flags = 0;
  uint64_t sequence = 0;
  uint64_t payload_size = 0;
  uint64_t offset = 0;
  uint32_t parcel_size = 0;
  uint32_t chunk_size = 0;
  uint32_t header_crc = 0;  // CRC-32 of the 40 bytes before it, and of the parcel
  uint32_t chunk_crc = 0;   // CRC-32 of the chunk
};
static_assert(sizeof(FrameHeader) == kFrameHeaderSize);
static_assert(std::endian::native == std::endian::little, "headers are copied as they lie in memory");

namespace {

uint32_t HeaderCrc(const FrameHeader& header, std::string_view parcel) {
  return Crc32(parcel, Crc32(std::as_bytes(std::span(&header, 1)).first(offsetof(FrameHeader, header_crc))));
}

// Whether a parcel brings a payload.
enum class PayloadRule : uint8_t { kNone, kMaybe, kNeeded };

PayloadRule PayloadRuleOf(const Parcel& parcel) {
  const auto* message = std::get_if<Message>(&parcel);
  if (message == nullptr || LaneOf(message->body) == Lane::kControl) return PayloadRule::kNone;
  return std::holds_alternative<Publish>(message->body) ? PayloadRule::kMaybe : PayloadRule::kNeeded;
}

std::string HeadOf(FrameHeader header, std::string_view parcel, std::span<const std::byte> chunk) {
  header.parcel_size = static_cast<uint32_t>(parcel.size());
  header.chunk_size = static_cast<uint32_t>(chunk.size());
  header.chunk_crc = Crc32(chunk);
  header.header_crc = HeaderCrc(header, parcel);
  std::string head(sizeof(FrameHeader), '\0');
  std::memcpy(head.data(), &header, sizeof(FrameHeader));
  head += parcel;
  return head;
}

}  // namespace

size_t ChunkSizeOf(const Body& body, const Bytes& payload) {
  if (payload == nullptr || !std::holds_alternative<Publish>(body)) return kChunkSizeMax;
  return std::clamp(payload->size() / kEarlyChunks, kEarlyChunkSizeMin, kChunkSizeMax);
}

std::vector<OutgoingFrame> CutIntoFrames(uint64_t sequence, std::string_view parcel, const Bytes& payload,
                                         size_t chunk_size) {
  EDDL_CHECK(parcel.size() <= kParcelSizeMax && (payload == nullptr || payload->size() <= kPayloadSizeMax))
      << "a parcel of " << parcel.size() << " bytes";
  EDDL_CHECK(chunk_size >= 1 && chunk_size <= kChunkSizeMax) << chunk_size;
  std::vector<OutgoingFrame> frames;
  FrameHeader header = {.flags = kHasParcel, .sequence = sequence};
  if (payload == nullptr) {
    frames.push_back({.head = HeadOf(header, parcel, {})});
    return frames;
  }
  header.payload_size = payload->size();
  do {
    const bool first = frames.empty();
    const auto chunk =
        std::span(*payload).subspan(header.offset, std::min(chunk_size, payload->size() - header.offset));
    header.flags = first ? kHasParcel | kHasPayload : kHasPayload;
    frames.push_back({.head = HeadOf(header, first ? parcel : std::string_view(), chunk), .chunk = chunk});
    header.offset += chunk.size();
  } while (header.offset < payload->size());
  return frames;
}

// The first frame of a parcel.
absl::Status FrameAssembler::Begin(const FrameHeader& header, std::string_view parcel) {
  if (parcel_.has_value()) return DataLoss("a parcel in the middle of another");
  const bool has_payload = (header.flags & kHasPayload) != 0;
  if (!has_payload && (header.payload_size != 0 || header.chunk_size != 0 || header.offset != 0))
    return DataLoss("bytes without a payload");
  if (header.payload_size > payload_size_max_) {
    return DataLoss("a payload of " + std::to_string(header.payload_size) + " bytes, where " +
                    std::to_string(payload_size_max_) + " are the most");
  }
  EDDL_ASSIGN_OR_RETURN(Parcel decoded, Decode(parcel));
  const PayloadRule rule = PayloadRuleOf(decoded);
  if (has_payload && rule == PayloadRule::kNone) return DataLoss("a payload of a message that has none");
  parcel_ = std::move(decoded);
  payload_ = has_payload ? std::make_shared<std::vector<std::byte>>() : nullptr;
  if (has_payload) payload_->reserve(std::min<size_t>(header.payload_size, kReserveMax));
  payload_size_ = header.payload_size;
  chunk_begin_ = 0;
  intact_ = has_payload || rule != PayloadRule::kNeeded;
  return absl::OkStatus();
}

absl::Status FrameAssembler::Append(const FrameHeader& header, std::span<const std::span<const std::byte>> pieces,
                                    size_t skip) {
  const size_t size = header.chunk_size;
  const uint64_t missing = payload_size_ - payload_->size();
  if (header.payload_size != payload_size_ || header.offset != payload_->size() || size > missing)
    return DataLoss("a chunk out of place");
  if (size == 0 && missing > 0) return DataLoss("an empty chunk");
  if (payload_->capacity() - payload_->size() < size) {
    // No further than what is claimed: doubling alone might take twice of it.
    payload_->reserve(std::min<uint64_t>(payload_size_, std::max(2 * payload_->capacity(), kChunkSizeMax)));
  }
  chunk_begin_ = payload_->size();
  uint32_t crc = 0;
  for (std::span<const std::byte> piece : pieces) {
    const size_t before = std::min(skip, piece.size());
    skip -= before;
    piece = piece.subspan(before);
    crc = Crc32(piece, crc);
    payload_->insert(payload_->end(), piece.begin(), piece.end());
  }
  if (crc != header.chunk_crc) intact_ = false;
  return absl::OkStatus();
}

namespace {

// The first bytes of the pieces, fewer if there are no more.
std::string FirstBytes(std::span<const std::span<const std::byte>> pieces, size_t size) {
  std::string bytes;
  for (const std::span<const std::byte> piece : pieces) {
    const std::span<const std::byte> some = piece.first(std::min(piece.size(), size - bytes.size()));
    bytes.append(reinterpret_cast<const char*>(some.data()), some.size());
    if (bytes.size() == size) break;
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::optional<AssembledParcel>> FrameAssembler::Add(std::span<const std::span<const std::byte>> pieces) {
  size_t size = 0;
  for (const std::span<const std::byte> piece : pieces) size += piece.size();
  FrameHeader header;
  if (size < sizeof(header)) return DataLoss("a frame of " + std::to_string(size) + " bytes");
  std::memcpy(&header, FirstBytes(pieces, sizeof(header)).data(), sizeof(header));
  if (header.magic != kMagic) return DataLoss("bytes that are no frame");
  if (header.version != kVersion) return DataLoss("a frame of version " + std::to_string(header.version));
  const bool sizes_add_up = header.parcel_size <= kParcelSizeMax && header.chunk_size <= kChunkSizeMax &&
                            size == sizeof(header) + header.parcel_size + header.chunk_size;
  if ((header.flags & ~kKnownFlags) != 0 || !sizes_add_up) return DataLoss("a frame whose sizes do not add up");
  const std::string head = FirstBytes(pieces, sizeof(header) + header.parcel_size);
  const std::string_view parcel = std::string_view(head).substr(sizeof(header));
  if (HeaderCrc(header, parcel) != header.header_crc) return DataLoss("a frame header that was damaged on the way");
  if (header.sequence != next_sequence_) return DataLoss("a frame out of order");

  if ((header.flags & kHasParcel) != 0) {
    EDDL_RETURN_IF_ERROR(Begin(header, parcel));
  } else if (!parcel_.has_value() || (header.flags & kHasPayload) == 0 || header.parcel_size != 0) {
    return DataLoss("a chunk of no payload");
  }
  if (payload_ != nullptr) {
    EDDL_RETURN_IF_ERROR(Append(header, pieces, head.size()));
    if (payload_->size() < payload_size_) return std::nullopt;
  }
  ++next_sequence_;
  AssembledParcel whole = {.parcel = *std::exchange(parcel_, std::nullopt), .intact = intact_};
  if (intact_) whole.payload = std::exchange(payload_, nullptr);
  payload_ = nullptr;
  return whole;
}

std::optional<ArrivingChunk> FrameAssembler::arriving() const {
  if (payload_ == nullptr || !intact_) return std::nullopt;
  const auto* message = std::get_if<Message>(&*parcel_);
  if (message == nullptr || !std::holds_alternative<Publish>(message->body)) return std::nullopt;
  return ArrivingChunk{
      .message = *message, .offset = chunk_begin_, .bytes = std::span(*payload_).subspan(chunk_begin_)};
}

}  // namespace eddl::net
