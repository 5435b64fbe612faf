#include "runtime/train/checkpoint_json.h"

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

// No member has its default value.
ModelSpec Spec() {
  return {.name = "lenet5", .widths = {3, 1}, .dropout = 0.1, .sparse_input = true, .frozen = {"conv1", "fc\"2"}};
}
ModelInput Input() {
  return {
      .sample_shape = {28, 27, 1}, .dtype = DType::kU8, .class_count = 7, .scale = {1.0f / 255.0f}, .shift = {-0.1f}};
}
TrainState State() {
  return {.epoch = 3,
          .position = 1280,
          .step = 1406,
          .samples = (int64_t{1} << 60) + 1,
          .epoch_loss = 0.1 + 0.2,
          .epoch_correct = 77,
          .seconds = 12.5};
}
TrainOptions Options() {
  return {.seed = std::numeric_limits<uint64_t>::max(),
          .epochs = 11,
          .batch = 96,
          .micro_batch = 32,
          .optimizer = {.kind = OptimizerKind::kAdamW,
                        .momentum = 0.8,
                        .nesterov = true,
                        .weight_decay = 1e-4,
                        .beta1 = 0.85,
                        .beta2 = 0.995,
                        .epsilon = 1e-7,
                        .statistics_keep = 0.99},
          .schedule = {.kind = ScheduleKind::kCosine,
                       .learning_rate = 1.0 / 3.0,
                       .warmup_samples = 1000,
                       .total_samples = 600'000,
                       .step_samples = 5,
                       .step_factor = 0.3,
                       .final_fraction = 0.01},
          .clip_norm = 1.5,
          .evaluate_batch = 64,
          .checkpoint_steps = 50,
          .order = {.first_epoch_windows = 7}};
}

// Through text, as in a file.
Json Reread(const Json& json) { return Json::parse(json.dump()); }

TEST(CheckpointJsonTest, EveryMemberSurvives) {
  EXPECT_EQ(ModelSpecFromJson(Reread(ToJson(Spec()))).value(), Spec());
  EXPECT_EQ(ModelInputFromJson(Reread(ToJson(Input()))).value(), Input());
  EXPECT_EQ(TrainStateFromJson(Reread(ToJson(State()))).value(), State());
  EXPECT_EQ(TrainOptionsFromJson(Reread(ToJson(Options()))).value(), Options());
}

TEST(CheckpointJsonTest, DefaultsSurvive) {
  EXPECT_EQ(ModelSpecFromJson(Reread(ToJson(ModelSpec()))).value(), ModelSpec());
  EXPECT_EQ(TrainStateFromJson(Reread(ToJson(TrainState()))).value(), TrainState());
  EXPECT_EQ(TrainOptionsFromJson(Reread(ToJson(TrainOptions()))).value(), TrainOptions());
}

uint64_t LossBitsAfterReading(double loss) {
  const auto state = TrainStateFromJson(Reread(ToJson(TrainState{.epoch_loss = loss})));
  EXPECT_TRUE(state.ok()) << state.status();
  return std::bit_cast<uint64_t>(state->epoch_loss);
}

TEST(CheckpointJsonTest, EveryDoubleSurvivesToTheLastBit) {
  for (const double value : {0.0, -0.0, 0.1, 1e300, 5e-324, -2.2250738585072014e-308, HUGE_VAL, -HUGE_VAL}) {
    EXPECT_EQ(LossBitsAfterReading(value), std::bit_cast<uint64_t>(value)) << value;
  }
  EXPECT_TRUE(std::isnan(std::bit_cast<double>(LossBitsAfterReading(std::nan("")))));
  Rng rng(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<double>(rng.Next());
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(LossBitsAfterReading(value), std::bit_cast<uint64_t>(value)) << value;
  }
}

TEST(CheckpointJsonTest, EveryFloatOfTheScaleSurvivesToTheLastBit) {
  Rng rng(8);
  ModelInput input = Input();
  input.scale.clear();
  while (input.scale.size() < 5'000) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(rng.Next()));
    if (std::isfinite(value)) input.scale.push_back(value);
  }
  EXPECT_EQ(ModelInputFromJson(Reread(ToJson(input))).value().scale, input.scale);
}

// One kind of description: its JSON, and the status of reading it.
struct Description {
  Json json;
  std::function<absl::Status(const Json&)> read;
};

std::vector<Description> Descriptions() {
  return {{ToJson(Spec()), [](const Json& json) { return ModelSpecFromJson(json).status(); }},
          {ToJson(Input()), [](const Json& json) { return ModelInputFromJson(json).status(); }},
          {ToJson(State()), [](const Json& json) { return TrainStateFromJson(json).status(); }},
          {ToJson(Options()), [](const Json& json) { return TrainOptionsFromJson(json).status(); }}};
}

// Where all the numbers, texts, lists and flags of a description are, objects inside included.
std::vector<Json::json_pointer> MembersOf(const Json& json, const Json::json_pointer& at = Json::json_pointer()) {
  std::vector<Json::json_pointer> members;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_object()) {
      members.push_back(at / name);
      continue;
    }
    const std::vector<Json::json_pointer> inner = MembersOf(value, at / name);
    members.insert(members.end(), inner.begin(), inner.end());
  }
  return members;
}

TEST(CheckpointJsonTest, AMissingMemberIsNamed) {
  for (const Description& description : Descriptions()) {
    for (const Json::json_pointer& member : MembersOf(description.json)) {
      Json json = description.json;
      json.at(member.parent_pointer()).erase(member.back());
      const absl::Status status = description.read(json);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << member;
      EXPECT_THAT(MessageOf(status), HasSubstr("\"" + member.back() + "\" is missing"));
    }
  }
}

TEST(CheckpointJsonTest, AMemberOfAnotherTypeIsNamed) {
  for (const Description& description : Descriptions()) {
    for (const Json::json_pointer& member : MembersOf(description.json)) {
      Json json = description.json;
      json[member] = Json::object();
      const absl::Status status = description.read(json);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << member;
      EXPECT_THAT(MessageOf(status), HasSubstr("\"" + member.back() + "\" is of the wrong kind"));
    }
  }
}

TEST(CheckpointJsonTest, SomethingElseThanAnObjectIsRefused) {
  for (const Description& description : Descriptions()) {
    for (const Json& json : {Json(), Json(3), Json::array(), Json("text")}) {
      EXPECT_THAT(MessageOf(description.read(json)), HasSubstr("not a JSON object")) << json;
    }
  }
}

TEST(CheckpointJsonTest, MembersThatItDoesNotKnowAreIgnored) {
  for (const Description& description : Descriptions()) {
    Json json = description.json;
    json["made"] = "tomorrow";
    EXPECT_TRUE(description.read(json).ok());
  }
}

TEST(CheckpointJsonTest, ValuesThatNoRunCanHaveAreRefused) {
  const auto error = [](size_t description, const char* member, const Json& value) {
    Json json = Descriptions()[description].json;
    json[Json::json_pointer(member)] = value;
    return MessageOf(Descriptions()[description].read(json));
  };
  constexpr size_t kInput = 1, kState = 2, kOptions = 3;
  EXPECT_THAT(error(kInput, "/sample_shape", {28, 0, 1}), HasSubstr("\"sample_shape\" is"));
  EXPECT_THAT(error(kInput, "/sample_shape", {1, 1, 1, 1, 1, 1, 1}), HasSubstr("\"sample_shape\" is"));
  EXPECT_THAT(error(kInput, "/sample_shape", {int64_t{1} << 31, int64_t{1} << 31}), HasSubstr("\"sample_shape\" is"));
  EXPECT_THAT(error(kInput, "/class_count", 65'537), HasSubstr("\"class_count\" is"));
  EXPECT_THAT(error(kInput, "/dtype", "i64"), HasSubstr("\"dtype\" is"));
  EXPECT_THAT(error(kState, "/epoch", -1), HasSubstr("\"epoch\" is"));
  EXPECT_THAT(error(kState, "/samples", uint64_t{1} << 63), HasSubstr("\"samples\" is"));
  EXPECT_THAT(error(kState, "/step", 1.5), HasSubstr("\"step\" is"));
  EXPECT_THAT(error(kOptions, "/seed", -1), HasSubstr("\"seed\" is"));
  EXPECT_THAT(error(kOptions, "/order/first_epoch_windows", 0), HasSubstr("\"first_epoch_windows\" is"));
  EXPECT_THAT(error(kOptions, "/optimizer/kind", "rmsprop"), HasSubstr("\"kind\" is"));
  EXPECT_THAT(error(kOptions, "/schedule/kind", "linear"), HasSubstr("\"kind\" is"));
}

}  // namespace
}  // namespace eddl
