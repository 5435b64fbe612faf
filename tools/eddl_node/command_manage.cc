// eddl-node manage: starts a cluster, deals the samples of a job, and ends with a model.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "net/transport/certificate.h"
#include "net/transport/grpc_log.h"
#include "net/transport/join_token.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/train/checkpoint.h"
#include "tools/eddl_node/cluster/block_samples.h"
#include "tools/eddl_node/cluster/cluster_access.h"
#include "tools/eddl_node/cluster/cluster_options.h"
#include "tools/eddl_node/cluster/cluster_service.h"
#include "tools/eddl_node/cluster/manager_node.h"
#include "tools/eddl_node/cluster/member_session.h"
#include "tools/eddl_node/cluster/node_service.h"
#include "tools/eddl_node/cluster/training_rows.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/dashboard/manager_dashboard.h"
#include "tools/eddl_node/epoch_saver.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/metrics_log.h"
#include "tools/eddl_node/own_worker.h"
#include "tools/eddl_node/process_info.h"
#include "tools/eddl_node/progress.h"
#include "tools/eddl_node/report/run_report.h"
#include "tools/eddl_node/resume.h"
#include "tools/eddl_node/run_folder.h"
#include "tools/eddl_node/stop_signal.h"
#include "tools/eddl_node/text_format.h"
#include "tools/eddl_node/trace/run_trace.h"
#include "tools/eddl_node/train_report.h"
#include "tools/eddl_node/train_session.h"

namespace eddl {
namespace {

using cluster::ClusterEvent;
using cluster::HostPort;
using cluster::JobPacket;

// After the end, until nodes have told the rest of what they did.
constexpr Duration kTracePatience{3'000'000'000};
constexpr char kManageSchema[] = "eddl.manage.v1";

// What a person should look at.
bool IsTrouble(const ClusterEvent& event) {
  const std::string& text = event.text;
  return event.topic == "strangers" || (event.topic == "disk" && text != "can be written again") ||
         text.starts_with("connection lost") || text.starts_with("quarantined") || text.starts_with("sent ");
}

class ManageRun {
 public:
  ManageRun(const ManageArguments& arguments, const Console& console, JobConfig job, RunFolder folder)
      : arguments_(arguments), console_(console), job_(std::move(job)), folder_(std::move(folder)) {}

  absl::Status Execute();
  ExitCode outcome() const { return outcome_; }

 private:
  // Whether there is something to go on with, and whether it is this job's.
  absl::Status ReadEarlierRun();
  absl::Status TakeFolder();
  absl::Status MakePacket();
  // Whether a run that goes on has the data that it had.
  absl::Status KeepDataName() const;
  // Certificates and the token; nothing in an insecure cluster.
  absl::Status MakeCredentials();
  // For status, stop and the rest, typed on this machine.
  absl::Status SaveOperator();
  absl::Status OpenJournal();
  absl::Status CheckEpochs() const;
  absl::Status MakeKeeper();
  absl::Status Listen();
  absl::Status StartWorker();
  absl::Status StartHistory();
  absl::Status StartDashboard();
  absl::Status Finish(const cluster::ManagerEnd& end);
  void WriteReportOfRun();
  void OnStep(const StepReport& report);
  absl::Status StartTrace();
  absl::Status WriteTrace();
  void PrintBanner();
  void OnEpoch(const EpochReport& report, const Checkpoint& model);
  void OnEvent(const ClusterEvent& event);
  // A line for people; from any thread.
  void Say(const ClusterEvent& event);
  void ClearProgress();
  absl::StatusOr<std::string> InitialPath();
  std::string cluster_folder() const { return folder_.File("cluster"); }
  std::string authority_folder() const { return folder_.File("authority"); }
  HostPort OwnHostPort() const;

  const ManageArguments& arguments_;
  const Console& console_;
  JobConfig job_;
  RunFolder folder_;
  HostPort listen_;
  std::optional<RunRecord> earlier_;
  std::unique_ptr<TrainSession> session_;
  JobPacket packet_;
  std::vector<float> initial_;  // [layout.total()]
  std::string initial_path_;    // of a file with them; empty: the seed's
  std::unique_ptr<Device> cpu_;
  std::optional<net::CertificateAuthority> authority_;
  std::optional<net::JoinToken> token_;
  std::optional<net::Credentials> credentials_;
  net::Credentials operator_credentials_;
  std::unique_ptr<cluster::MemberRegistry> registry_;
  std::unique_ptr<HistoryKeeper> history_;
  std::unique_ptr<cluster::ManagerNode> manager_;
  std::unique_ptr<cluster::JournalFile> journal_;
  std::unique_ptr<cluster::CheckpointKeeper> keeper_;
  std::unique_ptr<cluster::TrainingRows> rows_;
  std::unique_ptr<cluster::TrainingRows> test_rows_;  // null: members get none
  std::optional<RunTrace> trace_;
  std::optional<AtomicFile> trace_file_;
  std::unique_ptr<cluster::ClusterService> service_;
  std::unique_ptr<net::GrpcTransport> transport_;
  std::optional<net::GrpcLog> grpc_log_;
  std::unique_ptr<Dashboard> dashboard_;
  std::string dashboard_address_;
  std::optional<MetricsLog> metrics_;
  std::optional<EpochSaver> epochs_;
  absl::Mutex progress_mutex_;
  std::optional<ProgressPrinter> progress_ ABSL_GUARDED_BY(progress_mutex_);  // set before others speak
  double seconds_before_ = 0;
  int64_t samples_before_ = 0;
  int64_t epochs_without_better_ = 0;
  FreeMemoryReturner memory_;  // of what bursts left: nodes that come and go, checkpoints

  std::unique_ptr<OwnWorker> worker_;  // with --work; uses most of the others
  ExitCode outcome_ = ExitCode::kOk;
};

absl::Status ManageRun::ReadEarlierRun() {
  if (!arguments_.resume) return absl::OkStatus();
  if (!std::filesystem::exists(cluster_folder() + "/journal")) {
    console_.Line("no cluster's journal in " + folder_.path() + " yet: starting from the beginning");
    return absl::OkStatus();
  }
  EDDL_ASSIGN_OR_RETURN(const JobConfig before, folder_.ReadJob());
  EDDL_RETURN_IF_ERROR(CheckSameJob(before, job_, folder_.path()));
  EDDL_ASSIGN_OR_RETURN(earlier_, folder_.ReadRecord());
  return absl::OkStatus();
}

absl::Status ManageRun::TakeFolder() {
  if (earlier_.has_value()) {
    EDDL_RETURN_IF_ERROR(CheckSameData(earlier_->data, FingerprintOf(session_->data()), folder_.path()));
  } else if (folder_.has_run() && arguments_.overwrite) {
    EDDL_RETURN_IF_ERROR(folder_.Clear());
  } else if (folder_.has_run()) {
    EDDL_ASSIGN_OR_RETURN(const std::string previous, folder_.SetAside());
    console_.Line("an earlier run was moved to " + previous + " (--resume carries one on, --overwrite replaces it)");
  }
  std::error_code error;
  std::filesystem::create_directories(cluster_folder(), error);
  if (error) return WithExitCode(ExitCode::kSave, FailedPrecondition("can't make " + cluster_folder()));
  EDDL_RETURN_IF_ERROR(folder_.WriteJob(job_));
  return folder_.WriteRecord({.status = "running",
                              .device = session_->compute().device->info().Id(),
                              .threads = session_->threads(),
                              .data = FingerprintOf(session_->data())});
}

// Version 0 is not the seed's: a file that members fetch.
absl::StatusOr<std::string> ManageRun::InitialPath() {
  const Model& model = session_->model();
  initial_ = model.InitialParameters(session_->options().seed);
  if (job_.model.init.empty()) return std::string();
  auto from = LoadCheckpoint(job_.model.init);
  if (!from.ok()) return WithExitCode(ExitCode::kMismatch, WithContext(from.status(), "model.init"));
  std::vector<std::string> notes;
  auto values = TransferParameters(*from, model, initial_, notes);
  if (!values.ok()) return WithExitCode(ExitCode::kMismatch, WithContext(values.status(), "model.init"));
  for (const std::string& note : notes) console_.Line("model.init: " + note);
  initial_ = *std::move(values);
  const std::string path = cluster_folder() + "/initial.safetensors";
  const Checkpoint checkpoint = {.model = model.spec(),
                                 .input = model.input(),
                                 .data = session_->data().info,
                                 .parameters = initial_,
                                 .options = session_->options()};
  EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kSave, SaveCheckpoint(path, checkpoint)));
  return path;
}

absl::Status ManageRun::MakePacket() {
  EDDL_ASSIGN_OR_RETURN(initial_path_, InitialPath());
  const std::string id_file = "job_id";
  auto id = net::ReadSecret(cluster_folder(), id_file);
  if (!id.ok()) {
    EDDL_ASSIGN_OR_RETURN(const net::JoinToken random, net::JoinToken::Make(""));
    id = random.secret.substr(0, 16);
    EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kSave, net::WriteSecret(cluster_folder(), id_file, *id)));
  }
  const std::string name = std::filesystem::path(arguments_.job).stem().string();
  EDDL_ASSIGN_OR_RETURN(packet_, cluster::MakeJobPacket(job_, name, *id, session_->model().spec(), session_->data(),
                                                        session_->options(), session_->model().layout()));
  return KeepDataName();
}

// Beside the job's id: devices have caches of these rows.
absl::Status ManageRun::KeepDataName() const {
  const std::string file = "data";
  const std::string now = packet_.data_fingerprint + " " + packet_.test_fingerprint;
  const auto before = net::ReadSecret(cluster_folder(), file);
  if (earlier_.has_value() && before.ok()) return CheckSameRows(*before, now, folder_.path());
  // A run from before this was kept has none.
  if (earlier_.has_value() && !absl::IsNotFound(before.status())) {
    return WithExitCode(ExitCode::kSave, before.status());
  }
  return WithExitCode(ExitCode::kSave, net::WriteSecret(cluster_folder(), file, now));
}

absl::Status ManageRun::MakeCredentials() {
  std::error_code ignored;
  std::filesystem::create_directories(authority_folder(), ignored);
  auto registry = cluster::MemberRegistry::Open(authority_folder() + "/members.json");
  if (!registry.ok()) return WithExitCode(ExitCode::kSave, registry.status());
  registry_ = *std::move(registry);
  if (arguments_.insecure) return absl::OkStatus();
  const auto make = [this]() -> absl::Status {
    EDDL_ASSIGN_OR_RETURN(authority_, net::CertificateAuthority::Open(authority_folder()));
    EDDL_ASSIGN_OR_RETURN(const std::string fingerprint, net::Fingerprint(authority_->certificate()));
    const auto earlier = net::ReadSecret(authority_folder(), "token");
    const auto parsed = earlier.ok() ? net::JoinToken::Parse(*earlier) : earlier.status();
    if (parsed.ok() && parsed->fingerprint == fingerprint) {
      token_ = *parsed;
    } else {
      EDDL_ASSIGN_OR_RETURN(token_, net::JoinToken::Make(fingerprint));
      EDDL_RETURN_IF_ERROR(net::WriteSecret(authority_folder(), "token", token_->ToString()));
    }
    const auto issue = [this](const std::string& name) -> absl::StatusOr<net::Credentials> {
      EDDL_ASSIGN_OR_RETURN(std::string key, net::MakeKey());
      EDDL_ASSIGN_OR_RETURN(const std::string request, net::MakeSigningRequest(key));
      EDDL_ASSIGN_OR_RETURN(const std::string certificate, authority_->Issue(request, name, {}));
      return net::Credentials{.ca = authority_->certificate(),
                              .certificate = certificate + authority_->certificate(),
                              .key = std::move(key)};
    };
    EDDL_ASSIGN_OR_RETURN(credentials_, issue(net::NameOfNode(net::kManager)));
    EDDL_ASSIGN_OR_RETURN(operator_credentials_, issue(net::kOperatorName));
    return absl::OkStatus();
  };
  return WithExitCode(ExitCode::kSave, make());
}

absl::Status ManageRun::SaveOperator() {
  if (arguments_.insecure) return absl::OkStatus();
  const HostPort own = OwnHostPort();
  for (const std::string& host : {std::string("127.0.0.1"), std::string("localhost"), own.host}) {
    const HostPort address = {.host = host, .port = own.port};
    EDDL_RETURN_IF_ERROR(WithExitCode(
        ExitCode::kSave,
        cluster::SaveIdentity(cluster::IdentityFolder(cluster::DefaultStateFolder() + "/operator", address),
                              {.credentials = operator_credentials_})));
  }
  return absl::OkStatus();
}

HostPort ManageRun::OwnHostPort() const {
  const bool any = listen_.host == "0.0.0.0" || listen_.host == "::";
  const int port = transport_ != nullptr ? transport_->port() : std::stoi(listen_.port);
  return {.host = any ? cluster::OwnAddress() : listen_.host, .port = std::to_string(port)};
}

absl::Status ManageRun::CheckEpochs() const {
  const net::Started& started = journal_->started();
  net::Ledger ledger(packet_.ledger());
  bool fits = started.closed.empty() || started.closed.back().epoch < packet_.options.epochs;
  for (const net::DataBlock& block : started.blocks) {
    fits = fits && ledger.CanAdd(block);
    if (fits) ledger.Add(block);
  }
  for (const net::CommitRecord& record : started.records) {
    for (const net::MicroBatch mb : record.micro_batches) fits = fits && ToInt(mb) < ledger.micro_batch_end();
  }
  if (fits) return absl::OkStatus();
  return WithExitCode(ExitCode::kUsage,
                      InvalidArgument("the run has been through more than " + std::to_string(packet_.options.epochs) +
                                      " epochs already; resume it with a larger train.epochs"));
}

absl::Status ManageRun::OpenJournal() {
  auto journal = cluster::JournalFile::Open(
      cluster_folder() + "/journal", packet_.job_id, [this](net::Version below) { manager_->OnDurable(below); },
      [this](const std::string& text) { manager_->OnTrouble(text); });
  if (!journal.ok()) return WithExitCode(ExitCode::kSave, journal.status());
  journal_ = *std::move(journal);
  EDDL_RETURN_IF_ERROR(CheckEpochs());
  auto rows = cluster::TrainingRows::Open(session_->data().train, packet_.sample_count,
                                          cluster_folder() + "/contributed", journal_->started().blocks);
  if (!rows.ok()) return WithExitCode(ExitCode::kData, rows.status());
  rows_ = *std::move(rows);
  if (packet_.test_count == 0) return absl::OkStatus();
  auto tests =
      cluster::TrainingRows::Open(session_->data().test, packet_.test_count, cluster_folder() + "/no-tests", {});
  if (!tests.ok()) return WithExitCode(ExitCode::kData, tests.status());
  test_rows_ = *std::move(tests);
  return absl::OkStatus();
}

absl::Status ManageRun::MakeKeeper() {
  const ParamLayout& layout = session_->model().layout();
  Device* cpu = session_->compute().device.get();
  if (!session_->compute().on_cpu()) cpu = session_->compute().fallback.get();
  if (cpu == nullptr) return WithExitCode(ExitCode::kDevice, FailedPrecondition("the cpu backend is missing"));
  EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kDevice, session_->replica().WriteParameters(initial_)));
  std::vector<float> shared(initial_.begin(), initial_.begin() + layout.gradient_end());
  const Dataset& test = session_->data().test;
  keeper_ = std::make_unique<cluster::CheckpointKeeper>(
      cluster::CheckpointKeeper::Options{
          .folder = cluster_folder(),
          .job = packet_,
          .test = test.size() > 0 ? &test : nullptr,
          .on_saved = [this](const cluster::SavedCheckpoint& saved,
                             std::shared_ptr<const Checkpoint> whole) { manager_->OnSaved(saved, std::move(whole)); },
          .on_tested = [this](net::Version version,
                              const absl::StatusOr<BatchSums>& sums) { manager_->OnTested(version, sums); },
          .on_trouble = [this](const std::string& text) { manager_->OnTrouble(text); }},
      session_->replica(), *cpu, cluster::StripesOf(layout, packet_.stripe_count), std::move(shared));
  const net::Version checkpoint = journal_->started().checkpoint;
  if (ToInt(checkpoint) == 0) return absl::OkStatus();
  if (const absl::Status loaded = keeper_->Load(checkpoint); !loaded.ok()) {
    console_.Line("the last checkpoint can't be read, and is only needed if devices are lost: " + MessageOf(loaded));
    return absl::OkStatus();
  }
  const auto read = LoadCheckpoint(keeper_->PathOf(checkpoint));
  if (read.ok() && read->state) seconds_before_ = read->state->seconds;
  return absl::OkStatus();
}

absl::Status ManageRun::Listen() {
  cluster::Admission admission = {.insecure = arguments_.insecure};
  if (!arguments_.insecure) {
    admission.secret = token_->secret;
    admission.ca_certificate = authority_->certificate();
    admission.issue = [this](const std::string& request, net::NodeId node) {
      return authority_->Issue(request, net::NameOfNode(node), {});
    };
  }
  if (packet_.exact) admission.instruction_set = cluster::InstructionSet();
  const auto newest_model = [this]() -> std::string {
    for (const std::string& path : {folder_.model_path(), folder_.best_path()}) {
      if (std::filesystem::exists(path)) return path;
    }
    return "";
  };
  service_ = std::make_unique<cluster::ClusterService>(
      std::move(admission), packet_, *registry_, *manager_, *rows_,
      cluster::ClusterService::Files{.model = newest_model, .initial = initial_path_});
  const auto on_refused = [this](const std::string& text) { manager_->OnRefused(text); };
  grpc_log_.emplace(on_refused);
  service_->set_log(&console_.log());
  service_->set_test_rows(test_rows_.get());
  if (trace_) service_->set_trace(&*trace_);
  const uint64_t payload_max = cluster::PayloadBytesMax(session_->model().layout(), packet_.options.optimizer);
  auto transport = net::GrpcTransport::Create({.self = net::kManager,
                                               .job_id = packet_.job_id,
                                               .listen = listen_.ToString(),
                                               .credentials = credentials_,
                                               .services = {service_.get()},
                                               .on_refused = on_refused,
                                               .payload_bytes_max = payload_max},
                                              *manager_);
  if (!transport.ok()) return WithExitCode(ExitCode::kNetwork, transport.status());
  transport_ = *std::move(transport);
  return absl::OkStatus();
}

absl::Status ManageRun::StartWorker() {
  if (!arguments_.work) return absl::OkStatus();
  EDDL_ASSIGN_OR_RETURN(worker_,
                        OwnWorker::Start({.job = job_,
                                          .packet = packet_,
                                          .pace = arguments_.pace,
                                          .log = arguments_.log,
                                          .log_to_stderr = console_.json(),
                                          .train = session_->data().train,
                                          .rows = *rows_,
                                          .tests = test_rows_.get(),
                                          .registry = *registry_,
                                          .manager = *manager_,
                                          .transport = *transport_,
                                          .authority = authority_ ? &*authority_ : nullptr,
                                          .initial = initial_path_.empty() ? std::vector<float>() : initial_}));
  return absl::OkStatus();
}

absl::Status ManageRun::StartHistory() {
  const std::string path = folder_.File("history.json");
  RunHistory history;
  if (earlier_.has_value()) {
    auto before = ReadHistory(path);
    if (before.ok()) history = *std::move(before);
    if (!before.ok() && !absl::IsNotFound(before.status())) {
      console_.Line("the run's history begins anew: " + MessageOf(before.status()));
    }
  }
  history_ = std::make_unique<HistoryKeeper>(path, std::move(history));
  return absl::OkStatus();
}

absl::Status ManageRun::StartDashboard() {
  if (arguments_.dashboard.empty()) return absl::OkStatus();
  EDDL_ASSIGN_OR_RETURN(const HostPort address, cluster::ParseHostPort(arguments_.dashboard));
  auto token = OperatorToken(authority_folder());
  if (!token.ok()) return WithExitCode(ExitCode::kSave, token.status());
  auto dashboard = StartManagerDashboard({.host = address.host, .port = std::stoi(address.port), .token = *token},
                                         *manager_, *history_, {.job = packet_.name, .model = packet_.model.name});
  if (!dashboard.ok()) return WithExitCode(ExitCode::kNetwork, dashboard.status());
  dashboard_ = *std::move(dashboard);
  dashboard_address_ = HostPort{address.host, std::to_string(dashboard_->port())}.ToString();
  return absl::OkStatus();
}

void ManageRun::PrintBanner() {
  console_.Write(StartBanner(*session_, folder_.path()));
  const HostPort own = OwnHostPort();
  console_.Line("listen  " + HostPort{listen_.host, own.port}.ToString() +
                (arguments_.insecure ? " INSECURE: no encryption, and everybody may join" : ", TLS"));
  std::string join = "join:   eddl-node join " + own.ToString();
  join += arguments_.insecure ? " --insecure" : " --token " + token_->ToString();
  console_.Line(join);
  if (arguments_.work) console_.Line("        this device trains, too");
  if (const std::string warning = cluster::DelayWarning(job_); !warning.empty()) console_.Line("warning " + warning);
  if (packet_.local_data) {
    console_.Line(
        "data    stays on the devices: join with --data; " +
        std::string(arguments_.work ? "the manager's is trained on here" : "the manager's is only tested on"));
  }
  const std::string status = "eddl-node status " + HostPort{"127.0.0.1", own.port}.ToString();
  console_.Line("        to look: " + status + (arguments_.insecure ? " --insecure" : ""));
  if (dashboard_ != nullptr) {
    console_.Line("        or http://" + dashboard_address_ + "; acting needs the token in " + authority_folder() +
                  "/operator_token");
  }
  console_.Json({{"schema", kManageSchema},
                 {"status", "listening"},
                 {"address", own.ToString()},
                 {"dashboard", dashboard_address_},
                 {"token", token_ ? nlohmann::ordered_json(token_->ToString()) : nlohmann::ordered_json()}});
}

void ManageRun::OnStep(const StepReport& report) {
  const Instant now = Now();
  const int64_t round = report.state.step - 1;
  {
    const absl::MutexLock lock(&progress_mutex_);
    progress_->OnStep(report, now);
  }
  const Log& log = console_.log();
  log.set_round(round);
  if (log.Has(LogLevel::kDebug)) {
    log.Debug("round " + std::to_string(round) + " committed: " + std::to_string(report.state.samples) +
              " samples so far, loss " + std::to_string(report.loss));
  }
  if (!trace_) return;
  trace_->AddCommit(now, net::Version{static_cast<uint64_t>(round)}, report.state.samples, report.loss);
}

absl::Status ManageRun::StartTrace() {
  if (arguments_.trace.empty()) return absl::OkStatus();
  // Now, so that a folder that can't be written is known before hours of training.
  auto file = AtomicFile::Create(arguments_.trace);
  if (!file.ok()) return WithExitCode(ExitCode::kSave, WithContext(file.status(), "--trace"));
  trace_file_.emplace(*std::move(file));
  trace_.emplace(packet_.name, Now(), samples_before_);
  return absl::OkStatus();
}

absl::Status ManageRun::WriteTrace() {
  if (!trace_) return absl::OkStatus();
  trace_->AwaitLast(kTracePatience);
  EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kSave, trace_->Write(*trace_file_)));
  console_.Line("trace: " + arguments_.trace + " (open it in ui.perfetto.dev or chrome://tracing)");
  if (const int64_t count = trace_->lacking_count(); count > 0) {
    console_.Line("the trace lacks " + Grouped(count) + " spans: more than it holds, lost on the way, or refused");
  }
  return absl::OkStatus();
}

void ManageRun::OnEpoch(const EpochReport& report, const Checkpoint& model) {
  {
    const absl::MutexLock lock(&progress_mutex_);
    progress_->OnEpoch(report, Now());
  }
  epochs_without_better_ = epochs_->Add(report, model) ? 0 : epochs_without_better_ + 1;
  const int64_t patience = job_.cluster.patience_epochs;
  if (patience > 0 && epochs_without_better_ >= patience) {
    console_.Line("no better test accuracy for " + std::to_string(patience) + " epochs: stopping");
    manager_->Stop();
  }
}

void ManageRun::ClearProgress() {
  const absl::MutexLock lock(&progress_mutex_);
  progress_->Clear();
}

void ManageRun::OnEvent(const ClusterEvent& event) {
  history_->AddExplained(event.seconds, event.topic, event.text);
  if (trace_) trace_->AddExplained(Now(), event.topic, event.text);
  if (event.topic != cluster::kDiskTopic) Say(event);  // which was said at once
}

void ManageRun::Say(const ClusterEvent& event) {
  ClearProgress();
  const Log& log = console_.log();
  const bool bad = IsTrouble(event);
  char seconds[32] = "";
  if (log.format() == LogFormat::kPlain) {
    std::snprintf(seconds, sizeof(seconds), bad ? "%.1f s  " : "%8.1f s  ", event.seconds);
  }
  log.Write(bad ? LogLevel::kWarning : LogLevel::kInfo, seconds + event.topic + ": " + event.text);
}

// A run is none the worse without a report.
void ManageRun::WriteReportOfRun() {
  const absl::Status status = WriteReport(folder_.path(), {.evaluate = true});
  console_.Line(status.ok() ? "report: " + folder_.File("report.html")
                            : "no report could be written: " + MessageOf(status));
}

absl::Status ManageRun::Finish(const cluster::ManagerEnd& end) {
  ClearProgress();
  // Stopped before the next checkpoint: what counts is less than what the journal had.
  const double seconds = end.last ? std::max(end.last->state.seconds - seconds_before_, 0.0) : 0.0;
  const int64_t samples = end.last ? std::max<int64_t>(end.last->state.samples - samples_before_, 0) : 0;
  const double rate = seconds > 0 ? static_cast<double>(samples) / seconds : 0;
  // What can't be written keeps nothing else from being so.
  absl::Status failure = epochs_->Finish();
  absl::Status saved;
  std::string hash;
  if (end.model != nullptr) {
    Checkpoint use = *end.model;
    hash = session_->model().layout().Hash(use.parameters);
    use.state.reset();
    use.optimizer.clear();
    if (end.finished) saved = WithExitCode(ExitCode::kSave, SaveCheckpoint(folder_.model_path(), use));
    failure.Update(saved);
  }
  const auto& last = epochs_->last_epoch();
  const std::string status = end.finished ? "finished" : "stopped";
  std::string text = status;
  if (end.last) {
    text += " after " + Grouped(end.last->state.epoch) + " epochs, " + Grouped(end.last->state.step) + " steps";
  }
  if (last && last->test_accuracy) text += ": test accuracy " + PercentText(*last->test_accuracy);
  console_.Line(text);
  if (!end.finished) console_.Line("why: " + end.why);
  console_.Line(Grouped(static_cast<int64_t>(rate + 0.5)) + " samples/s, training " + SecondsText(seconds) +
                (hash.empty() ? "" : ", parameters " + hash));
  if (end.finished && saved.ok()) console_.Line("model saved: " + folder_.model_path());
  if (!end.finished) console_.Line("to go on: " + arguments_.resume_command);
  failure.Update(folder_.WriteRecord({.status = saved.ok() ? status : "error",
                                      .device = session_->compute().device->info().Id(),
                                      .threads = session_->threads(),
                                      .data = FingerprintOf(session_->data())}));
  if (!failure.ok()) {
    WriteReportOfRun();
    return failure;
  }
  nlohmann::ordered_json json = {{"schema", kManageSchema},
                                 {"status", status},
                                 {"why", end.why},
                                 {"epochs", end.last ? end.last->state.epoch : 0},
                                 {"steps", end.last ? end.last->state.step : 0},
                                 {"samples", samples},
                                 {"samples_in_all", end.last ? end.last->state.samples : 0},
                                 {"seconds", seconds},
                                 {"samples_per_second", rate},
                                 {"parameters_hash", hash},
                                 {"run_dir", folder_.path()}};
  json["test_accuracy"] =
      last && last->test_accuracy ? nlohmann::ordered_json(*last->test_accuracy) : nlohmann::ordered_json();
  const std::optional<double> best = epochs_->best_test_accuracy();
  json["best_test_accuracy"] = best ? nlohmann::ordered_json(*best) : nlohmann::ordered_json();
  console_.Json(json);
  WriteReportOfRun();
  outcome_ = end.finished ? ExitCode::kOk : StopCode();
  return absl::OkStatus();
}

absl::Status ManageRun::Execute() {
  EDDL_ASSIGN_OR_RETURN(listen_, cluster::ParseHostPort(arguments_.listen));
  EDDL_RETURN_IF_ERROR(ReadEarlierRun());
  EDDL_ASSIGN_OR_RETURN(session_, TrainSession::Open(job_, /*threads_before=*/1));
  EDDL_RETURN_IF_ERROR(TakeFolder());
  EDDL_RETURN_IF_ERROR(MakePacket());
  EDDL_RETURN_IF_ERROR(MakeCredentials());
  EDDL_RETURN_IF_ERROR(StartHistory());
  cluster::ManagerNodeOptions options = {
      .manager = cluster::MakeManagerOptions(job_, packet_, session_->model().layout()),
      .epochs = packet_.options.epochs,
      .record_path = arguments_.record};
  options.manager.test_count = session_->data().test.size();
  options.manager.test_here = packet_.local_data;  // the manager's test data stay there, too
  cluster::ManagerObserver observer = {
      .on_step = [this](const StepReport& report) { OnStep(report); },
      .on_epoch = [this](const EpochReport& report, const Checkpoint& model) { OnEpoch(report, model); },
      .on_growth =
          [this](int64_t samples) {
            const absl::MutexLock lock(&progress_mutex_);
            progress_->SetSamples(samples);
          },
      .on_event = [this](const ClusterEvent& event) { OnEvent(event); },
      .on_trouble = [this](const ClusterEvent& event) { Say(event); },
      .on_sample =
          [this](const RunSample& sample) {
            history_->Add(sample);
            if (trace_) trace_->SetMode(sample.mode);
            memory_.Look(Now());
          }};
  manager_ = std::make_unique<cluster::ManagerNode>(
      std::move(options), *registry_, std::move(observer), [this](net::NodeId node, const std::string& address) {
        return cluster::ProbeNode(node, address.starts_with(':') ? "127.0.0.1" + address : address, credentials_);
      });
  EDDL_RETURN_IF_ERROR(OpenJournal());
  EDDL_RETURN_IF_ERROR(MakeKeeper());
  const auto& records = journal_->started().records;
  for (const net::CommitRecord& record : records) samples_before_ += record.samples;
  EDDL_ASSIGN_OR_RETURN(metrics_, MetricsLog::Open(folder_.metrics_path(), static_cast<int64_t>(records.size())));
  epochs_.emplace(*metrics_, folder_.best_path(), [this](const std::string& text) { manager_->OnTrouble(text); });
  {
    const absl::MutexLock lock(&progress_mutex_);
    progress_.emplace(
        ProgressOptions{.terminal = console_.is_terminal(),
                        .epochs = packet_.options.epochs,
                        .samples = packet_.options.epochs * packet_.sample_count},
        [this](std::string_view text) { console_.Write(text); }, [this] { return console_.width(); },
        TrainState{.step = static_cast<int64_t>(records.size()), .samples = samples_before_}, Now());
  }
  EDDL_RETURN_IF_ERROR(StartTrace());
  EDDL_RETURN_IF_ERROR(Listen());
  EDDL_RETURN_IF_ERROR(SaveOperator());
  EDDL_RETURN_IF_ERROR(StartDashboard());
  PrintBanner();
  EDDL_RETURN_IF_ERROR(StartWorker());
  const cluster::ManagerEnd end =
      manager_->Run(*transport_, *journal_, *keeper_, seconds_before_,
                    metrics_->last_epoch() ? metrics_->last_epoch()->epoch : 0, InstallStopSignals());
  worker_.reset();
  dashboard_.reset();
  const absl::Status kept = WithExitCode(ExitCode::kSave, history_->Save());
  absl::Status finished = Finish(end);
  finished.Update(kept);
  finished.Update(WriteTrace());
  return finished;
}

}  // namespace

int RunCommand(const ManageArguments& arguments) {
  const Console console(arguments.format, arguments.log);
  console.log().set_node(net::kManager);
  auto job = LoadJob(arguments.job, arguments.overrides);
  if (!job.ok()) return ReportFailure(console, kManageSchema, job.status());
  auto folder = RunFolder::Open(job->run.dir);
  if (!folder.ok()) return ReportFailure(console, kManageSchema, folder.status());
  ManageRun run(arguments, console, *std::move(job), *std::move(folder));
  const absl::Status status = run.Execute();
  return status.ok() ? static_cast<int>(run.outcome()) : ReportFailure(console, kManageSchema, status);
}

}  // namespace eddl
