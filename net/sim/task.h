// Task: something small that really learns, so that staleness, weighting and lost samples show in a loss.
//
// A generated classification problem with one of three models; parameters are one flat vector. In double, with plain
// loops: equal arguments give equal bits on one machine. Not fast, and not a neural network library. Immutable.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "net/sim/scenario.h"

namespace eddl::net::sim {

class Task {
 public:
  // Inputs, a teacher and its labels, from the seed. REQUIRES: spec.kind is not kNone, sample_count > 0.
  Task(const TaskSpec& spec, int64_t sample_count, uint64_t seed);

  int64_t parameter_count() const { return parameter_count_; }
  // Small random weights from the seed, in layer order.
  std::vector<double> InitialParameters() const;

  struct Sums {
    double loss = 0;
    int64_t correct = 0;
  };
  // gradient += the gradients of the cross entropy of these training samples. Returns sums over them.
  // REQUIRES: parameters and gradient have parameter_count elements.
  Sums AddGradient(std::span<const double> parameters, std::span<const int64_t> samples,
                   std::span<double> gradient) const;
  // Sums over these test samples.
  Sums Evaluate(std::span<const double> parameters, std::span<const int64_t> samples) const;
  // Means over the test samples.
  struct Score {
    double loss = 0;
    double accuracy = 0;
  };
  Score Test(std::span<const double> parameters) const;

 private:
  // One input: dense values, or for kSparse the numbers of those that are 1.
  struct Example {
    std::vector<float> values;
    std::vector<uint32_t> active;
    uint32_t label = 0;
  };

  Example Draw(uint64_t seed, std::span<const double> teacher) const;
  // Scores of the classes into `logits`; what the hidden layer gave into `hidden`.
  void Forward(std::span<const double> parameters, const Example& example, std::vector<double>& hidden,
               std::vector<double>& logits) const;
  // Turns logits into d loss / d logits; returns the loss.
  static double SoftmaxLoss(std::vector<double>& logits, uint32_t label);
  // output += weights [outputs, inputs + 1] · (input, 1).
  void Linear(std::span<const double> weights, const Example& example, std::vector<double>& output) const;
  void AddLinearGradient(std::span<double> weights, const Example& example, std::span<const double> slope) const;

  TaskSpec spec_;
  int64_t parameter_count_ = 0;
  uint64_t seed_ = 0;
  std::vector<Example> train_;
  std::vector<Example> test_;
};

}  // namespace eddl::net::sim
