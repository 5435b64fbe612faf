#include "net/sim/task.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net::sim {
namespace {

// What the seeds are for.
enum Stream : uint64_t { kTeacher, kTrain, kTest, kInitial };

size_t ArgMax(std::span<const double> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

}  // namespace

Task::Task(const TaskSpec& spec, int64_t sample_count, uint64_t seed) : spec_(spec), seed_(seed) {
  EDDL_CHECK(spec.kind != TaskSpec::Kind::kNone && sample_count > 0) << "nothing to learn";
  const int64_t inputs = spec_.input_count, hidden = spec_.hidden_count, classes = spec_.class_count;
  parameter_count_ =
      spec_.kind == TaskSpec::Kind::kMlp ? hidden * (inputs + 1) + classes * (hidden + 1) : classes * (inputs + 1);
  Rng rng(DeriveSeed(seed, kTeacher));
  std::vector<double> teacher(static_cast<size_t>(parameter_count_));
  for (double& weight : teacher) weight = rng.Normal();
  for (int64_t i = 0; i < sample_count; ++i) {
    train_.push_back(Draw(DeriveSeed(seed, kTrain, static_cast<uint64_t>(i)), teacher));
  }
  for (int64_t i = 0; i < spec_.test_count; ++i) {
    test_.push_back(Draw(DeriveSeed(seed, kTest, static_cast<uint64_t>(i)), teacher));
  }
}

Task::Example Task::Draw(uint64_t seed, std::span<const double> teacher) const {
  Rng rng(seed);
  Example example;
  for (uint32_t i = 0; i < spec_.input_count; ++i) {
    if (spec_.kind == TaskSpec::Kind::kSparse) {
      if (rng.Uniform() < spec_.active_fraction) example.active.push_back(i);
    } else {
      example.values.push_back(static_cast<float>(rng.Normal()));
    }
  }
  std::vector<double> hidden, logits;
  Forward(teacher, example, hidden, logits);
  const double norm = std::sqrt(static_cast<double>(spec_.input_count));
  // A drawn label rather than the greatest score: near the border, classes overlap.
  for (double& logit : logits) logit = logit * spec_.separation / norm - std::log(-std::log1p(-rng.Uniform()) + 1e-300);
  example.label = static_cast<uint32_t>(ArgMax(logits));
  if (rng.Uniform() < spec_.label_noise) example.label = static_cast<uint32_t>(rng.Below(spec_.class_count));
  return example;
}

std::vector<double> Task::InitialParameters() const {
  std::vector<double> parameters(static_cast<size_t>(parameter_count_));
  if (spec_.kind != TaskSpec::Kind::kMlp) return parameters;  // convex: any start will do
  Rng rng(DeriveSeed(seed_, kInitial));
  const size_t first = spec_.hidden_count * (spec_.input_count + size_t{1});
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double fan_in = i < first ? spec_.input_count : spec_.hidden_count;
    parameters[i] = rng.Normal() / std::sqrt(fan_in);
  }
  return parameters;
}

void Task::Linear(std::span<const double> weights, const Example& example, std::vector<double>& output) const {
  const size_t stride = spec_.input_count + size_t{1};
  for (size_t o = 0; o < output.size(); ++o) {
    const double* row = weights.data() + o * stride;
    double sum = row[stride - 1];
    for (size_t i = 0; i < example.values.size(); ++i) sum += row[i] * example.values[i];
    for (const uint32_t i : example.active) sum += row[i];
    output[o] = sum;
  }
}

void Task::AddLinearGradient(std::span<double> weights, const Example& example, std::span<const double> slope) const {
  const size_t stride = spec_.input_count + size_t{1};
  for (size_t o = 0; o < slope.size(); ++o) {
    double* row = weights.data() + o * stride;
    row[stride - 1] += slope[o];
    for (size_t i = 0; i < example.values.size(); ++i) row[i] += slope[o] * example.values[i];
    for (const uint32_t i : example.active) row[i] += slope[o];
  }
}

void Task::Forward(std::span<const double> parameters, const Example& example, std::vector<double>& hidden,
                   std::vector<double>& logits) const {
  logits.assign(spec_.class_count, 0);
  if (spec_.kind != TaskSpec::Kind::kMlp) return Linear(parameters, example, logits);
  hidden.assign(spec_.hidden_count, 0);
  Linear(parameters, example, hidden);
  for (double& unit : hidden) unit = std::max(unit, 0.0);
  const double* second = parameters.data() + spec_.hidden_count * (spec_.input_count + size_t{1});
  for (size_t c = 0; c < logits.size(); ++c) {
    const double* row = second + c * (hidden.size() + 1);
    logits[c] = row[hidden.size()];
    for (size_t h = 0; h < hidden.size(); ++h) logits[c] += row[h] * hidden[h];
  }
}

double Task::SoftmaxLoss(std::vector<double>& logits, uint32_t label) {
  const double greatest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& logit : logits) sum += logit = std::exp(logit - greatest);
  for (double& logit : logits) logit /= sum;
  const double loss = -std::log(std::max(logits[label], 1e-300));
  logits[label] -= 1;
  return loss;
}

Task::Sums Task::AddGradient(std::span<const double> parameters, std::span<const int64_t> samples,
                             std::span<double> gradient) const {
  Sums sums;
  std::vector<double> hidden, slope;
  const size_t first = spec_.hidden_count * (spec_.input_count + size_t{1});
  for (const int64_t sample : samples) {
    const Example& example = train_[static_cast<size_t>(sample)];
    Forward(parameters, example, hidden, slope);
    sums.correct += ArgMax(slope) == example.label ? 1 : 0;
    sums.loss += SoftmaxLoss(slope, example.label);
    if (spec_.kind != TaskSpec::Kind::kMlp) {
      AddLinearGradient(gradient, example, slope);
      continue;
    }
    std::vector<double> back(hidden.size(), 0);
    for (size_t c = 0; c < slope.size(); ++c) {
      const size_t row = first + c * (hidden.size() + 1);
      gradient[row + hidden.size()] += slope[c];
      for (size_t h = 0; h < hidden.size(); ++h) {
        gradient[row + h] += slope[c] * hidden[h];
        back[h] += slope[c] * parameters[row + h];
      }
    }
    for (size_t h = 0; h < hidden.size(); ++h) back[h] = hidden[h] > 0 ? back[h] : 0;
    AddLinearGradient(gradient.first(first), example, back);
  }
  return sums;
}

Task::Sums Task::Evaluate(std::span<const double> parameters, std::span<const int64_t> samples) const {
  Sums sums;
  std::vector<double> hidden, logits;
  for (const int64_t sample : samples) {
    const Example& example = test_[static_cast<size_t>(sample)];
    Forward(parameters, example, hidden, logits);
    sums.correct += ArgMax(logits) == example.label ? 1 : 0;
    sums.loss += SoftmaxLoss(logits, example.label);
  }
  return sums;
}

Task::Score Task::Test(std::span<const double> parameters) const {
  Score score;
  std::vector<double> hidden, logits;
  for (const Example& example : test_) {
    Forward(parameters, example, hidden, logits);
    score.accuracy += ArgMax(logits) == example.label ? 1 : 0;
    score.loss += SoftmaxLoss(logits, example.label);
  }
  score.loss /= static_cast<double>(test_.size());
  score.accuracy /= static_cast<double>(test_.size());
  return score;
}

}  // namespace eddl::net::sim
