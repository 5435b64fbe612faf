#include "runtime/data/generator.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/base/time.h"

namespace eddl {
namespace {

constexpr double kTypicalStrength = 0.75;
constexpr uint64_t kTeacherStream = 0x7465616368;
constexpr uint64_t kSampleStream = 0x73616d706c;

// A probability as a threshold for 32 random bits.
uint32_t Threshold(double probability) { return static_cast<uint32_t>(std::min(probability * 0x1p32, 0x1p32 - 1.0)); }

// The classes' typical features, and the score of a class given the ones of a sample.
class Teacher {
 public:
  explicit Teacher(const GeneratorOptions& options)
      : typical_(static_cast<size_t>(options.classes)), classes_of_(static_cast<size_t>(options.features)) {
    const double d = options.density;
    const double likely = d + kTypicalStrength * (1.0 - d);
    const double unlikely = d * (1.0 - kTypicalStrength);
    likely_ = Threshold(likely);
    unlikely_ = Threshold(unlikely);
    one_ = static_cast<float>(std::log(likely * (1.0 - unlikely) / (unlikely * (1.0 - likely))));
    const double absence = std::log((1.0 - likely) / (1.0 - unlikely));
    Rng rng(DeriveSeed(options.seed, kTeacherStream));
    for (size_t k = 0; k < typical_.size(); ++k) {
      typical_[k].resize(classes_of_.size());
      double count = 0.0;
      for (size_t f = 0; f < classes_of_.size(); ++f) {
        if (rng.Uniform() >= d) continue;
        typical_[k][f] = true;
        classes_of_[f].push_back(static_cast<int32_t>(k));
        count += 1.0;
      }
      bias_.push_back(static_cast<float>(count * absence));
    }
  }

  // Draws a sample of class `k` into `row`, and returns the likeliest class of what came out.
  int32_t Draw(size_t k, Rng& rng, std::span<float> row, std::vector<float>& scores) const {
    scores = bias_;
    uint64_t bits = 0;
    for (size_t f = 0; f < row.size(); ++f) {
      bits = f % 2 == 0 ? rng.Next() : bits >> 32;
      const bool one = static_cast<uint32_t>(bits) < (typical_[k][f] ? likely_ : unlikely_);
      row[f] = one ? 1.0f : 0.0f;
      if (!one) continue;
      for (int32_t c : classes_of_[f]) scores[static_cast<size_t>(c)] += one_;
    }
    return static_cast<int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }

 private:
  std::vector<std::vector<bool>> typical_;        // [class][feature]
  std::vector<std::vector<int32_t>> classes_of_;  // of each feature
  std::vector<float> bias_;
  float one_ = 0.0f;  // what a typical feature adds to a class's score
  uint32_t likely_ = 0;
  uint32_t unlikely_ = 0;
};

absl::Status Check(const GeneratorOptions& o) {
  const auto positive = [](const char* name, int64_t value, int64_t max) {
    if (value >= 1 && value <= max) return absl::OkStatus();
    return InvalidArgument(std::string("data.generate.") + name + " = " + std::to_string(value) +
                           " is out of range; it goes from 1 to " + std::to_string(max));
  };
  EDDL_RETURN_IF_ERROR(positive("samples", o.samples, int64_t{1} << 32));
  EDDL_RETURN_IF_ERROR(positive("features", o.features, int64_t{1} << 20));
  EDDL_RETURN_IF_ERROR(positive("classes", o.classes, int64_t{1} << 12));
  if (!(o.density > 0.0 && o.density < 1.0)) {
    return InvalidArgument("data.generate.density = " + std::to_string(o.density) + " is not between 0 and 1");
  }
  if (!(o.noise >= 0.0 && o.noise < 1.0)) {
    return InvalidArgument("data.generate.noise = " + std::to_string(o.noise) + " is not in [0, 1)");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ReadResult> Generate(const GeneratorOptions& options) {
  EDDL_RETURN_IF_ERROR(Check(options));
  const Instant start = Now();
  ReadResult result;
  result.info = {.name = "generated", .sample_shape = {options.features}, .class_count = options.classes};
  EDDL_RETURN_IF_ERROR(SampleBytes("generated", options.samples, result.info.sample_shape, DType::kF32).status());
  EDDL_ASSIGN_OR_RETURN(result.rows, RowStore::Allocate(options.samples, options.features * int64_t{sizeof(float)}));
  auto* values = reinterpret_cast<float*>(result.rows->writable().data());
  const auto features = static_cast<size_t>(options.features);
  const auto classes = static_cast<uint64_t>(options.classes);
  const Teacher teacher(options);
  std::vector<float> scores;
  for (int64_t i = 0; i < options.samples; ++i) {
    Rng rng(DeriveSeed(options.seed, kSampleStream, static_cast<uint64_t>(i)));
    const size_t drawn = rng.Below(classes);
    uint64_t label = static_cast<uint64_t>(teacher.Draw(drawn, rng, {values + i * options.features, features}, scores));
    if (classes > 1 && rng.Uniform() < options.noise) label = (label + 1 + rng.Below(classes - 1)) % classes;
    result.labels.push_back(static_cast<int32_t>(label));
  }
  result.rows->Publish(options.samples, (Now() - start).seconds());
  return result;
}

}  // namespace eddl
