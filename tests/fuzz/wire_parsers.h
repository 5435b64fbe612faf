// What the fuzz tests do with bytes: everything of net/wire that reads what a peer sent, or what lies on a disk.
//
// A case fails by a crash, a sanitizer's report, a failed check, or a value that does not survive being written again.
#pragma once

#include <cstddef>
#include <span>

namespace eddl {

enum class WireParser {
  kParcel,
  kFrames,        // of one stream, each with its length before it (u16, little-endian)
  kMendedFrames,  // the same, with checksums that are made right: damage gets past them
  kJournal
};

// True if the parser took all of the bytes.
bool ParseWire(WireParser parser, std::span<const std::byte> bytes);

}  // namespace eddl
