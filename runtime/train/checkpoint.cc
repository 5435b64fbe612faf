#include "runtime/train/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "runtime/data/info_json.h"
#include "runtime/train/checkpoint_json.h"
#include "runtime/train/safetensors.h"

namespace eddl {
namespace {

using Json = nlohmann::json;

constexpr char kVersionKey[] = "eddl.version";
constexpr char kModelKey[] = "eddl.model";
constexpr char kInputKey[] = "eddl.input";
constexpr char kDataKey[] = "eddl.data";
constexpr char kOptionsKey[] = "eddl.options";
constexpr char kStateKey[] = "eddl.state";
constexpr char kOptimizerKey[] = "eddl.optimizer";
constexpr char kHashKey[] = "eddl.parameters_hash";

// ---- Parameters in memory and in files. ----

// Files keep [out, in].
Shape FileShape(const Parameter& parameter) {
  return parameter.transposed ? Shape{parameter.shape.dim(1), parameter.shape.dim(0)} : parameter.shape;
}

// target[c][r] = source[r][c]
void Transpose(std::span<const float> source, std::span<float> target, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      target[static_cast<size_t>(c * rows + r)] = source[static_cast<size_t>(r * columns + c)];
    }
  }
}

std::span<const float> Part(std::span<const float> flat, const ParamSlice& slice) {
  return flat.subspan(static_cast<size_t>(slice.begin), static_cast<size_t>(slice.end - slice.begin));
}

std::span<float> Part(std::span<float> flat, const ParamSlice& slice) {
  return flat.subspan(static_cast<size_t>(slice.begin), static_cast<size_t>(slice.end - slice.begin));
}

// The values of one parameter in the order of files; `scratch` holds them if they lie otherwise in memory.
std::span<const float> InFileOrder(const ParamSlice& slice, std::span<const float> flat, std::vector<float>& scratch) {
  const std::span<const float> values = Part(flat, slice);
  if (!slice.parameter.transposed) return values;
  scratch.resize(values.size());
  Transpose(values, scratch, slice.parameter.shape.dim(0), slice.parameter.shape.dim(1));
  return scratch;
}

// The inverse: puts values in the order of files where the parameter lies in memory.
void FromFileOrder(const ParamSlice& slice, std::span<const float> values, std::span<float> flat) {
  const std::span<float> target = Part(flat, slice);
  if (slice.parameter.transposed) {
    Transpose(values, target, slice.parameter.shape.dim(1), slice.parameter.shape.dim(0));
  } else {
    std::copy(values.begin(), values.end(), target.begin());
  }
}

// ---- What a file holds. ----

// Tensors of one vector over the layout: all parameters, or one of the optimizer's vectors.
struct StoredVector {
  std::string prefix;  // of the tensors' names
  std::vector<const ParamSlice*> slices;
};

std::vector<StoredVector> StoredVectors(const ParamLayout& layout, std::span<const std::string> optimizer_names) {
  std::vector<StoredVector> vectors(1);
  for (const ParamSlice& slice : layout.slices()) vectors[0].slices.push_back(&slice);
  for (const std::string& name : optimizer_names) {
    StoredVector vector = {.prefix = "optimizer." + name + "."};
    for (const ParamSlice& slice : layout.slices()) {
      if (slice.parameter.role == ParamRole::kTrainable) vector.slices.push_back(&slice);
    }
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

SafetensorsTensor TensorOf(const StoredVector& vector, const ParamSlice& slice) {
  return {.name = vector.prefix + slice.parameter.name,
          .desc = {.shape = FileShape(slice.parameter), .dtype = DType::kF32}};
}

// Of an optimizer's vector, as if it covered all parameters with zeros behind the trainable ones.
std::string HashOfState(const ParamLayout& layout, std::vector<float> values) {
  values.resize(static_cast<size_t>(layout.total()), 0.0f);
  return layout.Hash(values);
}

std::string Text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

SafetensorsMetadata MetadataOf(const Checkpoint& checkpoint, const ParamLayout& layout) {
  SafetensorsMetadata metadata = {
      {kVersionKey, std::to_string(kCheckpointVersion)}, {kModelKey, Text(ToJson(checkpoint.model))},
      {kInputKey, Text(ToJson(checkpoint.input))},       {kDataKey, Text(ToJson(checkpoint.data))},
      {kOptionsKey, Text(ToJson(checkpoint.options))},   {kHashKey, layout.Hash(checkpoint.parameters)}};
  if (checkpoint.state.has_value()) metadata[kStateKey] = Text(ToJson(*checkpoint.state));
  Json optimizer = Json::array();
  for (const OptimizerState& state : checkpoint.optimizer) {
    optimizer.push_back({{"name", state.name}, {"hash", HashOfState(layout, state.values)}});
  }
  metadata[kOptimizerKey] = Text(optimizer);
  return metadata;
}

// ---- Loading. Messages without the path, which LoadCheckpoint adds. ----

absl::StatusOr<Json> ReadJson(const SafetensorsMetadata& metadata, const char* key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return DataLoss(std::string("its metadata have no '") + key + "'");
  Json json = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return DataLoss(std::string("its metadata '") + key + "' are not JSON");
  return json;
}

// The value, with a wrong member reported as what it is here: a corrupt file.
template <typename T>
absl::StatusOr<T> Sound(absl::StatusOr<T> value) {
  if (value.ok()) return value;
  return DataLoss("its metadata are corrupt: " + MessageOf(value.status()));
}

absl::Status CheckVersion(const SafetensorsMetadata& metadata) {
  if (metadata.count(kVersionKey) == 0) {
    return DataLoss(std::string("not a checkpoint: a safetensors file without '") + kVersionKey + "' in its metadata");
  }
  EDDL_ASSIGN_OR_RETURN(const Json version, ReadJson(metadata, kVersionKey));
  if (!version.is_number_unsigned() || version == 0) {
    return DataLoss("its format version is '" + metadata.at(kVersionKey) + "'");
  }
  if (version > kCheckpointVersion) {
    return FailedPrecondition("it was saved by a newer program, in format version " + Text(version) +
                              "; this one reads up to " + std::to_string(kCheckpointVersion) +
                              ": update it, or train anew");
  }
  return absl::OkStatus();
}

// Everything but the values.
absl::StatusOr<Checkpoint> ReadMetadata(const SafetensorsMetadata& metadata) {
  EDDL_RETURN_IF_ERROR(CheckVersion(metadata));
  Checkpoint checkpoint;
  EDDL_ASSIGN_OR_RETURN(const Json model, ReadJson(metadata, kModelKey));
  EDDL_ASSIGN_OR_RETURN(checkpoint.model, Sound(ModelSpecFromJson(model)));
  EDDL_ASSIGN_OR_RETURN(const Json input, ReadJson(metadata, kInputKey));
  EDDL_ASSIGN_OR_RETURN(checkpoint.input, Sound(ModelInputFromJson(input)));
  EDDL_ASSIGN_OR_RETURN(const Json data, ReadJson(metadata, kDataKey));
  EDDL_ASSIGN_OR_RETURN(checkpoint.data, Sound(DatasetInfoFromJson(data)));
  EDDL_ASSIGN_OR_RETURN(const Json options, ReadJson(metadata, kOptionsKey));
  EDDL_ASSIGN_OR_RETURN(checkpoint.options, Sound(TrainOptionsFromJson(options)));
  if (metadata.count(kStateKey) != 0) {
    EDDL_ASSIGN_OR_RETURN(const Json state, ReadJson(metadata, kStateKey));
    EDDL_ASSIGN_OR_RETURN(checkpoint.state, Sound(TrainStateFromJson(state)));
  }
  return checkpoint;
}

struct NamedHash {
  std::string name, hash;
};

absl::StatusOr<std::vector<NamedHash>> ReadOptimizerNames(const SafetensorsMetadata& metadata) {
  EDDL_ASSIGN_OR_RETURN(const Json json, ReadJson(metadata, kOptimizerKey));
  std::vector<NamedHash> names;
  const auto text = [](const Json& item, const char* key) {
    const bool found = item.is_object() && item.contains(key) && item.at(key).is_string();
    return found ? item.at(key).get<std::string>() : std::string();
  };
  bool sound = json.is_array();
  for (size_t i = 0; sound && i < json.size(); ++i) {
    names.push_back({.name = text(json[i], "name"), .hash = text(json[i], "hash")});
    sound = !names.back().name.empty() && !names.back().hash.empty();
  }
  if (!sound) return DataLoss(std::string("its metadata '") + kOptimizerKey + "' are not a list of names and hashes");
  return names;
}

// Before anything is allocated for the values: the file's tensors are those of the model, no more and no less.
absl::Status CheckTensors(const SafetensorsHeader& header, std::span<const StoredVector> vectors) {
  size_t expected_count = 0;
  for (const StoredVector& vector : vectors) {
    for (const ParamSlice* slice : vector.slices) {
      const SafetensorsTensor expected = TensorOf(vector, *slice);
      const SafetensorsTensor* found = header.Find(expected.name);
      if (found == nullptr) return DataLoss("its model needs a tensor '" + expected.name + "', which it lacks");
      if (found->desc != expected.desc) {
        return DataLoss("its tensor '" + expected.name + "' is " + found->desc.ToString() + ", and its model needs " +
                        expected.desc.ToString());
      }
      ++expected_count;
    }
  }
  if (header.tensors.size() == expected_count) return absl::OkStatus();
  return DataLoss("it has " + std::to_string(header.tensors.size()) + " tensors, and its model " +
                  std::to_string(expected_count));
}

// flat: at least as long as the slices reach; gaps become zero.
absl::Status ReadVector(SafetensorsReader& reader, const StoredVector& vector, std::vector<float>& flat) {
  std::vector<float> scratch;
  for (const ParamSlice* slice : vector.slices) {
    const SafetensorsTensor& tensor = *reader.header().Find(TensorOf(vector, *slice).name);
    if (!slice->parameter.transposed) {
      EDDL_RETURN_IF_ERROR(reader.Read(tensor, std::as_writable_bytes(Part(std::span(flat), *slice))));
      continue;
    }
    scratch.resize(static_cast<size_t>(slice->end - slice->begin));
    EDDL_RETURN_IF_ERROR(reader.Read(tensor, std::as_writable_bytes(std::span(scratch))));
    FromFileOrder(*slice, scratch, flat);
  }
  return absl::OkStatus();
}

absl::Status CheckHash(const std::string& what, const std::string& actual, const std::string& expected) {
  if (actual == expected) return absl::OkStatus();
  return DataLoss("corrupt: the hash of " + what + " is " + actual + ", and was " + expected +
                  " when it was saved; use an earlier checkpoint");
}

absl::StatusOr<Checkpoint> Load(SafetensorsReader& reader) {
  const SafetensorsMetadata& metadata = reader.header().metadata;
  EDDL_ASSIGN_OR_RETURN(Checkpoint checkpoint, ReadMetadata(metadata));
  EDDL_ASSIGN_OR_RETURN(const std::vector<NamedHash> optimizer, ReadOptimizerNames(metadata));
  const auto model = Model::Create(checkpoint.model, checkpoint.input);
  if (!model.ok()) return FailedPrecondition("this program can't build its model: " + MessageOf(model.status()));
  const ParamLayout& layout = model->layout();

  std::vector<std::string> names;
  for (const NamedHash& each : optimizer) names.push_back(each.name);
  const std::vector<StoredVector> vectors = StoredVectors(layout, names);
  EDDL_RETURN_IF_ERROR(CheckTensors(reader.header(), vectors));

  checkpoint.parameters.resize(static_cast<size_t>(layout.total()), 0.0f);
  EDDL_RETURN_IF_ERROR(ReadVector(reader, vectors[0], checkpoint.parameters));
  const auto hash = metadata.find(kHashKey);
  EDDL_RETURN_IF_ERROR(CheckHash("its parameters", layout.Hash(checkpoint.parameters),
                                 hash == metadata.end() ? "not given" : hash->second));
  for (size_t i = 0; i < optimizer.size(); ++i) {
    OptimizerState state = {.name = names[i]};
    state.values.resize(static_cast<size_t>(layout.trainable_end()), 0.0f);
    EDDL_RETURN_IF_ERROR(ReadVector(reader, vectors[i + 1], state.values));
    EDDL_RETURN_IF_ERROR(
        CheckHash("its optimizer's '" + state.name + "'", HashOfState(layout, state.values), optimizer[i].hash));
    checkpoint.optimizer.push_back(std::move(state));
  }
  return checkpoint;
}

// ---- Transfer. ----

// "fc3." of "fc3.weight".
std::string LayerOf(const std::string& parameter) { return parameter.substr(0, parameter.rfind('.') + 1); }

// The layer of the last parameter if its weight is a matrix, else empty.
std::string LastDenseLayer(const ParamLayout& layout) {
  for (auto slice = layout.slices().rbegin(); slice != layout.slices().rend(); ++slice) {
    if (slice->parameter.role == ParamRole::kConstant) continue;
    const std::string layer = LayerOf(slice->parameter.name);
    const ParamSlice* weight = layout.Find(layer + "weight");
    return weight != nullptr && weight->parameter.shape.rank() == 2 ? layer : "";
  }
  return "";
}

const ParamSlice* FindWeight(const ParamLayout& layout, const std::string& name) {
  const ParamSlice* slice = layout.Find(name);
  return slice == nullptr || slice->parameter.role == ParamRole::kConstant ? nullptr : slice;
}

// How a parameter differs between two layouts: "fc3.weight (here [71, 128], there none)". Empty if it does not.
std::string Difference(const std::string& name, const ParamSlice* here, const ParamSlice* there) {
  const auto text = [](const ParamSlice* slice) {
    return slice == nullptr ? std::string("none") : FileShape(slice->parameter).ToString();
  };
  if (text(here) == text(there)) return "";
  return name + " (here " + text(here) + ", there " + text(there) + ")";
}

struct Differences {
  std::vector<std::string> in_last_layer, elsewhere;
};

Differences Compare(const ParamLayout& here, const ParamLayout& there) {
  std::set<std::string> seen;
  Differences differences;
  for (const ParamLayout* layout : {&here, &there}) {
    const std::string last_layer = LastDenseLayer(*layout);
    for (const ParamSlice& slice : layout->slices()) {
      const std::string& name = slice.parameter.name;
      if (slice.parameter.role == ParamRole::kConstant || !seen.insert(name).second) continue;
      const std::string difference = Difference(name, FindWeight(here, name), FindWeight(there, name));
      if (difference.empty()) continue;
      const bool last = !last_layer.empty() && LayerOf(name) == last_layer;
      (last ? differences.in_last_layer : differences.elsewhere).push_back(difference);
    }
  }
  return differences;
}

}  // namespace

absl::Status SaveCheckpoint(const std::string& path, const Checkpoint& checkpoint) {
  EDDL_ASSIGN_OR_RETURN(const Model model, Model::Create(checkpoint.model, checkpoint.input));
  const ParamLayout& layout = model.layout();
  EDDL_CHECK(checkpoint.parameters.size() == static_cast<size_t>(layout.total())) << checkpoint.parameters.size();
  EDDL_CHECK(checkpoint.optimizer.empty() || checkpoint.state.has_value()) << "optimizer state of no run";
  std::vector<std::string> names;
  std::vector<std::span<const float>> values = {checkpoint.parameters};
  for (const OptimizerState& state : checkpoint.optimizer) {
    EDDL_CHECK(state.values.size() == static_cast<size_t>(layout.trainable_end())) << state.values.size();
    names.push_back(state.name);
    values.push_back(state.values);
  }
  const std::vector<StoredVector> vectors = StoredVectors(layout, names);
  std::vector<SafetensorsTensor> tensors;
  for (const StoredVector& vector : vectors) {
    for (const ParamSlice* slice : vector.slices) tensors.push_back(TensorOf(vector, *slice));
  }
  EDDL_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                        SafetensorsWriter::Create(path, MetadataOf(checkpoint, layout), tensors));
  std::vector<float> scratch;
  for (size_t i = 0; i < vectors.size(); ++i) {
    for (const ParamSlice* slice : vectors[i].slices) {
      EDDL_RETURN_IF_ERROR(writer.Append(std::as_bytes(InFileOrder(*slice, values[i], scratch))));
    }
  }
  return writer.Commit();
}

absl::StatusOr<Checkpoint> LoadCheckpoint(const std::string& path) {
  EDDL_ASSIGN_OR_RETURN(SafetensorsReader reader, SafetensorsReader::Open(path));
  absl::StatusOr<Checkpoint> checkpoint = Load(reader);
  if (!checkpoint.ok()) return WithContext(checkpoint.status(), path);
  return checkpoint;
}

absl::StatusOr<std::vector<float>> TransferParameters(const Checkpoint& from, const Model& model,
                                                      std::vector<float> initial, std::vector<std::string>& notes) {
  EDDL_ASSIGN_OR_RETURN(const Model earlier, Model::Create(from.model, from.input));
  const ParamLayout& layout = model.layout();
  EDDL_CHECK(initial.size() == static_cast<size_t>(layout.total())) << initial.size();
  EDDL_CHECK(from.parameters.size() == static_cast<size_t>(earlier.layout().total())) << from.parameters.size();

  const Differences differences = Compare(layout, earlier.layout());
  if (!differences.elsewhere.empty()) {
    return InvalidArgument("model '" + model.spec().name + "' can't start from this '" + from.model.name +
                           "': only the last dense layer may differ, and these do too: " + Join(differences.elsewhere));
  }
  std::vector<float> scratch;
  for (const ParamSlice& slice : layout.slices()) {
    const std::string& name = slice.parameter.name;
    const ParamSlice* source = FindWeight(earlier.layout(), name);
    if (slice.parameter.role == ParamRole::kConstant || !Difference(name, &slice, source).empty()) continue;
    FromFileOrder(slice, InFileOrder(*source, from.parameters, scratch), initial);
  }
  for (const std::string& difference : differences.in_last_layer) notes.push_back("not taken over: " + difference);
  return initial;
}

}  // namespace eddl
