#include "net/wire/codec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "net/fields.h"
#include "net/wire/eddl.pb.h"
#include "net/wire/field_codec.h"
#include "runtime/base/status.h"
#include "tests/net/wire/hex.h"
#include "tests/net/wire/random_messages.h"

namespace eddl::net {
namespace {

constexpr size_t kBodyCount = std::variant_size_v<Body>;
constexpr int kSeeds = 300;

std::vector<MicroBatch> Range(uint64_t begin, uint64_t end) {
  std::vector<MicroBatch> list;
  for (uint64_t id = begin; id < end; ++id) list.push_back(MicroBatch{id});
  return list;
}

std::string ErrorOf(std::string_view bytes) {
  const auto parcel = Decode(bytes);
  return parcel.ok() ? "none" : MessageOf(parcel.status());
}

// Whether the tree holds a field that eddl.proto does not have.
bool HasUnknown(const google::protobuf::Message& message) {
  const auto* reflection = message.GetReflection();
  if (!reflection->GetUnknownFields(message).empty()) return true;
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated() && HasUnknown(reflection->GetMessage(message, field))) return true;
    for (int i = 0; field->is_repeated() && i < reflection->FieldSize(message, field); ++i) {
      if (HasUnknown(reflection->GetRepeatedMessage(message, field, i))) return true;
    }
  }
  return false;
}

// There and back, and through protobuf's own classes, which must know every field and write the same bytes.
void ExpectSurvives(const Parcel& parcel) {
  const std::string bytes = Encode(parcel);
  const auto back = Decode(bytes);
  ASSERT_TRUE(back.ok()) << back.status().ToString() << " " << Hex(bytes);
  EXPECT_TRUE(AreEqual(*back, parcel)) << Hex(bytes) << "\n" << Hex(Encode(*back));
  v1::Parcel classes;
  ASSERT_TRUE(classes.ParseFromString(bytes));
  EXPECT_FALSE(HasUnknown(classes)) << classes.DebugString();
  EXPECT_EQ(Hex(classes.SerializeAsString()), Hex(bytes)) << classes.DebugString();
}

TEST(CodecTest, EveryMessageComesBackAsItWentAndIsProtobuf) {
  for (size_t kind = 0; kind < kBodyCount; ++kind) {
    for (int seed = 0; seed < kSeeds; ++seed) {
      Rng rng(DeriveSeed(static_cast<uint64_t>(seed), kind));
      const Message message = RandomMessage(kind, rng);
      SCOPED_TRACE(NameOf(message.body) + ", seed " + std::to_string(seed));
      ExpectSurvives(message);
      EXPECT_EQ(Encode(message), Encode(Parcel(message)));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(CodecTest, EveryOtherParcelComesBackAsItWentAndIsProtobuf) {
  for (size_t kind = 1; kind < std::variant_size_v<Parcel>; ++kind) {
    for (int seed = 0; seed < kSeeds; ++seed) {
      Rng rng(DeriveSeed(static_cast<uint64_t>(seed), kind));
      SCOPED_TRACE(std::to_string(kind) + ", seed " + std::to_string(seed));
      ExpectSurvives(RandomParcel(kind, rng));
      if (HasFatalFailure()) return;
    }
  }
}

// The proto file is written by hand, the numbers come from a table: names and numbers must say the same.
TEST(CodecTest, NamesAndNumbersOfTheProtoFileAreThoseOfTheTable) {
  std::string wrong;
  const auto* body = v1::Message::descriptor()->FindOneofByName("body");
  [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
    const auto check = [&]<size_t kAlternative>() {
      const auto* field = body->field(static_cast<int>(kAlternative));
      if (field->message_type()->name() != kBodyNames[kAlternative] ||
          field->number() != kOneofBase + static_cast<int>(kAlternative)) {
        wrong += field->full_name() + " ";
      }
      int place = 0;
      const auto check_field = [&](const auto& f) {
        ++place;
        using Struct = std::variant_alternative_t<kAlternative, Body>;
        using Member = std::remove_cvref_t<decltype(std::declval<Struct>().*f.member)>;
        const auto* in_proto = field->message_type()->FindFieldByNumber(place);
        if (std::is_same_v<Member, Payload> || f.name == std::string("intact")) {
          if (!field->message_type()->IsReservedNumber(place)) wrong += std::string(f.name) + " ";
        } else if (in_proto == nullptr || in_proto->name() != f.name) {
          wrong += field->message_type()->name() + "." + f.name + " ";
        }
      };
      std::apply([&](const auto&... f) { (check_field(f), ...); },
                 kFields<std::variant_alternative_t<kAlternative, Body>>);
      if (field->message_type()->field_count() > place) wrong += field->message_type()->name() + " has more ";
    };
    (check.template operator()<kIndex>(), ...);
  }
  (std::make_index_sequence<kBodyCount>());
  EXPECT_EQ(wrong, "");
  EXPECT_EQ(body->field_count(), static_cast<int>(kBodyCount));
}

// A change of these bytes is a change of the protocol: other programs stop understanding this one.
TEST(CodecTest, GoldenBytes) {
  Grant grant = {.round = Version{300}, .base = Version{299}, .part = Part{1}, .samples = 96, .last = true};
  grant.micro_batches = {MicroBatch{3}, MicroBatch{4}, MicroBatch{5}, MicroBatch{9}};
  grant.mode = Mode::kPipe;
  const Incarnation incarnation = {.view = View{2}, .counter = 7};
  EXPECT_EQ(Hex(Encode(Message{.view = View{2}, .incarnation = incarnation, .body = grant})),
            "82011f0802120408021007d2011408ac0210ab021801220403030301286030014801");
  EXPECT_EQ(Hex(Encode(Message{.body = Leave{}})), "820103a20100");
  Push push = {.round = Version{1}, .base = Version{1}, .cover = 0x8000000000000001, .samples = 5};
  push.payload = Payload{77};
  EXPECT_EQ(Hex(Encode(Message{.view = View{1}, .body = push})), "82011608018202110801100120818080808080808080012805");
  Start start = {.map = {{{NodeId{1}, NodeId{2}, {{Stripe{0}, Stripe{3}}}}}}, .version = Version{4}};
  start.transfers = {{.from = NodeId{1}, .to = NodeId{1}, .stripes = {{Stripe{0}, Stripe{3}}}}};
  start.codec = Codec::kF16;
  EXPECT_EQ(Hex(Encode(Message{.view = View{1}, .body = start})),
            "82011f0801c2011a0a0a0a08080110021a0210031004220808011001220210032801");
  EXPECT_EQ(Hex(Encode(Directory{.entries = {{NodeId{1}, "a:1"}}, .revoked = {NodeId{9}, NodeId{300}}})),
            "8a010e0a0708011203613a31120309ac02");
  EXPECT_EQ(Hex(Encode(Opening{.protocol_min = 1,
                               .protocol_max = 2,
                               .job_id = "j",
                               .from = NodeId{3},
                               .lane = Lane::kBulk,
                               .connection = 5})),
            "92010d080110021a016a200330013805");
  EXPECT_EQ(Hex(Encode(Parcel(Opened{.error = "no"}))), "9a010412026e6f");
  EXPECT_EQ(Hex(Encode(Parcel(Ping{.sent_ns = 1}))), "a201020801");
  EXPECT_EQ(Hex(Encode(Parcel(Pong{.sent_ns = -1}))), "aa010b08ffffffffffffffffff01");
}

TEST(CodecTest, ARoundOfThousandsTakesAFewBytes) {
  CommitRecord record = {.round = Version{7}, .micro_batches = Range(1'000'000, 1'009'000), .step = 1};
  const size_t size = Encode(Message{.body = Commit{.record = record}}).size();
  EXPECT_LT(size, 40u);
}

// What a leader tells of itself when the manager comes back after a long time without a disk.
TEST(CodecTest, AsManyRecordsAsMayBeFitIntoOneParcel) {
  Hello hello = {.capabilities = {}};
  for (uint64_t round = 0; round < (1u << 16); ++round) {
    hello.records.push_back({.round = Version{round + 1000000},
                             .view = View{1000},
                             .micro_batches = Range(round * 16 + 5000000, round * 16 + 5000016),
                             .samples = 1024,
                             .learning_rate = 0.1,
                             .scale = 1.0 / 1024,
                             .step = round + 1000000});
  }
  const std::string bytes = Encode(Message{.body = hello});
  EXPECT_LT(bytes.size(), size_t{1} << 22);
  EXPECT_EQ(ErrorOf(bytes), "none");
}

TEST(CodecTest, WhatTheReceiverSaysDoesNotTravel) {
  const std::string bytes = Encode(Message{.body = Push{.samples = 1, .payload = Payload{5}, .intact = false}});
  const auto parcel = Decode(bytes);
  ASSERT_TRUE(parcel.ok());
  const Push& push = std::get<Push>(std::get<Message>(*parcel).body);
  EXPECT_EQ(ToInt(push.payload), 0u);
  EXPECT_TRUE(push.intact);
  // Nor can a peer make it: fields 6 and 7 of a Push are passed over.
  const auto forged = Decode(FromHex("820109820206280130053800"));
  ASSERT_TRUE(forged.ok()) << forged.status().ToString();
  EXPECT_EQ(ToInt(std::get<Push>(std::get<Message>(*forged).body).payload), 0u);
  EXPECT_TRUE(std::get<Push>(std::get<Message>(*forged).body).intact);
}

TEST(CodecTest, FieldsOfANewerPeerArePassedOver) {
  v1::Parcel parcel;
  parcel.mutable_message()->set_view(3);
  parcel.mutable_message()->mutable_pull()->set_have(9);
  auto* unknown = parcel.mutable_message()->mutable_pull();
  unknown->GetReflection()->MutableUnknownFields(unknown)->AddVarint(2, 5);
  unknown->GetReflection()->MutableUnknownFields(unknown)->AddLengthDelimited(12, "later");
  const auto decoded = Decode(parcel.SerializeAsString());
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(std::get<Pull>(std::get<Message>(*decoded).body).have, Version{9});
}

TEST(CodecTest, AMessageOfANewerPeerIsNamed) {
  EXPECT_EQ(ErrorOf(FromHex("820103ca0200")),
            "no message of this protocol: parcel.body is message number 41 is not known here (a newer peer?)");
  EXPECT_EQ(ErrorOf(FromHex("ba0100")),
            "no message of this protocol: parcel is message number 23 is not known here (a newer peer?)");
}

TEST(CodecTest, ErrorsNameTheFieldAndTheReason) {
  struct Case {
    const char* bytes;
    const char* error;
  };
  const Case cases[] = {
      {"", "it is empty"},
      {"8201020801", "parcel is empty"},  // a message without a body
      {"820107d201042a02", "parcel is cut off"},
      {"820105d201024809", "parcel.body.mode is out of range: 9"},
      {"820105d201023002", "parcel.body.last is out of range: 2"},
      {"820108d2010522030201"
       "00",
       "parcel.body.micro_batches is cut off"},
      {"820107d2010422020100", "parcel.body.micro_batches is an empty run"},
      {"820106d2010322010a", "parcel.body.micro_batches is cut off"},       // half a run
      {"820105d20102220f", "parcel.body.micro_batches is cut off"},         // longer than its message
      {"820106a20100a20100", "parcel.body is not as the protocol has it"},  // two bodies
      {"820109d2010618ffffffff7f", "parcel.body.part is out of range: 34359738367"},
      {"820105d201021d00", "parcel.body.part is not as the protocol has it"},  // a fixed32, not a varint
      {"820104d2010108", "parcel.body.round is cut off"},
      {"820104d2010100", "parcel.body is not as the protocol has it"},  // field 0
      {"ff", "it is not as the protocol has it"},
  };
  for (const Case& one : cases)
    EXPECT_EQ(ErrorOf(FromHex(one.bytes)), std::string("no message of this protocol: ") + one.error) << one.bytes;
}

// A few bytes that stand for 2^40 micro-batches, and records of as many as may be, so many that they do not fit.
TEST(CodecTest, ListsThatClaimTooMuchAreRefused) {
  EXPECT_EQ(ErrorOf(FromHex("82010cd20109220701808080808020")),
            "no message of this protocol: parcel.body.micro_batches is too long");
  v1::Parcel parcel;
  for (int i = 0; i < 100; ++i) {
    auto* record = parcel.mutable_message()->mutable_hello()->add_records();
    record->add_micro_batches(1);
    record->add_micro_batches(1 << 20);
  }
  EXPECT_EQ(ErrorOf(parcel.SerializeAsString()),
            "no message of this protocol: parcel.body.records.micro_batches is too long");
  auto* hello = parcel.mutable_message()->mutable_hello();
  hello->Clear();
  for (int i = 0; i < 1'000'000; ++i) hello->add_records();
  EXPECT_EQ(ErrorOf(parcel.SerializeAsString()), "no message of this protocol: parcel.body.records is too long");
}

TEST(CodecTest, TextsAreCutAndCleaned) {
  const auto parcel = Decode(Encode(Message{.body = Bye{.why = "\x1b[2J" + std::string(5000, 'x')}}));
  ASSERT_TRUE(parcel.ok()) << parcel.status().ToString();
  EXPECT_EQ(std::get<Bye>(std::get<Message>(*parcel).body).why, "?[2J" + std::string(4092, 'x'));
  // A peer that does not clean its own.
  const auto dirty = Decode(FromHex("820107aa01040a021b41"));
  ASSERT_TRUE(dirty.ok()) << dirty.status().ToString();
  EXPECT_EQ(std::get<Bye>(std::get<Message>(*dirty).body).why, "?A");
}

}  // namespace
}  // namespace eddl::net
