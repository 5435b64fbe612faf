#include "tools/eddl_node/own_worker.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "tests/runtime/data/files.h"
#include "tools/eddl_node/cluster/cluster_options.h"
#include "tools/eddl_node/train_session.h"

namespace eddl {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr net::View kView{1};

// What is left of a manager that has ended: it hears, and says nothing.
class SilentManager final : public net::TransportObserver {
 public:
  // False: it did not come, or has no shard.
  bool AwaitUp() { return Await(is_up_); }
  bool AwaitShard() { return Await(has_shard_); }

  void OnPeerUp(net::NodeId) override { Set(is_up_); }
  void OnPeerDown(net::NodeId, const std::string&) override {}
  void OnMessage(net::NodeId, net::Message message, net::Bytes, bool) override {
    const auto* beat = std::get_if<net::Beat>(&message.body);
    if (beat != nullptr && beat->shard != net::kNoVersion) Set(has_shard_);
  }
  void OnDirectory(net::NodeId, net::Directory) override {}
  void OnDataBlocks(net::NodeId, net::DataBlocks) override {}
  void OnBadPeer(net::NodeId, const std::string&) override {}

 private:
  void Set(bool& flag) {
    const absl::MutexLock lock(&mutex_);
    flag = true;
  }
  bool Await(bool& flag) {
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&flag), kPatience);
  }

  absl::Mutex mutex_;
  bool is_up_ = false;
  bool has_shard_ = false;
};

JobConfig SmallJob() {
  JobConfig job;
  job.data = {.format = "generate", .test_fraction = 0.2};
  job.data.generate = {.samples = 160, .features = 8, .classes = 2, .seed = 5};
  job.model.name = "mlp";
  job.model.widths = {4};
  job.device = {.name = "cpu", .threads = 1};
  return job;
}

// It leads all of the model when the manager ends without a goodbye that reaches it, and then sees it again: the
// manager's process goes on to save what there is. It has nobody to hand its shard to.
TEST(OwnWorkerTest, EndsWhenItsManagerHasEndedAlsoIfItLeadsAndHeardNoGoodbye) {
  const TempDir folder;
  const JobConfig job = SmallJob();
  const auto session = TrainSession::Open(job, 1);
  ASSERT_TRUE(session.ok()) << session.status();
  const ParamLayout& layout = (*session)->model().layout();
  const auto packet = cluster::MakeJobPacket(job, "job", "00112233445566ff", (*session)->model().spec(),
                                             (*session)->data(), (*session)->options(), layout);
  ASSERT_TRUE(packet.ok()) << packet.status();
  const auto registry = cluster::MemberRegistry::Open(folder.Path("members.json"));
  const auto rows =
      cluster::TrainingRows::Open((*session)->data().train, packet->sample_count, folder.Path("rows"), {});
  ASSERT_TRUE(registry.ok() && rows.ok());
  cluster::ManagerNode ended({.manager = cluster::MakeManagerOptions(job, *packet, layout)}, **registry, {},
                             [](net::NodeId, const std::string&) { return false; });
  SilentManager silent;
  const auto transport =
      net::GrpcTransport::Create({.self = net::kManager, .job_id = packet->job_id, .listen = "127.0.0.1:0"}, silent);
  ASSERT_TRUE(transport.ok()) << transport.status();
  auto worker = OwnWorker::Start({.job = job,
                                  .packet = *packet,
                                  .train = (*session)->data().train,
                                  .rows = **rows,
                                  .registry = **registry,
                                  .manager = ended,
                                  .transport = **transport});
  ASSERT_TRUE(worker.ok()) << worker.status();
  ASSERT_TRUE(silent.AwaitUp());
  const net::NodeId self{1};
  const std::vector<net::StripeRange> all = {{.begin = {}, .end = net::Stripe{packet->stripe_count}}};
  const auto tell = [&](net::Body body) {
    (*transport)->Send(self, {.view = kView, .body = std::move(body)}, nullptr);
  };
  tell(net::Welcome{.incarnation = {kView, 1}});
  tell(net::Start{.map = {{{.leader = self, .backup = self, .stripes = all}}},
                  .transfers = {{.from = self, .to = self, .stripes = all}}});
  ASSERT_TRUE(silent.AwaitShard());

  auto gone = std::async(std::launch::async, [&worker] { worker->reset(); });
  const bool ends = gone.wait_for(absl::ToChronoSeconds(kPatience)) == std::future_status::ready;
  EXPECT_TRUE(ends) << "it waits for a manager that says nothing any more";
  if (!ends) (*transport)->Revoke({self});
}

}  // namespace
}  // namespace eddl
