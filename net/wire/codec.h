// Codec: messages as bytes, and back. net/wire/FORMAT.md is the contract for people; eddl.proto for programs.
//
// Pure; thread-safe. Payload bytes are not part of it: they travel in frames (frame.h), and `payload` and `intact`
// fields are the receiver's to fill in.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "net/messages.h"
#include "net/wire/parcel.h"

namespace eddl::net {

// Serialized eddl.v1.Parcel.
std::string Encode(const Parcel& parcel);
// The same, without a copy of the message.
std::string Encode(const Message& message);

// Checks everything that can be checked without knowing the job: enums in range, lists sorted and bounded (named
// limits), stripe ranges well-formed, floats finite where only finite ones make sense, counts >= 0. kDataLoss says
// which field.
absl::StatusOr<Parcel> Decode(std::string_view bytes);

}  // namespace eddl::net
