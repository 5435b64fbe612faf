// Fields: the names of the fields of messages, once, for whoever writes or reads them. net/sim/fields.h has those of
// events and actions.
//
// kFields<Struct> is a tuple of (name, pointer to member); the wire format numbers fields by their place
// (net/wire/codec.h): new ones go to the end. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <utility>
#include <variant>

#include "net/data_block.h"
#include "net/messages.h"

namespace eddl::net {

template <typename Struct, typename Member>
struct Field {
  const char* name;
  Member Struct::*member;
};
template <typename Struct, typename Member>
Field(const char*, Member Struct::*) -> Field<Struct, Member>;

template <typename Struct>
inline constexpr auto kFields = nullptr;

// clang-format off
template <> inline constexpr auto kFields<Duration> = std::tuple{Field{"ns", &Duration::ns}};
template <> inline constexpr auto kFields<Instant> = std::tuple{Field{"ns", &Instant::ns}};
template <> inline constexpr auto kFields<Incarnation> = std::tuple{
    Field{"view", &Incarnation::view}, Field{"counter", &Incarnation::counter}};
template <> inline constexpr auto kFields<StripeRange> = std::tuple{
    Field{"begin", &StripeRange::begin}, Field{"end", &StripeRange::end}};
template <> inline constexpr auto kFields<Shard> = std::tuple{
    Field{"leader", &Shard::leader}, Field{"backup", &Shard::backup}, Field{"stripes", &Shard::stripes}};
template <> inline constexpr auto kFields<ShardMap> = std::tuple{Field{"shards", &ShardMap::shards}};
template <> inline constexpr auto kFields<Held> = std::tuple{
    Field{"node", &Held::node}, Field{"stripes", &Held::stripes}, Field{"oldest", &Held::oldest},
    Field{"newest", &Held::newest}};
template <> inline constexpr auto kFields<DataBlock> = std::tuple{
    Field{"first_row", &DataBlock::first_row}, Field{"row_count", &DataBlock::row_count},
    Field{"owner", &DataBlock::owner}, Field{"first_epoch", &DataBlock::first_epoch}, Field{"hash", &DataBlock::hash}};
template <> inline constexpr auto kFields<RoundRule> = std::tuple{
    Field{"mode", &RoundRule::mode}, Field{"quorum", &RoundRule::quorum},
    Field{"staleness_max", &RoundRule::staleness_max}};
template <> inline constexpr auto kFields<LeaderShare> = std::tuple{
    Field{"node", &LeaderShare::node}, Field{"fraction", &LeaderShare::fraction}};
template <> inline constexpr auto kFields<Plan> = std::tuple{
    Field{"rule", &Plan::rule}, Field{"codec", &Plan::codec}, Field{"leaders", &Plan::leaders},
    Field{"parked", &Plan::parked}};

// Messages.
template <> inline constexpr auto kFields<Capabilities> = std::tuple{
    Field{"can_work", &Capabilities::can_work}, Field{"can_lead", &Capabilities::can_lead},
    Field{"micro_batches_per_second", &Capabilities::micro_batches_per_second},
    Field{"up_bytes_per_second", &Capabilities::up_bytes_per_second},
    Field{"down_bytes_per_second", &Capabilities::down_bytes_per_second}, Field{"beat_period", &Capabilities::beat_period}, Field{"cell", &Capabilities::cell}};
template <> inline constexpr auto kFields<Contributor> = std::tuple{
    Field{"node", &Contributor::node}, Field{"incarnation", &Contributor::incarnation},
    Field{"part", &Contributor::part}};
template <> inline constexpr auto kFields<CommitRecord> = std::tuple{
    Field{"round", &CommitRecord::round}, Field{"view", &CommitRecord::view},
    Field{"micro_batches", &CommitRecord::micro_batches}, Field{"samples", &CommitRecord::samples},
    Field{"learning_rate", &CommitRecord::learning_rate}, Field{"scale", &CommitRecord::scale},
    Field{"step", &CommitRecord::step}, Field{"checkpoint", &CommitRecord::checkpoint}};
template <> inline constexpr auto kFields<Hello> = std::tuple{
    Field{"capabilities", &Hello::capabilities}, Field{"held", &Hello::held}, Field{"held_view", &Hello::held_view},
    Field{"records", &Hello::records}};
template <> inline constexpr auto kFields<Welcome> = std::tuple{
    Field{"incarnation", &Welcome::incarnation}, Field{"map", &Welcome::map}, Field{"version", &Welcome::version},
    Field{"codec", &Welcome::codec}};
template <> inline constexpr auto kFields<Beat> = std::tuple{
    Field{"load", &Beat::load}, Field{"paused", &Beat::paused},
    Field{"up_bytes_per_second", &Beat::up_bytes_per_second},
    Field{"down_bytes_per_second", &Beat::down_bytes_per_second}, Field{"round_trip", &Beat::round_trip},
    Field{"shard", &Beat::shard}};
template <> inline constexpr auto kFields<Fence> = std::tuple{
    Field{"node", &Fence::node}, Field{"incarnation", &Fence::incarnation}, Field{"why", &Fence::why}};
template <> inline constexpr auto kFields<Leave> = std::tuple{};
template <> inline constexpr auto kFields<Bye> = std::tuple{Field{"why", &Bye::why}};
template <> inline constexpr auto kFields<ViewChange> = std::tuple{Field{"why", &ViewChange::why}};
template <> inline constexpr auto kFields<ViewAck> = std::tuple{
    Field{"held", &ViewAck::held}, Field{"held_view", &ViewAck::held_view}, Field{"records", &ViewAck::records}};
template <> inline constexpr auto kFields<Transfer> = std::tuple{
    Field{"from", &Transfer::from}, Field{"to", &Transfer::to}, Field{"backup", &Transfer::backup},
    Field{"stripes", &Transfer::stripes}};
template <> inline constexpr auto kFields<Start> = std::tuple{
    Field{"map", &Start::map}, Field{"version", &Start::version}, Field{"histories", &Start::histories},
    Field{"transfers", &Start::transfers}, Field{"codec", &Start::codec}};
template <> inline constexpr auto kFields<Move> = std::tuple{
    Field{"stripes", &Move::stripes}, Field{"version", &Move::version}, Field{"backup", &Move::backup},
    Field{"payload", &Move::payload}, Field{"intact", &Move::intact}};
template <> inline constexpr auto kFields<Grant> = std::tuple{
    Field{"round", &Grant::round}, Field{"base", &Grant::base}, Field{"part", &Grant::part},
    Field{"micro_batches", &Grant::micro_batches}, Field{"samples", &Grant::samples}, Field{"last", &Grant::last},
    Field{"on_assign", &Grant::on_assign}, Field{"kind", &Grant::kind}, Field{"mode", &Grant::mode}};
template <> inline constexpr auto kFields<Done> = std::tuple{
    Field{"round", &Done::round}, Field{"base", &Done::base}, Field{"part", &Done::part},
    Field{"micro_batches", &Done::micro_batches}, Field{"samples", &Done::samples}, Field{"compute", &Done::compute},
    Field{"loss_sum", &Done::loss_sum}, Field{"gradient_norm2", &Done::gradient_norm2},
    Field{"correct", &Done::correct}, Field{"finite", &Done::finite}, Field{"cancelled", &Done::cancelled},
    Field{"kind", &Done::kind}};
template <> inline constexpr auto kFields<Cancel> = std::tuple{
    Field{"round", &Cancel::round}, Field{"part", &Cancel::part}, Field{"micro_batches", &Cancel::micro_batches}};
template <> inline constexpr auto kFields<Assign> = std::tuple{
    Field{"round", &Assign::round}, Field{"into", &Assign::into}, Field{"part", &Assign::part}};
template <> inline constexpr auto kFields<Drop> = std::tuple{Field{"round", &Drop::round}, Field{"part", &Drop::part}};
template <> inline constexpr auto kFields<Close> = std::tuple{
    Field{"round", &Close::round}, Field{"attempt", &Close::attempt}, Field{"expected", &Close::expected},
    Field{"checkpoint", &Close::checkpoint}};
template <> inline constexpr auto kFields<Push> = std::tuple{
    Field{"round", &Push::round}, Field{"base", &Push::base}, Field{"part", &Push::part}, Field{"cover", &Push::cover},
    Field{"samples", &Push::samples}, Field{"payload", &Push::payload}, Field{"intact", &Push::intact}};
template <> inline constexpr auto kFields<Nack> = std::tuple{Field{"round", &Nack::round}, Field{"part", &Nack::part}};
template <> inline constexpr auto kFields<Staged> = std::tuple{
    Field{"round", &Staged::round}, Field{"attempt", &Staged::attempt}, Field{"cover", &Staged::cover},
    Field{"samples", &Staged::samples}, Field{"norm2", &Staged::norm2}, Field{"finite", &Staged::finite}};
template <> inline constexpr auto kFields<Waiting> = std::tuple{
    Field{"round", &Waiting::round}, Field{"attempt", &Waiting::attempt}, Field{"missing", &Waiting::missing}};
template <> inline constexpr auto kFields<Commit> = std::tuple{
    Field{"record", &Commit::record}, Field{"attempt", &Commit::attempt}, Field{"stable", &Commit::stable},
    Field{"durable", &Commit::durable}};
template <> inline constexpr auto kFields<Replica> = std::tuple{
    Field{"record", &Replica::record}, Field{"durable", &Replica::durable}, Field{"payload", &Replica::payload}, Field{"intact", &Replica::intact}};
template <> inline constexpr auto kFields<ReplicaOk> = std::tuple{Field{"version", &ReplicaOk::version}};
template <> inline constexpr auto kFields<Publish> = std::tuple{
    Field{"version", &Publish::version}, Field{"payload", &Publish::payload}, Field{"intact", &Publish::intact}};
template <> inline constexpr auto kFields<Pull> = std::tuple{Field{"have", &Pull::have}};
template <> inline constexpr auto kFields<Message> = std::tuple{
    Field{"view", &Message::view}, Field{"incarnation", &Message::incarnation}, Field{"body", &Message::body}};
// clang-format on

// The names of the alternatives, in order.
inline constexpr std::array<const char*, std::variant_size_v<Body>> kBodyNames = {
    "Hello",  "Welcome", "Beat",   "Fence",   "Leave",     "Bye",     "ViewChange", "ViewAck", "Start",
    "Move",   "Grant",   "Done",   "Cancel",  "Assign",    "Drop",    "Close",      "Push",    "Nack",
    "Staged", "Waiting", "Commit", "Replica", "ReplicaOk", "Publish", "Pull"};

}  // namespace eddl::net
