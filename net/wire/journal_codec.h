// Journal codec: entries of the manager's journal as bytes, and back. Lengths and checksums around them, and the file,
// are tools/eddl_node/cluster/journal_file.h's; net/wire/FORMAT.md has all of it.
//
// Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "net/node/event.h"

namespace eddl::net {

constexpr uint32_t kJournalFormat = 1;

// The first entry of a file.
struct JournalHeader {
  uint32_t format = kJournalFormat;
  std::string job;  // fingerprint of the job and its data

  bool operator==(const JournalHeader&) const = default;
};

using JournalEntry = std::variant<JournalHeader, Journal, JournalView, JournalStart, Checkpointed, JournalBlock,
                                  JournalEpoch, JournalAway>;

constexpr size_t kJournalEntrySizeMax = size_t{1} << 24;

// Serialized eddl.v1.JournalEntry.
std::string EncodeJournal(const JournalEntry& entry);

// Checks what Decode of codec.h checks. kDataLoss says which field is not as it should be, or that the entry's kind, or
// the header's format, is not known: a newer program wrote it.
absl::StatusOr<JournalEntry> DecodeJournal(std::string_view bytes);

}  // namespace eddl::net
