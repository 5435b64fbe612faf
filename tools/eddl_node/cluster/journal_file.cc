#include "tools/eddl_node/cluster/journal_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "net/wire/journal_codec.h"
#include "runtime/base/atomic_file.h"
#include "runtime/base/check.h"
#include "runtime/base/crc32.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

constexpr size_t kHeadBytes = 8;  // length, then CRC-32 of the entry; u32, little-endian
constexpr auto kEntryMax = static_cast<uint32_t>(net::kJournalEntrySizeMax);
// Entries that wait for the disk; more of them make the manager wait, too.
constexpr size_t kPendingMax = 65536;
constexpr size_t kReadBytes = size_t{1} << 18;

std::string Framed(const std::string& entry) {
  const std::array<uint32_t, 2> head = {static_cast<uint32_t>(entry.size()), Crc32(entry)};
  std::string framed(kHeadBytes, '\0');
  std::memcpy(framed.data(), head.data(), kHeadBytes);
  return framed + entry;
}

// The whole entry that the bytes begin with; none if they do not. An empty entry is none: a tail of zeros is what a
// power cut leaves of a file that grew.
std::optional<std::string_view> FirstEntry(std::string_view bytes) {
  if (bytes.size() < kHeadBytes) return std::nullopt;
  std::array<uint32_t, 2> head{};
  std::memcpy(head.data(), bytes.data(), kHeadBytes);
  if (head[0] == 0 || head[0] > kEntryMax || head[0] > bytes.size() - kHeadBytes) return std::nullopt;
  const std::string_view entry = bytes.substr(kHeadBytes, head[0]);
  if (Crc32(entry) != head[1]) return std::nullopt;
  return entry;
}

// Entries of a journal's bytes, and how many bytes are whole entries: what follows was being written in a crash.
struct Entries {
  std::vector<std::string_view> entries;
  size_t whole_bytes = 0;
};

absl::StatusOr<Entries> Split(std::string_view bytes) {
  Entries result;
  while (const auto entry = FirstEntry(bytes.substr(result.whole_bytes))) {
    result.entries.push_back(*entry);
    result.whole_bytes += kHeadBytes + entry->size();
  }
  // A damaged length hides where the next entry begins, so every place is looked at.
  for (size_t at = result.whole_bytes + 1; at < bytes.size(); ++at) {
    if (FirstEntry(bytes.substr(at))) {
      return DataLoss("damaged at byte " + std::to_string(result.whole_bytes) + ", with a whole entry at byte " +
                      std::to_string(at) + "; restore the file from a copy, or start the job anew in another folder");
    }
  }
  return result;
}

absl::StatusOr<std::string> ReadAll(int fd) {
  std::string bytes;
  std::vector<char> block(kReadBytes);
  while (true) {
    const ssize_t count = pread(fd, block.data(), block.size(), static_cast<off_t>(bytes.size()));
    if (count < 0 && errno == EINTR) continue;
    // A file that can't be read to its end must not pass for a shorter one: it would be cut there.
    if (count < 0) return FailedPrecondition(std::string("can't read it: ") + std::strerror(errno));
    if (count == 0) return bytes;
    bytes.append(block.data(), static_cast<size_t>(count));
  }
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
    std::erase_if(checkpoints_, [&](net::Version version) { return version > start.version; });
    std::erase_if(started_.closed, [&](const net::ClosedEpoch& closed) { return closed.version > start.version; });
  }
  void Take(const net::JournalBlock& journal) { started_.blocks.push_back(journal.block); }
  void Take(const net::JournalEpoch& journal) { started_.closed.push_back(journal.closed); }
  void Take(const net::JournalAway& journal) { started_.away = journal.owners; }
  void Take(const net::Checkpointed& checkpoint) { checkpoints_.push_back(checkpoint.version); }

  absl::StatusOr<net::Started> Finish() {
    if (!checkpoints_.empty()) started_.checkpoint = checkpoints_.back();
    for (size_t i = 0; i < started_.records.size(); ++i) {
      if (ToInt(started_.records[i].round) != i) return DataLoss("a round is missing: " + std::to_string(i));
    }
    if (ToInt(started_.checkpoint) > started_.records.size())
      return DataLoss("a checkpoint of rounds that are missing");
    if (ToInt(started_.version) > started_.records.size()) return DataLoss("a view from rounds that are missing");
    for (size_t i = 0; i < started_.closed.size(); ++i) {
      const bool follows = i == 0 || started_.closed[i - 1].epoch < started_.closed[i].epoch;
      if (!follows) return DataLoss("epochs that closed in another order than they are in");
      if (ToInt(started_.closed[i].version) > started_.records.size())
        return DataLoss("an epoch that closed after rounds that are missing");
    }
    return started_;
  }

 private:
  net::Started started_;
  std::vector<net::Version> checkpoints_;  // that stand, in order of writing
};

}  // namespace

JournalFile::JournalFile(std::string path, int fd, std::function<void(net::Version)> on_durable,
                         std::function<void(const std::string&)> on_trouble, absl::Duration retry)
    : path_(std::move(path)),
      fd_(fd),
      on_durable_(std::move(on_durable)),
      on_trouble_(std::move(on_trouble)),
      retry_(retry) {}

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
                                                               std::function<void(const std::string&)> on_trouble,
                                                               absl::Duration retry) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return FailedPrecondition("can't open the journal " + path + ": " + std::strerror(errno));
  auto journal =
      std::unique_ptr<JournalFile>(new JournalFile(path, fd, std::move(on_durable), std::move(on_trouble), retry));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return Unavailable("another manager writes to the journal " + path);
  EDDL_RETURN_IF_ERROR(WithContext(journal->Read(job), path));
  journal->thread_ = std::thread([raw = journal.get()] { raw->Work(); });
  return journal;
}

absl::Status JournalFile::Read(const std::string& job) {
  EDDL_ASSIGN_OR_RETURN(const std::string bytes, ReadAll(fd_));
  EDDL_ASSIGN_OR_RETURN(const Entries entries, Split(bytes));
  if (entries.entries.empty()) {
    const std::string header = Framed(net::EncodeJournal(net::JournalHeader{.job = job}));
    // Shorter ones are of a manager that ended while it made the file; nothing else was written then.
    if (bytes.size() > header.size()) return DataLoss("its beginning is not that of a journal");
    if (ftruncate(fd_, 0) != 0) return FailedPrecondition(std::strerror(errno));
    EDDL_RETURN_IF_ERROR(WriteAll(header));
    return SyncFolderOf(path_);
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
  const absl::MutexLock lock(&mutex_);
  queued_below_ = durable_below_ = net::Version{started_.records.size()};
  queued_checkpoint_ = durable_checkpoint_ = started_.checkpoint;
  return absl::OkStatus();
}

bool JournalFile::HasRoom() const { return stopped_ || given_up_ || pending_count_ < kPendingMax; }

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

net::Version JournalFile::durable() const {
  const absl::MutexLock lock(&mutex_);
  return durable_below_;
}

net::Version JournalFile::durable_checkpoint() const {
  const absl::MutexLock lock(&mutex_);
  return durable_checkpoint_;
}

void JournalFile::Append(const net::Journal& record) {
  const std::string entry = net::EncodeJournal(record);
  const absl::MutexLock lock(&mutex_);
  EDDL_CHECK(record.record.round == queued_below_)
      << "the record of round " << ToInt(record.record.round) << " after " << ToInt(queued_below_) << " others";
  Queue(entry);
  queued_below_ = Next(record.record.round);
}

bool JournalFile::Append(const net::Checkpointed& checkpoint) {
  const std::string entry = net::EncodeJournal(checkpoint);
  const absl::MutexLock lock(&mutex_);
  if (checkpoint.version > queued_below_) return false;
  mutex_.Await(absl::Condition(this, &JournalFile::HasRoom));
  // As for a start: the thread sees the entry and the mark together.
  queued_checkpoint_ = checkpoint.version;
  Queue(entry);
  return true;
}

void JournalFile::Append(const net::JournalAway& away) {
  const std::string entry = net::EncodeJournal(away);
  const absl::MutexLock lock(&mutex_);
  Queue(entry);
}

absl::Status JournalFile::Append(const net::JournalEpoch& epoch) {
  const std::string entry = net::EncodeJournal(epoch);
  const absl::MutexLock lock(&mutex_);
  return QueueAndWait(entry);
}

absl::Status JournalFile::Append(const net::JournalView& view) {
  const std::string entry = net::EncodeJournal(view);
  const absl::MutexLock lock(&mutex_);
  return QueueAndWait(entry);
}

absl::Status JournalFile::Append(const net::JournalBlock& block) {
  const std::string entry = net::EncodeJournal(block);
  const absl::MutexLock lock(&mutex_);
  return QueueAndWait(entry);
}

absl::Status JournalFile::Append(const net::JournalStart& start) {
  const std::string entry = net::EncodeJournal(start);
  const absl::MutexLock lock(&mutex_);
  EDDL_CHECK(start.version <= queued_below_)
      << "a view from version " << ToInt(start.version) << " after " << ToInt(queued_below_) << " records";
  mutex_.Await(absl::Condition(this, &JournalFile::HasRoom));
  // From here to the wait the lock is kept, so that the thread sees the entry and the mark together.
  queued_below_ = start.version;
  return QueueAndWait(entry);
}

void JournalFile::Queue(const std::string& entry) {
  mutex_.Await(absl::Condition(this, &JournalFile::HasRoom));
  pending_ += Framed(entry);
  ++pending_count_;
  ++queued_;
}

absl::Status JournalFile::QueueAndWait(const std::string& entry) {
  Queue(entry);
  const uint64_t number = queued_;
  const auto done = [this, number]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return written_ >= number || stopped_ || given_up_; };
  mutex_.Await(absl::Condition(&done));
  return written_ >= number ? absl::OkStatus() : Unavailable("the disk did not take what the journal has to say");
}

void JournalFile::LimitWait(std::function<bool()> is_stopping, absl::Duration patience) {
  const absl::MutexLock lock(&mutex_);
  is_stopping_ = std::move(is_stopping);
  patience_ = patience;
}

bool JournalFile::WriteUntilDone(const std::string& bytes) {
  std::optional<absl::Time> stopping_since;
  for (bool told = false;; told = true) {
    const absl::Status status = WriteAll(bytes);
    if (status.ok()) {
      if (told) on_trouble_("");
      return true;
    }
    if (!told) on_trouble_(MessageOf(status) + "; training goes on when there is room");
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), retry_)) return false;
    if (!is_stopping_ || !is_stopping_()) continue;
    if (!stopping_since) stopping_since = absl::Now();
    given_up_ = absl::Now() - *stopping_since >= patience_;
    if (given_up_) return false;
  }
}

void JournalFile::Work() {
  while (true) {
    std::string bytes;
    net::Version below{};
    net::Version checkpoint{};
    uint64_t number = 0;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &JournalFile::HasWork));
      if (pending_.empty()) return;  // stopped, and all is written
      bytes = std::exchange(pending_, {});
      below = queued_below_;
      checkpoint = queued_checkpoint_;
      pending_count_ = 0;
      number = queued_;
    }
    if (!WriteUntilDone(bytes)) return;
    bool more = false;
    {
      const absl::MutexLock lock(&mutex_);
      written_ = number;
      more = below > durable_below_ || checkpoint > durable_checkpoint_;
      durable_below_ = below;
      durable_checkpoint_ = checkpoint;
    }
    if (more) on_durable_(below);
  }
}

}  // namespace eddl::cluster
