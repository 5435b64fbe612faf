#include "tools/eddl_node/cluster/member_session.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/node_reporter.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl::cluster {

absl::StatusOr<std::optional<Pace>> ParsePace(const std::string& text) {
  if (text.empty()) return std::nullopt;
  char* end = nullptr;
  Pace pace;
  pace.lease_seconds = std::strtod(text.c_str(), &end);
  bool good = end != text.c_str() && *end == ',';
  if (good) {
    const char* const second = end + 1;
    pace.sample_seconds = std::strtod(second, &end);
    good = end != second && *end == '\0';
  }
  good = good && std::isfinite(pace.lease_seconds) && std::isfinite(pace.sample_seconds) && pace.lease_seconds >= 0 &&
         pace.sample_seconds >= 0;
  if (good) return pace;
  return WithExitCode(ExitCode::kUsage, InvalidArgument("--pace " + text +
                                                        ": expected A,C: seconds a lease and seconds a sample, such as "
                                                        "0.01,0.009"));
}

uint64_t PayloadBytesMax(const ParamLayout& layout, const OptimizerSpec& optimizer) {
  const uint64_t states = optimizer.kind == OptimizerKind::kSgd ? 1 : 2;
  const uint64_t element = std::max(sizeof(int64_t), sizeof(float) * (1 + states));
  return static_cast<uint64_t>(layout.total()) * element;
}

absl::StatusOr<std::unique_ptr<MemberSession>> MemberSession::Open(const JobPacket& job, MemberSessionOptions options,
                                                                   std::unique_ptr<NodeRuntime> runtime,
                                                                   SampleSource& samples,
                                                                   std::function<void(const MemberStatus&)> on_status) {
  auto session = std::unique_ptr<MemberSession>(new MemberSession());
  session->runtime_ = std::move(runtime);
  session->service_ = std::make_unique<NodeService>(options.self);
  EDDL_ASSIGN_OR_RETURN(auto store, session->runtime_->MakeStore(std::move(options.initial)));
  net::Capabilities capabilities = {.can_work = options.can_work, .can_lead = !options.listen.empty()};
  if (options.can_work) {
    EDDL_ASSIGN_OR_RETURN(double seconds, session->runtime_->WarmUp());
    if (options.cpu_limit > 0) seconds /= options.cpu_limit;
    if (options.pace) {
      seconds = options.pace->lease_seconds + options.pace->sample_seconds * static_cast<double>(job.micro_batch);
    }
    if (seconds > 0) capabilities.micro_batches_per_second = 1 / seconds;
  }
  const MemberNodeOptions node = {.self = options.self,
                                  .capabilities = capabilities,
                                  .manager_address = options.manager_address,
                                  .record_path = options.record_path,
                                  .owner_load_max = options.owner_load_max,
                                  .log = options.log,
                                  .spans = &session->spans_};
  const LeaseRunnerOptions runner = {.ledger = job.ledger(),
                                     .test = job.test(),
                                     .tests = options.tests,
                                     .seed = job.options.seed,
                                     .exact = job.exact,
                                     .device_batch = job.options.micro_batch,
                                     .cpu_limit = options.cpu_limit,
                                     .pace = options.pace};
  session->node_ = std::make_unique<MemberNode>(node, std::move(store), session->runtime_->replica(), samples, runner,
                                                std::move(on_status));
  auto transport = net::GrpcTransport::Create(
      {.self = options.self,
       .job_id = job.job_id,
       .listen = options.listen,
       .credentials = options.credentials,
       .services = {session->service_.get()},
       .on_refused = options.on_refused,
       .payload_bytes_max = PayloadBytesMax(session->runtime_->replica().layout(), job.options.optimizer)},
      *session->node_);
  if (!transport.ok()) return WithExitCode(ExitCode::kNetwork, transport.status());
  session->transport_ = *std::move(transport);
  session->open_manager_ = [address = options.manager_address, credentials = options.credentials] {
    return net::MakeChannel(address, net::kManager, credentials);
  };
  session->manager_ = session->open_manager_();
  session->manager_address_ = options.manager_address;
  session->self_ = options.self;
  session->log_ = options.log;
  return session;
}

absl::StatusOr<std::string> MemberSession::Run(const std::atomic<bool>& stop) {
  const LinkProber prober(open_manager_, manager_address_,
                          [this](const LinkEstimate& estimate) { node_->SetLink(estimate); });
  const NodeReporter reporter(self_, manager_, *transport_, spans_, log_);
  return node_->Run(*transport_, stop);
}

}  // namespace eddl::cluster
