#include "tools/eddl_node/cluster/job_packet.h"

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "runtime/data/info_json.h"
#include "runtime/train/checkpoint_json.h"

namespace eddl::cluster {
namespace {

constexpr int64_t kFormat = 2;
constexpr int64_t kMicroBatchMax = int64_t{1} << 20;

template <typename T>
absl::Status Read(const nlohmann::json& json, const char* name, T& value) {
  const auto it = json.find(name);
  if (it == json.end()) return InvalidArgument(std::string("the job has no member '") + name + "'");
  try {
    it->get_to(value);
  } catch (const nlohmann::json::exception&) {
    return InvalidArgument(std::string("the job's member '") + name + "' is of another type");
  }
  return absl::OkStatus();
}

absl::Status CheckRange(const char* name, int64_t value, int64_t min, int64_t max) {
  if (min <= value && value <= max) return absl::OkStatus();
  return InvalidArgument(std::string("the job's member '") + name + "' is " + std::to_string(value) + ", not in " +
                         std::to_string(min) + " to " + std::to_string(max));
}

absl::Status ReadNumbers(const nlohmann::json& json, JobPacket& packet) {
  EDDL_RETURN_IF_ERROR(Read(json, "job_id", packet.job_id));
  EDDL_RETURN_IF_ERROR(Read(json, "name", packet.name));
  EDDL_RETURN_IF_ERROR(Read(json, "data_fingerprint", packet.data_fingerprint));
  EDDL_RETURN_IF_ERROR(Read(json, "sample_count", packet.sample_count));
  EDDL_RETURN_IF_ERROR(Read(json, "micro_batch", packet.micro_batch));
  EDDL_RETURN_IF_ERROR(Read(json, "stripe_count", packet.stripe_count));
  EDDL_RETURN_IF_ERROR(Read(json, "exact", packet.exact));
  EDDL_RETURN_IF_ERROR(Read(json, "has_initial", packet.has_initial));
  EDDL_RETURN_IF_ERROR(Read(json, "local_data", packet.local_data));
  EDDL_RETURN_IF_ERROR(Read(json, "test_count", packet.test_count));
  EDDL_RETURN_IF_ERROR(Read(json, "test_fingerprint", packet.test_fingerprint));
  EDDL_RETURN_IF_ERROR(CheckRange("test_count", packet.test_count, 0, packet.local_data ? 0 : INT64_MAX));
  const int64_t least = packet.local_data ? 0 : 1;
  EDDL_RETURN_IF_ERROR(CheckRange("sample_count", packet.sample_count, least, packet.local_data ? 0 : INT64_MAX));
  EDDL_RETURN_IF_ERROR(CheckRange("micro_batch", packet.micro_batch, 1, kMicroBatchMax));
  return CheckRange("stripe_count", packet.stripe_count, 1, UINT32_MAX);
}

}  // namespace

std::string JobPacket::ToJson() const {
  const nlohmann::json json = {{"format", kFormat},
                               {"job_id", job_id},
                               {"name", name},
                               {"model", eddl::ToJson(model)},
                               {"data", eddl::ToJson(data)},
                               {"data_fingerprint", data_fingerprint},
                               {"sample_count", sample_count},
                               {"options", eddl::ToJson(options)},
                               {"micro_batch", micro_batch},
                               {"stripe_count", stripe_count},
                               {"exact", exact},
                               {"has_initial", has_initial},
                               {"test_count", test_count},
                               {"test_fingerprint", test_fingerprint},
                               {"local_data", local_data}};
  return json.dump();
}

absl::StatusOr<JobPacket> JobPacket::FromJson(std::string_view text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return InvalidArgument("the job is not a JSON object");
  int64_t format = 0;
  EDDL_RETURN_IF_ERROR(Read(json, "format", format));
  if (format != kFormat) {
    return InvalidArgument("the job has format " + std::to_string(format) + ", this program reads " +
                           std::to_string(kFormat) + "; use the same version of eddl-node everywhere");
  }
  JobPacket packet;
  EDDL_RETURN_IF_ERROR(ReadNumbers(json, packet));
  for (const char* name : {"model", "data", "options"}) {
    if (!json.contains(name)) return InvalidArgument(std::string("the job has no member '") + name + "'");
  }
  EDDL_ASSIGN_OR_RETURN(packet.model, ModelSpecFromJson(json["model"]));
  EDDL_ASSIGN_OR_RETURN(packet.data, DatasetInfoFromJson(json["data"]));
  EDDL_ASSIGN_OR_RETURN(packet.options, TrainOptionsFromJson(json["options"]));
  return packet;
}

}  // namespace eddl::cluster
