// Deterministic fuzzing of what reads peers' bytes and journals: thousands of damaged ones each, from good ones, by
// seed. wire_libfuzzer.cc goes on from here for as long as one likes.
#include <gtest/gtest.h>

#include <memory>

#include "net/wire/codec.h"
#include "net/wire/frame.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/wire_parsers.h"
#include "tests/net/wire/random_messages.h"

namespace eddl {
namespace {

// As in data_fuzz_test.cc: every seed is good, most damage is noticed.
void Fuzz(WireParser parser, const std::vector<std::string>& seeds, int cases) {
  const auto parse = [&](const std::string& bytes) {
    return ParseWire(parser, std::as_bytes(std::span(bytes.data(), bytes.size())));
  };
  for (const std::string& seed : seeds) EXPECT_TRUE(parse(seed));
  Rng rng(DeriveSeed(1, static_cast<uint64_t>(parser)));
  int accepted = 0;
  for (int i = 0; i < cases; ++i) accepted += parse(Mutate(seeds, rng));
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, cases / 2);
}

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

TEST(WireFuzzTest, Parcels) { Fuzz(WireParser::kParcel, ParcelSeeds(), 40'000); }

TEST(WireFuzzTest, Frames) { Fuzz(WireParser::kFrames, FrameSeeds(), 20'000); }

TEST(WireFuzzTest, FramesWithChecksumsMadeRight) { Fuzz(WireParser::kMendedFrames, FrameSeeds(), 20'000); }

TEST(WireFuzzTest, JournalEntries) {
  Rng rng(4);
  std::vector<std::string> seeds;
  for (int i = 0; i < 10; ++i) {
    for (size_t kind = 0; kind < std::variant_size_v<net::JournalEntry>; ++kind)
      seeds.push_back(net::EncodeJournal(net::RandomEntry(kind, rng)));
  }
  Fuzz(WireParser::kJournal, seeds, 20'000);
}

TEST(WireFuzzTest, BytesThatWereNeverGood) {
  Rng rng(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes;
    for (uint64_t left = rng.Below(40); left > 0; --left) bytes.push_back(static_cast<char>(rng.Next()));
    for (const WireParser parser : {WireParser::kParcel, WireParser::kMendedFrames, WireParser::kJournal})
      ParseWire(parser, std::as_bytes(std::span(bytes.data(), bytes.size())));
  }
}

}  // namespace
}  // namespace eddl
