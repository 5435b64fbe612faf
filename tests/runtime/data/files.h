// Files for the tests of the readers: a folder that goes with its test, and the bytes of small files of every format.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {

// A new folder under the system's temporary one, removed with all in it.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "eddl_data_XXXXXX").string();
    EDDL_CHECK(mkdtemp(name.data()) != nullptr) << name;
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }

  // The path of a file inside; Write also fills it.
  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, std::string_view content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
    return Path(name);
  }
  // `text` with this folder's path as "DIR", to compare messages.
  std::string Relative(std::string text) const {
    for (size_t at; (at = text.find(path_)) != std::string::npos;) text.replace(at, path_.size(), "DIR");
    return text;
  }

 private:
  std::string path_;
};

// A gzip stream with this content.
inline std::string Gzip(std::string_view content) {
  z_stream stream = {};
  EDDL_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EDDL_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// An IDX file of unsigned bytes with these dimensions.
inline std::string Idx(const std::vector<uint32_t>& dims, std::string_view content) {
  std::string out = {0, 0, 8, static_cast<char>(dims.size())};
  for (uint32_t dim : dims) {
    for (int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(dim >> shift));
  }
  return out.append(content);
}

// A .npy file, format 1.0, of this dtype ("<f4") and shape ("(2, 3)").
inline std::string Npy(std::string_view descr, std::string_view shape, std::string_view content,
                       std::string_view fortran_order = "False") {
  std::string header = "{'descr': '" + std::string(descr) + "', 'fortran_order': " + std::string(fortran_order) +
                       ", 'shape': " + std::string(shape) + ", }";
  while ((header.size() + 11) % 64 != 0) header.push_back(' ');
  header.push_back('\n');
  std::string out = "\x93NUMPY";
  out += {1, 0, static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  return out + header + std::string(content);
}

// The bytes of these values, as this machine stores them.
template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// The bytes of a string, to read from memory.
inline std::span<const std::byte> AsBytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// "OK", or the message.
inline std::string MessageFor(const absl::Status& status) { return status.ok() ? "OK" : MessageOf(status); }
template <typename T>
std::string MessageFor(const absl::StatusOr<T>& status_or) {
  return MessageFor(status_or.status());
}

}  // namespace eddl
