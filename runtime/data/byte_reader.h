// ByteReader: the content of a file, or of bytes in memory, read once from front to back; gzip is undone on the way.
//
// Whether the source is gzip is told by its first two bytes, not by its name. Knows how much the source can hold at
// most, so that a header that claims more is refused before anything is allocated. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eddl {

class ByteReader {
 public:
  // kNotFound if there is no such file; kInvalidArgument if it can't be read, is a folder or is empty.
  static absl::StatusOr<ByteReader> Open(const std::string& path);
  // `bytes` are borrowed; `name` is for messages.
  static ByteReader OverMemory(std::string name, std::span<const std::byte> bytes);

  ByteReader(ByteReader&&) noexcept;
  ByteReader& operator=(ByteReader&&) noexcept;
  ~ByteReader();

  // The next bytes of the content; fewer than asked for only at its end. kDataLoss, with the position, if the gzip
  // stream is corrupt or cut off, or the disk fails.
  absl::StatusOr<size_t> Read(std::span<std::byte> out);
  // Exactly out.size() bytes. kDataLoss, "<name>: ends at byte 12 inside <what>", if there are fewer.
  absl::Status ReadExactly(std::span<std::byte> out, const std::string& what);
  // kDataLoss unless the content ends here; `claim` says what the header promised.
  absl::Status ExpectEnd(const std::string& claim);

  const std::string& name() const;
  // Bytes of content read so far.
  int64_t position() const;
  // Content can't be longer than this: the size of the file, or what deflate could make of it (at most 1032 : 1).
  int64_t content_bytes_max() const;

 private:
  struct Source;
  explicit ByteReader(std::unique_ptr<Source> source);

  std::unique_ptr<Source> source_;
};

}  // namespace eddl
