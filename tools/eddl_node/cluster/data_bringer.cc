#include "tools/eddl_node/cluster/data_bringer.h"

#include <chrono>
#include <utility>

#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_service.h"

namespace eddl::cluster {

DataBringer::DataBringer(const std::shared_ptr<grpc::Channel>& manager, net::NodeId node, int64_t row_count,
                         uint64_t hash, std::function<void(const std::string&)> on_trouble)
    : stub_(v1::Cluster::NewStub(manager)), on_trouble_(std::move(on_trouble)) {
  request_.set_node(ToInt(node));
  request_.set_rows(row_count);
  request_.set_hash(hash);
  thread_ = std::thread([this] { Work(); });
}

DataBringer::~DataBringer() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
    if (calling_ != nullptr) calling_->TryCancel();
  }
  thread_.join();
}

absl::StatusOr<int64_t> DataBringer::Bring() {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoSeconds(kBringPatience));
  {
    const absl::MutexLock lock(&mutex_);
    if (stopped_) return Unavailable("this device is leaving");
    calling_ = &context;
  }
  v1::BringReply reply;
  const absl::Status status = FromGrpc(stub_->Bring(&context, request_, &reply));
  const absl::MutexLock lock(&mutex_);
  calling_ = nullptr;
  if (!status.ok()) return status;
  return reply.first_epoch();
}

bool DataBringer::IsStopped() const {
  const absl::MutexLock lock(&mutex_);
  return stopped_;
}

void DataBringer::BringAgain() {
  const absl::MutexLock lock(&mutex_);
  wanted_ = true;
}

void DataBringer::Work() {
  for (int tries = 0;;) {
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &DataBringer::HasWork));
      if (stopped_) return;
      wanted_ = false;
    }
    const auto brought = Bring();
    const absl::Status status = brought.status();
    const bool is_away = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
    if (IsStopped()) return;
    if (status.ok() || !is_away || ++tries == kBringTriesMax) {
      if (!status.ok()) on_trouble_("the manager does not take this device's entries: " + MessageOf(status));
      tries = 0;
      continue;
    }
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), kBringPause)) return;
    wanted_ = true;
  }
}

}  // namespace eddl::cluster
