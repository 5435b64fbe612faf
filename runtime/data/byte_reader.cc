#include "runtime/data/byte_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;
constexpr int64_t kDeflateRatioMax = 1032;  // zlib's technical notes, "Maximum Compression Factor"
constexpr int kGzipWindowBits = 15 + 16;    // zlib's way to say: gzip framing, checksum included
constexpr size_t kInflateStepMax = size_t{1} << 30;

bool IsGzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

}  // namespace

// Raw input comes in blocks from a file descriptor, or as one block of borrowed memory.
struct ByteReader::Source {
  std::string name;
  int fd = -1;
  std::vector<std::byte> block;
  std::span<const std::byte> input;  // raw bytes not yet consumed
  int64_t stored_bytes = 0;          // size of the raw source
  int64_t raw_position = 0;          // raw bytes handed to `input` so far
  bool gzip = false;
  bool gzip_ended = false;
  z_stream stream = {};
  int64_t position = 0;

  ~Source() {
    if (gzip) inflateEnd(&stream);
    if (fd >= 0) close(fd);
  }

  absl::Status Refill();
  absl::Status Start();
  absl::StatusOr<size_t> ReadPlain(std::span<std::byte> out);
  absl::StatusOr<size_t> ReadGzip(std::span<std::byte> out);
  absl::Status NextMember();
  int64_t consumed() const { return raw_position - static_cast<int64_t>(input.size()); }
  absl::Status Corrupt(const std::string& what, size_t unpacked) const {
    return DataLoss(name + ": " + what + " at byte " + std::to_string(consumed()) + " of " +
                    std::to_string(stored_bytes) + " (" + std::to_string(position + static_cast<int64_t>(unpacked)) +
                    " bytes unpacked); fetch the file again");
  }
};

// Leaves `input` empty only at the end of the source.
absl::Status ByteReader::Source::Refill() {
  if (!input.empty() || fd < 0) return absl::OkStatus();
  ssize_t got;
  do {
    got = ::read(fd, block.data(), block.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return DataLoss(name + ": cannot read at byte " + std::to_string(raw_position) + ": " + strerror(errno));
  input = std::span<const std::byte>(block).first(static_cast<size_t>(got));
  raw_position += got;
  return absl::OkStatus();
}

absl::Status ByteReader::Source::Start() {
  EDDL_RETURN_IF_ERROR(Refill());
  if (!IsGzip(input)) return absl::OkStatus();
  EDDL_CHECK(inflateInit2(&stream, kGzipWindowBits) == Z_OK) << "zlib";
  gzip = true;
  return absl::OkStatus();
}

absl::StatusOr<size_t> ByteReader::Source::ReadPlain(std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    EDDL_RETURN_IF_ERROR(Refill());
    if (input.empty()) break;
    const size_t size = std::min(input.size(), out.size() - done);
    std::memcpy(out.data() + done, input.data(), size);
    input = input.subspan(size);
    done += size;
  }
  return done;
}

// A gzip file may hold several members, one after the other. Other bytes after the last are ignored, as gzip does.
absl::Status ByteReader::Source::NextMember() {
  EDDL_RETURN_IF_ERROR(Refill());
  const bool more = !input.empty() && input[0] == std::byte{0x1f};
  if (more) {
    inflateReset(&stream);
  } else {
    gzip_ended = true;
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> ByteReader::Source::ReadGzip(std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size() && !gzip_ended) {
    EDDL_RETURN_IF_ERROR(Refill());
    if (input.empty()) return Corrupt("the gzip stream is cut off", done);
    const size_t room = std::min(out.size() - done, kInflateStepMax);
    const size_t given = std::min(input.size(), kInflateStepMax);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    stream.avail_out = static_cast<uInt>(room);
    const int code = inflate(&stream, Z_NO_FLUSH);
    input = input.subspan(given - stream.avail_in);
    done += room - stream.avail_out;
    if (code == Z_STREAM_END) {
      EDDL_RETURN_IF_ERROR(NextMember());
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return Corrupt(std::string("the gzip stream is corrupt (") + (stream.msg ? stream.msg : "zlib") + ")", done);
    }
  }
  return done;
}

ByteReader::ByteReader(std::unique_ptr<Source> source) : source_(std::move(source)) {}
ByteReader::ByteReader(ByteReader&&) noexcept = default;
ByteReader& ByteReader::operator=(ByteReader&&) noexcept = default;
ByteReader::~ByteReader() = default;

absl::StatusOr<ByteReader> ByteReader::Open(const std::string& path) {
  auto source = std::make_unique<Source>();
  source->name = path;
  source->fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (source->fd < 0) {
    const std::string message = "cannot open " + path + ": " + strerror(errno);
    return errno == ENOENT ? NotFound(message) : InvalidArgument(message);
  }
  struct stat facts = {};
  if (fstat(source->fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    return InvalidArgument(path + " is not a regular file; give data.path a file");
  }
  if (facts.st_size == 0) return InvalidArgument(path + " is empty");
  source->stored_bytes = facts.st_size;
  source->block.resize(kBlockBytes);
  EDDL_RETURN_IF_ERROR(source->Start());
  return ByteReader(std::move(source));
}

ByteReader ByteReader::OverMemory(std::string name, std::span<const std::byte> bytes) {
  auto source = std::make_unique<Source>();
  source->name = std::move(name);
  source->input = bytes;
  source->stored_bytes = source->raw_position = static_cast<int64_t>(bytes.size());
  const absl::Status started = source->Start();
  EDDL_CHECK(started.ok()) << MessageOf(started);
  return ByteReader(std::move(source));
}

absl::StatusOr<size_t> ByteReader::Read(std::span<std::byte> out) {
  EDDL_ASSIGN_OR_RETURN(const size_t size, source_->gzip ? source_->ReadGzip(out) : source_->ReadPlain(out));
  source_->position += static_cast<int64_t>(size);
  return size;
}

absl::Status ByteReader::ReadExactly(std::span<std::byte> out, const std::string& what) {
  EDDL_ASSIGN_OR_RETURN(const size_t size, Read(out));
  if (size == out.size()) return absl::OkStatus();
  return DataLoss(name() + ": ends at byte " + std::to_string(position()) + " inside " + what +
                  "; fetch the file again");
}

absl::Status ByteReader::ExpectEnd(const std::string& claim) {
  std::byte extra;
  const int64_t end = position();
  EDDL_ASSIGN_OR_RETURN(const size_t size, Read({&extra, 1}));
  if (size == 0) return absl::OkStatus();
  return DataLoss(name() + ": goes on after byte " + std::to_string(end) + ", but its header promises " + claim +
                  "; fetch the file again");
}

const std::string& ByteReader::name() const { return source_->name; }
int64_t ByteReader::position() const { return source_->position; }
int64_t ByteReader::content_bytes_max() const {
  if (!source_->gzip) return source_->stored_bytes;
  int64_t bytes;
  return __builtin_mul_overflow(source_->stored_bytes, kDeflateRatioMax, &bytes) ? INT64_MAX : bytes;
}

}  // namespace eddl
