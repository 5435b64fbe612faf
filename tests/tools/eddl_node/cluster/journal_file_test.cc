#include "tools/eddl_node/cluster/journal_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "net/sim/event_log.h"
#include "net/sim/journal.h"
#include "net/wire/journal_codec.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "tests/fuzz/mutate.h"
#include "tests/runtime/data/files.h"

namespace eddl::cluster {
namespace {

constexpr char kJob[] = "00112233445566ff";

net::Journal RecordOf(uint64_t round, uint64_t view = 1) {
  net::CommitRecord record = {.round = net::Version{round}, .view = net::View{view}, .samples = 64, .step = round + 1};
  for (uint64_t i = 0; i < 2; ++i) record.micro_batches.push_back(net::MicroBatch{2 * round + i});
  return {record};
}

net::JournalStart StartOf(uint64_t view, uint64_t version) {
  return {.view = net::View{view}, .version = net::Version{version}, .map = {}, .histories = {net::View{view - 1}}};
}

// "views 3/2 from 1: rounds 0(1) 1(2), checkpoint 1".
std::string Text(const net::Started& started) {
  std::ostringstream text;
  text << "views " << ToInt(started.last_view) << "/" << ToInt(started.view) << " from " << ToInt(started.version)
       << ": rounds";
  for (const net::CommitRecord& record : started.records)
    text << " " << ToInt(record.round) << "(" << ToInt(record.view) << ")";
  text << ", checkpoint " << ToInt(started.checkpoint);
  return text.str();
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class JournalFileTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<JournalFile>> Open(const std::string& job = kJob) const {
    return JournalFile::Open(
        path_, job, [](net::Version) {}, [](const std::string&) {});
  }
  // What a manager would be told, or the error's code.
  std::string Reopened() const {
    const auto journal = Open();
    return journal.ok() ? Text((*journal)->started()) : absl::StatusCodeToString(journal.status().code());
  }
  // A view, three rounds, a checkpoint, and a second view that undoes the third round.
  void WriteStory() const {
    auto journal = Open();
    ASSERT_TRUE(journal.ok()) << journal.status();
    ASSERT_TRUE((*journal)->Append(net::JournalView{net::View{1}}).ok());
    ASSERT_TRUE((*journal)->Append(StartOf(1, 0)).ok());
    for (uint64_t round = 0; round < 3; ++round) (*journal)->Append(RecordOf(round));
    (*journal)->Append(net::Checkpointed{net::Version{1}});
    ASSERT_TRUE((*journal)->Append(net::JournalView{net::View{2}}).ok());
    ASSERT_TRUE((*journal)->Append(StartOf(2, 2)).ok());
    (*journal)->Append(RecordOf(2, 2));
    ASSERT_TRUE((*journal)->Append(net::JournalView{net::View{3}}).ok());
  }
  // Offsets at which entries begin, and the file's size.
  static std::vector<size_t> Boundaries(const std::string& bytes) {
    std::vector<size_t> at = {0};
    while (at.back() < bytes.size()) {
      uint32_t length = 0;
      std::memcpy(&length, bytes.data() + at.back(), sizeof(length));
      at.push_back(at.back() + 8 + length);
    }
    return at;
  }

  TempDir folder_;
  const std::string path_ = folder_.Path("journal");
};

constexpr char kStory[] = "views 3/2 from 2: rounds 0(1) 1(1) 2(2), checkpoint 1";

TEST_F(JournalFileTest, AFreshOneSaysNothing) {
  EXPECT_EQ(Reopened(), "views 0/0 from 0: rounds, checkpoint 0");
  EXPECT_EQ(Reopened(), "views 0/0 from 0: rounds, checkpoint 0");
}

TEST_F(JournalFileTest, KnowsEpochsThatClosedUnlessAStartUndidThemAndWhoWasAway) {
  {
    auto journal = Open();
    ASSERT_TRUE(journal.ok()) << journal.status();
    ASSERT_TRUE((*journal)->Append(StartOf(1, 0)).ok());
    for (uint64_t round = 0; round < 3; ++round) {
      ASSERT_TRUE((*journal)
                      ->Append(net::JournalEpoch{
                          {.version = net::Version{round}, .epoch = static_cast<int64_t>(2 * round), .deferred = 5}})
                      .ok());
      (*journal)->Append(RecordOf(round));
      (*journal)->Append(net::JournalAway{{net::NodeId{7}, net::NodeId{10 + static_cast<uint32_t>(round)}}});
    }
    ASSERT_TRUE((*journal)->Append(StartOf(2, 1)).ok());
  }
  const auto journal = Open();
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_EQ((*journal)->started().closed,
            (std::vector<net::ClosedEpoch>{{.deferred = 5}, {.version = net::Version{1}, .epoch = 2, .deferred = 5}}));
  EXPECT_EQ((*journal)->started().away, (std::vector<net::NodeId>{net::NodeId{7}, net::NodeId{12}}));
}

TEST_F(JournalFileTest, AnEpochThatClosedAfterRoundsThatAreMissingIsRefused) {
  {
    auto journal = Open();
    ASSERT_TRUE(journal.ok()) << journal.status();
    (*journal)->Append(RecordOf(0));
    ASSERT_TRUE((*journal)->Append(net::JournalEpoch{{.version = net::Version{2}}}).ok());
  }
  EXPECT_EQ(MessageOf(Open().status()), path_ + ": an epoch that closed after rounds that are missing");
}

TEST_F(JournalFileTest, SaysWhatStandsAndLeavesOutWhatAStartUndid) {
  WriteStory();
  EXPECT_EQ(Reopened(), kStory);
  const auto journal = Open();
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ((*journal)->started().records[2], RecordOf(2, 2).record);
  EXPECT_EQ((*journal)->started().histories, std::vector<net::View>{net::View{1}});
  EXPECT_EQ((*journal)->durable(), net::Version{3});
}

// Of two checkpoints, the newer was undone: the older one still stands.
TEST_F(JournalFileTest, FallsBackToTheCheckpointThatStands) {
  {
    auto journal = Open();
    ASSERT_TRUE(journal.ok());
    for (uint64_t round = 0; round < 4; ++round) (*journal)->Append(RecordOf(round));
    (*journal)->Append(net::Checkpointed{net::Version{2}});
    (*journal)->Append(net::Checkpointed{net::Version{4}});
    ASSERT_TRUE((*journal)->Append(StartOf(2, 3)).ok());
  }
  EXPECT_EQ(Reopened(), "views 2/2 from 3: rounds 0(1) 1(1) 2(1), checkpoint 2");
}

// Saving takes a while; its rounds may be undone meanwhile. Such an entry would make the journal one that can't be
// read.
TEST_F(JournalFileTest, ForgetsACheckpointWhoseRoundsWereUndone) {
  {
    auto journal = Open();
    ASSERT_TRUE(journal.ok());
    for (uint64_t round = 0; round < 4; ++round) (*journal)->Append(RecordOf(round));
    ASSERT_TRUE((*journal)->Append(StartOf(2, 3)).ok());
    (*journal)->Append(net::Checkpointed{net::Version{4}});
  }
  EXPECT_EQ(Reopened(), "views 2/2 from 3: rounds 0(1) 1(1) 2(1), checkpoint 0");
}

// What the thread says of rounds that a start then undoes must not count for the rounds that take their place.
TEST_F(JournalFileTest, UndoneRoundsAreNotDurable) {
  auto journal = Open();
  ASSERT_TRUE(journal.ok());
  for (uint64_t round = 0; round < 4; ++round) (*journal)->Append(RecordOf(round));
  ASSERT_TRUE((*journal)->Append(net::JournalView{net::View{2}}).ok());
  EXPECT_EQ((*journal)->durable(), net::Version{4});
  ASSERT_TRUE((*journal)->Append(StartOf(2, 1)).ok());
  EXPECT_EQ((*journal)->durable(), net::Version{1});
}

TEST_F(JournalFileTest, TellsWhenRecordsAreDurable) {
  absl::Notification durable;
  auto journal = JournalFile::Open(
      path_, kJob,
      [&](net::Version below) {
        if (below == net::Version{2}) durable.Notify();
      },
      [](const std::string&) {});
  ASSERT_TRUE(journal.ok());
  (*journal)->Append(RecordOf(0));
  (*journal)->Append(RecordOf(1));
  durable.WaitForNotification();
  EXPECT_EQ((*journal)->durable(), net::Version{2});
}

TEST_F(JournalFileTest, ASecondManagerIsKeptOut) {
  const auto first = Open();
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(JournalFileTest, AnotherJobsJournalIsRefused) {
  WriteStory();
  EXPECT_EQ(Open("another").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reopened(), kStory);
}

TEST_F(JournalFileTest, AFileThatIsNoJournalIsLeftAsItIs) {
  const std::string text(200, 'x');
  WriteFile(path_, text);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadFile(path_), text);
}

// Wherever the file ends, what was whole before is there, and the manager can go on writing.
TEST_F(JournalFileTest, EveryTruncationOpensToWhatWasWhole) {
  WriteStory();
  const std::string bytes = ReadFile(path_);
  const std::vector<size_t> boundaries = Boundaries(bytes);
  std::string at_boundary;
  for (size_t size = 0; size <= bytes.size(); ++size) {
    WriteFile(path_, bytes.substr(0, size));
    const std::string text = Reopened();
    const bool is_boundary = std::find(boundaries.begin(), boundaries.end(), size) != boundaries.end();
    if (is_boundary) at_boundary = text;
    ASSERT_EQ(text, at_boundary) << "cut to " << size << " of " << bytes.size();
  }
  EXPECT_EQ(at_boundary, kStory);
}

// A power cut can leave zeros where the file had grown.
TEST_F(JournalFileTest, ZerosAtTheEndAreCutOff) {
  WriteStory();
  for (const size_t count : {1, 8, 9, 4096}) {
    WriteFile(path_, ReadFile(path_) + std::string(count, '\0'));
    EXPECT_EQ(Reopened(), kStory) << count;
  }
}

// Damage in an entry that others follow is told, be it in the length, the checksum or the entry; in the last entry it
// can't be told from a write that a crash cut short.
TEST_F(JournalFileTest, EveryFlippedByteIsSeen) {
  WriteStory();
  const std::string bytes = ReadFile(path_);
  const std::vector<size_t> boundaries = Boundaries(bytes);
  const size_t last = boundaries[boundaries.size() - 2];
  WriteFile(path_, bytes.substr(0, last));
  const std::string before_last = Reopened();
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      WriteFile(path_, damaged);
      ASSERT_EQ(Reopened(), at < last ? "DATA_LOSS" : before_last) << "byte " << at << " ^ " << flip;
      if (at < last) {
        ASSERT_EQ(ReadFile(path_), damaged) << "a damaged file was changed";
      }
    }
  }
}

// Whatever is in the file: it opens to something that opens the same again, or is refused.
TEST_F(JournalFileTest, DamageOfEveryKindIsRefusedOrCutOff) {
  WriteStory();
  const std::vector<std::string> seeds = {ReadFile(path_)};
  Rng rng(7);
  int opened = 0;
  for (int i = 0; i < 3000; ++i) {
    WriteFile(path_, Mutate(seeds, rng));
    const std::string text = Reopened();
    if (text == "DATA_LOSS") continue;
    ++opened;
    ASSERT_EQ(Reopened(), text) << "case " << i;
    ASSERT_EQ(text.substr(0, 5), "views") << "case " << i;
  }
  EXPECT_GT(opened, 0);
  EXPECT_LT(opened, 2000);
}

// Lets files grow to this size and no further: a disk that is full.
void SetFileSizeLimit(rlim_t bytes) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST_F(JournalFileTest, AFullDiskIsToldOnceAndWaitedFor) {
  std::signal(SIGXFSZ, SIG_IGN);
  WriteStory();
  std::vector<std::string> troubles;  // the journal's thread's, until it has ended
  absl::Notification full;
  absl::Notification goes_on;
  {
    auto journal = JournalFile::Open(
        path_, kJob, [](net::Version) {},
        [&](const std::string& text) {
          troubles.push_back(text);
          (text.empty() ? goes_on : full).Notify();
        },
        absl::Milliseconds(1));
    ASSERT_TRUE(journal.ok());
    // Within an entry, so that half of it is on disk.
    SetFileSizeLimit(std::filesystem::file_size(path_) + 11);
    (*journal)->Append(RecordOf(3, 3));
    full.WaitForNotification();
    (*journal)->Append(RecordOf(4, 3));
    EXPECT_EQ((*journal)->durable(), net::Version{3});
    SetFileSizeLimit(RLIM_INFINITY);
    goes_on.WaitForNotification();
    EXPECT_TRUE((*journal)->Append(net::JournalView{net::View{4}}).ok());
    EXPECT_EQ((*journal)->durable(), net::Version{5});
  }
  ASSERT_EQ(troubles.size(), 2u);
  EXPECT_NE(troubles[0].find("training goes on when there is room"), std::string::npos) << troubles[0];
  EXPECT_EQ(Reopened(), "views 4/2 from 2: rounds 0(1) 1(1) 2(2) 3(3) 4(3), checkpoint 1");
}

// A node that ends while its disk is full does not hang, and what was durable stays so.
TEST_F(JournalFileTest, EndsThoughTheDiskIsFull) {
  std::signal(SIGXFSZ, SIG_IGN);
  WriteStory();
  absl::Notification full;
  {
    auto journal = JournalFile::Open(
        path_, kJob, [](net::Version) {}, [&](const std::string&) { full.Notify(); });
    ASSERT_TRUE(journal.ok());
    SetFileSizeLimit(std::filesystem::file_size(path_) + 11);
    (*journal)->Append(RecordOf(3, 3));
    full.WaitForNotification();
  }
  SetFileSizeLimit(RLIM_INFINITY);
  EXPECT_EQ(Reopened(), kStory);
}

TEST_F(JournalFileTest, AFullDiskIsNotWaitedForWhenTheManagerStops) {
  WriteStory();
  absl::Notification full;
  std::atomic<bool> stopping = false;
  {
    auto journal = JournalFile::Open(
        path_, kJob, [](net::Version) {},
        [&](const std::string&) {
          full.Notify();
          stopping = true;
        },
        absl::Milliseconds(1));
    ASSERT_TRUE(journal.ok());
    (*journal)->LimitWait([&] { return stopping.load(); }, absl::ZeroDuration());
    SetFileSizeLimit(std::filesystem::file_size(path_) + 11);
    EXPECT_TRUE(absl::IsUnavailable((*journal)->Append(net::JournalView{net::View{4}})));
    EXPECT_TRUE(full.HasBeenNotified()) << "who waits can't be told, others are";
    EXPECT_TRUE(absl::IsUnavailable((*journal)->Append(StartOf(4, 2))));
    (*journal)->Append(RecordOf(2, 4));
  }
  SetFileSizeLimit(RLIM_INFINITY);
  EXPECT_EQ(Reopened(), kStory);
}

// All that a manager may write, in any order that it may come in. What the file says then is what the simulator's
// journal says, field by field.
TEST_F(JournalFileTest, WhatItSaysIsWhatTheSimulatorsJournalSays) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::filesystem::remove(path_);
    Rng rng(seed);
    net::sim::JournalFile simulated;
    auto journal = Open();
    ASSERT_TRUE(journal.ok()) << journal.status();
    uint64_t view = 0, rounds = 0, checkpoint = 0;
    int64_t rows = 0;
    std::vector<net::ClosedEpoch> closed;
    const auto write = [&](const auto& entry) {
      ASSERT_TRUE((*journal)->Append(entry).ok());
      simulated.Write(entry);
    };
    for (int i = 0; i < 60; ++i) {
      switch (rng.Below(8)) {
        case 0:
          write(net::JournalView{net::View{++view}});
          break;
        case 1: {
          rounds = checkpoint + rng.Below(rounds - checkpoint + 1);
          write(net::JournalView{net::View{++view}});
          net::JournalStart start = StartOf(view, rounds);
          start.map.shards = {{.leader = net::NodeId{2}, .backup = net::NodeId{1}, .stripes = {{{}, net::Stripe{4}}}}};
          std::erase_if(closed, [&](const net::ClosedEpoch& epoch) { return ToInt(epoch.version) > rounds; });
          write(start);
          break;
        }
        case 2:
          if (checkpoint == rounds) break;
          checkpoint += 1 + rng.Below(rounds - checkpoint);
          EXPECT_TRUE((*journal)->Append(net::Checkpointed{net::Version{checkpoint}}));
          simulated.Write(net::Checkpointed{net::Version{checkpoint}});
          break;
        case 3:
          write(net::JournalBlock{{.first_row = rows, .row_count = 7, .owner = net::NodeId{3}, .hash = seed}});
          rows += 7;
          break;
        case 4: {
          const int64_t epoch = closed.empty() ? 0 : closed.back().epoch + 1;
          closed.push_back({.version = net::Version{rounds}, .epoch = epoch, .quarantined = 1, .deferred = 2});
          write(net::JournalEpoch{closed.back()});
          break;
        }
        case 5: {
          const net::JournalAway away = {{net::NodeId{1}, net::NodeId{static_cast<uint32_t>(2 + rng.Below(5))}}};
          (*journal)->Append(away);
          simulated.Write(away);
          break;
        }
        default: {
          const net::Journal record = RecordOf(rounds++, view);
          (*journal)->Append(record);
          simulated.Write(record.record, Instant{});
        }
      }
    }
    simulated.MakeDurable(Instant{});
    journal->reset();
    const auto again = Open();
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(net::sim::ToText(net::Event{(*again)->started()}), net::sim::ToText(net::Event{simulated.Read()}));
  }
}

TEST_F(JournalFileTest, ItSaysWhichCheckpointItNamesOnDisk) {
  absl::Notification named;
  JournalFile* raw = nullptr;
  auto journal = JournalFile::Open(
      path_, kJob,
      [&](net::Version) {
        if (raw->durable_checkpoint() == net::Version{1} && !named.HasBeenNotified()) named.Notify();
      },
      [](const std::string&) {});
  ASSERT_TRUE(journal.ok()) << journal.status();
  raw = journal->get();
  raw->Append(RecordOf(0));
  EXPECT_FALSE(raw->Append(net::Checkpointed{net::Version{2}})) << "of rounds that there are not";
  EXPECT_TRUE(raw->Append(net::Checkpointed{net::Version{1}}));
  named.WaitForNotification();
  journal->reset();
  EXPECT_EQ((*Open())->durable_checkpoint(), net::Version{1});
}

}  // namespace
}  // namespace eddl::cluster
