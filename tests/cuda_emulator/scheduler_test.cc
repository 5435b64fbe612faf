// Streams in every order: what may run when, and which accesses nothing orders.
#include "tests/cuda_emulator/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eddl::cuda_emulator {
namespace {

using ::testing::HasSubstr;

// Two streams of one device, and memory that named operations read and write.
class Machine {
 public:
  explicit Machine(const std::string& options)
      : options_(ParseOptions(options)),
        scheduler_(options_, memory_, [this](int32_t, const std::string& what) { violation_ = what; }),
        first_(*scheduler_.CreateStream(0)),
        second_(*scheduler_.CreateStream(0)),
        address_(memory_.Allocate(0, 64)) {}

  void Touch(Stream& stream, const std::string& name, bool write) {
    scheduler_.Enqueue(stream, {.name = name, .run = [this, name, write](const OperationId& operation) {
                                  memory_.Access(address_, 16, write, operation);
                                  trace_ += name + " ";
                                }});
  }
  void Drain(Stream& stream) {
    while (!stream.queue.empty() && scheduler_.Advance(stream)) {
    }
    scheduler_.Join(stream.clock);
  }

  Options options_;
  DeviceMemory memory_;
  std::string trace_, violation_;
  Scheduler scheduler_;
  Stream& first_;
  Stream& second_;
  uint64_t address_;
};

class EveryOrderTest : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Orders, EveryOrderTest,
                         testing::Values("order=eager", "order=lazy", "order=random:1", "order=random:2",
                                         "order=random:3"));

TEST_P(EveryOrderTest, AnEventOrdersTwoStreams) {
  Machine machine(GetParam());
  const auto event = std::make_shared<Event>();
  machine.Touch(machine.first_, "write", true);
  machine.scheduler_.Record(machine.first_, event);
  machine.scheduler_.Wait(machine.second_, event);
  machine.Touch(machine.second_, "read", false);
  machine.Drain(machine.second_);
  EXPECT_EQ(machine.trace_, "write read ");
  EXPECT_EQ(machine.violation_, "");
}

// Found in every order, also in those where it happens to go well.
TEST_P(EveryOrderTest, FindsAMissingWait) {
  Machine machine(GetParam());
  machine.Touch(machine.first_, "write", true);
  machine.Touch(machine.second_, "read", false);
  machine.Drain(machine.second_);
  machine.Drain(machine.first_);
  EXPECT_THAT(machine.violation_, HasSubstr("stream race: "));
  EXPECT_THAT(machine.violation_, HasSubstr("no event or synchronisation orders them"));
}

TEST_P(EveryOrderTest, FindsAWriteThatOvertakesAReader) {
  Machine machine(GetParam());
  machine.Touch(machine.first_, "write", true);
  machine.Drain(machine.first_);
  machine.Touch(machine.first_, "read", false);
  machine.Touch(machine.second_, "overwrite", true);
  machine.Drain(machine.first_);
  machine.Drain(machine.second_);
  EXPECT_THAT(machine.violation_, HasSubstr("stream race: "));
}

TEST_P(EveryOrderTest, WaitingOnTheHostOrdersTwoStreams) {
  Machine machine(GetParam());
  machine.Touch(machine.first_, "write", true);
  machine.Drain(machine.first_);
  machine.Touch(machine.second_, "overwrite", true);
  machine.Drain(machine.second_);
  EXPECT_EQ(machine.trace_, "write overwrite ");
  EXPECT_EQ(machine.violation_, "");
}

TEST_P(EveryOrderTest, ReadersMayOverlap) {
  Machine machine(GetParam());
  machine.Touch(machine.first_, "read", false);
  machine.Touch(machine.second_, "read", false);
  machine.Drain(machine.first_);
  machine.Drain(machine.second_);
  EXPECT_EQ(machine.violation_, "");
}

// A wait is for the last record before it; a later one is another story.
TEST_P(EveryOrderTest, AnEventIsWhatItWasWhenTheWaitWasQueued) {
  Machine machine(GetParam());
  const auto event = std::make_shared<Event>();
  machine.scheduler_.Record(machine.first_, event);
  machine.scheduler_.Wait(machine.second_, event);
  machine.Touch(machine.first_, "write", true);
  machine.scheduler_.Record(machine.first_, event);
  machine.Touch(machine.second_, "read", false);
  machine.Drain(machine.second_);
  machine.Drain(machine.first_);
  EXPECT_THAT(machine.violation_, HasSubstr("stream race: "));
}

TEST(SchedulerTest, LazyRunsNothingThatTheHostDoesNotWaitFor) {
  Machine machine("order=lazy");
  machine.Touch(machine.first_, "first", false);
  machine.Touch(machine.second_, "second", false);
  EXPECT_EQ(machine.trace_, "");
  machine.Drain(machine.second_);
  EXPECT_EQ(machine.trace_, "second ");
}

TEST(SchedulerTest, EagerRunsAtOnce) {
  Machine machine("order=eager");
  machine.Touch(machine.first_, "first", false);
  EXPECT_EQ(machine.trace_, "first ");
}

TEST(SchedulerTest, RandomOrdersDiffer) {
  std::set<std::string> traces;
  for (int seed = 0; seed < 20; ++seed) {
    Machine machine("order=random:" + std::to_string(seed));
    for (const char* name : {"a", "b"}) machine.Touch(machine.first_, name, false);
    for (const char* name : {"c", "d"}) machine.Touch(machine.second_, name, false);
    machine.Drain(machine.first_);
    machine.Drain(machine.second_);
    traces.insert(machine.trace_);
  }
  EXPECT_GT(traces.size(), 2u);
}

TEST(SchedulerTest, AfterAViolationNothingOfTheDeviceRuns) {
  Machine machine("order=eager");
  machine.memory_.Free(machine.address_);
  machine.Touch(machine.first_, "write", true);
  EXPECT_THAT(machine.violation_, HasSubstr("was freed"));
  machine.violation_ = "";
  machine.Touch(machine.first_, "again", true);
  EXPECT_EQ(machine.violation_ + machine.trace_, "");
  EXPECT_TRUE(machine.first_.queue.empty());
}

TEST(SchedulerTest, AnOperationThatIsNotReadyHoldsItsStream) {
  Machine machine("order=eager");
  bool ready = false;
  machine.scheduler_.Enqueue(machine.first_, {.name = "collective", .run = {}, .ready = [&] { return ready; }});
  machine.Touch(machine.first_, "next", false);
  EXPECT_EQ(machine.trace_, "");
  EXPECT_EQ(Scheduler::HeadOf(machine.first_), "collective");
  EXPECT_FALSE(machine.scheduler_.Advance(machine.first_));
  ready = true;
  machine.Drain(machine.first_);
  EXPECT_EQ(machine.trace_, "next ");
}

}  // namespace
}  // namespace eddl::cuda_emulator
