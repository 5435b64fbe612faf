#include "tools/eddl_node/progress.h"

#include <algorithm>
#include <vector>

#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

constexpr Duration kTerminalInterval = {100'000'000};
constexpr Duration kPlainInterval = {10'000'000'000};
constexpr std::string_view kWipe = "\r\x1b[K";
// Weight of the newest measurement of the rate.
constexpr double kRateWeight = 0.3;

std::string OfTotal(int64_t value, int64_t total) { return Grouped(value) + "/" + Grouped(total); }

std::string RateText(double samples_per_second) {
  return Grouped(static_cast<int64_t>(samples_per_second + 0.5)) + " samples/s";
}

}  // namespace

std::string FormatProgress(const ProgressView& view, size_t width) {
  struct Field {
    std::string text;
    int need;  // 0 goes first
  };
  std::vector<Field> fields = {
      {"epoch " + OfTotal(view.epoch, view.epochs), 5}, {"step " + Grouped(view.step), 0},
      {RateText(view.samples_per_second), 2},           {"loss " + LossText(view.loss), 4},
      {"acc " + PercentText(view.accuracy), 1},         {"ETA " + DurationText(view.eta_seconds), 3}};
  for (;;) {
    std::string line;
    for (const Field& field : fields) line += (line.empty() ? "" : "  ") + field.text;
    if (line.size() <= width) return line;
    if (fields.size() == 1) return line.substr(0, width);
    fields.erase(
        std::min_element(fields.begin(), fields.end(), [](const Field& a, const Field& b) { return a.need < b.need; }));
  }
}

std::string FormatEpoch(const EpochReport& report, int64_t epochs, double samples_per_second) {
  std::string line = "epoch " + OfTotal(report.epoch, epochs) + "  loss " + LossText(report.train_loss) +
                     "  accuracy " + PercentText(report.train_accuracy);
  if (report.test_loss.has_value()) line += "  test loss " + LossText(*report.test_loss);
  if (report.test_accuracy.has_value()) line += "  test accuracy " + PercentText(*report.test_accuracy);
  return line + "  " + RateText(samples_per_second) + "  " + DurationText(report.seconds);
}

ProgressPrinter::ProgressPrinter(const ProgressOptions& options, Sink sink, Width width, const TrainState& state,
                                 Instant now)
    : options_(options),
      sink_(std::move(sink)),
      width_(std::move(width)),
      printed_at_(now),
      measured_at_(now),
      measured_samples_(state.samples),
      epoch_begin_seconds_(state.seconds),
      epoch_begin_samples_(state.samples) {}

void ProgressPrinter::MeasureRate(int64_t samples, Instant now) {
  const double seconds = (now - measured_at_).seconds();
  if (seconds <= 0.0) return;
  const double newest = static_cast<double>(samples - measured_samples_) / seconds;
  rate_ = rate_ == 0.0 ? newest : (1.0 - kRateWeight) * rate_ + kRateWeight * newest;
  measured_at_ = now;
  measured_samples_ = samples;
}

ProgressView ProgressPrinter::ViewOf(const TrainState& state) const {
  const int64_t left = options_.samples - state.samples;
  const auto done = static_cast<double>(std::max<int64_t>(1, state.position));
  return {.epoch = state.epoch + 1,
          .epochs = options_.epochs,
          .step = state.step,
          .samples_per_second = rate_,
          .loss = state.epoch_loss / done,
          .accuracy = static_cast<double>(state.epoch_correct) / done,
          .eta_seconds = rate_ > 0.0 ? static_cast<double>(left) / rate_ : 0.0};
}

void ProgressPrinter::OnStep(const StepReport& report, Instant now) {
  const Duration interval = options_.terminal ? kTerminalInterval : kPlainInterval;
  if (now - printed_at_ < interval) return;
  MeasureRate(report.state.samples, now);
  printed_at_ = now;
  if (options_.terminal) {
    // One column is left free: some terminals wrap at the last one.
    sink_(std::string(kWipe) + FormatProgress(ViewOf(report.state), width_() - 1));
    line_shown_ = true;
  } else {
    sink_(FormatProgress(ViewOf(report.state), std::string::npos) + "\n");
  }
}

void ProgressPrinter::OnEpoch(const EpochReport& report, Instant now) {
  Clear();
  const double seconds = report.state.seconds - epoch_begin_seconds_;
  const auto samples = static_cast<double>(report.state.samples - epoch_begin_samples_);
  sink_(FormatEpoch(report, options_.epochs, seconds > 0.0 ? samples / seconds : 0.0) + "\n");
  epoch_begin_seconds_ = report.state.seconds;
  epoch_begin_samples_ = report.state.samples;
  // The evaluation's time must not look like slow training.
  measured_at_ = now;
  measured_samples_ = report.state.samples;
  printed_at_ = now;
}

void ProgressPrinter::Clear() {
  if (line_shown_) sink_(kWipe);
  line_shown_ = false;
}

}  // namespace eddl
