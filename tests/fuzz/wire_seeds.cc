#include "tests/fuzz/wire_seeds.h"

#include <memory>
#include <variant>

#include "net/wire/codec.h"
#include "net/wire/frame.h"
#include "net/wire/journal_codec.h"
#include "tests/net/wire/random_messages.h"

namespace eddl {
namespace {

std::vector<std::string> ParcelSeeds() {
  Rng rng(2);
  std::vector<std::string> seeds;
  for (int i = 0; i < 4; ++i) {
    for (size_t kind = 0; kind < std::variant_size_v<net::Body>; ++kind)
      seeds.push_back(net::Encode(net::RandomMessage(kind, rng)));
    for (size_t kind = 1; kind < std::variant_size_v<net::Parcel>; ++kind)
      seeds.push_back(net::Encode(net::RandomParcel(kind, rng)));
  }
  return seeds;
}

// Streams of two parcels, some with a payload in chunks.
std::vector<std::string> FrameSeeds() {
  Rng rng(3);
  std::vector<std::string> seeds;
  for (int i = 0; i < 40; ++i) {
    std::string stream;
    for (uint64_t sequence = 0; sequence < 2; ++sequence) {
      const net::Message message = net::RandomMessage(rng.Below(std::variant_size_v<net::Body>), rng);
      const bool bulk = net::LaneOf(message.body) == net::Lane::kBulk;
      const net::Bytes payload = bulk ? std::make_shared<const std::vector<std::byte>>(rng.Below(50)) : nullptr;
      for (const net::OutgoingFrame& frame : net::CutIntoFrames(sequence, net::Encode(message), payload, 16)) {
        const size_t size = frame.head.size() + frame.chunk.size();
        stream.push_back(static_cast<char>(size));
        stream.push_back(static_cast<char>(size >> 8));
        stream += frame.head;
        stream.append(reinterpret_cast<const char*>(frame.chunk.data()), frame.chunk.size());
      }
    }
    seeds.push_back(stream);
  }
  return seeds;
}

std::vector<std::string> JournalSeeds() {
  Rng rng(4);
  std::vector<std::string> seeds;
  for (int i = 0; i < 10; ++i) {
    for (size_t kind = 0; kind < std::variant_size_v<net::JournalEntry>; ++kind)
      seeds.push_back(net::EncodeJournal(net::RandomEntry(kind, rng)));
  }
  return seeds;
}

}  // namespace

std::vector<std::string> WireSeeds(WireParser parser) {
  switch (parser) {
    case WireParser::kParcel:
      return ParcelSeeds();
    case WireParser::kFrames:
    case WireParser::kMendedFrames:
      return FrameSeeds();
    case WireParser::kJournal:
      return JournalSeeds();
  }
  return {};
}

}  // namespace eddl
