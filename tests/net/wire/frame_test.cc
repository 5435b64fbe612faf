#include "net/wire/frame.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "net/wire/codec.h"
#include "runtime/base/status.h"
#include "tests/net/wire/hex.h"
#include "tests/net/wire/random_messages.h"

namespace eddl::net {
namespace {

Bytes RandomBytes(size_t size, Rng& rng) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.Next());
  return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
}

Bytes RandomPayload(size_t size) {
  Rng rng(5);
  return RandomBytes(size, rng);
}

const Message kPush = {.view = View{1}, .body = Push{.round = Version{1}, .samples = 5}};
const Message kPublish = {.view = View{1}, .body = Publish{.version = Version{1}}};
const Message kPull = {.view = View{1}, .body = Pull{.have = Version{1}}};

// Frames as they come out of the network: each whole, and in one piece.
std::vector<std::string> Sent(uint64_t sequence, const Message& message, const Bytes& payload,
                              size_t chunk_size = kChunkSizeMax) {
  std::vector<std::string> frames;
  for (const OutgoingFrame& frame : CutIntoFrames(sequence, Encode(message), payload, chunk_size)) {
    frames.push_back(frame.head);
    frames.back().append(reinterpret_cast<const char*>(frame.chunk.data()), frame.chunk.size());
  }
  return frames;
}

auto Add(FrameAssembler& assembler, std::string_view frame) {
  return assembler.Add(std::as_bytes(std::span(frame.data(), frame.size())));
}

// "Push 5 intact", "…", or the error.
std::string Told(const absl::StatusOr<std::optional<AssembledParcel>>& added) {
  if (!added.ok()) return MessageOf(added.status());
  if (!added->has_value()) return "...";
  const AssembledParcel& parcel = **added;
  return NameOf(std::get<Message>(parcel.parcel).body) + " " +
         (parcel.payload == nullptr ? "-" : std::to_string(parcel.payload->size())) +
         (parcel.intact ? " intact" : " damaged");
}

// Field of the header at `offset`, set to another value; with the header's checksum made right again.
template <typename T>
std::string With(std::string frame, size_t offset, T value) {
  std::memcpy(frame.data() + offset, &value, sizeof(T));
  uint32_t parcel_size = 0;
  std::memcpy(&parcel_size, frame.data() + 32, sizeof(parcel_size));
  parcel_size = static_cast<uint32_t>(std::min<size_t>(parcel_size, frame.size() - kFrameHeaderSize));
  const auto* bytes = reinterpret_cast<const Bytef*>(frame.data());
  const auto crc = static_cast<uint32_t>(crc32(crc32(0, bytes, 40), bytes + kFrameHeaderSize, parcel_size));
  std::memcpy(frame.data() + 40, &crc, sizeof(crc));
  return frame;
}

std::string ErrorOf(std::string_view frame) {
  FrameAssembler assembler(1000);
  return Told(Add(assembler, frame));
}

// A change of these bytes is a change of the protocol.
TEST(FrameTest, GoldenBytes) {
  const std::byte bytes[] = {std::byte{1}, std::byte{2}, std::byte{3}};
  const auto payload = std::make_shared<const std::vector<std::byte>>(bytes, bytes + 3);
  const std::vector<std::string> frames = Sent(7, kPublish, payload, 2);
  ASSERT_EQ(frames.size(), 2u);
  // Magic, version, flags; sequence; size of the payload; offset; sizes of parcel and chunk, checksums; the rest.
  EXPECT_EQ(Hex(frames[0]), std::string("4544465201000300") + "0700000000000000" + "0300000000000000" +
                                "0000000000000000" + "0a00000002000000" + "0122e0929242ccb6" + "8201070801ba02020801" +
                                "0102");
  EXPECT_EQ(Hex(frames[1]), std::string("4544465201000200") + "0700000000000000" + "0300000000000000" +
                                "0200000000000000" + "0000000001000000" + "62339e1437be0b4b" + "03");
}

TEST(FrameTest, PayloadsOfEverySizeInChunksOfEverySizeComeOutWhole) {
  Rng rng(1);
  FrameAssembler assembler(kPayloadSizeMax);
  uint64_t sequence = 0;
  std::vector<std::pair<size_t, size_t>> cases;  // size, size of chunk
  for (size_t size : {size_t{0}, size_t{1}, size_t{64}, size_t{65}}) {
    for (size_t chunk_size = 1; chunk_size <= 66; ++chunk_size) cases.emplace_back(size, chunk_size);
  }
  for (size_t size : {kChunkSizeMax - 1, kChunkSizeMax, kChunkSizeMax + 1, 3 * kChunkSizeMax + 5})
    cases.emplace_back(size, kChunkSizeMax);
  for (const auto& [size, chunk_size] : cases) {
    const Bytes payload = RandomBytes(size, rng);
    const auto frames = Sent(sequence++, kPush, payload, chunk_size);
    EXPECT_EQ(frames.size(), std::max<size_t>(1, (size + chunk_size - 1) / chunk_size));
    for (size_t i = 0; i < frames.size(); ++i) {
      EXPECT_LE(frames[i].size(), kFrameHeaderSize + kParcelSizeMax + kChunkSizeMax);
      auto added = Add(assembler, frames[i]);
      const std::string whole = "Push " + std::to_string(size) + " intact";
      ASSERT_EQ(Told(added), i + 1 < frames.size() ? "..." : whole);
      if (added->has_value()) {
        EXPECT_EQ(*(*added)->payload, *payload);
      }
    }
  }
}

TEST(FrameTest, ParcelsOfAllKindsFollowEachOther) {
  Rng rng(2);
  FrameAssembler assembler(kPayloadSizeMax);
  for (uint64_t sequence = 0; sequence < 500; ++sequence) {
    const Message message = RandomMessage(rng.Below(std::variant_size_v<Body>), rng);
    const bool bulk = LaneOf(message.body) == Lane::kBulk;
    const Bytes payload = bulk ? RandomBytes(rng.Below(100), rng) : nullptr;
    for (const std::string& frame : Sent(sequence, message, payload, 7)) {
      auto added = Add(assembler, frame);
      ASSERT_TRUE(added.ok()) << added.status().ToString();
      if (added->has_value()) {
        EXPECT_TRUE(AreEqual((*added)->parcel, message));
      }
    }
  }
}

TEST(FrameTest, AMessageThatNeedsAPayloadAndHasNoneIsDamaged) {
  FrameAssembler assembler(1000);
  EXPECT_EQ(Told(Add(assembler, Sent(0, kPush, nullptr)[0])), "Push - damaged");
  EXPECT_EQ(Told(Add(assembler, Sent(1, kPublish, nullptr)[0])), "Publish - intact");
  EXPECT_EQ(Told(Add(assembler, Sent(2, kPull, nullptr)[0])), "Pull - intact");
}

// Whatever byte is hit by whatever: an error, or a parcel that says so; never a parcel that is wrong.
std::string Arriving(const FrameAssembler& assembler) {
  const auto chunk = assembler.arriving();
  if (!chunk) return "-";
  return NameOf(chunk->message.body) + " " + std::to_string(chunk->offset) + "+" + std::to_string(chunk->bytes.size());
}

TEST(FrameTest, TellsOfAPublishWhileItArrives) {
  const Bytes payload = RandomPayload(10);
  FrameAssembler assembler(1000);
  EXPECT_EQ(Arriving(assembler), "-");
  const std::vector<std::string> frames = Sent(0, kPublish, payload, 4);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(Told(Add(assembler, frames[0])), "...");
  EXPECT_EQ(Arriving(assembler), "Publish 0+4");
  EXPECT_EQ(Told(Add(assembler, frames[1])), "...");
  EXPECT_EQ(Arriving(assembler), "Publish 4+4");
  EXPECT_TRUE(std::equal(payload->begin() + 4, payload->begin() + 8, assembler.arriving()->bytes.begin()));
  EXPECT_EQ(Told(Add(assembler, frames[2])), "Publish 10 intact");
  EXPECT_EQ(Arriving(assembler), "-");
}

TEST(FrameTest, TellsOfNothingDamagedAndOfNoOtherMessageWhileItArrives) {
  FrameAssembler assembler(1000);
  std::vector<std::string> frames = Sent(0, kPublish, RandomPayload(10), 4);
  frames[0].back() ^= 1;
  for (const std::string& frame : {frames[0], frames[1]}) {
    EXPECT_EQ(Told(Add(assembler, frame)), "...");
    EXPECT_EQ(Arriving(assembler), "-");
  }
  EXPECT_EQ(Told(Add(assembler, frames[2])), "Publish - damaged");
  EXPECT_EQ(Told(Add(assembler, Sent(1, kPush, RandomPayload(10), 4)[0])), "...");
  EXPECT_EQ(Arriving(assembler), "-");
}

TEST(FrameTest, APublishHasSeveralChunks) {
  const auto chunks_of = [](const Message& message, size_t size) {
    const Bytes payload = RandomPayload(size);
    return Sent(0, message, payload, ChunkSizeOf(message.body, payload)).size();
  };
  EXPECT_EQ(chunks_of(kPublish, 1000), 1u);
  EXPECT_EQ(chunks_of(kPublish, 200'000), 4u);
  EXPECT_EQ(chunks_of(kPublish, 40'000), 2u);
  EXPECT_EQ(chunks_of(kPush, 200'000), 1u);
  EXPECT_EQ(chunks_of(kPublish, 8 * kChunkSizeMax), 8u);
}

TEST(FrameTest, DamageAnywhereIsNoticed) {
  Rng rng(3);
  const Bytes payload = RandomBytes(50, rng);
  const std::vector<std::string> good = Sent(0, kPush, payload, 20);
  ASSERT_EQ(good.size(), 3u);
  int refused = 0;
  int damaged = 0;
  for (size_t hit = 0; hit < good.size(); ++hit) {
    for (size_t at = 0; at < good[hit].size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        FrameAssembler assembler(1000);
        std::string told;
        for (size_t i = 0; i < good.size(); ++i) {
          std::string frame = good[i];
          if (i == hit) frame[at] = static_cast<char>(frame[at] ^ (1 << bit));
          auto added = Add(assembler, frame);
          told = Told(added);
          if (!added.ok()) break;
        }
        ASSERT_NE(told, "...");
        ASSERT_NE(told, "Push 50 intact") << "frame " << hit << ", byte " << at << ", bit " << bit;
        told == "Push - damaged" ? ++damaged : ++refused;
      }
    }
  }
  // Of the payload and its checksums; everything else.
  EXPECT_EQ(damaged, 8 * (50 + 3 * 4));
  EXPECT_GT(refused, 8 * 3 * 40);
}

TEST(FrameTest, EveryLengthButTheRightOneIsRefused) {
  Rng rng(4);
  const std::string good = Sent(0, kPush, RandomBytes(50, rng))[0];
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(ErrorOf(good.substr(0, size)), "Push 50 intact") << size;
  EXPECT_EQ(ErrorOf(good), "Push 50 intact");
  EXPECT_EQ(ErrorOf(good.substr(0, 47)), "a frame of 47 bytes");
  EXPECT_EQ(ErrorOf(good + "x"), "a frame whose sizes do not add up");
}

TEST(FrameTest, WhatNoHonestPeerSendsIsRefused) {
  Rng rng(5);
  const std::string first = Sent(0, kPush, RandomBytes(50, rng), 20)[0];
  const std::string chunk = Sent(0, kPush, RandomBytes(50, rng), 20)[1];
  const std::string alone = Sent(0, kPull, nullptr)[0];
  EXPECT_EQ(ErrorOf(With(first, 0, uint32_t{0})), "bytes that are no frame");
  EXPECT_EQ(ErrorOf(With(first, 4, uint16_t{2})), "a frame of version 2");
  EXPECT_EQ(ErrorOf(With(first, 6, uint16_t{7})), "a frame whose sizes do not add up");
  EXPECT_EQ(ErrorOf(With(first, 8, uint64_t{1})), "a frame out of order");
  EXPECT_EQ(ErrorOf(With(first, 16, uint64_t{1001})), "a payload of 1001 bytes, where 1000 are the most");
  EXPECT_EQ(ErrorOf(With(first, 16, uint64_t{19})), "a chunk out of place");
  EXPECT_EQ(ErrorOf(With(first, 24, uint64_t{1})), "a chunk out of place");
  EXPECT_EQ(ErrorOf(With(first, 32, uint32_t{0})), "a frame whose sizes do not add up");
  EXPECT_EQ(ErrorOf(With(first, 36, UINT32_MAX)), "a frame whose sizes do not add up");
  EXPECT_EQ(ErrorOf(chunk), "a chunk of no payload");
  EXPECT_EQ(ErrorOf(With(alone, 6, uint16_t{0})), "a chunk of no payload");
  EXPECT_EQ(ErrorOf(With(alone, 16, uint64_t{1})), "bytes without a payload");
  EXPECT_EQ(ErrorOf(With(alone, 24, uint64_t{1})), "bytes without a payload");
  EXPECT_EQ(ErrorOf(Sent(0, kPull, RandomBytes(4, rng))[0]), "a payload of a message that has none");
  std::string bad_parcel = alone;
  bad_parcel.back() = '\x80';
  EXPECT_EQ(ErrorOf(With(bad_parcel, 6, uint16_t{1})), "no message of this protocol: parcel.body.have is cut off");
}

TEST(FrameTest, ChunksOutOfOrderAreRefused) {
  Rng rng(6);
  const std::vector<std::string> frames = Sent(0, kPush, RandomBytes(50, rng), 20);
  const auto told = [&](const std::vector<std::string>& sent) {
    FrameAssembler assembler(1000);
    std::string last;
    for (const std::string& frame : sent) last = Told(Add(assembler, frame));
    return last;
  };
  EXPECT_EQ(told({frames[0], frames[0]}), "a parcel in the middle of another");
  EXPECT_EQ(told({frames[0], frames[2]}), "a chunk out of place");
  EXPECT_EQ(told({frames[0], frames[1], frames[1]}), "a chunk out of place");
  EXPECT_EQ(told({frames[0], With(frames[1], 16, uint64_t{40})}), "a chunk out of place");
  EXPECT_EQ(told({frames[0], Sent(0, kPull, nullptr)[0]}), "a parcel in the middle of another");
  EXPECT_EQ(told({frames[0], Sent(1, kPull, nullptr)[0]}), "a frame out of order");
  EXPECT_EQ(told({Sent(0, kPull, nullptr)[0], Sent(0, kPull, nullptr)[0]}), "a frame out of order");
  // A header and nothing behind it, again and again, would never end.
  std::string empty = With(frames[1], 36, uint32_t{0}).substr(0, kFrameHeaderSize);
  EXPECT_EQ(told({frames[0], empty}), "an empty chunk");
}

int64_t PeakMemoryKib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Four gigabytes claimed, a byte sent.
TEST(FrameTest, AClaimTakesNoMemory) {
  Rng rng(7);
  const std::string frame = With(Sent(0, kPush, RandomBytes(1, rng))[0], 16, kPayloadSizeMax);
  const int64_t before = PeakMemoryKib();
  std::vector<FrameAssembler> assemblers(16, FrameAssembler(kPayloadSizeMax));
  for (FrameAssembler& assembler : assemblers) EXPECT_EQ(Told(Add(assembler, frame)), "...");
  EXPECT_LT(PeakMemoryKib() - before, 32 * 1024);
}

TEST(FrameTest, ADamagedPayloadTakesNoMemory) {
  Rng rng(8);
  FrameAssembler assembler(1000);
  std::string frame = Sent(0, kPush, RandomBytes(50, rng))[0];
  frame.back() = static_cast<char>(frame.back() ^ 1);
  EXPECT_EQ(Told(Add(assembler, frame)), "Push - damaged");
  EXPECT_EQ(Told(Add(assembler, Sent(1, kPush, RandomBytes(50, rng))[0])), "Push 50 intact");
}

// As gRPC receives it: wherever the pieces end, the same parcel, and the same errors.
TEST(FrameTest, ComesInAnyPieces) {
  Rng rng(5);
  const Bytes payload = RandomBytes(5000, rng);
  const std::vector<std::string> frames = Sent(0, kPush, payload, 1999);
  std::string damaged = frames[1];
  damaged[kFrameHeaderSize + 700] ^= 1;
  for (int round = 0; round < 300; ++round) {
    FrameAssembler assembler(kPayloadSizeMax);
    const bool damage = round % 3 == 0;
    std::string told;
    AssembledParcel whole;
    for (size_t i = 0; i < frames.size(); ++i) {
      std::span<const std::byte> rest = std::as_bytes(std::span(damage && i == 1 ? damaged : frames[i]));
      std::vector<std::span<const std::byte>> pieces;
      while (!rest.empty()) {
        const size_t size = std::min<size_t>(rest.size(), rng.Below(round % 2 == 0 ? 20 : 1500));  // also none
        pieces.push_back(rest.first(size));
        rest = rest.subspan(size);
      }
      auto added = assembler.Add(pieces);
      told = Told(added);
      if (added.ok() && added->has_value()) whole = **std::move(added);
    }
    ASSERT_EQ(told, damage ? "Push - damaged" : "Push 5000 intact");
    ASSERT_TRUE(damage || *whole.payload == *payload);
  }
}

}  // namespace
}  // namespace eddl::net
