#include "tools/eddl_node/cluster/training_rows.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "runtime/base/atomic_file.h"
#include "runtime/base/check.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

constexpr char kExtension[] = ".rows";
constexpr char kIncoming[] = "incoming-";
constexpr size_t kHashDigits = 16;
// Read at once when a file is checked.
constexpr int64_t kCheckBytes = int64_t{1} << 20;

absl::Status DiskError(const std::string& what, int reason) {
  const std::string text = what + ": " + std::strerror(reason);
  return reason == ENOSPC || reason == EDQUOT || reason == EFBIG ? ResourceExhausted(text) : FailedPrecondition(text);
}

absl::Status WriteAll(int fd, const std::string& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return DiskError("can't write " + path, count < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status FullOf(int64_t bytes) {
  return ResourceExhausted("this job has " + std::to_string(bytes) +
                           " bytes of contributed entries, and takes no more");
}

}  // namespace

RowsOnDisk::~RowsOnDisk() { close(fd_); }

bool RowsOnDisk::Read(int64_t first_row, std::span<std::byte> rows) const {
  for (off_t at = first_row * row_bytes_; !rows.empty();) {
    const ssize_t count = pread(fd_, rows.data(), rows.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    at += count;
    rows = rows.subspan(static_cast<size_t>(count));
  }
  return true;
}

void RowHash::Add(std::span<const std::byte> row, int32_t label) {
  for (uint64_t word = 0; !row.empty(); word = 0) {
    const size_t size = std::min(row.size(), sizeof(word));
    std::memcpy(&word, row.data(), size);
    hash_ = Mix(hash_ ^ word);
    row = row.subspan(size);
  }
  hash_ = Mix(hash_ ^ static_cast<uint32_t>(label));
}

absl::Status CheckEntry(const DatasetInfo& info, int64_t number, std::span<const std::byte> row, int32_t label) {
  const std::string which = "entry " + std::to_string(number);
  const int64_t row_bytes = info.sample_shape.elements() * SizeOf(info.dtype);
  if (static_cast<int64_t>(row.size()) != row_bytes) {
    return InvalidArgument(which + " has " + std::to_string(row.size()) + " bytes, where the job's have " +
                           std::to_string(row_bytes));
  }
  if (label < 0 || label >= info.class_count) {
    return InvalidArgument(which + " has the label " + std::to_string(label) + ", where the job's are 0 to " +
                           std::to_string(info.class_count - 1));
  }
  if (info.dtype != DType::kF32) return absl::OkStatus();
  for (size_t at = 0; at < row.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, row.data() + at, sizeof(value));
    if (!std::isfinite(value)) {
      return InvalidArgument(which + " has a value that is not a finite number, at place " +
                             std::to_string(at / sizeof(float) + 1));
    }
  }
  return absl::OkStatus();
}

Contribution::Contribution(const DatasetInfo& info, int64_t number, std::string path,
                           std::shared_ptr<const RowsOnDisk> file, int64_t bytes_max)
    : info_(info),
      number_(number),
      path_(std::move(path)),
      file_(std::move(file)),
      bytes_max_(bytes_max),
      row_bytes_(info.sample_shape.elements() * SizeOf(info.dtype)) {}

Contribution::~Contribution() {
  if (!is_kept_) unlink(path_.c_str());
}

absl::Status Contribution::Add(std::span<const std::byte> rows, std::span<const int32_t> labels) {
  if (rows.size() != labels.size() * static_cast<size_t>(row_bytes_)) {
    return InvalidArgument(std::to_string(rows.size()) + " bytes for " + std::to_string(labels.size()) +
                           " entries, where each has " + std::to_string(row_bytes_));
  }
  if (row_count() + static_cast<int64_t>(labels.size()) > kContributionRowsMax) {
    return ResourceExhausted("more than " + std::to_string(kContributionRowsMax) +
                             " entries: contribute them in several pieces");
  }
  size_ += static_cast<int64_t>(rows.size());
  if (size_ > bytes_max_) {
    return ResourceExhausted("more than " + std::to_string(bytes_max_) +
                             " bytes: the most that this job still takes at once");
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto row = rows.subspan(i * static_cast<size_t>(row_bytes_), static_cast<size_t>(row_bytes_));
    EDDL_RETURN_IF_ERROR(CheckEntry(info_, row_count() + 1, row, labels[i]));
    hash_.Add(row, labels[i]);
    labels_.push_back(labels[i]);
  }
  return WriteAll(file_->fd(), path_, rows);
}

absl::StatusOr<std::unique_ptr<TrainingRows>> TrainingRows::Open(const Dataset& base, int64_t base_rows,
                                                                 std::string folder,
                                                                 std::span<const net::DataBlock> blocks,
                                                                 int64_t bytes_max) {
  auto rows = std::unique_ptr<TrainingRows>(new TrainingRows(base, base_rows, std::move(folder), bytes_max));
  const absl::MutexLock lock(&rows->mutex_);
  for (const net::DataBlock& block : blocks) {
    if (block.owner != net::kManager) continue;
    const std::string path = rows->FindPath(block.hash);
    auto kept_or = rows->Load(path, block);
    if (!kept_or.ok()) {
      return DataLoss("the entries that were contributed as rows " + std::to_string(block.first_row) + " to " +
                      std::to_string(block.first_row + block.row_count) + ": " + MessageOf(kept_or.status()) +
                      "; restore the file from a copy, or start the job anew");
    }
    Kept kept = *std::move(kept_or);
    rows->kept_bytes_ += block.row_count * rows->row_bytes();
    rows->kept_.push_back(std::move(kept));
  }
  // What was on its way when a manager crashed was not accepted.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(rows->folder_, error)) {
    const std::string path = entry.path().string();
    const bool is_kept =
        std::any_of(rows->kept_.begin(), rows->kept_.end(), [&](const Kept& kept) { return kept.path == path; });
    if (!is_kept) std::filesystem::remove(entry.path(), error);
  }
  return rows;
}

std::string TrainingRows::PathOf(uint64_t hash, int64_t number) const {
  char digits[kHashDigits + 1];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(hash));
  return folder_ + "/" + digits + "-" + std::to_string(number) + kExtension;
}

std::string TrainingRows::FindPath(uint64_t hash) const {
  const std::string wanted = std::filesystem::path(PathOf(hash, 0)).filename().string().substr(0, kHashDigits + 1);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    if (entry.path().filename().string().starts_with(wanted)) return entry.path().string();
  }
  return PathOf(hash, 0);
}

absl::StatusOr<TrainingRows::Kept> TrainingRows::Load(const std::string& path, const net::DataBlock& block) const {
  const absl::Status lost = DataLoss(path + " does not have them as they were accepted");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return lost;
  const auto file = std::make_shared<const RowsOnDisk>(fd, row_bytes());
  auto labels = std::make_shared<std::vector<int32_t>>(static_cast<size_t>(block.row_count));
  if (!file->Read(block.row_count, std::as_writable_bytes(std::span(*labels)))) return lost;
  RowHash hash;
  const auto size = static_cast<size_t>(row_bytes());
  const int64_t step = std::max<int64_t>(1, kCheckBytes / row_bytes());
  std::vector<std::byte> rows;
  for (int64_t begin = 0; begin < block.row_count; begin += step) {
    const auto count = static_cast<size_t>(std::min(step, block.row_count - begin));
    rows.resize(count * size);
    if (!file->Read(begin, rows)) return lost;
    for (size_t i = 0; i < count; ++i) {
      hash.Add(std::span(rows).subspan(i * size, size), (*labels)[static_cast<size_t>(begin) + i]);
    }
  }
  if (hash.Get() != block.hash) return lost;
  return Kept{.block = block, .path = path, .file = file, .labels = std::move(labels)};
}

absl::StatusOr<std::unique_ptr<Contribution>> TrainingRows::Begin() {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  const absl::MutexLock lock(&mutex_);
  const int64_t left = std::min(kContributionBytesMax, bytes_max_ - kept_bytes_);
  if (left < row_bytes()) return FullOf(kept_bytes_);
  const int64_t number = begun_++;
  const std::string path = folder_ + "/" + kIncoming + std::to_string(number);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return DiskError("can't make " + path, errno);
  return std::unique_ptr<Contribution>(
      new Contribution(info(), number, path, std::make_shared<const RowsOnDisk>(fd, row_bytes()), left));
}

absl::Status TrainingRows::Finish(Contribution& contribution) const {
  const int fd = contribution.file_->fd();
  EDDL_RETURN_IF_ERROR(WriteAll(fd, contribution.path_, std::as_bytes(std::span(contribution.labels_))));
  if (fsync(fd) != 0) return DiskError("can't sync " + contribution.path_, errno);
  EDDL_RETURN_IF_ERROR(
      Load(contribution.path_, {.row_count = contribution.row_count(), .hash = contribution.hash()}).status());
  // No other has this name: of the same content, perhaps kept, there may be another number.
  std::string path = PathOf(contribution.hash(), contribution.number_);
  while (std::filesystem::exists(path)) path.insert(path.size() - std::strlen(kExtension), "0");
  if (rename(contribution.path_.c_str(), path.c_str()) != 0) {
    return DiskError("can't rename " + contribution.path_, errno);
  }
  contribution.path_ = std::move(path);
  return SyncFolderOf(contribution.path_);
}

absl::Status TrainingRows::Keep(Contribution& contribution, const net::DataBlock& block) {
  const absl::MutexLock lock(&mutex_);
  const int64_t bytes = block.row_count * row_bytes();
  if (kept_bytes_ + bytes > bytes_max_) return FullOf(kept_bytes_);
  contribution.is_kept_ = true;
  kept_bytes_ += bytes;
  kept_.push_back({.block = block,
                   .path = contribution.path_,
                   .file = contribution.file_,
                   .labels = std::make_shared<const std::vector<int32_t>>(std::move(contribution.labels_))});
  return absl::OkStatus();
}

const TrainingRows::Kept* TrainingRows::FindKept(int64_t row) const {
  for (const Kept& kept : kept_) {
    if (row >= kept.block.first_row && row - kept.block.first_row < kept.block.row_count) return &kept;
  }
  return nullptr;
}

absl::Status TrainingRows::WaitFor(std::span<const int64_t> rows) const {
  int64_t last = -1;
  for (const int64_t row : rows) {
    if (row >= 0 && row < base_rows_) {
      last = std::max(last, row);
      continue;
    }
    const absl::MutexLock lock(&mutex_);
    if (FindKept(row) == nullptr) return InvalidArgument("there is no sample " + std::to_string(row));
  }
  // Of a set that is still being decoded, the first rows are here first.
  return base_.WaitFor(last + 1);
}

absl::Status TrainingRows::Append(int64_t row, std::string& bytes, int32_t& label) const {
  EDDL_RETURN_IF_ERROR(WaitFor({&row, 1}));
  if (row < base_rows_) {
    const std::span<const std::byte> from = base_.Row(row);
    bytes.append(reinterpret_cast<const char*>(from.data()), from.size());
    label = base_.Label(row);
    return absl::OkStatus();
  }
  Kept kept;  // holds its file
  {
    const absl::MutexLock lock(&mutex_);
    kept = *FindKept(row);
  }
  const int64_t place = row - kept.block.first_row;
  label = (*kept.labels)[static_cast<size_t>(place)];
  const size_t begin = bytes.size();
  bytes.resize(begin + static_cast<size_t>(row_bytes()));
  if (kept.file->Read(place, std::as_writable_bytes(std::span(bytes).subspan(begin)))) return absl::OkStatus();
  return DataLoss("sample " + std::to_string(row) + " can't be read from " + kept.path);
}

absl::Status TrainingRowsSource::Read(std::span<const int64_t> samples, std::vector<std::byte>& rows,
                                      std::vector<int32_t>& labels, const std::function<bool()>&) {
  EDDL_RETURN_IF_ERROR(rows_.WaitFor(samples));
  std::string bytes;
  bytes.reserve(samples.size() * static_cast<size_t>(rows_.row_bytes()));
  labels.resize(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) EDDL_RETURN_IF_ERROR(rows_.Append(samples[i], bytes, labels[i]));
  const auto all = std::as_bytes(std::span(bytes));
  rows.assign(all.begin(), all.end());
  return absl::OkStatus();
}

}  // namespace eddl::cluster
