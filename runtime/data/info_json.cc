#include "runtime/data/info_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/base/status.h"
#include "runtime/data/reader.h"

namespace eddl {
namespace {

using Json = nlohmann::json;

absl::Status BadMember(const char* member, const char* wanted) {
  return InvalidArgument(std::string("data description: \"") + member + "\" is not " + wanted);
}

const Json* Member(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

absl::Status ReadText(const Json& json, const char* name, std::string& out) {
  const Json* member = Member(json, name);
  if (member == nullptr || !member->is_string()) return BadMember(name, "a string");
  out = member->get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadTexts(const Json& json, const char* name, std::vector<std::string>& out) {
  const Json* member = Member(json, name);
  if (member == nullptr || !member->is_array()) return BadMember(name, "a list of strings");
  for (const Json& item : *member) {
    if (!item.is_string()) return BadMember(name, "a list of strings");
    out.push_back(item.get<std::string>());
  }
  return absl::OkStatus();
}

// One number for all, or one per last dimension.
absl::Status ReadFactors(const Json& json, const char* name, int64_t channels, std::vector<float>& out) {
  constexpr const char* kWanted = "a list of finite numbers, one or one per last dimension";
  const Json* member = Member(json, name);
  if (member == nullptr || !member->is_array()) return BadMember(name, kWanted);
  out.clear();
  for (const Json& item : *member) {
    if (!item.is_number() || !std::isfinite(item.get<float>())) return BadMember(name, kWanted);
    out.push_back(item.get<float>());
  }
  const bool fits = out.size() == 1 || std::ssize(out) == channels;
  return fits ? absl::OkStatus() : BadMember(name, kWanted);
}

absl::Status ReadShape(const Json& json, Shape& out) {
  constexpr const char* kWanted = "a list of 1 to 5 positive integers";
  const Json* member = Member(json, "sample_shape");
  const bool ranked = member != nullptr && member->is_array() && !member->empty() && member->size() < Shape::kRankMax;
  if (!ranked) return BadMember("sample_shape", kWanted);
  std::vector<int64_t> dims;
  for (const Json& item : *member) {
    if (!item.is_number_integer() || item.get<int64_t>() < 1) return BadMember("sample_shape", kWanted);
    dims.push_back(item.get<int64_t>());
  }
  out = Shape(dims);
  return SampleBytes("data description", 1, out, DType::kF32).status();
}

}  // namespace

Json ToJson(const DatasetInfo& info) {
  const auto dims = info.sample_shape.dims();
  return {{"name", info.name},
          {"sample_shape", std::vector<int64_t>(dims.begin(), dims.end())},
          {"dtype", std::string(NameOf(info.dtype))},
          {"class_count", info.class_count},
          {"class_names", info.class_names},
          {"feature_names", info.feature_names},
          {"scale", info.scale},
          {"shift", info.shift}};
}

absl::StatusOr<DatasetInfo> DatasetInfoFromJson(const Json& json) {
  if (!json.is_object()) return InvalidArgument("data description: not a JSON object");
  DatasetInfo info;
  std::string dtype;
  EDDL_RETURN_IF_ERROR(ReadText(json, "name", info.name));
  EDDL_RETURN_IF_ERROR(ReadShape(json, info.sample_shape));
  EDDL_RETURN_IF_ERROR(ReadText(json, "dtype", dtype));
  if (dtype != "u8" && dtype != "f32") return BadMember("dtype", "\"u8\" or \"f32\"");
  info.dtype = dtype == "u8" ? DType::kU8 : DType::kF32;
  const Json* classes = Member(json, "class_count");
  if (classes == nullptr || !classes->is_number_integer() || classes->get<int64_t>() < 0 ||
      classes->get<int64_t>() > kClassCountMax) {
    return BadMember("class_count", "a number of classes");
  }
  info.class_count = classes->get<int64_t>();
  EDDL_RETURN_IF_ERROR(ReadTexts(json, "class_names", info.class_names));
  EDDL_RETURN_IF_ERROR(ReadTexts(json, "feature_names", info.feature_names));
  if (!info.class_names.empty() && std::ssize(info.class_names) != info.class_count) {
    return BadMember("class_names", "empty or one name per class");
  }
  if (!info.feature_names.empty() && std::ssize(info.feature_names) != info.sample_shape.elements()) {
    return BadMember("feature_names", "empty or one name per feature");
  }
  EDDL_RETURN_IF_ERROR(ReadFactors(json, "scale", info.sample_shape.dim(-1), info.scale));
  EDDL_RETURN_IF_ERROR(ReadFactors(json, "shift", info.sample_shape.dim(-1), info.shift));
  return info;
}

}  // namespace eddl
