// Random messages that are true to the protocol, for the tests of the wire format.
#pragma once

#include <cstddef>

#include "net/messages.h"
#include "net/wire/journal_codec.h"
#include "net/wire/parcel.h"
#include "runtime/base/rng.h"

namespace eddl::net {

// Alternative `kind` of the variant, with random fields. Lists are short, numbers of every size.
Body RandomBody(size_t kind, Rng& rng);
Message RandomMessage(size_t kind, Rng& rng);
// `kind` >= 1: the parcels beside Message.
Parcel RandomParcel(size_t kind, Rng& rng);
JournalEntry RandomEntry(size_t kind, Rng& rng);

// Whether all fields are equal but for those that do not travel. Doubles by their bits.
bool AreEqual(const Parcel& a, const Parcel& b);
bool AreEqual(const JournalEntry& a, const JournalEntry& b);

}  // namespace eddl::net
