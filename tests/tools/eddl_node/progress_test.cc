#include "tools/eddl_node/progress.h"

#include <gtest/gtest.h>

#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

const ProgressView kView = {.epoch = 3,
                            .epochs = 10,
                            .step = 1203,
                            .samples_per_second = 14812.4,
                            .loss = 0.43121,
                            .accuracy = 0.8442,
                            .eta_seconds = 21.4};

TEST(FormatProgressTest, ShowsEverythingWhereThereIsRoom) {
  EXPECT_EQ(FormatProgress(kView, 200), "epoch 3/10  step 1,203  14,812 samples/s  loss 0.4312  acc 84.42 %  ETA 0:21");
}

TEST(FormatProgressTest, LeavesOutTheLeastNeededFieldsFirst) {
  EXPECT_EQ(FormatProgress(kView, 75), "epoch 3/10  14,812 samples/s  loss 0.4312  acc 84.42 %  ETA 0:21");
  EXPECT_EQ(FormatProgress(kView, 60), "epoch 3/10  14,812 samples/s  loss 0.4312  ETA 0:21");
  EXPECT_EQ(FormatProgress(kView, 40), "epoch 3/10  loss 0.4312  ETA 0:21");
  EXPECT_EQ(FormatProgress(kView, 24), "epoch 3/10  loss 0.4312");
  EXPECT_EQ(FormatProgress(kView, 12), "epoch 3/10");
  EXPECT_EQ(FormatProgress(kView, 5), "epoch");
}

TEST(FormatEpochTest, ShowsTestFiguresWhereThereAreAny) {
  EpochReport report = {.epoch = 2, .train_loss = 0.5, .train_accuracy = 0.81, .seconds = 62.0};
  EXPECT_EQ(FormatEpoch(report, 10, 9000.0), "epoch 2/10  loss 0.5000  accuracy 81.00 %  9,000 samples/s  1:02");
  report.test_loss = 0.4;
  report.test_accuracy = 0.85;
  EXPECT_EQ(
      FormatEpoch(report, 10, 9000.0),
      "epoch 2/10  loss 0.5000  accuracy 81.00 %  test loss 0.4000  test accuracy 85.00 %  9,000 samples/s  1:02");
}

// A printer with a clock of its own, and what it wrote.
struct Story {
  std::string written;
  Instant now = {1'000'000'000};
  TrainState state;
  ProgressPrinter printer;

  explicit Story(bool terminal, TrainState start = {})
      : state(start),
        printer(
            {.terminal = terminal, .epochs = 2, .samples = 2000}, [this](std::string_view text) { written += text; },
            [] { return size_t{81}; }, start, now) {}

  // A step of 100 samples that takes so long.
  void Step(double seconds) {
    now.ns += static_cast<int64_t>(seconds * 1e9);
    state.step += 1;
    state.samples += 100;
    state.position += 100;
    state.epoch_loss += 50.0;
    state.epoch_correct += 75;
    state.seconds += seconds;
    printer.OnStep({.state = state, .loss = 0.5}, now);
  }

  void EndEpoch() {
    state.epoch += 1;
    state.position = 0;
    state.epoch_loss = 0.0;
    state.epoch_correct = 0;
    printer.OnEpoch(
        {.epoch = state.epoch, .train_loss = 0.5, .train_accuracy = 0.75, .seconds = state.seconds, .state = state},
        now);
  }
};

TEST(ProgressPrinterTest, RewritesOneLineOnATerminal) {
  Story story(/*terminal=*/true);
  story.Step(0.2);
  story.Step(0.2);
  EXPECT_EQ(story.written,
            "\r\x1b[Kepoch 1/2  step 1  500 samples/s  loss 0.5000  acc 75.00 %  ETA 0:04"
            "\r\x1b[Kepoch 1/2  step 2  500 samples/s  loss 0.5000  acc 75.00 %  ETA 0:04");
  story.written.clear();
  story.EndEpoch();
  EXPECT_EQ(story.written, "\r\x1b[Kepoch 1/2  loss 0.5000  accuracy 75.00 %  500 samples/s  0:00\n");
}

TEST(ProgressPrinterTest, IsSilentBetweenTicks) {
  Story story(/*terminal=*/true);
  for (int i = 0; i < 9; ++i) story.Step(0.01);
  EXPECT_EQ(story.written, "");
}

TEST(ProgressPrinterTest, WritesPlainLinesNowAndThenInAPipe) {
  Story story(/*terminal=*/false);
  story.Step(6.0);
  EXPECT_EQ(story.written, "");
  story.Step(6.0);
  EXPECT_EQ(story.written, "epoch 1/2  step 2  17 samples/s  loss 0.5000  acc 75.00 %  ETA 1:48\n");
}

TEST(ProgressPrinterTest, ARateAfterResumingCountsOnlyNewSamples) {
  Story story(/*terminal=*/false, {.epoch = 1, .step = 10, .samples = 1000, .seconds = 500.0});
  story.Step(20.0);
  EXPECT_EQ(story.written, "epoch 2/2  step 11  5 samples/s  loss 0.5000  acc 75.00 %  ETA 3:00\n");
}

TEST(ProgressPrinterTest, EvaluationDoesNotLookLikeSlowTraining) {
  Story story(/*terminal=*/false);
  story.Step(11.0);
  story.now.ns += 100'000'000'000;
  story.EndEpoch();
  story.written.clear();
  story.Step(10.0);
  // 9.1 samples/s before, 10 now.
  EXPECT_EQ(story.written, "epoch 2/2  step 2  9 samples/s  loss 0.5000  acc 75.00 %  ETA 3:12\n");
}

TEST(TextFormatTest, GroupsDigitsByThousands) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(-1234567), "-1,234,567");
  EXPECT_EQ(Grouped(-123), "-123");
}

TEST(TextFormatTest, WritesBytesDurationsAndLosses) {
  EXPECT_EQ(BytesText(999) + " " + BytesText(1000) + " " + BytesText(4'164'608), "999 B 1.0 kB 4.2 MB");
  EXPECT_EQ(BytesText(25'280'000'000), "25.28 GB");
  EXPECT_EQ(DurationText(59.6) + " " + DurationText(3661.0), "1:00 1:01:01");
  EXPECT_EQ(SecondsText(1.5) + " " + SecondsText(61.0), "1.500 s 1:01");
  EXPECT_EQ(LossText(0.43125) + " " + LossText(0.00001234) + " " + LossText(0.0), "0.4313 1.23e-05 0.0000");
  EXPECT_EQ(LossText(5.6e13), "5.60e+13");
}

}  // namespace
}  // namespace eddl
