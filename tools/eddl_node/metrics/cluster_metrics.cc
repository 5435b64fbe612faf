#include "tools/eddl_node/metrics/cluster_metrics.h"

#include <limits>

#include <nlohmann/json.hpp>

#include "tools/eddl_node/metrics/metric_page.h"

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

double Number(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string Text(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

struct Figure {
  const char* metric;
  const char* member;  // of the JSON
  const char* help;
};

constexpr Figure kJobGauges[] = {
    {"eddl_job_round", "round", "Newest version of the model that is committed."},
    {"eddl_job_view", "view", "Views so far: each change of who leads is one."},
    {"eddl_job_epoch", "epoch", "The current epoch, from 1."},
    {"eddl_job_epochs", "epochs", "Epochs that the job has."},
    {"eddl_job_samples", "samples_total", "Samples that the job has in all its epochs."},
    {"eddl_job_loss", "loss", "Mean training loss of the current epoch."},
    {"eddl_job_accuracy_ratio", "accuracy", "Training accuracy of the current epoch."},
    {"eddl_job_test_accuracy_ratio", "test_accuracy", "Accuracy on the test data at the last checkpoint."},
    {"eddl_job_predicted_samples_per_second", "predicted_samples_per_second",
     "What the plan in force was predicted to make."},
    {"eddl_manager_backlog_tasks", "backlog", "Tasks that wait for the manager's thread."},
};

constexpr Figure kMemberGauges[] = {
    {"eddl_member_leader_share_ratio", "leader_share", "Part of the parameters that the device leads."},
    {"eddl_member_predicted_samples_per_second", "predicted_samples_per_second", "By its measured lease times."},
    {"eddl_member_staleness_versions", "staleness", "Versions that the bases of its last leases were behind."},
    {"eddl_member_round_trip_seconds", "round_trip_seconds", "To the manager and back."},
    {"eddl_member_link_up_bytes_per_second", "up_bytes_per_second", "What its link was seen to carry, sending."},
    {"eddl_member_link_down_bytes_per_second", "down_bytes_per_second", "What its link was seen to carry, receiving."},
    {"eddl_member_sent_bytes_per_second", "sent_bytes_per_second", "What it sends now."},
    {"eddl_member_received_bytes_per_second", "received_bytes_per_second", "What it receives now."},
    {"eddl_member_cpu_cores", "cpu_cores", "Cores that its process uses."},
    {"eddl_member_temperature_celsius", "celsius", "Of its hottest sensor."},
    {"eddl_member_silence_seconds", "last_heard_seconds", "Since it was heard."},
    {"eddl_member_open_leases", "leases", "Leases that it was given and has not answered."},
};

void AddMember(MetricPage& page, const Json& member) {
  const MetricLabels labels = {{"node", std::to_string(member.value("node", uint32_t{0}))},
                               {"name", Text(member, "name")}};
  const std::string state = Text(member, "state");
  page.Gauge("eddl_member_working", "Whether the device takes part in training now.", state == "working", labels);
  page.Counter("eddl_member_samples_total", "Samples that the device computed.", Number(member, "samples"), labels);
  for (const Figure& figure : kMemberGauges) {
    page.Gauge(figure.metric, figure.help, Number(member, figure.member), labels);
  }
}

}  // namespace

std::string ManagerMetrics(const Json& status) {
  MetricPage page;
  page.Gauge("eddl_job_info", "What the job is; always 1.", 1,
             {{"job", Text(status, "job")},
              {"model", Text(status, "model")},
              {"mode", Text(status, "mode")},
              {"codec", Text(status, "codec")},
              {"phase", Text(status, "phase")}});
  page.Counter("eddl_job_samples_committed_total", "Samples that are in the model.", Number(status, "samples"));
  page.Counter("eddl_job_rejected_contributions_total", "Contributions that were too old.", Number(status, "rejected"));
  for (const Figure& figure : kJobGauges) page.Gauge(figure.metric, figure.help, Number(status, figure.member));
  const auto members = status.find("members");
  if (members != status.end() && members->is_array()) {
    for (const Json& member : *members) AddMember(page, member);
  }
  page.AddProcess();
  return page.Text();
}

std::string MemberMetrics(const MemberFigures& figures) {
  MetricPage page;
  page.Gauge("eddl_node_info", "Which node of which job this is; always 1.", 1,
             {{"job", figures.job}, {"node", std::to_string(figures.node)}});
  page.Gauge("eddl_node_connected", "Whether the manager is connected.", figures.connected);
  page.Gauge("eddl_node_active", "Whether the node is in a view that has started.", figures.active);
  page.Gauge("eddl_node_leading", "Whether the node leads a part of the parameters.", figures.leads);
  page.Gauge("eddl_node_paused", "Whether the node is paused for its owner.", figures.paused);
  page.Gauge("eddl_node_round", "Newest version of the model that the node has whole.",
             static_cast<double>(figures.version));
  page.Counter("eddl_node_samples_total", "Samples that the node computed.", static_cast<double>(figures.samples));
  page.Counter("eddl_node_leases_total", "Leases that the node finished.", static_cast<double>(figures.leases));
  page.Counter("eddl_node_sent_bytes_total", "Sent over all links.", static_cast<double>(figures.sent_bytes));
  page.Counter("eddl_node_received_bytes_total", "Received over all links.",
               static_cast<double>(figures.received_bytes));
  page.Gauge("eddl_node_queued_bytes", "Given to the network, not sent yet.",
             static_cast<double>(figures.queued_bytes));
  page.AddProcess();
  return page.Text();
}

}  // namespace eddl
