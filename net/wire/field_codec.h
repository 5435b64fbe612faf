// Field codec: structs with a table of fields (net/fields.h) as protobuf messages, and back.
//
// The bytes are those that protobuf's own classes write for eddl.proto: a field's number is its place in the table,
// from 1; a variant's alternative i has number kOneofBase + i of its struct. Zero values are not written; lists of
// numbers are packed. Lists of micro-batches are packed runs: for each run of consecutive ones its begin, as the gap
// from the end of the run before (mod 2^64), and its length; so a round of thousands takes a few bytes. What is the
// receiving driver's to say is not part of a message: payload names and `intact` are not written, and passed over.
// Pure.
#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "net/fields.h"
#include "net/wire/text.h"
#include "runtime/base/status.h"

namespace eddl::net {

constexpr int kOneofBase = 16;
// Lists may take this much memory in all: runs of micro-batches and empty messages stand for more than their bytes.
constexpr int64_t kDecodedBytesMax = int64_t{1} << 26;

// The greatest value of an enum that lists its values; ids have none.
template <typename E>
inline constexpr uint64_t kEnumMax = std::numeric_limits<std::underlying_type_t<E>>::max();
template <>
inline constexpr uint64_t kEnumMax<Mode> = static_cast<uint64_t>(Mode::kAsync);
template <>
inline constexpr uint64_t kEnumMax<Codec> = static_cast<uint64_t>(Codec::kExact);
template <>
inline constexpr uint64_t kEnumMax<Lane> = static_cast<uint64_t>(Lane::kBulk);
template <>
inline constexpr uint64_t kEnumMax<LeaseKind> = static_cast<uint64_t>(LeaseKind::kEvaluate);

namespace field_codec {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

template <typename T>
concept HasFields = !std::is_same_v<std::remove_cvref_t<decltype(kFields<T>)>, std::nullptr_t>;
template <typename T>
concept Number = std::is_arithmetic_v<T> || std::is_enum_v<T>;

template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsVariant = false;
template <typename... T>
inline constexpr bool kIsVariant<std::variant<T...>> = true;

// Every number but a double is a varint; negative ones are sign-extended to 64 bits.
template <Number T>
uint64_t ToVarint(T value) {
  if constexpr (std::is_enum_v<T>) {
    return static_cast<uint64_t>(static_cast<std::underlying_type_t<T>>(value));
  } else {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  }
}

// The inverse; false if the value is out of the type's range, or none of the enum's.
template <Number T>
bool FromVarint(uint64_t varint, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    value = varint != 0;
    return varint <= 1;
  } else if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(varint);
    return varint <= kEnumMax<T>;
  } else if constexpr (std::is_signed_v<T>) {
    const auto number = static_cast<int64_t>(varint);
    value = static_cast<T>(number);
    return number >= std::numeric_limits<T>::min() && number <= std::numeric_limits<T>::max();
  } else {
    value = static_cast<T>(varint);
    return varint <= std::numeric_limits<T>::max();
  }
}

// What the receiving driver says, and nobody writes.
template <typename Member>
constexpr bool IsLocal(std::string_view name) {
  return std::is_same_v<Member, Payload> || name == "intact";
}

// What a decoder starts from: fields that are not written are zero, whatever a struct's initial value is.
template <typename T>
void Clear(T& value) {
  if constexpr (HasFields<T>) {
    [[maybe_unused]] const auto clear = [&](const auto& f) {
      using Member = std::remove_cvref_t<decltype(value.*f.member)>;
      if (!IsLocal<Member>(f.name)) Clear(value.*f.member);
    };
    std::apply([&](const auto&... field) { (clear(field), ...); }, kFields<T>);
  } else {
    value = T{};
  }
}

// The struct's fields, one after another.
template <typename T>
void Write(const T& value, CodedOutputStream& out);

inline void WriteBytes(int number, std::string_view bytes, CodedOutputStream& out) {
  out.WriteTag(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  out.WriteVarint32(static_cast<uint32_t>(bytes.size()));
  out.WriteRaw(bytes.data(), static_cast<int>(bytes.size()));
}

// The struct as bytes of its own.
template <typename T>
std::string ToBytes(const T& value) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    CodedOutputStream out(&stream);
    Write(value, out);
  }
  return bytes;
}

// As runs: for each its gap from the end of the one before, and its length.
inline void WriteRuns(const std::vector<MicroBatch>& list, CodedOutputStream& out) {
  uint64_t end = 0;  // of the run before
  for (size_t i = 0; i < list.size();) {
    const uint64_t begin = ToInt(list[i]);
    uint64_t size = 1;
    while (i + size < list.size() && ToInt(list[i + size]) == begin + size) ++size;
    out.WriteVarint64(begin - end);
    out.WriteVarint64(size);
    end = begin + size;
    i += size;
  }
}

// Numbers in one packed field, messages in a field each; nothing if it is empty.
template <typename T>
void WriteList(int number, const std::vector<T>& list, CodedOutputStream& out) {
  if (list.empty()) return;
  if constexpr (Number<T>) {
    static_assert(!std::is_same_v<T, double> && !std::is_same_v<T, bool>);
    std::string packed;
    {
      google::protobuf::io::StringOutputStream stream(&packed);
      CodedOutputStream inner(&stream);
      if constexpr (std::is_same_v<T, MicroBatch>) {
        WriteRuns(list, inner);
      } else {
        for (const T value : list) inner.WriteVarint64(ToVarint(value));
      }
    }
    WriteBytes(number, packed, out);
  } else {
    for (const T& value : list) WriteBytes(number, ToBytes(value), out);
  }
}

// One field, whatever its type; nothing if it is zero or empty.
template <typename T>
void WriteField(int number, const T& value, CodedOutputStream& out) {
  if constexpr (std::is_same_v<T, double>) {
    const auto bits = std::bit_cast<uint64_t>(value);
    if (bits == 0) return;
    out.WriteTag(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_FIXED64));
    out.WriteLittleEndian64(bits);
  } else if constexpr (Number<T>) {
    if (ToVarint(value) == 0) return;
    out.WriteTag(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_VARINT));
    out.WriteVarint64(ToVarint(value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.empty()) WriteBytes(number, CleanText(value), out);
  } else if constexpr (kIsVector<T>) {
    WriteList(number, value, out);
  } else if constexpr (kIsVariant<T>) {
    std::visit([&](const auto& body) { WriteBytes(kOneofBase + static_cast<int>(value.index()), ToBytes(body), out); },
               value);
  } else {
    const std::string bytes = ToBytes(value);
    if (!bytes.empty()) WriteBytes(number, bytes, out);
  }
}

// See above.
template <typename T>
void Write(const T& value, CodedOutputStream& out) {
  static_assert(HasFields<T>);
  std::apply(
      [&](const auto&... field) {
        int number = 0;
        [[maybe_unused]] const auto write = [&](const auto& f) {
          ++number;
          using Member = std::remove_cvref_t<decltype(value.*f.member)>;
          if constexpr (!std::is_same_v<Member, Payload>) {
            if (!IsLocal<Member>(f.name)) WriteField(number, value.*f.member, out);
          }
        };
        (write(field), ...);
      },
      kFields<T>);
}

// Bytes on their way to a value; and if they are none, why and where.
struct Source {
  CodedInputStream in;
  int64_t memory_left = kDecodedBytesMax;
  std::string path;  // of fields, outermost first
  std::string why = "not as the protocol has it";

  // False, for the caller to return.
  bool Fail(std::string reason) {
    why = std::move(reason);
    return false;
  }
  // Takes memory for one more element of a list.
  bool Take(size_t bytes) {
    memory_left -= static_cast<int64_t>(bytes);
    return memory_left >= 0 || Fail("too long");
  }
};

// Fields up to the present limit, onto what `value` has. False, with the reason in `source`, as with all that follow.
template <typename T>
bool Read(Source& source, T& value);

// `read` reads what a length says, no more and no less.
template <typename Reader>
bool ReadDelimited(Source& source, const Reader& read) {
  int length = 0;
  if (!source.in.ReadVarintSizeAsInt(&length) || length > source.in.BytesUntilLimit()) return source.Fail("cut off");
  const auto limit = source.in.PushLimit(length);
  if (!read() || source.in.BytesUntilLimit() != 0) return false;
  source.in.PopLimit(limit);
  return true;
}

template <typename T>
bool ReadNumber(Source& source, T& value) {
  uint64_t varint = 0;
  if (!source.in.ReadVarint64(&varint)) return source.Fail("cut off");
  return FromVarint(varint, value) || source.Fail("out of range: " + std::to_string(varint));
}

// The inverse of WriteRuns, appended.
inline bool ReadRuns(Source& source, std::vector<MicroBatch>& list) {
  uint64_t end = 0;
  while (source.in.BytesUntilLimit() > 0) {
    uint64_t gap = 0;
    uint64_t size = 0;
    if (!source.in.ReadVarint64(&gap) || !source.in.ReadVarint64(&size)) return source.Fail("cut off");
    if (size == 0) return source.Fail("an empty run");
    if (size > static_cast<uint64_t>(kDecodedBytesMax) || !source.Take(size * sizeof(MicroBatch)))
      return source.Fail("too long");
    const uint64_t begin = end + gap;
    end = begin + size;
    for (uint64_t id = begin; id != end; ++id) list.push_back(MicroBatch{id});
  }
  return true;
}

// One field of a list, appended: packed numbers, or one message.
template <typename T>
bool ReadList(Source& source, std::vector<T>& list) {
  return ReadDelimited(source, [&] {
    if constexpr (std::is_same_v<T, MicroBatch>) {
      return ReadRuns(source, list);
    } else if constexpr (Number<T>) {
      while (source.in.BytesUntilLimit() > 0) {
        T value{};
        if (!source.Take(sizeof(T)) || !ReadNumber(source, value)) return false;
        list.push_back(value);
      }
      return true;
    } else {
      T value;
      Clear(value);
      if (!source.Take(sizeof(T)) || !Read(source, value)) return false;
      list.push_back(std::move(value));
      return true;
    }
  });
}

// A text, cleaned, whatever the peer thinks that it is.
inline bool ReadText(Source& source, std::string& text) {
  const int size = source.in.BytesUntilLimit();
  if (size > static_cast<int>(kTextMax)) return source.Fail("too long");
  if (!source.in.ReadString(&text, size)) return false;
  text = CleanText(text);
  return true;
}

// The value behind a tag of this wire type.
template <typename T>
bool ReadField(Source& source, WireFormatLite::WireType type, T& value) {
  if constexpr (std::is_same_v<T, double>) {
    uint64_t bits = 0;
    if (type != WireFormatLite::WIRETYPE_FIXED64 || !source.in.ReadLittleEndian64(&bits)) return false;
    value = std::bit_cast<double>(bits);
    return true;
  } else if constexpr (Number<T>) {
    return type == WireFormatLite::WIRETYPE_VARINT && ReadNumber(source, value);
  } else {
    if (type != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) return false;
    if constexpr (std::is_same_v<T, std::string>) {
      return ReadDelimited(source, [&] { return ReadText(source, value); });
    } else if constexpr (kIsVector<T>) {
      return ReadList(source, value);
    } else {
      return ReadDelimited(source, [&] { return Read(source, value); });
    }
  }
}

// Alternative `index` of the variant, whichever that is.
template <typename... T>
bool ReadAlternative(Source& source, size_t index, std::variant<T...>& value) {
  bool good = false;
  size_t i = 0;
  const auto try_one = [&](auto alternative) {
    if (i++ != index) return;
    Clear(alternative);
    good = ReadDelimited(source, [&] { return Read(source, alternative); });
    value = std::move(alternative);
  };
  (try_one(T{}), ...);
  return good;
}

// What one field of the table makes of a tag.
enum class Taken : uint8_t { kNotMine, kRead, kBad };

// `place`: of the field in its table. `has_alternative`: of the struct's variant, once it is read.
template <typename Member>
Taken TakeField(Source& source, int place, uint32_t tag, bool& has_alternative, Member& member) {
  const int number = WireFormatLite::GetTagFieldNumber(tag);
  const WireFormatLite::WireType type = WireFormatLite::GetTagWireType(tag);
  if constexpr (kIsVariant<Member>) {
    const int index = number - kOneofBase;
    if (index < 0) return Taken::kNotMine;
    if (index >= static_cast<int>(std::variant_size_v<Member>)) {
      source.Fail("message number " + std::to_string(number) + " is not known here (a newer peer?)");
      return Taken::kBad;
    }
    const bool good = type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED && !has_alternative &&
                      ReadAlternative(source, static_cast<size_t>(index), member);
    has_alternative = true;
    return good ? Taken::kRead : Taken::kBad;
  } else if constexpr (std::is_same_v<Member, Payload>) {
    return Taken::kNotMine;
  } else {
    if (number != place) return Taken::kNotMine;
    return ReadField(source, type, member) ? Taken::kRead : Taken::kBad;
  }
}

// See above.
template <typename T>
bool Read(Source& source, T& value) {
  static_assert(HasFields<T>);
  bool has_alternative = false;
  while (source.in.BytesUntilLimit() != 0) {
    const uint32_t tag = source.in.ReadTag();
    if (tag == 0) return false;
    Taken taken = Taken::kNotMine;
    int place = 0;
    [[maybe_unused]] const auto read = [&](const auto& f) {
      ++place;
      using Member = std::remove_cvref_t<decltype(value.*f.member)>;
      if (taken != Taken::kNotMine || IsLocal<Member>(f.name)) return;
      taken = TakeField(source, place, tag, has_alternative, value.*f.member);
      if (taken == Taken::kBad) source.path = std::string(f.name) + (source.path.empty() ? "" : ".") + source.path;
    };
    std::apply([&](const auto&... field) { (read(field), ...); }, kFields<T>);
    if (taken == Taken::kBad) return false;
    // A newer peer's field: passed over.
    if (taken == Taken::kNotMine && !WireFormatLite::SkipField(&source.in, tag)) return false;
  }
  constexpr bool kHasVariant = std::apply(
      [](const auto&... field) {
        return (kIsVariant<std::remove_cvref_t<decltype(value.*field.member)>> || ... || false);
      },
      kFields<T>);
  return !kHasVariant || has_alternative || source.Fail("empty");
}

}  // namespace field_codec

// The struct as a protobuf message.
template <typename T>
std::string EncodeFields(const T& value) {
  return field_codec::ToBytes(value);
}

// A message with nothing but a oneof: alternative `index` of it, or what the variant has.
template <typename T>
std::string EncodeAlternative(size_t index, const T& alternative) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    field_codec::WriteBytes(kOneofBase + static_cast<int>(index), EncodeFields(alternative), out);
  }
  return bytes;
}
template <typename... T>
std::string EncodeVariant(const std::variant<T...>& value) {
  return std::visit([&](const auto& alternative) { return EncodeAlternative(value.index(), alternative); }, value);
}

// The inverse. kDataLoss, naming the field, if these are not the bytes of such a message. Fields that are not known are
// passed over; a variant needs one alternative, and one that is known.
template <typename T>
absl::StatusOr<T> DecodeFields(std::string_view bytes) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()))
    return DataLoss("a message that is too long");
  const int size = static_cast<int>(bytes.size());
  field_codec::Source source = {
      .in = google::protobuf::io::CodedInputStream(reinterpret_cast<const uint8_t*>(bytes.data()), size)};
  source.in.PushLimit(size);
  T value;
  field_codec::Clear(value);
  if (!field_codec::Read(source, value)) {
    return DataLoss("no message of this protocol: " + (source.path.empty() ? "it" : source.path) + " is " + source.why);
  }
  return value;
}

}  // namespace eddl::net
