#include "tests/fuzz/wire_parsers.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "net/wire/codec.h"
#include "net/wire/frame.h"
#include "net/wire/journal_codec.h"
#include "runtime/base/check.h"

namespace eddl {
namespace {

constexpr size_t kPayloadMax = 1 << 16;  // of the stream

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What was read once, is written and read again the same.
template <typename Decoded, typename Encode, typename Decode>
void CheckSurvives(const Decoded& decoded, const Encode& encode, const Decode& decode) {
  const std::string written = encode(decoded);
  const auto again = decode(written);
  EDDL_CHECK(again.ok()) << again.status().ToString();
  EDDL_CHECK(encode(*again) == written);
}

void CheckParcel(const net::Parcel& parcel) {
  CheckSurvives(
      parcel, [](const net::Parcel& p) { return net::Encode(p); }, [](const std::string& b) { return net::Decode(b); });
}

bool ParseParcel(std::string_view bytes) {
  const absl::StatusOr<net::Parcel> parcel = net::Decode(bytes);
  EDDL_CHECK(parcel.ok() || !parcel.status().message().empty());
  if (parcel.ok()) CheckParcel(*parcel);
  return parcel.ok();
}

bool ParseJournal(std::string_view bytes) {
  const absl::StatusOr<net::JournalEntry> entry = net::DecodeJournal(bytes);
  EDDL_CHECK(entry.ok() || !entry.status().message().empty());
  if (entry.ok()) CheckSurvives(*entry, net::EncodeJournal, net::DecodeJournal);
  return entry.ok();
}

uint32_t Crc(std::span<const std::byte> bytes, uint32_t crc = 0) {
  return static_cast<uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// The checksums that a sender of these bytes would write.
void Mend(std::vector<std::byte>& frame) {
  if (frame.size() < net::kFrameHeaderSize) return;
  uint32_t parcel_size = 0;
  std::memcpy(&parcel_size, frame.data() + 32, sizeof(parcel_size));
  const std::span<const std::byte> all(frame);
  const size_t parcel_end = net::kFrameHeaderSize + std::min<size_t>(parcel_size, frame.size() - net::kFrameHeaderSize);
  const uint32_t header_crc =
      Crc(all.subspan(net::kFrameHeaderSize, parcel_end - net::kFrameHeaderSize), Crc(all.first(40)));
  const uint32_t chunk_crc = Crc(all.subspan(parcel_end));
  std::memcpy(frame.data() + 40, &header_crc, sizeof(header_crc));
  std::memcpy(frame.data() + 44, &chunk_crc, sizeof(chunk_crc));
}

bool ParseFrames(std::span<const std::byte> bytes, bool mend) {
  net::FrameAssembler assembler(kPayloadMax);
  bool whole = false;
  while (bytes.size() >= 2) {
    const size_t size = std::to_integer<size_t>(bytes[0]) | std::to_integer<size_t>(bytes[1]) << 8;
    bytes = bytes.subspan(2);
    std::vector<std::byte> frame(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(std::min(size, bytes.size())));
    bytes = bytes.subspan(frame.size());
    if (mend) Mend(frame);
    const auto added = assembler.Add(frame);
    EDDL_CHECK(added.ok() || !added.status().message().empty());
    if (!added.ok()) return false;
    whole = added->has_value();
    if (!whole) continue;
    const net::AssembledParcel& parcel = **added;
    EDDL_CHECK(parcel.payload == nullptr || (parcel.intact && parcel.payload->size() <= kPayloadMax));
    CheckParcel(parcel.parcel);
  }
  return whole && bytes.empty();
}

}  // namespace

bool ParseWire(WireParser parser, std::span<const std::byte> bytes) {
  switch (parser) {
    case WireParser::kParcel:
      return ParseParcel(AsText(bytes));
    case WireParser::kFrames:
      return ParseFrames(bytes, /*mend=*/false);
    case WireParser::kMendedFrames:
      return ParseFrames(bytes, /*mend=*/true);
    case WireParser::kJournal:
      return ParseJournal(AsText(bytes));
  }
  return false;
}

}  // namespace eddl
