#include "tools/eddl_node/cluster/journal_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/time/time.h"
#include "net/wire/journal_codec.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

constexpr size_t kHeadBytes = 8;  // length, then CRC-32 of the entry; u32, little-endian
constexpr auto kEntryMax = static_cast<uint32_t>(net::kJournalEntrySizeMax);
constexpr absl::Duration kRetryWrite = absl::Seconds(2);
// Entries that wait for the disk; more of them make the manager wait, too.
constexpr size_t kPendingMax = 65536;

uint32_t Crc(std::string_view bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string Framed(const std::string& entry) {
  const std::array<uint32_t, 2> head = {static_cast<uint32_t>(entry.size()), Crc(entry)};
  std::string framed(kHeadBytes, '\0');
  std::memcpy(framed.data(), head.data(), kHeadBytes);
  return framed + entry;
}

// Entries of a journal's bytes, and how many bytes are whole entries: what follows was being written in a crash.
struct Entries {
  std::vector<std::string_view> entries;
  size_t whole_bytes = 0;
};

absl::StatusOr<Entries> Split(std::string_view bytes) {
  Entries result;
  while (bytes.size() - result.whole_bytes >= kHeadBytes) {
    const std::string_view rest = bytes.substr(result.whole_bytes);
    std::array<uint32_t, 2> head{};
    std::memcpy(head.data(), rest.data(), kHeadBytes);
    const bool fits = head[0] <= kEntryMax && head[0] <= rest.size() - kHeadBytes;
    const std::string_view entry = fits ? rest.substr(kHeadBytes, head[0]) : std::string_view();
    if (!fits || Crc(entry) != head[1]) {
      // Half-written only at the end: a damaged entry with whole ones behind it is another matter.
      const bool is_last = !fits || rest.size() == kHeadBytes + entry.size();
      if (is_last) break;
      return DataLoss("damaged at byte " + std::to_string(result.whole_bytes));
    }
    result.entries.push_back(entry);
    result.whole_bytes += kHeadBytes + entry.size();
  }
  return result;
}

// What a manager that starts now is told.
class Reader {
 public:
  void Take(const net::JournalHeader&) {}
  void Take(const net::Journal& journal) { started_.records.push_back(journal.record); }
  void Take(const net::JournalView& view) { started_.last_view = view.view; }
  void Take(const net::JournalStart& start) {
    started_.view = start.view;
    started_.last_view = std::max(started_.last_view, start.view);
    started_.version = start.version;
    started_.map = start.map;
    started_.histories = start.histories;
    std::erase_if(started_.records, [&](const net::CommitRecord& record) { return record.round >= start.version; });
    if (started_.checkpoint > start.version) started_.checkpoint = {};
  }
  void Take(const net::Checkpointed& checkpoint) { started_.checkpoint = checkpoint.version; }

  absl::StatusOr<net::Started> Finish() const {
    for (size_t i = 0; i < started_.records.size(); ++i) {
      if (ToInt(started_.records[i].round) != i) return DataLoss("a round is missing: " + std::to_string(i));
    }
    if (ToInt(started_.checkpoint) > started_.records.size())
      return DataLoss("a checkpoint of rounds that are missing");
    return started_;
  }

 private:
  net::Started started_;
};

}  // namespace

JournalFile::JournalFile(std::string path, int fd, std::function<void(net::Version)> on_durable,
                         std::function<void(const std::string&)> on_trouble)
    : path_(std::move(path)), fd_(fd), on_durable_(std::move(on_durable)), on_trouble_(std::move(on_trouble)) {}

JournalFile::~JournalFile() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (thread_.joinable()) thread_.join();
  close(fd_);
}

absl::StatusOr<std::unique_ptr<JournalFile>> JournalFile::Open(const std::string& path, const std::string& job,
                                                               std::function<void(net::Version)> on_durable,
                                                               std::function<void(const std::string&)> on_trouble) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return FailedPrecondition("can't open the journal " + path + ": " + std::strerror(errno));
  auto journal = std::unique_ptr<JournalFile>(new JournalFile(path, fd, std::move(on_durable), std::move(on_trouble)));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return Unavailable("another manager writes to the journal " + path);
  EDDL_RETURN_IF_ERROR(WithContext(journal->Read(job), path));
  journal->thread_ = std::thread([raw = journal.get()] { raw->Work(); });
  return journal;
}

absl::Status JournalFile::Read(const std::string& job) {
  std::ifstream file(path_, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const std::string bytes = text.str();
  EDDL_ASSIGN_OR_RETURN(const Entries entries, Split(bytes));
  if (entries.entries.empty()) {
    if (ftruncate(fd_, 0) != 0) return FailedPrecondition(std::strerror(errno));
    return WriteAll(Framed(net::EncodeJournal(net::JournalHeader{.job = job})));
  }
  Reader reader;
  for (size_t i = 0; i < entries.entries.size(); ++i) {
    EDDL_ASSIGN_OR_RETURN(const net::JournalEntry entry, net::DecodeJournal(entries.entries[i]));
    const auto* header = std::get_if<net::JournalHeader>(&entry);
    if ((i == 0) != (header != nullptr)) return DataLoss("a header that is not at the beginning, or none");
    if (header != nullptr && header->job != job) return FailedPrecondition("it is another job's journal");
    std::visit([&reader](const auto& one) { reader.Take(one); }, entry);
  }
  EDDL_ASSIGN_OR_RETURN(started_, reader.Finish());
  if (ftruncate(fd_, static_cast<off_t>(entries.whole_bytes)) != 0) return FailedPrecondition(std::strerror(errno));
  size_ = static_cast<int64_t>(entries.whole_bytes);
  return absl::OkStatus();
}

bool JournalFile::HasRoom() const { return stopped_ || pending_count_ < kPendingMax; }

absl::Status JournalFile::WriteAll(const std::string& bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count =
        pwrite(fd_, bytes.data() + written, bytes.size() - written, size_ + static_cast<off_t>(written));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return ResourceExhausted("can't write the journal " + path_ + ": " + std::strerror(errno));
    written += static_cast<size_t>(count);
  }
  if (fdatasync(fd_) != 0) return ResourceExhausted("can't sync the journal " + path_ + ": " + std::strerror(errno));
  size_ += static_cast<int64_t>(bytes.size());
  return absl::OkStatus();
}

void JournalFile::Append(const net::Journal& record) { Queue(net::EncodeJournal(record), Next(record.record.round)); }

void JournalFile::Append(const net::Checkpointed& checkpoint) { Queue(net::EncodeJournal(checkpoint), net::Version{}); }

absl::Status JournalFile::Append(const net::JournalView& view) { return QueueAndWait(net::EncodeJournal(view)); }

absl::Status JournalFile::Append(const net::JournalStart& start) { return QueueAndWait(net::EncodeJournal(start)); }

uint64_t JournalFile::Queue(const std::string& entry, net::Version below) {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &JournalFile::HasRoom));
  pending_ += Framed(entry);
  ++pending_count_;
  if (below > pending_below_) pending_below_ = below;
  return ++queued_;
}

absl::Status JournalFile::QueueAndWait(const std::string& entry) {
  const uint64_t number = Queue(entry, net::Version{});
  const absl::MutexLock lock(&mutex_);
  const auto done = [this, number]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return written_ >= number || stopped_; };
  mutex_.Await(absl::Condition(&done));
  return written_ >= number ? absl::OkStatus() : Unavailable("the journal was closed");
}

void JournalFile::Work() {
  while (true) {
    std::string bytes;
    net::Version below{};
    uint64_t number = 0;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &JournalFile::HasWork));
      if (pending_.empty()) return;  // stopped, and all is written
      bytes = std::exchange(pending_, {});
      below = std::exchange(pending_below_, net::Version{});
      pending_count_ = 0;
      number = queued_;
    }
    for (bool told = false;; told = true) {
      const absl::Status status = WriteAll(bytes);
      if (status.ok()) {
        if (told) on_trouble_("");
        break;
      }
      if (!told) on_trouble_(MessageOf(status) + "; training goes on when there is room");
      const absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), kRetryWrite)) return;
    }
    {
      const absl::MutexLock lock(&mutex_);
      written_ = number;
    }
    if (ToInt(below) > 0) on_durable_(below);
  }
}

}  // namespace eddl::cluster
