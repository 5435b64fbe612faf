// Deterministic fuzzing of what reads peers' bytes and journals: thousands of damaged ones each, from good ones, by
// seed. wire_libfuzzer.cc goes on from here for as long as one likes.
#include <gtest/gtest.h>

#include "tests/fuzz/mutate.h"
#include "tests/fuzz/wire_parsers.h"
#include "tests/fuzz/wire_seeds.h"

namespace eddl {
namespace {

// As in data_fuzz_test.cc: every seed is good, most damage is noticed.
void Fuzz(WireParser parser, int cases) {
  const std::vector<std::string> seeds = WireSeeds(parser);
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

TEST(WireFuzzTest, Parcels) { Fuzz(WireParser::kParcel, 40'000); }

TEST(WireFuzzTest, Frames) { Fuzz(WireParser::kFrames, 20'000); }

TEST(WireFuzzTest, FramesWithChecksumsMadeRight) { Fuzz(WireParser::kMendedFrames, 20'000); }

TEST(WireFuzzTest, JournalEntries) { Fuzz(WireParser::kJournal, 20'000); }

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
