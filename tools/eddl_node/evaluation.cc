#include "tools/eddl_node/evaluation.h"

#include <algorithm>
#include <cstdio>
#include <tuple>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "runtime/data/batcher.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

constexpr char kEvalSchema[] = "eddl.eval.v1";
constexpr size_t kConfusionsShown = 5;
// Tables of more classes than this say less than their worst lines.
constexpr int64_t kClassesShown = 100;

double Fraction(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

std::string Line(const std::string& name, int64_t samples, double accuracy, size_t width) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%10s  %10s\n", Grouped(samples).c_str(), PercentText(accuracy).c_str());
  return name + std::string(name.size() < width ? width - name.size() : 0, ' ') + buffer;
}

// (label, answer, count), most frequent first.
std::vector<std::tuple<int64_t, int64_t, int64_t>> Confusions(const Evaluation& evaluation) {
  std::vector<std::tuple<int64_t, int64_t, int64_t>> all;
  for (int64_t label = 0; label < evaluation.class_count; ++label) {
    for (int64_t answer = 0; answer < evaluation.class_count; ++answer) {
      const int64_t count = evaluation.confused(label, answer);
      if (label != answer && count > 0) all.emplace_back(label, answer, count);
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return std::get<2>(a) > std::get<2>(b); });
  return all;
}

}  // namespace

int64_t Evaluation::support(int64_t label) const {
  int64_t count = 0;
  for (int64_t answer = 0; answer < class_count; ++answer) count += confused(label, answer);
  return count;
}

absl::StatusOr<Evaluation> Evaluate(TrainedModel& trained, const LabelledData& data, int64_t batch_size) {
  const int64_t classes = trained.class_count();
  Evaluation evaluation = {.class_count = classes,
                           .confusion = std::vector<int64_t>(static_cast<size_t>(classes * classes))};
  EDDL_ASSIGN_OR_RETURN(batch_size, trained.BatchThatFits(std::min(batch_size, data.rows.size())));
  auto batcher = Batcher::Create(data.rows, {.batch_size = batch_size, .buffer_count = 1});
  if (!batcher.ok()) return WithExitCode(ExitCode::kData, batcher.status());
  batcher->StartInOrder(0, data.rows.size());
  std::vector<float> probability(static_cast<size_t>(batch_size * classes));
  const Instant begin = Now();
  for (;;) {
    const auto batch = batcher->Next();
    if (!batch.ok()) return WithExitCode(ExitCode::kData, batch.status());
    if (batch->size() == 0) break;
    const auto labels = std::span(data.labels).subspan(static_cast<size_t>(evaluation.samples), batch->labels.size());
    const BatchView view = {.count = batch->size(), .x = batch->rows, .labels = labels, .samples = batch->samples};
    const auto sums = trained.replica().Evaluate(view);
    if (!sums.ok()) return WithExitCode(ExitCode::kDevice, sums.status());
    evaluation.loss += sums->loss;
    const auto answers = std::span(probability).first(static_cast<size_t>(batch->size() * classes));
    if (const absl::Status status = trained.replica().Predict(view, answers); !status.ok()) {
      return WithExitCode(ExitCode::kDevice, status);
    }
    for (size_t i = 0; i < labels.size(); ++i) {
      const int64_t answer =
          IndexOfLargest(answers.subspan(i * static_cast<size_t>(classes), static_cast<size_t>(classes)));
      evaluation.correct += answer == labels[i] ? 1 : 0;
      ++evaluation.confusion[static_cast<size_t>(labels[i] * classes + answer)];
    }
    evaluation.samples += batch->size();
  }
  evaluation.loss /= static_cast<double>(std::max<int64_t>(1, evaluation.samples));
  evaluation.seconds = (Now() - begin).seconds();
  return evaluation;
}

nlohmann::ordered_json EvaluationJson(const TrainedModel& trained, const LabelledData& data,
                                      const Evaluation& evaluation) {
  nlohmann::ordered_json json = {{"schema", kEvalSchema},
                                 {"status", "ok"},
                                 {"model_path", trained.path()},
                                 {"model", trained.model().spec().name},
                                 {"data", data.rows.info().name},
                                 {"device", trained.device().info().Id()},
                                 {"samples", evaluation.samples},
                                 {"correct", evaluation.correct},
                                 {"accuracy", evaluation.accuracy()},
                                 {"loss", evaluation.loss},
                                 {"seconds", evaluation.seconds}};
  for (int64_t label = 0; label < evaluation.class_count; ++label) {
    const int64_t samples = evaluation.support(label);
    nlohmann::ordered_json one = {{"name", trained.ClassName(label)}, {"samples", samples}};
    // A class without samples has no accuracy.
    one["accuracy"] = samples > 0 ? nlohmann::ordered_json(Fraction(evaluation.confused(label, label), samples))
                                  : nlohmann::ordered_json();
    json["classes"].push_back(std::move(one));
    nlohmann::ordered_json row = nlohmann::ordered_json::array();
    for (int64_t answer = 0; answer < evaluation.class_count; ++answer)
      row.push_back(evaluation.confused(label, answer));
    json["confusion"].push_back(std::move(row));
  }
  return json;
}

std::string EvaluationText(const TrainedModel& trained, const LabelledData& data, const Evaluation& evaluation) {
  std::string text = "model  " + trained.path() + " (" + trained.model().spec().name + ")\ndata   " +
                     data.rows.info().name + ": " + Grouped(evaluation.samples) + " samples\n\n";
  size_t width = 5;
  for (int64_t label = 0; label < evaluation.class_count; ++label)
    width = std::max(width, trained.ClassName(label).size());
  if (evaluation.class_count <= kClassesShown) {
    text += "class" + std::string(width - 5, ' ') + "   samples    accuracy\n";
    for (int64_t label = 0; label < evaluation.class_count; ++label) {
      const int64_t samples = evaluation.support(label);
      text += Line(trained.ClassName(label), samples, Fraction(evaluation.confused(label, label), samples), width);
    }
    text += "\n";
  }
  const auto confusions = Confusions(evaluation);
  for (size_t i = 0; i < std::min(confusions.size(), kConfusionsShown); ++i) {
    const auto& [label, answer, count] = confusions[i];
    text += Grouped(count) + " of " + trained.ClassName(label) + " taken for " + trained.ClassName(answer) + "\n";
  }
  return text + "accuracy " + PercentText(evaluation.accuracy()) + "  loss " + LossText(evaluation.loss) + "\n";
}

}  // namespace eddl
