#include "tools/eddl_node/train_report.h"

#include <nlohmann/json.hpp>

#include "tools/eddl_node/process_info.h"
#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

nlohmann::ordered_json OrNull(const std::optional<double>& value) {
  return value.has_value() ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

int64_t DataBytes(const DataSplit& data) {
  return data.train.size() * data.train.row_bytes() +
         (data.test.size() > 0 ? data.test.size() * data.test.row_bytes() : 0);
}

// Mean loss of the last finished epoch, or of the first as far as it went.
double TrainLoss(const TrainResult& result) {
  if (result.last_epoch.has_value()) return result.last_epoch->train_loss;
  return result.state.position > 0 ? result.state.epoch_loss / static_cast<double>(result.state.position) : 0.0;
}

double Rate(const TrainResult& result) {
  return result.seconds > 0.0 ? static_cast<double>(result.samples) / result.seconds : 0.0;
}

std::string DataLine(const DataSplit& data) {
  std::string line = "data    " + data.info.name + ": " + Grouped(data.train.size()) + " samples " +
                     TensorDesc{data.info.sample_shape, data.info.dtype}.ToString() + ", " + Grouped(data.test.size()) +
                     " for testing, " + std::to_string(data.info.class_count) + " classes";
  // Rows that a thread is still decoding have no final time yet.
  if (data.train.ready() == data.train.size()) return line + ", read in " + SecondsText(data.train.decode_seconds());
  return line + ", decoding in the background";
}

}  // namespace

std::string StartBanner(TrainSession& session, const std::string& run_dir) {
  const Model& model = session.model();
  const Device& device = *session.compute().device;
  std::string text = DataLine(session.data()) + "\n";
  for (const std::string& note : session.data().notes) text += "        " + note + "\n";
  text += "model   " + model.spec().name + ": " + Grouped(model.layout().param_count()) + " parameters" +
          (model.spec().sparse_input ? ", sparse first layer" : "") + "\n";
  text += "device  " + DescribeDevices(session.compute());
  if (session.threads() > 0) text += ", threads " + std::to_string(session.threads());
  if (!session.threads_reason().empty()) text += " (" + session.threads_reason() + ")";
  text += "\n";
  for (const std::string& problem : session.registry().problems()) text += "        not used: " + problem + "\n";
  if (const auto plan = session.TrainPlan(); plan.ok()) {
    text += "plan    " + std::to_string((*plan)->steps.size()) + " ops, " +
            BytesText(static_cast<uint64_t>((*plan)->arena_bytes[0] + (*plan)->arena_bytes[1])) + " for a batch of " +
            Grouped(DeviceBatch(session.job())) + "; ready in " + SecondsText(session.times().ready) + "\n";
    const std::string fallback = DescribeFallback(**plan, device, session.compute().fallback.get());
    if (!fallback.empty()) text += "        " + fallback + "\n";
  }
  return text + "run     " + run_dir + "\n";
}

nlohmann::ordered_json ResultJson(TrainSession& session, const TrainResult& result) {
  const Device& device = *session.compute().device;
  nlohmann::ordered_json json = {{"schema", kTrainSchema},
                                 {"status", result.status},
                                 {"device", device.info().Id()},
                                 {"device_name", device.info().name},
                                 {"threads", session.threads()},
                                 {"model", session.model().spec().name},
                                 {"epochs", result.state.epoch},
                                 {"steps", result.state.step},
                                 {"samples", result.state.samples},
                                 {"seconds", result.state.seconds},
                                 {"samples_per_second", Rate(result)},
                                 {"train_loss", TrainLoss(result)}};
  const auto& last = result.last_epoch;
  json["train_accuracy"] = last.has_value() ? nlohmann::ordered_json(last->train_accuracy) : nlohmann::ordered_json();
  json["test_loss"] = last.has_value() ? OrNull(last->test_loss) : nlohmann::ordered_json();
  json["test_accuracy"] = last.has_value() ? OrNull(last->test_accuracy) : nlohmann::ordered_json();
  json["best_test_accuracy"] = OrNull(result.best_test_accuracy);
  json["parameters"] = session.model().layout().param_count();
  json["parameters_hash"] = result.parameters_hash;
  json["decode_seconds"] = session.data().train.decode_seconds();
  json["ready_seconds"] = session.times().ready;
  json["thread_trial_seconds"] = session.times().thread_trial;
  const auto plan = session.TrainPlan();
  json["arena_bytes"] = plan.ok() ? (*plan)->arena_bytes[0] + (*plan)->arena_bytes[1] : 0;
  json["data_bytes"] = DataBytes(session.data());
  json["peak_rss_bytes"] = PeakResidentBytes();
  json["run_dir"] = result.run_dir;
  json["model_path"] = result.model_path.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(result.model_path);
  return json;
}

std::string ResultText(const TrainSession& session, const TrainResult& result) {
  std::string text =
      result.status + " after " + Grouped(result.state.epoch) + " epochs, " + Grouped(result.state.step) + " steps: ";
  if (result.last_epoch.has_value() && result.last_epoch->test_accuracy.has_value()) {
    text += "test accuracy " + PercentText(*result.last_epoch->test_accuracy);
    if (result.best_test_accuracy.has_value()) text += " (best " + PercentText(*result.best_test_accuracy) + ")";
  } else {
    text += "train loss " + LossText(TrainLoss(result));
  }
  text += "\n";
  if (result.samples > 0) {
    text += Grouped(static_cast<int64_t>(Rate(result) + 0.5)) + " samples/s on " +
            session.compute().device->info().Id() + ", ";
  }
  text += "training " + SecondsText(result.state.seconds) + ", peak memory " +
          BytesText(static_cast<uint64_t>(PeakResidentBytes())) + ", parameters " + result.parameters_hash + "\n";
  if (result.model_path.empty()) return text;
  return text + "model saved: " + result.model_path + "\n";
}

}  // namespace eddl
