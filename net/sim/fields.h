// Fields: the names of the fields of events and actions, as net/fields.h has those of messages.
//
// Pure.
#pragma once

#include <array>
#include <tuple>
#include <variant>

#include "net/fields.h"
#include "net/node/event.h"
#include "net/node/journal_fields.h"

namespace eddl::net {

// clang-format off
// Events.
template <> inline constexpr auto kFields<Started> = std::tuple{
    Field{"records", &Started::records}, Field{"checkpoint", &Started::checkpoint},
    Field{"last_view", &Started::last_view}, Field{"view", &Started::view}, Field{"version", &Started::version},
    Field{"map", &Started::map}, Field{"histories", &Started::histories},
    Field{"blocks", &Started::blocks}, Field{"closed", &Started::closed}, Field{"away", &Started::away},
    Field{"untested", &Started::untested}};
template <> inline constexpr auto kFields<Received> = std::tuple{
    Field{"from", &Received::from}, Field{"message", &Received::message}};
template <> inline constexpr auto kFields<PeerUp> = std::tuple{Field{"node", &PeerUp::node}};
template <> inline constexpr auto kFields<PeerDown> = std::tuple{
    Field{"node", &PeerDown::node}, Field{"why", &PeerDown::why}};
template <> inline constexpr auto kFields<Timer> = std::tuple{};
template <> inline constexpr auto kFields<LeaseFinished> = std::tuple{
    Field{"done", &LeaseFinished::done}, Field{"payload", &LeaseFinished::payload}};
template <> inline constexpr auto kFields<Sealed> = std::tuple{
    Field{"round", &Sealed::round}, Field{"attempt", &Sealed::attempt}, Field{"norm2", &Sealed::norm2},
    Field{"finite", &Sealed::finite}};
template <> inline constexpr auto kFields<Loaded> = std::tuple{
    Field{"stripes", &Loaded::stripes}, Field{"version", &Loaded::version}, Field{"backup", &Loaded::backup}};
template <> inline constexpr auto kFields<Journaled> = std::tuple{Field{"below", &Journaled::below}};
template <> inline constexpr auto kFields<Measured> = std::tuple{
    Field{"up_bytes_per_second", &Measured::up_bytes_per_second},
    Field{"down_bytes_per_second", &Measured::down_bytes_per_second}, Field{"round_trip", &Measured::round_trip}};
template <> inline constexpr auto kFields<OwnerLoad> = std::tuple{
    Field{"cores", &OwnerLoad::cores}, Field{"pause", &OwnerLoad::pause}};
template <> inline constexpr auto kFields<Command> = std::tuple{
    Field{"kind", &Command::kind}, Field{"plan", &Command::plan}};
template <> inline constexpr auto kFields<Contributed> = std::tuple{Field{"block", &Contributed::block}};
template <> inline constexpr auto kFields<Tested> = std::tuple{
    Field{"version", &Tested::version}, Field{"loss", &Tested::loss}, Field{"correct", &Tested::correct}};
template <> inline constexpr auto kFields<CheckpointSaved> = std::tuple{Field{"version", &CheckpointSaved::version}};
template <> inline constexpr auto kFields<TestRows> = std::tuple{
    Field{"base", &TestRows::base}, Field{"micro_batches", &TestRows::micro_batches}, Field{"here", &TestRows::here}};

// Actions.
template <> inline constexpr auto kFields<Send> = std::tuple{Field{"to", &Send::to}, Field{"message", &Send::message}};
template <> inline constexpr auto kFields<Multicast> = std::tuple{
    Field{"to", &Multicast::to}, Field{"message", &Multicast::message}};
template <> inline constexpr auto kFields<SetTimer> = std::tuple{Field{"at", &SetTimer::at}};
template <> inline constexpr auto kFields<Compute> = std::tuple{Field{"grant", &Compute::grant}};
template <> inline constexpr auto kFields<Abandon> = std::tuple{
    Field{"round", &Abandon::round}, Field{"part", &Abandon::part}, Field{"micro_batches", &Abandon::micro_batches}};
template <> inline constexpr auto kFields<Merge> = std::tuple{
    Field{"sum", &Merge::sum}, Field{"payload", &Merge::payload}};
template <> inline constexpr auto kFields<Release> = std::tuple{Field{"payload", &Release::payload}};
template <> inline constexpr auto kFields<Adopt> = std::tuple{
    Field{"version", &Adopt::version}, Field{"shards", &Adopt::shards}};
template <> inline constexpr auto kFields<Discard> = std::tuple{Field{"version", &Discard::version}};
template <> inline constexpr auto kFields<Fold> = std::tuple{
    Field{"round", &Fold::round}, Field{"payload", &Fold::payload}};
template <> inline constexpr auto kFields<ClearFold> = std::tuple{Field{"round", &ClearFold::round}};
template <> inline constexpr auto kFields<Seal> = std::tuple{
    Field{"round", &Seal::round}, Field{"attempt", &Seal::attempt}};
template <> inline constexpr auto kFields<Apply> = std::tuple{
    Field{"record", &Apply::record}, Field{"slice", &Apply::slice}};
template <> inline constexpr auto kFields<ApplyBackup> = std::tuple{
    Field{"record", &ApplyBackup::record}, Field{"slice", &ApplyBackup::slice}};
template <> inline constexpr auto kFields<Rollback> = std::tuple{Field{"version", &Rollback::version}};
template <> inline constexpr auto kFields<Forget> = std::tuple{Field{"stripes", &Forget::stripes}};
template <> inline constexpr auto kFields<Snapshot> = std::tuple{
    Field{"version", &Snapshot::version}, Field{"stripes", &Snapshot::stripes}, Field{"payload", &Snapshot::payload}};
template <> inline constexpr auto kFields<Load> = std::tuple{
    Field{"stripes", &Load::stripes}, Field{"version", &Load::version}, Field{"backup", &Load::backup},
    Field{"payload", &Load::payload}};
template <> inline constexpr auto kFields<Export> = std::tuple{
    Field{"version", &Export::version}, Field{"payload", &Export::payload}};
template <> inline constexpr auto kFields<Explain> = std::tuple{
    Field{"topic", &Explain::topic}, Field{"text", &Explain::text}};
template <> inline constexpr auto kFields<TestHere> = std::tuple{Field{"version", &TestHere::version}};
template <> inline constexpr auto kFields<Evaluated> = std::tuple{
    Field{"version", &Evaluated::version}, Field{"loss", &Evaluated::loss}, Field{"correct", &Evaluated::correct},
    Field{"samples", &Evaluated::samples}};
template <> inline constexpr auto kFields<EpochsOver> = std::tuple{
    Field{"version", &EpochsOver::version}, Field{"count", &EpochsOver::count}};
template <> inline constexpr auto kFields<Halt> = std::tuple{Field{"why", &Halt::why}};
// clang-format on

// The names of the alternatives, in order.
inline constexpr std::array<const char*, std::variant_size_v<Event>> kEventNames = {
    "Started",   "Received", "PeerUp",    "PeerDown", "Timer",       "LeaseFinished", "Sealed",          "Loaded",
    "Journaled", "Measured", "OwnerLoad", "Command",  "Contributed", "Tested",        "CheckpointSaved", "TestRows"};
inline constexpr std::array<const char*, std::variant_size_v<Action>> kActionNames = {
    "Send",     "Multicast",    "SetTimer",  "Compute",   "Abandon",      "Merge",        "Release",      "Adopt",
    "Discard",  "Fold",         "ClearFold", "Seal",      "Apply",        "ApplyBackup",  "Rollback",     "Forget",
    "Snapshot", "Load",         "Export",    "Journal",   "JournalView",  "JournalStart", "Checkpointed", "Explain",
    "Halt",     "JournalBlock", "TestHere",  "Evaluated", "JournalEpoch", "JournalAway",  "EpochsOver"};

}  // namespace eddl::net
