#include "net/wire/journal_codec.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "net/node/journal_fields.h"
#include "net/node/overloaded.h"
#include "net/wire/field_codec.h"
#include "net/wire/validate.h"
#include "runtime/base/status.h"

namespace eddl::net {

template <>
inline constexpr auto kFields<JournalHeader> =
    std::tuple{Field{"format", &JournalHeader::format}, Field{"job", &JournalHeader::job}};

namespace {

// eddl.v1.JournalEntry.
struct Envelope {
  JournalEntry entry;
};

absl::Status CheckEntry(const JournalEntry& entry) {
  return std::visit(Overloaded{
                        [](const JournalHeader& header) {
                          return header.format == kJournalFormat
                                     ? absl::OkStatus()
                                     : DataLoss("a journal of format " + std::to_string(header.format) +
                                                ", where this program knows " + std::to_string(kJournalFormat));
                        },
                        [](const Journal& journal) { return Validate(journal.record); },
                        [](const JournalView& view) { return Validate(view.view); },
                        [](const JournalStart& start) {
                          EDDL_RETURN_IF_ERROR(Validate(start.view));
                          EDDL_RETURN_IF_ERROR(Validate(start.version));
                          for (const View view : start.histories) EDDL_RETURN_IF_ERROR(Validate(view));
                          return Validate(start.map);
                        },
                        [](const Checkpointed& checkpoint) { return Validate(checkpoint.version); },
                        [](const JournalBlock& journal) { return Validate(journal.block); },
                        [](const JournalEpoch& journal) {
                          const auto is_count = [](int64_t count) { return count >= 0 && count <= kSamplesMax; };
                          const ClosedEpoch& closed = journal.closed;
                          if (!is_count(closed.epoch) || !is_count(closed.quarantined) || !is_count(closed.deferred))
                            return DataLoss("a closed epoch out of range");
                          return Validate(closed.version);
                        },
                        [](const JournalAway& away) {
                          const auto& owners = away.owners;
                          const auto bad = std::adjacent_find(owners.begin(), owners.end(), std::greater_equal<>());
                          return bad == owners.end() ? absl::OkStatus() : DataLoss("owners that are not in order");
                        },
                    },
                    entry);
}

}  // namespace

template <>
inline constexpr auto kFields<Envelope> = std::tuple{Field{"entry", &Envelope::entry}};

std::string EncodeJournal(const JournalEntry& entry) { return EncodeVariant(entry); }

absl::StatusOr<JournalEntry> DecodeJournal(std::string_view bytes) {
  if (bytes.size() > kJournalEntrySizeMax) return DataLoss("a journal entry that is too long");
  EDDL_ASSIGN_OR_RETURN(Envelope envelope, DecodeFields<Envelope>(bytes));
  EDDL_RETURN_IF_ERROR(CheckEntry(envelope.entry));
  return std::move(envelope.entry);
}

}  // namespace eddl::net
