#include "runtime/train/checkpoint.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/train/safetensors.h"

namespace eddl {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// 13 features, hidden layers of 20 and 7, 3 classes; the first weight lies transposed.
const ModelSpec kSparseMlp = {.name = "mlp", .widths = {20, 7}, .sparse_input = true};
const ModelInput kFeatures = {.sample_shape = {13}, .class_count = 3};
const ModelInput kImages = {
    .sample_shape = {8, 8, 3}, .dtype = DType::kU8, .class_count = 5, .scale = {0.1f}, .shift = {-0.5f}};

ParamLayout LayoutOf(const ModelSpec& spec, const ModelInput& input) { return Model::Create(spec, input)->layout(); }

// Values for every slice that `covers` it, zeros elsewhere.
std::vector<float> RandomVector(const ParamLayout& layout, int64_t size, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(static_cast<size_t>(size), 0.0f);
  for (const ParamSlice& slice : layout.slices()) {
    for (int64_t i = slice.begin; i < slice.end && i < size; ++i) {
      values[static_cast<size_t>(i)] = static_cast<float>(rng.Normal());
    }
  }
  return values;
}

// A run in the middle of its third epoch.
Checkpoint MakeCheckpoint(const ModelSpec& spec, const ModelInput& input) {
  const ParamLayout layout = LayoutOf(spec, input);
  Checkpoint checkpoint = {.model = spec, .input = input};
  checkpoint.data = {.name = "data.csv",
                     .sample_shape = input.sample_shape,
                     .dtype = input.dtype,
                     .class_count = input.class_count,
                     .scale = input.scale,
                     .shift = input.shift};
  checkpoint.parameters = RandomVector(layout, layout.total(), 1);
  checkpoint.optimizer = {{.name = "m", .values = RandomVector(layout, layout.trainable_end(), 2)},
                          {.name = "v", .values = RandomVector(layout, layout.trainable_end(), 3)}};
  checkpoint.state = TrainState{.epoch = 2, .position = 640, .step = 105, .samples = 2640, .epoch_loss = 0.1 + 0.2};
  checkpoint.options = {.seed = 0xfedcba9876543210u, .optimizer = {.kind = OptimizerKind::kAdam}};
  return checkpoint;
}

void ExpectEqual(const Checkpoint& actual, const Checkpoint& expected) {
  EXPECT_EQ(actual.model, expected.model);
  EXPECT_EQ(actual.input, expected.input);
  EXPECT_EQ(actual.data, expected.data);
  EXPECT_EQ(actual.parameters, expected.parameters);
  EXPECT_EQ(actual.optimizer, expected.optimizer);
  EXPECT_EQ(actual.state, expected.state);
  EXPECT_EQ(actual.options, expected.options);
}

// All that a file holds, to be changed and written again.
struct File {
  SafetensorsMetadata metadata;
  std::vector<SafetensorsTensor> tensors;
  std::vector<std::vector<std::byte>> bytes;
};

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "eddl_checkpoint_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = (folder_ / "last.safetensors").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void Save(const Checkpoint& checkpoint) {
    const absl::Status status = SaveCheckpoint(path_, checkpoint);
    ASSERT_TRUE(status.ok()) << status;
  }
  Checkpoint Load() {
    auto checkpoint = LoadCheckpoint(path_);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return checkpoint.ok() ? std::move(*checkpoint) : Checkpoint();
  }
  // The message of a load that must fail, its path cut off.
  std::string LoadError(absl::StatusCode code = absl::StatusCode::kDataLoss) {
    const absl::Status status = LoadCheckpoint(path_).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(MessageOf(status), StartsWith(path_ + ": "));
    return MessageOf(status).substr(path_.size() + 2);
  }

  File ReadFile() {
    auto reader = SafetensorsReader::Open(path_);
    EXPECT_TRUE(reader.ok()) << reader.status();
    File file = {.metadata = reader->header().metadata, .tensors = reader->header().tensors};
    for (const SafetensorsTensor& tensor : file.tensors) {
      file.bytes.emplace_back(static_cast<size_t>(tensor.desc.bytes()));
      EXPECT_TRUE(reader->Read(tensor, file.bytes.back()).ok());
    }
    return file;
  }
  // Saves a sound checkpoint, and changes what is in the file.
  void SaveChanged(const std::function<void(File&)>& change) {
    Save(MakeCheckpoint(kSparseMlp, kFeatures));
    File file = ReadFile();
    change(file);
    auto writer = SafetensorsWriter::Create(path_, file.metadata, file.tensors);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (const auto& bytes : file.bytes) ASSERT_TRUE(writer->Append(bytes).ok());
    ASSERT_TRUE(writer->Commit().ok());
  }

  fs::path folder_;
  std::string path_;
};

// ---- Round trips. ----

TEST_F(CheckpointTest, EveryModelOfTheZooIsReadBackBitForBit) {
  for (const std::string& name : ModelNames()) {
    const Checkpoint saved = MakeCheckpoint({.name = name}, kImages);
    Save(saved);
    SCOPED_TRACE(name);
    ExpectEqual(Load(), saved);
  }
}

TEST_F(CheckpointTest, TransposedFrozenAndPaddedParametersAreReadBackBitForBit) {
  ModelSpec spec = kSparseMlp;
  spec.frozen = {"fc2"};
  const Checkpoint saved = MakeCheckpoint(spec, kFeatures);
  Save(saved);
  ExpectEqual(Load(), saved);
}

TEST_F(CheckpointTest, AModelSavedForUseHasNoRun) {
  Checkpoint saved = MakeCheckpoint(kSparseMlp, kFeatures);
  saved.optimizer.clear();
  saved.state.reset();
  Save(saved);
  ExpectEqual(Load(), saved);
}

TEST_F(CheckpointTest, ARunWithoutOptimizerStateKeepsItsPosition) {
  Checkpoint saved = MakeCheckpoint(kSparseMlp, kFeatures);
  saved.optimizer.clear();
  Save(saved);
  ExpectEqual(Load(), saved);
}

TEST_F(CheckpointTest, FilesKeepATransposedWeightAsOutIn) {
  const Checkpoint saved = MakeCheckpoint(kSparseMlp, kFeatures);
  Save(saved);
  auto reader = SafetensorsReader::Open(path_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  const ParamLayout layout = LayoutOf(kSparseMlp, kFeatures);
  const auto check = [&](const std::string& tensor_name, const std::vector<float>& flat) {
    const SafetensorsTensor* tensor = reader->header().Find(tensor_name);
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->desc.shape, Shape({20, 13}));
    std::vector<float> values(20 * 13);
    ASSERT_TRUE(reader->Read(*tensor, std::as_writable_bytes(std::span(values))).ok());
    const auto begin = static_cast<size_t>(layout.Find("fc1.weight")->begin);
    for (size_t out = 0; out < 20; ++out) {
      for (size_t in = 0; in < 13; ++in) ASSERT_EQ(values[out * 13 + in], flat[begin + in * 20 + out]);
    }
  };
  check("fc1.weight", saved.parameters);
  check("optimizer.v.fc1.weight", saved.optimizer[1].values);
}

TEST_F(CheckpointTest, PaddingIsNotSavedAndLoadsAsZero) {
  Checkpoint saved = MakeCheckpoint(kSparseMlp, kFeatures);
  const std::vector<float> clean = saved.parameters;
  const ParamLayout layout = LayoutOf(kSparseMlp, kFeatures);
  const auto gap = static_cast<size_t>(layout.Find("fc1.bias")->end);
  saved.parameters[gap] = 5.0f;
  Save(saved);
  EXPECT_EQ(Load().parameters, clean);
}

TEST_F(CheckpointTest, NamesThatAreNotUtf8DoNotPreventSaving) {
  Checkpoint saved = MakeCheckpoint(kSparseMlp, kFeatures);
  saved.data.class_names = {"caf\xe9", "b", "c"};
  Save(saved);
  EXPECT_THAT(Load().data.class_names, ElementsAre("caf\xef\xbf\xbd", "b", "c"));
}

TEST_F(CheckpointTest, EqualCheckpointsGiveEqualFiles) {
  const auto contents = [&] {
    std::ifstream file(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  };
  Save(MakeCheckpoint(kSparseMlp, kFeatures));
  const std::string first = contents();
  Save(MakeCheckpoint(kSparseMlp, kFeatures));
  EXPECT_EQ(contents(), first);
}

// ---- Saving where it can't. ----

TEST_F(CheckpointTest, AHalfWrittenFileBesideItIsIgnored) {
  const Checkpoint saved = MakeCheckpoint(kSparseMlp, kFeatures);
  Save(saved);
  std::ofstream(path_ + ".tmp") << "half of a file, left by a killed process";
  ExpectEqual(Load(), saved);
  Save(saved);
  EXPECT_FALSE(fs::exists(path_ + ".tmp"));
}

TEST_F(CheckpointTest, ASaveThatFailsLeavesTheLastGoodOne) {
  const Checkpoint saved = MakeCheckpoint(kSparseMlp, kFeatures);
  Save(saved);
  rlimit old_limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit = {.rlim_cur = 4096, .rlim_max = old_limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const absl::Status status = SaveCheckpoint(path_, MakeCheckpoint({.name = "lenet5"}, kImages));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  ExpectEqual(Load(), saved);
  EXPECT_FALSE(fs::exists(path_ + ".tmp"));
}

TEST_F(CheckpointTest, AMissingFolderIsNamed) {
  path_ = (folder_ / "none" / "last.safetensors").string();
  const absl::Status status = SaveCheckpoint(path_, MakeCheckpoint(kSparseMlp, kFeatures));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("create the folder " + (folder_ / "none").string() + " first"));
}

// ---- Loading what is not sound. ----

TEST_F(CheckpointTest, AMissingFileIsNotFound) { EXPECT_EQ(LoadError(absl::StatusCode::kNotFound), "no such file"); }

TEST_F(CheckpointTest, ANewerVersionIsRefused) {
  SaveChanged([](File& file) { file.metadata["eddl.version"] = "2"; });
  EXPECT_EQ(LoadError(absl::StatusCode::kFailedPrecondition),
            "it was saved by a newer program, in format version 2; this one reads up to 1: update it, or train anew");
}

TEST_F(CheckpointTest, AModelThatThisProgramDoesNotKnowIsRefused) {
  SaveChanged([](File& file) {
    nlohmann::json model = nlohmann::json::parse(file.metadata["eddl.model"]);
    model["name"] = "transformer";
    file.metadata["eddl.model"] = model.dump();
  });
  EXPECT_THAT(LoadError(absl::StatusCode::kFailedPrecondition),
              StartsWith("this program can't build its model: no model named 'transformer'"));
}

TEST_F(CheckpointTest, SafetensorsOfAnotherProgramAreNotACheckpoint) {
  SaveChanged([](File& file) { file.metadata = {{"format", "pt"}}; });
  EXPECT_EQ(LoadError(), "not a checkpoint: a safetensors file without 'eddl.version' in its metadata");
}

TEST_F(CheckpointTest, AChangedParameterIsFoundByItsHash) {
  SaveChanged([](File& file) { file.bytes[0][5] ^= std::byte{1}; });
  EXPECT_THAT(LoadError(), HasSubstr("corrupt: the hash of its parameters is"));
}

TEST_F(CheckpointTest, AChangedOptimizerStateIsFoundByItsHash) {
  SaveChanged([](File& file) { file.bytes.back()[5] ^= std::byte{1}; });
  EXPECT_THAT(LoadError(), HasSubstr("corrupt: the hash of its optimizer's 'v' is"));
}

TEST_F(CheckpointTest, ATensorThatTheModelDoesNotHaveIsRefused) {
  SaveChanged([](File& file) {
    file.tensors.push_back({.name = "fc9.bias", .desc = {.shape = {1}, .dtype = DType::kF32}});
    file.bytes.emplace_back(4);
  });
  EXPECT_EQ(LoadError(), "it has 19 tensors, and its model 18");
}

TEST_F(CheckpointTest, AMissingTensorIsNamed) {
  SaveChanged([](File& file) { file.tensors[1].name = "fc1.offset"; });
  EXPECT_EQ(LoadError(), "its model needs a tensor 'fc1.bias', which it lacks");
}

TEST_F(CheckpointTest, ATensorOfAnotherShapeIsNamed) {
  SaveChanged([](File& file) { file.tensors[0].desc.shape = {13, 20}; });
  EXPECT_EQ(LoadError(), "its tensor 'fc1.weight' is f32[13, 20], and its model needs f32[20, 13]");
}

TEST_F(CheckpointTest, EveryMetadataEntryIsNeededAndChecked) {
  for (const std::string key : {"eddl.model", "eddl.input", "eddl.data", "eddl.options", "eddl.optimizer"}) {
    SaveChanged([&](File& file) { file.metadata.erase(key); });
    EXPECT_EQ(LoadError(), "its metadata have no '" + key + "'");
    SaveChanged([&](File& file) { file.metadata[key].pop_back(); });
    EXPECT_EQ(LoadError(), "its metadata '" + key + "' are not JSON");
    SaveChanged([&](File& file) { file.metadata[key] = "7"; });
    EXPECT_THAT(LoadError(), StartsWith("its metadata")) << key;
  }
  SaveChanged([](File& file) { file.metadata.erase("eddl.parameters_hash"); });
  EXPECT_THAT(LoadError(), HasSubstr("was not given when it was saved"));
  for (const std::string version : {"0", "-1", "\"1\"", "1.5"}) {
    SaveChanged([&](File& file) { file.metadata["eddl.version"] = version; });
    EXPECT_EQ(LoadError(), "its format version is '" + version + "'");
  }
}

TEST_F(CheckpointTest, ATruncatedFileIsRefused) {
  Save(MakeCheckpoint(kSparseMlp, kFeatures));
  for (uintmax_t size = fs::file_size(path_) - 1; size > 0; size -= std::min<uintmax_t>(size, 97)) {
    fs::resize_file(path_, size);
    LoadError();
  }
}

// Random bytes changed anywhere: an error, or (where a number of the metadata changed into another) a checkpoint whose
// values are still those that were saved. Never a crash.
TEST_F(CheckpointTest, MutatedFilesAreRefusedOrKeepTheirValues) {
  constexpr int kRounds = 3'000;
  const Checkpoint saved = MakeCheckpoint({.name = "mlp", .widths = {4}}, {.sample_shape = {3}, .class_count = 2});
  Save(saved);
  std::ifstream file(path_, std::ios::binary);
  const std::string sound((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Rng rng(20261124);
  int accepted = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string bytes = sound;
    for (uint64_t edits = 1 + rng.Below(3); edits > 0; --edits) {
      char& byte = bytes[rng.Below(bytes.size())];
      byte = rng.Below(2) == 0 ? static_cast<char>('0' + rng.Below(10)) : static_cast<char>(rng.Below(256));
    }
    fs::remove(path_);  // some file systems flush a file that is truncated and written again
    std::ofstream(path_, std::ios::binary) << bytes;
    const auto loaded = LoadCheckpoint(path_);
    if (!loaded.ok()) {
      const absl::StatusCode code = loaded.status().code();
      ASSERT_TRUE(code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kFailedPrecondition)
          << loaded.status();
      continue;
    }
    ++accepted;
    ASSERT_EQ(loaded->parameters, saved.parameters);
    ASSERT_EQ(loaded->optimizer.size(), saved.optimizer.size());
  }
  EXPECT_GT(accepted, 0) << "digits of the metadata are among the bytes";
  EXPECT_LT(accepted, kRounds / 2);
}

// ---- Transfer. ----

struct Transferred {
  absl::Status status;
  std::vector<float> parameters;
  std::vector<std::string> notes;
};

Transferred Transfer(const Checkpoint& from, const ModelSpec& spec, const ModelInput& input) {
  const auto model = Model::Create(spec, input);
  EXPECT_TRUE(model.ok()) << model.status();
  Transferred result;
  auto parameters = TransferParameters(from, *model, model->InitialParameters(9), result.notes);
  result.status = parameters.status();
  if (parameters.ok()) result.parameters = std::move(*parameters);
  return result;
}

std::vector<float> Slice(const std::vector<float>& flat, const ParamLayout& layout, const std::string& name) {
  const ParamSlice* slice = layout.Find(name);
  return {flat.begin() + slice->begin, flat.begin() + slice->end};
}

TEST_F(CheckpointTest, TransferToTheSameModelTakesEverythingButConstants) {
  const Checkpoint from = MakeCheckpoint({.name = "resnet20"}, kImages);
  const Transferred to = Transfer(from, {.name = "resnet20"}, kImages);
  ASSERT_TRUE(to.status.ok()) << to.status;
  EXPECT_THAT(to.notes, IsEmpty());
  const ParamLayout layout = LayoutOf({.name = "resnet20"}, kImages);
  for (const ParamSlice& slice : layout.slices()) {
    const std::string& name = slice.parameter.name;
    const std::vector<float> expected =
        slice.parameter.role == ParamRole::kConstant ? slice.parameter.values : Slice(from.parameters, layout, name);
    EXPECT_EQ(Slice(to.parameters, layout, name), expected) << name;
  }
}

TEST_F(CheckpointTest, TransferIntoFrozenLayersMovesTheirSection) {
  const Checkpoint from = MakeCheckpoint({.name = "resnet20"}, kImages);
  const ModelSpec frozen = {.name = "resnet20", .frozen = {"conv1", "bn1", "stage1"}};
  const Transferred to = Transfer(from, frozen, kImages);
  ASSERT_TRUE(to.status.ok()) << to.status;
  const ParamLayout here = LayoutOf(frozen, kImages);
  const ParamLayout there = LayoutOf({.name = "resnet20"}, kImages);
  ASSERT_NE(here.Find("bn1.running_mean")->begin, there.Find("bn1.running_mean")->begin);
  for (const char* name : {"conv1.weight", "bn1.running_mean", "stage1.block2.bn1.running_var", "fc.weight"}) {
    EXPECT_EQ(Slice(to.parameters, here, name), Slice(from.parameters, there, name)) << name;
  }
}

TEST_F(CheckpointTest, TransferToOtherClassesStartsTheLastLayerAnew) {
  const Checkpoint from = MakeCheckpoint({.name = "lenet5"}, kImages);
  ModelInput input = kImages;
  input.class_count = 9;
  const Transferred to = Transfer(from, {.name = "lenet5"}, input);
  ASSERT_TRUE(to.status.ok()) << to.status;
  EXPECT_THAT(to.notes, ElementsAre("not taken over: fc3.weight (here [9, 84], there [5, 84])",
                                    "not taken over: fc3.bias (here [9], there [5])"));
  const Model model = *Model::Create({.name = "lenet5"}, input);
  const std::vector<float> initial = model.InitialParameters(9);
  const ParamLayout there = LayoutOf({.name = "lenet5"}, kImages);
  EXPECT_EQ(Slice(to.parameters, model.layout(), "fc3.weight"), Slice(initial, model.layout(), "fc3.weight"));
  EXPECT_EQ(Slice(to.parameters, model.layout(), "fc2.weight"), Slice(from.parameters, there, "fc2.weight"));
}

TEST_F(CheckpointTest, TransferBetweenSparseAndDenseFirstLayersTransposes) {
  const ModelSpec dense = {.name = "mlp", .widths = {20, 7}};
  const Checkpoint from = MakeCheckpoint(kSparseMlp, kFeatures);
  const Transferred there = Transfer(from, dense, kFeatures);
  ASSERT_TRUE(there.status.ok()) << there.status;
  const ParamLayout layout = LayoutOf(dense, kFeatures);
  const auto begin = static_cast<size_t>(layout.Find("fc1.weight")->begin);
  EXPECT_EQ(there.parameters[begin + 13], from.parameters[begin + 1]) << "out 1, in 0";
  Checkpoint between = MakeCheckpoint(dense, kFeatures);
  between.parameters = there.parameters;
  EXPECT_EQ(Transfer(between, kSparseMlp, kFeatures).parameters, from.parameters) << "and back again";
}

TEST_F(CheckpointTest, TransferFromAnotherNetworkListsWhatDiffers) {
  const Transferred to = Transfer(MakeCheckpoint({.name = "mlp", .widths = {20, 8}}, kFeatures),
                                  {.name = "mlp", .widths = {20, 7}}, kFeatures);
  EXPECT_EQ(to.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MessageOf(to.status),
            "model 'mlp' can't start from this 'mlp': only the last dense layer may differ, and these do too: "
            "fc2.weight (here [7, 20], there [8, 20]), fc2.bias (here [7], there [8])");
}

TEST_F(CheckpointTest, TransferFromAShallowerNetworkNamesTheMissingLayers) {
  const Transferred to = Transfer(MakeCheckpoint({.name = "mlp", .widths = {20}}, kFeatures),
                                  {.name = "mlp", .widths = {20, 3, 3}}, kFeatures);
  EXPECT_EQ(to.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(to.status), HasSubstr("fc3.weight (here [3, 3], there none), fc3.bias (here [3], there none)"));
}

TEST_F(CheckpointTest, TransferFromAnotherInputWidthIsRefused) {
  const Transferred to =
      Transfer(MakeCheckpoint(kSparseMlp, {.sample_shape = {12}, .class_count = 3}), kSparseMlp, kFeatures);
  EXPECT_THAT(MessageOf(to.status), HasSubstr("fc1.weight (here [20, 13], there [20, 12])"));
}

}  // namespace
}  // namespace eddl
