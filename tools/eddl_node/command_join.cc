// eddl-node join: takes part in a cluster with this device.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "net/transport/certificate.h"
#include "net/transport/fetch_ca.h"
#include "net/transport/grpc_log.h"
#include "net/transport/join_token.h"
#include "net/wire/cluster.grpc.pb.h"
#include "runtime/base/status.h"
#include "runtime/train/checkpoint.h"
#include "tools/eddl_node/cluster/block_samples.h"
#include "tools/eddl_node/cluster/cluster_access.h"
#include "tools/eddl_node/cluster/cluster_service.h"
#include "tools/eddl_node/cluster/data_bringer.h"
#include "tools/eddl_node/cluster/fetch_file.h"
#include "tools/eddl_node/cluster/member_session.h"
#include "tools/eddl_node/cluster/sample_cache.h"
#include "tools/eddl_node/cluster/sample_service.h"
#include "tools/eddl_node/cluster/training_rows.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/labelled_data.h"
#include "tools/eddl_node/metrics/cluster_metrics.h"
#include "tools/eddl_node/metrics/metrics_server.h"
#include "tools/eddl_node/stop_signal.h"
#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

using cluster::HostPort;
using cluster::JobPacket;
using cluster::MemberStatus;

constexpr char kJoinSchema[] = "eddl.join.v1";
constexpr Duration kFetchPatience{5'000'000'000};
constexpr std::chrono::seconds kCallPatience{15};
// Between two lines of a node that is not on a terminal.
constexpr double kStatusSeconds = 10;
// Rows of one contribution that are kept in memory, where the disk does not take them.
constexpr int64_t kBlockMemoryBytes = int64_t{1} << 20;
// Likewise of the test set: a device tests about the same part of it every time.
constexpr int64_t kTestMemoryBytes = int64_t{8} << 20;

// Requests for rows that are under way at once, and those of them that no lease waits for.
constexpr int kFetchThreads = 4;
constexpr int kFetchAheadMax = 2;

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unnamed";
}

class JoinRun {
 public:
  JoinRun(const JoinArguments& arguments, const Console& console) : arguments_(arguments), console_(console) {}

  absl::Status Execute();
  ExitCode outcome() const { return outcome_; }

 private:
  absl::Status ReadArguments();
  // Whom to trust, and who this device was here before.
  absl::Status Prepare();
  absl::Status Join();
  absl::Status Start();
  // Where rows of the job come from.
  absl::Status OpenSamples(const std::shared_ptr<grpc::Channel>& channel);
  // This device's own entries: read, and the manager told how many there are.
  absl::Status BringOwn(const std::shared_ptr<grpc::Channel>& channel);
  // What was contributed to the job while it ran.
  absl::StatusOr<std::unique_ptr<cluster::SampleSource>> OpenBlock(const net::DataBlock& block);
  absl::Status Finish(const std::string& goodbye);
  void OnStatus(const MemberStatus& status);
  // Answers Prometheus, if asked to.
  absl::Status ServeMetrics();

  const JoinArguments& arguments_;
  const Console& console_;
  JobConfig device_job_;
  HostPort manager_;
  std::string state_folder_;
  std::string identity_folder_;
  std::string listen_;  // empty: does not
  int listen_port_ = 0;
  std::optional<cluster::Pace> pace_;
  std::optional<net::JoinToken> token_;
  net::NodeId node_{};  // of an earlier life; 0: none
  std::optional<net::Credentials> credentials_;
  v1::JoinReply reply_;
  JobPacket job_;
  std::shared_ptr<grpc::Channel> samples_channel_;  // one for all blocks
  const std::shared_ptr<cluster::FetchPool> fetch_pool_ =
      std::make_shared<cluster::FetchPool>(kFetchThreads, kFetchAheadMax);  // of all caches, which share it
  std::unique_ptr<cluster::SampleCache> samples_;                           // null: the job's rows stay where they are
  std::unique_ptr<cluster::SampleCache> tests_;                             // null: nothing is tested here
  cluster::NoRows no_rows_;
  std::optional<LabelledData> own_;                // which nobody else sees
  uint64_t own_hash_ = 0;                          // of those
  std::unique_ptr<cluster::DataBringer> bringer_;  // of those
  std::unique_ptr<cluster::BlockSamples> blocks_;  // those, and what is contributed
  std::unique_ptr<cluster::MemberSession> session_;
  std::optional<net::GrpcLog> grpc_log_;
  absl::Mutex figures_mutex_;
  MemberFigures figures_ ABSL_GUARDED_BY(figures_mutex_);
  std::unique_ptr<MetricsServer> metrics_;  // after what it asks
  MemberStatus last_;                       // that was told
  MemberStatus latest_;                     // of all
  double said_seconds_ = 0;
  ExitCode outcome_ = ExitCode::kOk;
};

absl::Status JoinRun::ReadArguments() {
  EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kUsage, ApplyOverrides(device_job_, arguments_.overrides)));
  EDDL_ASSIGN_OR_RETURN(manager_, cluster::ParseHostPort(arguments_.manager));
  EDDL_ASSIGN_OR_RETURN(pace_, cluster::ParsePace(arguments_.pace));
  state_folder_ = arguments_.state.empty() ? cluster::DefaultStateFolder() : arguments_.state;
  identity_folder_ = cluster::IdentityFolder(state_folder_, manager_);
  if (!arguments_.token.empty()) {
    auto token = net::JoinToken::Parse(arguments_.token);
    if (!token.ok()) return WithExitCode(ExitCode::kUsage, token.status());
    token_ = *std::move(token);
  }
  if (arguments_.listen != "none") {
    HostPort address = {.host = "0.0.0.0", .port = "0"};
    if (!arguments_.listen.empty()) {
      EDDL_ASSIGN_OR_RETURN(address, cluster::ParseHostPort(arguments_.listen));
    }
    listen_port_ = std::stoi(address.port) > 0 ? std::stoi(address.port) : cluster::FreePort();
    listen_ = HostPort{address.host, std::to_string(listen_port_)}.ToString();
  }
  if (arguments_.nice > 0 && setpriority(PRIO_PROCESS, 0, static_cast<int>(arguments_.nice)) != 0) {
    console_.Line("can't run at a lower priority: " + std::string(std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status JoinRun::Prepare() {
  if (arguments_.insecure) return absl::OkStatus();
  EDDL_RETURN_IF_ERROR(cluster::ClaimIdentity(identity_folder_));
  const auto earlier = cluster::LoadIdentity(identity_folder_);
  const bool known = earlier.ok() && ToInt(earlier->node) > 0;
  if (known) {
    const auto fingerprint = net::Fingerprint(earlier->credentials.ca);
    const absl::Status dates = net::CheckDates(earlier->credentials.certificate);
    const bool same = !token_ || (fingerprint.ok() && *fingerprint == token_->fingerprint);
    if (same && dates.ok()) {
      node_ = earlier->node;
      credentials_ = earlier->credentials;
      return absl::OkStatus();
    }
    if (!token_) {
      return WithExitCode(
          ExitCode::kUsage,
          WithContext(dates, "this device can't come back as node " + std::to_string(ToInt(earlier->node)) +
                                 ": set its clock, or add --token of the manager's join line"));
    }
  }
  if (!token_) {
    const bool torn = absl::IsDataLoss(earlier.status());
    return WithExitCode(
        ExitCode::kUsage,
        InvalidArgument((torn ? "who this device was at " + manager_.ToString() + " can't be read any more, since " +
                                    MessageOf(earlier.status())
                              : "this device is not known at " + manager_.ToString() + " yet") +
                        ": add --token, as the manager's join line has it (or --insecure, if the manager runs so)"));
  }
  auto ca = net::FetchCa(manager_.host, manager_.port, token_->fingerprint, kFetchPatience);
  if (!ca.ok()) return WithExitCode(ExitCode::kNetwork, ca.status());
  credentials_ = net::Credentials{.ca = *std::move(ca)};
  return absl::OkStatus();
}

absl::Status JoinRun::Join() {
  v1::JoinRequest request;
  std::string key;
  if (!arguments_.insecure) {
    EDDL_ASSIGN_OR_RETURN(key, net::MakeKey());
    EDDL_ASSIGN_OR_RETURN(const std::string signing_request, net::MakeSigningRequest(key));
    request.set_signing_request(signing_request);
  }
  request.set_protocol_min(cluster::kProtocolMin);
  request.set_protocol_max(cluster::kProtocolMax);
  if (token_) request.set_secret(token_->secret);
  request.set_name(arguments_.name.empty() ? HostName() : arguments_.name);
  request.set_listen_port(static_cast<uint32_t>(listen_port_));
  request.set_device(device_job_.device.name);
  request.set_node(ToInt(node_));
  request.set_program_version(EDDL_VERSION);
  request.set_instruction_set(cluster::InstructionSet());
  const auto stub = v1::Cluster::NewStub(net::MakeChannel(manager_.ToString(), net::kManager, credentials_));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallPatience);
  const grpc::Status status = stub->Join(&context, request, &reply_);
  if (!status.ok()) {
    const absl::Status error = cluster::FromGrpc(status);
    const bool away = absl::IsUnavailable(error) || absl::IsDeadlineExceeded(error);
    if (!away) return WithExitCode(ExitCode::kRefused, WithContext(error, "the manager refused"));
    return WithExitCode(ExitCode::kNetwork,
                        Unavailable("can't reach a manager at " + manager_.ToString() + ": " + MessageOf(error)));
  }
  node_ = net::NodeId{reply_.node()};
  console_.log().set_node(node_);
  if (!arguments_.insecure) {
    credentials_ = net::Credentials{
        .ca = reply_.ca_certificate(), .certificate = reply_.certificate() + reply_.ca_certificate(), .key = key};
    EDDL_RETURN_IF_ERROR(WithExitCode(
        ExitCode::kSave, cluster::SaveIdentity(identity_folder_, {.node = node_, .credentials = *credentials_})));
  }
  auto job = JobPacket::FromJson(reply_.job());
  if (!job.ok()) return WithExitCode(ExitCode::kMismatch, job.status());
  job_ = *std::move(job);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<cluster::SampleSource>> JoinRun::OpenBlock(const net::DataBlock& block) {
  if (block.owner == node_ && own_) {
    return cluster::OpenOwnBlock(block, own_->rows, own_->labels, own_hash_);
  }
  if (block.owner != net::kManager) {
    return FailedPrecondition("rows of node " + std::to_string(ToInt(block.owner)) + ", which stay there");
  }
  char hash[32];
  std::snprintf(hash, sizeof(hash), "%016llx", static_cast<unsigned long long>(block.hash));
  const auto say = [this](const std::string& text) { console_.log().Warning(text); };
  return cluster::SampleCache::Open({.folder = state_folder_ + "/samples",
                                     .fingerprint = "contributed-" + std::string(hash),
                                     .sample_count = block.row_count,
                                     .row_bytes = job_.data.sample_shape.elements() * SizeOf(job_.data.dtype),
                                     .limit_bytes = arguments_.cache_limit,
                                     .memory_bytes = kBlockMemoryBytes,
                                     .on_trouble = say},
                                    cluster::WithOffset(cluster::MakeFetcher(samples_channel_, job_), block.first_row),
                                    fetch_pool_);
}

absl::Status JoinRun::BringOwn(const std::shared_ptr<grpc::Channel>& channel) {
  if (!job_.local_data) {
    return WithExitCode(ExitCode::kUsage,
                        InvalidArgument("--data: this job's data.policy is \"shared\": add entries for all with "
                                        "`eddl-node contribute`"));
  }
  EDDL_ASSIGN_OR_RETURN(own_, OpenLabelledData(arguments_.data, device_job_, job_.data));
  for (const std::string& note : own_->notes) console_.Line(note);
  const int64_t count = own_->rows.size();
  if (const absl::Status ready = own_->rows.WaitFor(count); !ready.ok()) return WithExitCode(ExitCode::kData, ready);
  for (int64_t row = 0; row < count; ++row) {
    const absl::Status good =
        cluster::CheckEntry(job_.data, row + 1, own_->rows.Row(row), own_->labels[static_cast<size_t>(row)]);
    if (!good.ok()) return WithExitCode(ExitCode::kData, WithContext(good, arguments_.data));
  }
  own_hash_ = cluster::OwnRows(own_->rows, own_->labels).Hash();
  bringer_ = std::make_unique<cluster::DataBringer>(channel, node_, count, own_hash_,
                                                    [this](const std::string& text) { console_.log().Warning(text); });
  const auto first_epoch = bringer_->Bring();
  if (!first_epoch.ok())
    return WithExitCode(ExitCode::kRefused, WithContext(first_epoch.status(), "the manager refused"));
  console_.Line("data    " + Grouped(count) + " entries of this device's own, used from " +
                (*first_epoch == 0 ? "the next epoch that begins" : "epoch " + std::to_string(*first_epoch) + " on"));
  return absl::OkStatus();
}

absl::Status JoinRun::OpenSamples(const std::shared_ptr<grpc::Channel>& channel) {
  samples_channel_ = channel;
  if (!arguments_.data.empty()) {
    EDDL_RETURN_IF_ERROR(BringOwn(channel));
  } else if (reply_.owned_rows() > 0) {
    return WithExitCode(ExitCode::kUsage,
                        InvalidArgument("this device brought " + std::to_string(reply_.owned_rows()) +
                                        " entries of its own to the job: join with the same --data as before"));
  }
  if (job_.local_data) {
    if (!own_) console_.Line("this job's data stay on their devices: without --data, this one only leads");
    blocks_ = std::make_unique<cluster::BlockSamples>(no_rows_, 0,
                                                      [this](const net::DataBlock& block) { return OpenBlock(block); });
    return absl::OkStatus();
  }
  const auto say = [this](const std::string& text) { console_.log().Warning(text); };
  EDDL_ASSIGN_OR_RETURN(
      samples_, cluster::SampleCache::Open({.folder = state_folder_ + "/samples",
                                            .fingerprint = job_.data_fingerprint,
                                            .sample_count = job_.sample_count,
                                            .row_bytes = job_.data.sample_shape.elements() * SizeOf(job_.data.dtype),
                                            .limit_bytes = arguments_.cache_limit,
                                            .on_trouble = say},
                                           cluster::MakeFetcher(channel, job_), fetch_pool_));
  if (job_.test_count > 0) {
    EDDL_ASSIGN_OR_RETURN(tests_, cluster::SampleCache::Open(
                                      {.folder = state_folder_ + "/samples",
                                       .fingerprint = job_.test_fingerprint,
                                       .sample_count = job_.test_count,
                                       .row_bytes = job_.data.sample_shape.elements() * SizeOf(job_.data.dtype),
                                       .fetch_all = false,
                                       .limit_bytes = arguments_.cache_limit,
                                       .memory_bytes = kTestMemoryBytes,
                                       .on_trouble = say},
                                      cluster::MakeFetcher(channel, job_, cluster::SampleSet::kTest), fetch_pool_));
  }
  blocks_ = std::make_unique<cluster::BlockSamples>(*samples_, job_.sample_count,
                                                    [this](const net::DataBlock& block) { return OpenBlock(block); });
  return absl::OkStatus();
}

absl::Status JoinRun::Start() {
  EDDL_ASSIGN_OR_RETURN(auto runtime, cluster::NodeRuntime::Open(job_, device_job_));
  const auto channel = net::MakeChannel(manager_.ToString(), net::kManager, credentials_);
  std::vector<float> initial;
  if (job_.has_initial) {
    const std::string path = state_folder_ + "/initial-" + job_.job_id + ".safetensors";
    EDDL_RETURN_IF_ERROR(cluster::FetchFile(channel, "initial", path));
    auto checkpoint = LoadCheckpoint(path);
    if (!checkpoint.ok()) return WithExitCode(ExitCode::kMismatch, checkpoint.status());
    initial = std::move(checkpoint->parameters);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  EDDL_RETURN_IF_ERROR(OpenSamples(channel));
  const auto say = [this](const std::string& text) { console_.log().Warning(text); };
  console_.Line("joined  " + manager_.ToString() + " as node " + std::to_string(ToInt(node_)) +
                (arguments_.insecure ? " (INSECURE: no encryption)" : "") + ": job " + job_.name + ", " +
                job_.model.name);
  std::string device = "device  " + DescribeDevice(runtime->device());
  if (runtime->threads() > 0) device += ", threads " + std::to_string(runtime->threads());
  if (pace_) device += ", paced: an emulated device";
  console_.Line(device);
  if (own_) console_.Line("samples " + Grouped(own_->rows.size()) + " of this device's own, which stay here");
  if (samples_ != nullptr && samples_->row_count() > 0) {
    console_.Line("samples " + Grouped(samples_->row_count()) + " of " + Grouped(job_.sample_count) +
                  " are here from an earlier time");
  }
  cluster::MemberSessionOptions options = {.self = node_,
                                           .manager_address = manager_.ToString(),
                                           .listen = listen_,
                                           .credentials = credentials_,
                                           .can_work = !arguments_.lead_only,
                                           .pace = pace_,
                                           .cpu_limit = arguments_.cpu_limit,
                                           .owner_load_max = arguments_.owner_load_max,
                                           .tests = tests_.get(),
                                           .record_path = arguments_.record,
                                           .initial = std::move(initial),
                                           .log = &console_.log(),
                                           .on_refused = say};
  grpc_log_.emplace(say);
  EDDL_ASSIGN_OR_RETURN(session_,
                        cluster::MemberSession::Open(job_, std::move(options), std::move(runtime), *blocks_,
                                                     [this](const MemberStatus& status) { OnStatus(status); }));
  return absl::OkStatus();
}

absl::Status JoinRun::ServeMetrics() {
  if (arguments_.metrics.empty()) return absl::OkStatus();
  EDDL_ASSIGN_OR_RETURN(const HostPort address, cluster::ParseHostPort(arguments_.metrics));
  auto server = MetricsServer::Start(address.host, std::stoi(address.port), [this] {
    const net::LinkCounters total = session_->Total();
    const absl::MutexLock lock(&figures_mutex_);
    figures_.sent_bytes = total.sent_bytes;
    figures_.received_bytes = total.received_bytes;
    figures_.queued_bytes = total.queued_bytes;
    return MemberMetrics(figures_);
  });
  if (!server.ok()) return WithExitCode(ExitCode::kNetwork, server.status());
  metrics_ = *std::move(server);
  console_.Line("metrics http://" + HostPort{address.host, std::to_string(metrics_->port())}.ToString() + "/metrics");
  return absl::OkStatus();
}

void JoinRun::OnStatus(const MemberStatus& status) {
  if (status.connections != latest_.connections && bringer_ != nullptr) bringer_->BringAgain();
  latest_ = status;
  {
    const absl::MutexLock lock(&figures_mutex_);
    figures_ = {.node = ToInt(node_),
                .job = job_.name,
                .connected = status.connected,
                .active = status.active,
                .leads = status.leads,
                .paused = status.paused,
                .samples = status.samples,
                .leases = status.leases,
                .version = status.version};
  }
  const double now = static_cast<double>(Now().ns) * 1e-9;
  const bool changed = status.connected != last_.connected || status.leads != last_.leads ||
                       status.paused != last_.paused || status.last_error != last_.last_error;
  if (!changed && now - said_seconds_ < kStatusSeconds) return;
  std::string line = !status.connected ? "waiting for the manager"
                     : !status.active  ? "waiting for the next view"
                                       : "round " + Grouped(static_cast<int64_t>(status.version));
  if (said_seconds_ > 0 && now > said_seconds_) {
    const double rate = static_cast<double>(status.samples - last_.samples) / (now - said_seconds_);
    line += "  " + Grouped(static_cast<int64_t>(rate + 0.5)) + " samples/s";
  }
  if (status.leads) line += "  leads";
  if (status.paused) line += "  paused: this device is busy";
  if (!status.last_error.empty() && status.last_error != last_.last_error) line += "  (" + status.last_error + ")";
  console_.Line(line);
  last_ = status;
  said_seconds_ = now;
}

absl::Status JoinRun::Finish(const std::string& goodbye) {
  metrics_.reset();
  session_.reset();
  const bool stopped = StopCode() != ExitCode::kOk;
  console_.Line((stopped           ? "left"
                 : goodbye.empty() ? "the job is over"
                                   : goodbye) +
                std::string(": computed ") + Grouped(latest_.samples) + " samples here");
  if (!arguments_.save_model.empty()) {
    const auto channel = net::MakeChannel(manager_.ToString(), net::kManager, credentials_);
    const absl::Status fetched = cluster::FetchFile(channel, "newest", arguments_.save_model);
    if (!fetched.ok()) return fetched;
    console_.Line("model saved: " + arguments_.save_model);
  }
  console_.Json({{"schema", kJoinSchema},
                 {"status", stopped ? "left" : "over"},
                 {"node", ToInt(node_)},
                 {"samples", latest_.samples},
                 {"leases", latest_.leases},
                 {"rows_fetched", samples_ == nullptr ? 0 : samples_->fetched_count()},
                 {"rows_cached", samples_ == nullptr ? 0 : samples_->row_count()},
                 {"rows_own", own_ ? own_->rows.size() : 0},
                 {"why", goodbye}});
  if (!goodbye.empty()) outcome_ = ExitCode::kRefused;
  return absl::OkStatus();
}

absl::Status JoinRun::Execute() {
  EDDL_RETURN_IF_ERROR(ReadArguments());
  EDDL_RETURN_IF_ERROR(Prepare());
  EDDL_RETURN_IF_ERROR(Join());
  EDDL_RETURN_IF_ERROR(Start());
  EDDL_RETURN_IF_ERROR(ServeMetrics());
  auto goodbye = session_->Run(InstallStopSignals());
  if (!goodbye.ok()) return WithExitCode(ExitCode::kDevice, goodbye.status());
  return Finish(*goodbye);
}

}  // namespace

int RunCommand(const JoinArguments& arguments) {
  const Console console(arguments.format, arguments.log);
  JoinRun run(arguments, console);
  const absl::Status status = run.Execute();
  return status.ok() ? static_cast<int>(run.outcome()) : ReportFailure(console, kJoinSchema, status);
}

}  // namespace eddl
