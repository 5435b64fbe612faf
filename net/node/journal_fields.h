// Fields of what a manager's journal keeps, as net/fields.h has those of messages: numbered by their place on disk, so
// new ones go to the end.
//
// Pure.
#pragma once

#include <tuple>

#include "net/fields.h"
#include "net/node/event.h"

namespace eddl::net {

// clang-format off
template <> inline constexpr auto kFields<Journal> = std::tuple{Field{"record", &Journal::record}};
template <> inline constexpr auto kFields<JournalView> = std::tuple{Field{"view", &JournalView::view}};
template <> inline constexpr auto kFields<JournalStart> = std::tuple{
    Field{"view", &JournalStart::view}, Field{"version", &JournalStart::version}, Field{"map", &JournalStart::map},
    Field{"histories", &JournalStart::histories}};
template <> inline constexpr auto kFields<Checkpointed> = std::tuple{Field{"version", &Checkpointed::version}};
template <> inline constexpr auto kFields<JournalBlock> = std::tuple{Field{"block", &JournalBlock::block}};
template <> inline constexpr auto kFields<ClosedEpoch> = std::tuple{
    Field{"version", &ClosedEpoch::version}, Field{"epoch", &ClosedEpoch::epoch},
    Field{"quarantined", &ClosedEpoch::quarantined}, Field{"deferred", &ClosedEpoch::deferred}};
template <> inline constexpr auto kFields<JournalEpoch> = std::tuple{Field{"closed", &JournalEpoch::closed}};
template <> inline constexpr auto kFields<JournalAway> = std::tuple{Field{"owners", &JournalAway::owners}};
// clang-format on

}  // namespace eddl::net
