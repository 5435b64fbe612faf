#include "runtime/data/npy_header.h"

#include <array>
#include <charconv>
#include <optional>
#include <span>

#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr int64_t kHeaderBytesMax = 65536;
constexpr size_t kRankMax = 32;  // NumPy's own

// Takes tokens off the front of a dictionary such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : text_(text) {}

  bool Take(std::string_view token) {
    Blank();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  std::optional<std::string_view> String() {
    Blank();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return std::nullopt;
    const size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }
  std::optional<int64_t> Number() {
    Blank();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc() || value < 0) return std::nullopt;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return value;
  }

 private:
  void Blank() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n')) text_.remove_prefix(1);
  }

  std::string_view text_;
};

bool ParseShape(Tokens& tokens, std::vector<int64_t>& dims) {
  if (!tokens.Take("(")) return false;
  while (!tokens.Take(")")) {
    const std::optional<int64_t> dim = tokens.Number();
    if (!dim.has_value() || dims.size() == kRankMax) return false;
    dims.push_back(*dim);
    if (!tokens.Take(",")) return tokens.Take(")");
  }
  return true;
}

// The dictionary's three values, in any order; `descr` as written. False if one is missing or malformed.
bool ParseDictionary(std::string_view text, NpyHeader& header, std::string& descr) {
  Tokens tokens(text);
  if (!tokens.Take("{")) return false;
  bool has_descr = false, has_order = false, has_shape = false;
  while (!tokens.Take("}")) {
    const std::optional<std::string_view> key = tokens.String();
    if (!key.has_value() || !tokens.Take(":")) return false;
    if (*key == "descr" && !has_descr) {
      const std::optional<std::string_view> value = tokens.String();
      // A list: a structured dtype. Left as it is, for the message.
      descr = value.has_value() ? std::string(*value) : "a structured dtype";
      if (!value.has_value()) return true;
      has_descr = true;
    } else if (*key == "fortran_order" && !has_order) {
      header.fortran_order = tokens.Take("True");
      has_order = header.fortran_order || tokens.Take("False");
      if (!has_order) return false;
    } else if (*key == "shape" && !has_shape) {
      has_shape = ParseShape(tokens, header.dims);
      if (!has_shape) return false;
    } else {
      return false;
    }
    if (!tokens.Take(",")) return tokens.Take("}") && has_descr && has_order && has_shape;
  }
  return has_descr && has_order && has_shape;
}

// "<f4": byte order, kind, bytes. False for a dtype that we don't read.
bool ParseDescr(std::string_view descr, NpyHeader& header) {
  if (descr.size() != 3 || std::string_view("<>|=").find(descr[0]) == std::string_view::npos) return false;
  header.big_endian = descr[0] == '>';
  header.kind = descr[1];
  header.item_bytes = descr[2] - '0';
  const std::string_view code = descr.substr(1);
  for (std::string_view known : {"b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"}) {
    if (code == known) return true;
  }
  return false;
}

absl::StatusOr<int64_t> ReadHeaderSize(ByteReader& reader) {
  std::array<char, 8> start;  // magic, major and minor version
  EDDL_ASSIGN_OR_RETURN(const size_t size, reader.Read(std::as_writable_bytes(std::span(start))));
  if (size < start.size() || std::string_view(start.data(), kMagic.size()) != kMagic) {
    return InvalidArgument(reader.name() + ": not a .npy file: does not start with \\x93NUMPY");
  }
  const int version = start[6];
  if (version < 1 || version > 3) {
    return InvalidArgument(reader.name() + ": .npy format version " + std::to_string(version) +
                           " is not supported; save it with NumPy's default (1 to 3 are)");
  }
  std::array<uint8_t, 4> bytes = {};
  const auto size_bytes = std::span(bytes).first(version == 1 ? 2 : 4);
  EDDL_RETURN_IF_ERROR(reader.ReadExactly(std::as_writable_bytes(size_bytes), "the .npy header"));
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | int64_t{bytes[3]} << 24;
}

}  // namespace

std::string NpyHeader::ToString() const {
  std::string text = kind + std::to_string(item_bytes) + " (";
  for (size_t i = 0; i < dims.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(dims[i]);
  return text + ")";
}

absl::StatusOr<NpyHeader> ReadNpyHeader(ByteReader& reader) {
  EDDL_ASSIGN_OR_RETURN(const int64_t size, ReadHeaderSize(reader));
  if (size > kHeaderBytesMax) {
    return DataLoss(reader.name() + ": the .npy header claims " + std::to_string(size) + " bytes, more than " +
                    std::to_string(kHeaderBytesMax));
  }
  std::string text(static_cast<size_t>(size), '\0');
  EDDL_RETURN_IF_ERROR(reader.ReadExactly(std::as_writable_bytes(std::span(text)), "the .npy header"));
  NpyHeader header;
  std::string descr;
  const bool parsed = ParseDictionary(text, header, descr);
  if (parsed && !ParseDescr(descr, header)) {
    return InvalidArgument(reader.name() + ": dtype '" + descr +
                           "' is not supported; save it as uint8, int8 to int64, float32, float64 or bool");
  }
  if (!parsed) return DataLoss(reader.name() + ": malformed .npy header; fetch the file again");
  int64_t bytes = header.item_bytes;
  bool fits = true;
  for (int64_t dim : header.dims) fits = fits && !__builtin_mul_overflow(bytes, dim, &bytes);
  const int64_t room = reader.content_bytes_max() - reader.position();
  if (!fits || bytes > room) {
    return DataLoss(reader.name() + ": the header claims " + header.ToString() + ", more than the file can hold (" +
                    std::to_string(room) + " bytes); fetch the file again");
  }
  return header;
}

}  // namespace eddl
