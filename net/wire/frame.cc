#include "net/wire/frame.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "net/wire/codec.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr uint32_t kMagic = 0x52464445;  // "EDFR"
constexpr uint16_t kVersion = 1;
constexpr uint16_t kHasParcel = 1;  // flags; others are reserved, and refused
constexpr uint16_t kHasPayload = 2;
constexpr uint16_t kKnownFlags = kHasParcel | kHasPayload;
// Memory for a payload is taken as its chunks come, beyond this.
constexpr size_t kReserveMax = size_t{1} << 24;

static_assert(std::endian::native == std::endian::little, "headers are copied as they lie in memory");

// As on the wire, byte by byte.
struct Header {
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
static_assert(sizeof(Header) == kFrameHeaderSize);

uint32_t Crc(const void* data, size_t size, uint32_t crc = 0) {
  return static_cast<uint32_t>(crc32_z(crc, static_cast<const Bytef*>(data), size));
}

uint32_t HeaderCrc(const Header& header, std::string_view parcel) {
  return Crc(parcel.data(), parcel.size(), Crc(&header, offsetof(Header, header_crc)));
}

std::string HeadOf(Header header, std::string_view parcel, std::span<const std::byte> chunk) {
  header.parcel_size = static_cast<uint32_t>(parcel.size());
  header.chunk_size = static_cast<uint32_t>(chunk.size());
  header.chunk_crc = Crc(chunk.data(), chunk.size());
  header.header_crc = HeaderCrc(header, parcel);
  std::string head(sizeof(Header), '\0');
  std::memcpy(head.data(), &header, sizeof(Header));
  head += parcel;
  return head;
}

}  // namespace

std::vector<OutgoingFrame> CutIntoFrames(uint64_t sequence, std::string_view parcel, const Bytes& payload) {
  EDDL_CHECK(parcel.size() <= kParcelSizeMax && (payload == nullptr || payload->size() <= kPayloadSizeMax))
      << "a parcel of " << parcel.size() << " bytes";
  std::vector<OutgoingFrame> frames;
  Header header = {.sequence = sequence};
  if (payload != nullptr) {
    header.flags = kHasPayload;
    header.payload_size = payload->size();
  }
  size_t offset = 0;
  do {
    std::span<const std::byte> chunk;
    if (payload != nullptr) {
      chunk = std::span(*payload).subspan(offset, std::min(kChunkSizeMax, payload->size() - offset));
    }
    header.offset = offset;
    const bool first = offset == 0;
    const auto flags = static_cast<uint16_t>(header.flags | (first ? kHasParcel : 0));
    Header one = header;
    one.flags = flags;
    frames.push_back({.head = HeadOf(one, first ? parcel : std::string_view(), chunk), .chunk = chunk});
    offset += chunk.size();
  } while (payload != nullptr && offset < payload->size());
  return frames;
}

absl::StatusOr<std::optional<AssembledParcel>> FrameAssembler::Add(std::span<const std::byte> frame) {
  Header header;
  if (frame.size() < sizeof(Header)) return DataLoss("a frame of " + std::to_string(frame.size()) + " bytes");
  std::memcpy(&header, frame.data(), sizeof(Header));
  if (header.magic != kMagic) return DataLoss("bytes that are no frame");
  if (header.version != kVersion) return DataLoss("a frame of version " + std::to_string(header.version));
  const bool sizes_add_up = header.parcel_size <= kParcelSizeMax && header.chunk_size <= kChunkSizeMax &&
                            frame.size() == sizeof(Header) + header.parcel_size + header.chunk_size;
  if ((header.flags & ~kKnownFlags) != 0 || !sizes_add_up) return DataLoss("a frame whose sizes do not add up");
  const std::string_view parcel(reinterpret_cast<const char*>(frame.data()) + sizeof(Header), header.parcel_size);
  if (HeaderCrc(header, parcel) != header.header_crc) return DataLoss("a frame header that was damaged on the way");
  if (header.sequence != next_sequence_) return DataLoss("a frame out of order");
  const std::span<const std::byte> chunk = frame.subspan(sizeof(Header) + header.parcel_size);

  const bool has_payload = (header.flags & kHasPayload) != 0;
  if ((header.flags & kHasParcel) != 0) {
    if (parcel_.has_value()) return DataLoss("a parcel in the middle of another");
    if (!has_payload && (header.payload_size != 0 || header.chunk_size != 0))
      return DataLoss("bytes without a payload");
    if (header.payload_size > payload_size_max_) {
      return DataLoss("a payload of " + std::to_string(header.payload_size) + " bytes, where " +
                      std::to_string(payload_size_max_) + " are the most");
    }
    EDDL_ASSIGN_OR_RETURN(parcel_, Decode(parcel));
    payload_ = has_payload ? std::make_shared<std::vector<std::byte>>() : nullptr;
    if (has_payload) payload_->reserve(std::min<size_t>(header.payload_size, kReserveMax));
    payload_size_ = header.payload_size;
    intact_ = true;
  } else if (!parcel_.has_value() || !has_payload || header.parcel_size != 0 || header.chunk_size == 0 ||
             header.payload_size != payload_size_) {
    return DataLoss("a chunk of no payload");
  }
  if (has_payload) {
    const uint64_t received = payload_->size();
    if (header.offset != received || header.chunk_size > payload_size_ - received) {
      return DataLoss("a chunk out of place");
    }
    if (Crc(chunk.data(), chunk.size()) != header.chunk_crc) intact_ = false;
    payload_->insert(payload_->end(), chunk.begin(), chunk.end());
    if (payload_->size() < payload_size_) {
      if (chunk.empty()) return DataLoss("an empty chunk");
      return std::nullopt;
    }
  }
  ++next_sequence_;
  AssembledParcel whole = {.parcel = *std::exchange(parcel_, std::nullopt), .intact = intact_};
  if (intact_) whole.payload = std::exchange(payload_, nullptr);
  payload_ = nullptr;
  return whole;
}

}  // namespace eddl::net
