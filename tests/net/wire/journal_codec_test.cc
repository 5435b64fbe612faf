#include "net/wire/journal_codec.h"

#include <gtest/gtest.h>

#include "net/wire/eddl.pb.h"
#include "runtime/base/status.h"
#include "tests/net/wire/hex.h"
#include "tests/net/wire/random_messages.h"

namespace eddl::net {
namespace {

std::string ErrorOf(std::string_view bytes) {
  const auto entry = DecodeJournal(bytes);
  return entry.ok() ? "none" : MessageOf(entry.status());
}

TEST(JournalCodecTest, EveryEntryComesBackAsItWentAndIsProtobuf) {
  for (size_t kind = 0; kind < std::variant_size_v<JournalEntry>; ++kind) {
    for (uint64_t seed = 0; seed < 300; ++seed) {
      Rng rng(DeriveSeed(seed, kind));
      const JournalEntry entry = RandomEntry(kind, rng);
      const std::string bytes = EncodeJournal(entry);
      const auto back = DecodeJournal(bytes);
      ASSERT_TRUE(back.ok()) << back.status().ToString() << " " << Hex(bytes);
      EXPECT_TRUE(AreEqual(*back, entry)) << Hex(bytes);
      v1::JournalEntry classes;
      ASSERT_TRUE(classes.ParseFromString(bytes));
      EXPECT_TRUE(classes.GetReflection()->GetUnknownFields(classes).empty());
      EXPECT_EQ(Hex(classes.SerializeAsString()), Hex(bytes)) << classes.DebugString();
    }
  }
}

// A change of these bytes makes old journals unreadable: raise kJournalFormat, and read both.
TEST(JournalCodecTest, GoldenBytes) {
  EXPECT_EQ(Hex(EncodeJournal(JournalHeader{.job = "job"})),
            "82010708011203"
            "6a6f62");
  CommitRecord record = {.round = Version{5}, .view = View{2}, .samples = 32, .learning_rate = 0.5, .step = 6};
  record.micro_batches = {MicroBatch{8}, MicroBatch{9}};
  EXPECT_EQ(Hex(EncodeJournal(Journal{.record = record})),
            "8a01170a15080510021a02080220202900000000"
            "0000e03f3806");
  EXPECT_EQ(Hex(EncodeJournal(JournalView{.view = View{3}})), "9201020803");
  const ShardMap map = {{{NodeId{1}, NodeId{1}, {{Stripe{0}, Stripe{2}}}}}};
  EXPECT_EQ(
      Hex(EncodeJournal(JournalStart{.view = View{3}, .version = Version{5}, .map = map, .histories = {View{2}}})),
      "9a0113080310051a0a0a08080110011a0210022201"
      "02");
  EXPECT_EQ(Hex(EncodeJournal(Checkpointed{.version = Version{5}})), "a201020805");
  const DataBlock block = {.first_row = 100, .row_count = 7, .owner = NodeId{2}, .first_epoch = 3, .hash = 300};
  EXPECT_EQ(Hex(EncodeJournal(JournalBlock{block})),
            "aa010d0a0b0864100718022003"
            "28ac02");
  const ClosedEpoch closed = {.version = Version{9}, .epoch = 2, .quarantined = 1, .deferred = 3};
  EXPECT_EQ(Hex(EncodeJournal(JournalEpoch{closed})), "b2010a0a080809100218012003");
  EXPECT_EQ(Hex(EncodeJournal(JournalAway{{NodeId{2}, NodeId{300}}})), "ba01050a0302ac02");
}

TEST(JournalCodecTest, WhatCantBeIsRefused) {
  EXPECT_EQ(ErrorOf(""), "no message of this protocol: it is empty");
  EXPECT_EQ(ErrorOf(FromHex("c20100")),
            "no message of this protocol: entry is message number 24 is not known here (a newer peer?)");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalHeader{.format = 2})), "a journal of format 2, where this program knows 1");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalBlock{{.first_row = 5}})), "a block of rows out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalBlock{{.first_row = kDataRowsMax, .row_count = 1}})),
            "a block of rows out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalEpoch{{.epoch = -1}})), "a closed epoch out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalEpoch{{.deferred = INT64_MAX}})), "a closed epoch out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalEpoch{{.version = kNoVersion}})), "a version out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalAway{{NodeId{3}, NodeId{2}}})), "owners that are not in order");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalAway{{NodeId{3}, NodeId{3}}})), "owners that are not in order");
  EXPECT_EQ(ErrorOf(EncodeJournal(Journal{})), "a commit record out of range");  // step 0
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalView{.view = View{UINT64_MAX}})), "a view out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalStart{.histories = {View{UINT64_MAX}}})), "a view out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalStart{.version = kNoVersion})), "a version out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(JournalStart{.map = {{{NodeId{1}, NodeId{1}, {}}}}})), "a shard out of range");
  EXPECT_EQ(ErrorOf(EncodeJournal(Checkpointed{.version = kNoVersion})), "a version out of range");
  EXPECT_EQ(ErrorOf(std::string(kJournalEntrySizeMax + 1, '\0')), "a journal entry that is too long");
}

}  // namespace
}  // namespace eddl::net
