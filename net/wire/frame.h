// Frames: how a parcel and its payload bytes lie on a stream. net/wire/FORMAT.md is the contract.
//
// A parcel without payload is one frame. A payload is cut into chunks, one frame each, so that no gRPC message is large
// and a receiver's memory is bounded; the first frame also has the parcel. Pure; the assembler belongs to one stream.
//
//   header, 48 bytes, little-endian: magic "EDFR", version, flags, sequence number of the parcel on its stream, payload
//   size, offset of the chunk, sizes of parcel and chunk, CRC-32 of header and parcel, CRC-32 of the chunk
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/wire/parcel.h"

namespace eddl::net {

constexpr size_t kFrameHeaderSize = 48;
constexpr size_t kChunkSizeMax = size_t{1} << 18;
constexpr size_t kParcelSizeMax = size_t{1} << 22;
constexpr uint64_t kPayloadSizeMax = uint64_t{1} << 32;

// One frame to be sent: `head` (header, and in the first frame the parcel), then `chunk`, which lies in the payload.
struct OutgoingFrame {
  std::string head;
  std::span<const std::byte> chunk;
};

// How large a payload's chunks should be: those of a Publish are used as they arrive, so that it has several.
size_t ChunkSizeOf(const Body& body, const Bytes& payload);

// The frames of one parcel, in order. `parcel` is what Encode made; `payload` may be null. The frames borrow the
// payload. REQUIRES: sizes within the limits above, chunk_size >= 1.
std::vector<OutgoingFrame> CutIntoFrames(uint64_t sequence, std::string_view parcel, const Bytes& payload,
                                         size_t chunk_size = kChunkSizeMax);

struct FrameHeader;

// A parcel and its payload, put together again.
struct AssembledParcel {
  Parcel parcel;
  Bytes payload;       // null if it has none, or if it was damaged
  bool intact = true;  // false: a chunk's checksum was wrong, or a message that needs a payload came without
};

// A chunk of a payload that is not all here yet.
struct ArrivingChunk {
  const Message& message;
  uint64_t offset = 0;  // in the payload
  std::span<const std::byte> bytes;
};

class FrameAssembler {
 public:
  // `payload_size_max`: what this stream may bring at most (0 on a control stream); larger ones are an error before any
  // memory is taken.
  explicit FrameAssembler(uint64_t payload_size_max) : payload_size_max_(payload_size_max) {}

  // The next frame of the stream, whole. A parcel when its last frame is here. kDataLoss: this is no honest peer's
  // frame (magic, version, sizes, sequence, order of chunks, header checksum, an undecodable parcel, a payload of a
  // message that has none); the stream is to be closed. Memory is taken for what has come, not for what is claimed.
  absl::StatusOr<std::optional<AssembledParcel>> Add(std::span<const std::byte> frame) {
    return Add(std::span(&frame, 1));
  }
  // The same, of a frame that lies in pieces, as gRPC receives it: the chunk is copied once, from where it lies to its
  // place in the payload.
  absl::StatusOr<std::optional<AssembledParcel>> Add(std::span<const std::span<const std::byte>> pieces);
  // What the last frame brought of a Publish that is not whole yet, if all of it so far is undamaged; of other
  // messages, which nobody can use before they are whole: none. Borrowed until the next Add.
  std::optional<ArrivingChunk> arriving() const;

 private:
  absl::Status Begin(const FrameHeader& header, std::string_view parcel);
  // The chunk is what follows the first `skip` bytes of the pieces.
  absl::Status Append(const FrameHeader& header, std::span<const std::span<const std::byte>> pieces, size_t skip);

  uint64_t payload_size_max_;
  uint64_t next_sequence_ = 0;
  std::optional<Parcel> parcel_;  // whose payload is on its way
  std::shared_ptr<std::vector<std::byte>> payload_;
  uint64_t payload_size_ = 0;
  size_t chunk_begin_ = 0;  // of the last one in payload_
  bool intact_ = true;
};

}  // namespace eddl::net
