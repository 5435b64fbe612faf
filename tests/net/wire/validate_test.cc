// Each thing that a message of a hostile peer may not say, alone, in a message that is else true to the protocol.
#include "net/wire/validate.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "net/wire/codec.h"
#include "runtime/base/status.h"
#include "tests/net/wire/random_messages.h"

namespace eddl::net {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Version kFar{kOrdinalMax};
constexpr View kFarView{kOrdinalMax};

std::string ErrorOf(const Parcel& parcel) {
  const auto decoded = Decode(Encode(parcel));
  return decoded.ok() ? "none" : MessageOf(decoded.status());
}

CommitRecord Record() { return {.round = Version{3}, .micro_batches = {MicroBatch{1}}, .samples = 8, .step = 1}; }
std::vector<StripeRange> Stripes() { return {{Stripe{0}, Stripe{4}}}; }
ShardMap Map() {
  return {{{NodeId{1}, NodeId{2}, {{Stripe{0}, Stripe{4}}}}, {NodeId{2}, NodeId{1}, {{Stripe{4}, Stripe{6}}}}}};
}

// A good one of each kind that has something to say.
template <typename T>
T Good() {
  T body;
  if constexpr (requires { body.record; }) body.record = Record();
  if constexpr (requires { body.records; }) body.records = {Record()};
  if constexpr (requires { body.held; })
    body.held = {{.node = NodeId{1}, .stripes = Stripes(), .oldest = Version{1}, .newest = Version{2}}};
  if constexpr (requires { body.map; }) body.map = Map();
  if constexpr (requires { body.stripes; }) body.stripes = Stripes();
  if constexpr (requires { body.micro_batches; }) body.micro_batches = {MicroBatch{1}, MicroBatch{4}};
  if constexpr (requires { body.samples; }) body.samples = 8;
  if constexpr (requires { body.version; }) body.version = Version{1};
  if constexpr (requires { body.transfers; })
    body.transfers = {{.from = NodeId{1}, .to = NodeId{2}, .stripes = Stripes()}};
  return body;
}

// The good one is taken; after `spoil` it is refused, with this message.
template <typename T>
void ExpectRefused(const std::string& error, const std::function<void(T&)>& spoil, int line) {
  T body = Good<T>();
  EXPECT_EQ(ErrorOf(Message{.body = body}), "none") << "line " << line;
  spoil(body);
  EXPECT_EQ(ErrorOf(Message{.body = body}), NameOf(body) + ": " + error) << "line " << line;
}

#define REFUSED(Type, error, spoil) \
  ExpectRefused<Type>(              \
      error, [](Type& m) { spoil; }, __LINE__)

TEST(ValidateTest, Views) {
  const char* error = "Pull: a view out of range";
  EXPECT_EQ(ErrorOf(Message{.view = kFarView, .body = Pull{}}), error);
  EXPECT_EQ(ErrorOf(Message{.incarnation = {.view = kFarView}, .body = Pull{}}), error);
  EXPECT_EQ(ErrorOf(Message{.view = View{kOrdinalMax - 1}, .body = Pull{}}), "none");
  REFUSED(Hello, "a view out of range", m.held_view = kFarView);
  REFUSED(ViewAck, "a view out of range", m.held_view = kFarView);
  REFUSED(Fence, "an incarnation out of range", m.incarnation.view = kFarView);
  REFUSED(Welcome, "a version out of range", m.incarnation.view = kFarView);
  REFUSED(Start, "a version out of range", m.histories = {kFarView});
}

TEST(ValidateTest, CapabilitiesAndMeasurements) {
  const char* error = "capabilities out of range";
  for (const double bad : {-1.0, kNan, kInfinity, 1e19}) {
    Hello hello;
    hello.capabilities.micro_batches_per_second = bad;
    EXPECT_EQ(ErrorOf(Message{.body = hello}), std::string("Hello: ") + error) << bad;
    Beat beat;
    beat.up_bytes_per_second = bad;
    EXPECT_EQ(ErrorOf(Message{.body = beat}), "Beat: a measurement out of range") << bad;
  }
  REFUSED(Hello, error, m.capabilities.up_bytes_per_second = kNan);
  REFUSED(Hello, error, m.capabilities.down_bytes_per_second = -1);
  REFUSED(Hello, error, m.capabilities.beat_period.ns = 0);
  REFUSED(Hello, error, m.capabilities.beat_period.ns = -5);
  REFUSED(Hello, error, m.capabilities.beat_period.ns = INT64_MAX);
  REFUSED(Beat, "a measurement out of range", m.load = kNan);
  REFUSED(Beat, "a measurement out of range", m.down_bytes_per_second = -1);
  REFUSED(Beat, "a measurement out of range", m.round_trip.ns = -1);
  REFUSED(Beat, "a measurement out of range", m.round_trip.ns = kDurationMaxNs + 1);
  REFUSED(Beat, "a measurement out of range", m.shard = kFar);
}

TEST(ValidateTest, Holdings) {
  const char* error = "a holding out of range";
  REFUSED(Hello, error, m.held[0].newest = Version{0});
  REFUSED(Hello, error, m.held[0].newest = kNoVersion);
  REFUSED(Hello, error, m.held[0].oldest = kNoVersion);
  REFUSED(Hello, error, m.held[0].newest = kFar);
  REFUSED(Hello, error, (m.held[0].stripes = {{Stripe{2}, Stripe{2}}}));
  REFUSED(Hello, error, (m.held[0].stripes = {{Stripe{3}, Stripe{2}}}));
  REFUSED(Hello, error, (m.held[0].stripes = {{Stripe{0}, Stripe{3}}, {Stripe{2}, Stripe{4}}}));
  REFUSED(Hello, error, (m.held[0].stripes = {{Stripe{5}, Stripe{6}}, {Stripe{0}, Stripe{1}}}));
  REFUSED(ViewAck, error, (m.held[0].stripes = {{Stripe{0}, Stripe{kStripesMax + 1}}}));
  Hello adjacent = Good<Hello>();
  adjacent.held[0].stripes = {{Stripe{0}, Stripe{1}}, {Stripe{1}, Stripe{2}}};
  EXPECT_EQ(ErrorOf(Message{.body = adjacent}), "none");
}

TEST(ValidateTest, CommitRecords) {
  const char* error = "a commit record out of range";
  REFUSED(Commit, error, m.record.round = kFar);
  REFUSED(Commit, error, m.record.view = kFarView);
  REFUSED(Commit, error, (m.record.micro_batches = {MicroBatch{2}, MicroBatch{1}}));
  REFUSED(Commit, error, (m.record.micro_batches = {MicroBatch{1}, MicroBatch{1}}));
  REFUSED(Commit, error, m.record.micro_batches = {MicroBatch{kOrdinalMax}});
  REFUSED(Commit, error, m.record.samples = -1);
  REFUSED(Commit, error, m.record.samples = kSamplesMax + 1);
  REFUSED(Commit, error, m.record.learning_rate = kNan);
  REFUSED(Commit, error, m.record.learning_rate = kInfinity);
  REFUSED(Replica, error, m.record.scale = -1);
  REFUSED(Replica, error, m.record.scale = kNan);
  REFUSED(Replica, error, m.record.step = 0);
  REFUSED(Replica, error, m.record.step = UINT64_MAX);
  REFUSED(Hello, error, m.records[0].step = 0);
  REFUSED(ViewAck, error, m.records[0].step = 0);
  REFUSED(Hello, "commit records that are not in order", m.records.push_back(m.records[0]));
  REFUSED(Commit, "a version out of range", m.stable = kFar);
  REFUSED(Commit, "a version out of range", m.durable = kFar);
  REFUSED(Replica, "a version out of range", m.durable = kNoVersion);
}

TEST(ValidateTest, ShardMaps) {
  const char* error = "a shard out of range";
  REFUSED(Welcome, error, std::swap(m.map.shards[0], m.map.shards[1]));
  REFUSED(Welcome, error, m.map.shards[1].leader = NodeId{1});
  REFUSED(Welcome, error, m.map.shards[0].leader = kManager);
  REFUSED(Welcome, error, m.map.shards[0].backup = kManager);
  REFUSED(Welcome, error, m.map.shards[0].stripes.clear());
  REFUSED(Welcome, error, (m.map.shards[0].stripes = {{Stripe{0}, Stripe{2}}, {Stripe{2}, Stripe{4}}}));
  REFUSED(Start, error, (m.map.shards[0].stripes = {{Stripe{0}, Stripe{kStripesMax + 1}}}));
  const char* not_once = "a map that does not have every stripe once";
  REFUSED(Start, not_once, m.map.shards[0].stripes[0].begin = Stripe{1});
  REFUSED(Start, not_once, m.map.shards[0].stripes[0].end = Stripe{3});
  REFUSED(Start, not_once, m.map.shards[0].stripes[0].end = Stripe{5});
  REFUSED(Start, "a start without leaders", m.map.shards.clear());
}

TEST(ValidateTest, StartsAndMoves) {
  REFUSED(Start, "a version out of range", m.version = kNoVersion);
  REFUSED(Start, "a transfer out of range", m.transfers[0].stripes.clear());
  REFUSED(Start, "a transfer out of range", (m.transfers[0].stripes = {{Stripe{4}, Stripe{0}}}));
  REFUSED(Move, "stripes out of range", m.stripes.clear());
  REFUSED(Move, "stripes out of range", (m.stripes = {{Stripe{4}, Stripe{0}}}));
  REFUSED(Move, "stripes out of range", m.version = kFar);
}

TEST(ValidateTest, Leases) {
  REFUSED(Grant, "a lease of nothing", (m.micro_batches.clear(), m.kind = LeaseKind::kTrain));
  REFUSED(Grant, "a lease out of range", (m.micro_batches = {MicroBatch{2}, MicroBatch{1}}));
  REFUSED(Grant, "a lease out of range", m.samples = -1);
  REFUSED(Grant, "a lease out of range", m.samples = kSamplesMax + 1);
  REFUSED(Grant, "a lease out of range", m.round = kFar);
  REFUSED(Grant, "a lease out of range", m.base = kNoVersion);
  REFUSED(Cancel, "a lease out of range", m.round = kFar);
  REFUSED(Cancel, "a lease out of range", (m.micro_batches = {MicroBatch{2}, MicroBatch{1}}));
  REFUSED(Assign, "a round out of range", m.round = kFar);
  REFUSED(Assign, "a round out of range", m.into = kFar);
  REFUSED(Drop, "a round out of range", m.round = kFar);
  Grant last = Good<Grant>();
  last.micro_batches.clear();
  last.last = true;
  EXPECT_EQ(ErrorOf(Message{.body = last}), "none");
}

TEST(ValidateTest, Results) {
  const char* error = "a result out of range";
  REFUSED(Done, error, m.loss_sum = kNan);
  REFUSED(Done, error, m.gradient_norm2 = kInfinity);
  REFUSED(Done, error, m.gradient_norm2 = -1);
  REFUSED(Done, error, m.micro_batches.clear());
  REFUSED(Done, error, (m.micro_batches = {MicroBatch{2}, MicroBatch{1}}));
  REFUSED(Done, error, m.samples = -1);
  REFUSED(Done, error, m.correct = -1);
  REFUSED(Done, error, m.correct = m.samples + 1);
  REFUSED(Done, error, m.compute.ns = -1);
  REFUSED(Done, error, m.compute.ns = kDurationMaxNs + 1);
  REFUSED(Done, error, m.round = kFar);
  REFUSED(Done, error, m.base = kFar);
  // A gradient that is not finite has no norm, and that is what it says.
  Done infinite = Good<Done>();
  infinite.finite = false;
  infinite.loss_sum = infinite.gradient_norm2 = kNan;
  EXPECT_EQ(ErrorOf(Message{.body = infinite}), "none");
}

TEST(ValidateTest, Rounds) {
  REFUSED(Close, "a round out of range", m.round = kFar);
  REFUSED(Close, "contributors that are not in order", (m.expected = {{.node = NodeId{2}}, {.node = NodeId{1}}}));
  REFUSED(Waiting, "a round out of range", m.round = kFar);
  REFUSED(Waiting, "contributors that are not in order", (m.missing = {{.node = NodeId{1}}, {.node = NodeId{1}}}));
  REFUSED(Push, "a sum over nothing, or out of range", m.samples = 0);
  REFUSED(Push, "a sum over nothing, or out of range", m.samples = -1);
  REFUSED(Push, "a sum over nothing, or out of range", m.samples = kSamplesMax + 1);
  REFUSED(Push, "a sum over nothing, or out of range", m.round = kFar);
  REFUSED(Push, "a sum over nothing, or out of range", m.base = kFar);
  REFUSED(Nack, "a round out of range", m.round = kFar);
  REFUSED(Staged, "a norm out of range", m.round = kFar);
  REFUSED(Staged, "a norm out of range", m.samples = -1);
  REFUSED(Staged, "a norm out of range", m.norm2 = kNan);
  REFUSED(Staged, "a norm out of range", m.norm2 = -1);
  REFUSED(ReplicaOk, "a version out of range", m.version = kNoVersion);
  REFUSED(Publish, "a version out of range", m.version = kNoVersion);
  REFUSED(Pull, "a version out of range", m.have = kFar);
  REFUSED(Welcome, "a version out of range", m.version = kFar);
}

TEST(ValidateTest, ListsThatAreTooLong) {
  const auto refused = [](auto body, const std::string& error) {
    EXPECT_EQ(MessageOf(Validate(Message{.body = body})), error) << NameOf(body);
  };
  Hello hello = Good<Hello>();
  hello.held.assign(kListMax + 1, hello.held[0]);
  refused(hello, "Hello: too many holdings");
  hello = Good<Hello>();
  hello.records.clear();
  for (size_t i = 0; i <= kRecordsMax; ++i) {
    hello.records.push_back(Record());
    hello.records.back().round = Version{i};
  }
  refused(hello, "Hello: too many commit records");
  hello.records.pop_back();
  EXPECT_TRUE(Validate(Message{.body = hello}).ok());
  Grant grant = Good<Grant>();
  grant.micro_batches.clear();
  for (size_t i = 0; i <= kListMax; ++i) grant.micro_batches.push_back(MicroBatch{i});
  refused(grant, "Grant: a lease out of range");
  Close close;
  for (size_t i = 0; i <= kListMax; ++i) close.expected.push_back({.node = NodeId{static_cast<uint32_t>(i)}});
  refused(close, "Close: contributors that are not in order");
  Start start = Good<Start>();
  start.histories.assign(kListMax + 1, View{});
  refused(start, "Start: too many transfers");
  start = Good<Start>();
  start.transfers.assign(kListMax + 1, start.transfers[0]);
  refused(start, "Start: too many transfers");
  refused(Bye{.why = std::string(5000, 'x')}, "Bye: a reason that is too long");
  refused(ViewChange{.why = std::string(5000, 'x')}, "ViewChange: a reason that is too long");
  refused(Fence{.why = std::string(5000, 'x')}, "Fence: a reason that is too long");
}

TEST(ValidateTest, ParcelsOfTheConnection) {
  const char* directory = "a directory out of range";
  EXPECT_EQ(ErrorOf(Directory{.entries = {{NodeId{2}, "a"}, {NodeId{1}, "b"}}}), directory);
  EXPECT_EQ(ErrorOf(Directory{.entries = {{NodeId{2}, "a"}, {NodeId{2}, "b"}}}), directory);
  EXPECT_EQ(ErrorOf(Directory{.entries = {{NodeId{2}, std::string(513, 'a')}}}), directory);
  EXPECT_EQ(ErrorOf(Directory{.revoked = {NodeId{2}, NodeId{1}}}), directory);
  EXPECT_EQ(ErrorOf(Opening{.protocol_min = 2, .protocol_max = 1}), "an opening out of range");
  EXPECT_EQ(ErrorOf(Opening{.job_id = std::string(65, 'j')}), "an opening out of range");
  EXPECT_EQ(MessageOf(Validate(Opened{.error = std::string(5000, 'x')})), "a reason that is too long");
}

}  // namespace
}  // namespace eddl::net
