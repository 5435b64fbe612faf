// Callers who open calls and take nothing of what is sent to them.
#include "tools/eddl_node/cluster/cluster_service.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "runtime/base/time.h"
#include "runtime/data/row_store.h"

namespace eddl::cluster {
namespace {

constexpr int64_t kRows = 16;
constexpr int64_t kRowBytes = 4096;
// More than any connection keeps for a reader that does not read.
constexpr uintmax_t kFileBytes = uintmax_t{32} << 20;
// The next piece may just be on its way.
constexpr Duration kTooLong{2 * CallLimits{}.patience.ns};

Dataset MakeData() {
  DatasetInfo info = {.name = "zeros", .sample_shape = Shape{kRowBytes}, .dtype = DType::kU8, .class_count = 2};
  HostBytes bytes;
  EXPECT_TRUE(bytes.Resize(kRows * kRowBytes).ok());
  return {std::move(info), std::make_shared<RowStore>(std::move(bytes), kRowBytes, 0.0), std::vector<int32_t>(kRows)};
}

// One call that sends a stream.
template <typename Piece>
class Reading {
 public:
  using Reader = std::unique_ptr<grpc::ClientReader<Piece>>;

  template <typename Open>
  explicit Reading(Open open) : reader_(open(&context_)) {}
  ~Reading() {
    context_.TryCancel();
    if (!is_over_) reader_->Finish();
  }

  bool Read() {
    Piece piece;
    return reader_->Read(&piece);
  }
  // How it ended, all read.
  grpc::Status End() {
    while (Read()) {
    }
    is_over_ = true;
    return reader_->Finish();
  }

 private:
  grpc::ClientContext context_;
  const Reader reader_;
  bool is_over_ = false;
};

// An insecure manager, where a connection is a caller.
class ClusterServiceTest : public testing::Test {
 protected:
  ClusterServiceTest() {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/model");
    std::filesystem::resize_file(folder_ + "/model", kFileBytes);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = Connect();
  }
  ~ClusterServiceTest() override {
    server_->Shutdown(std::chrono::system_clock::now());
    std::filesystem::remove_all(folder_);
  }

  // A connection of its own.
  std::unique_ptr<v1::Cluster::Stub> Connect() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // else it may keep whole files for a reader that does not read
    return v1::Cluster::NewStub(
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port_), grpc::InsecureChannelCredentials(), arguments));
  }
  static std::unique_ptr<Reading<v1::FilePiece>> FetchModel(v1::Cluster::Stub& stub) {
    return std::make_unique<Reading<v1::FilePiece>>([&](grpc::ClientContext* context) {
      v1::GetModelRequest request;
      request.set_kind("newest");
      return stub.GetModel(context, request);
    });
  }
  // As many as may be asked for: 256 MiB.
  static std::unique_ptr<Reading<v1::SamplesPiece>> FetchSamples(v1::Cluster::Stub& stub) {
    return std::make_unique<Reading<v1::SamplesPiece>>([&](grpc::ClientContext* context) {
      v1::GetSamplesRequest request = Request();
      for (int i = 0; i < kSamplesPerRequestMax; ++i) request.add_samples(i % kRows);
      return stub.GetSamples(context, request);
    });
  }

  static v1::GetSamplesRequest Request() {
    v1::GetSamplesRequest request;
    request.set_job_id("job a");
    request.set_data("16-zeros");
    return request;
  }
  static grpc::Status Ask(v1::Cluster::Stub& stub, const v1::GetSamplesRequest& request) {
    return Reading<v1::SamplesPiece>([&](grpc::ClientContext* context) { return stub.GetSamples(context, request); })
        .End();
  }

  const std::string folder_ = testing::TempDir() + "cluster_service_" + std::to_string(Now().ns);
  const JobPacket job_ = {.job_id = "job a", .data_fingerprint = "16-zeros"};
  const Dataset data_ = MakeData();
  const std::unique_ptr<TrainingRows> rows_ = *TrainingRows::Open(data_, data_.size(), folder_ + "/contributed", {});
  const std::unique_ptr<MemberRegistry> registry_ = *MemberRegistry::Open(folder_ + "/members");
  absl::Mutex troubles_mutex_;
  std::vector<std::string> troubles_ ABSL_GUARDED_BY(troubles_mutex_);
  ManagerNode manager_{
      {.manager = {.ledger = {.micro_batch_size = 4, .epoch_count = 1}, .parameter_count = 64, .stripe_count = 1}},
      *registry_,
      ManagerObserver{.on_trouble =
                          [this](const ClusterEvent& event) {
                            const absl::MutexLock lock(&troubles_mutex_);
                            troubles_.push_back(event.text);
                          }},
      [](net::NodeId, const std::string&) { return true; }};
  ClusterService service_{
      {.insecure = true}, job_,   *registry_,
      manager_,           *rows_, ClusterService::Files{.model = [this] { return folder_ + "/model"; }, .initial = ""}};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Cluster::Stub> stub_;
};

TEST_F(ClusterServiceTest, GivesUpWhoTakesNothingOfAFile) {
  const auto fetch = FetchModel(*stub_);
  ASSERT_TRUE(fetch->Read());
  service_.OnTick(Now() + kTooLong);
  EXPECT_EQ(fetch->End().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ClusterServiceTest, GivesUpWhoTakesNoRowsThatItAskedFor) {
  const auto fetch = FetchSamples(*stub_);
  ASSERT_TRUE(fetch->Read());
  service_.OnTick(Now() + kTooLong);
  EXPECT_EQ(fetch->End().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ClusterServiceTest, LetsWhoReadsHaveAllOfIt) {
  const auto fetch = FetchModel(*stub_);
  ASSERT_TRUE(fetch->Read());
  service_.OnTick(Now());
  const grpc::Status status = fetch->End();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

// Its caller would keep them under the name of what it asked for.
TEST_F(ClusterServiceTest, GivesNoRowsToWhoAsksForAnotherJobOrOtherData) {
  v1::GetSamplesRequest request = Request();
  request.add_samples(3);
  EXPECT_TRUE(Ask(*stub_, request).ok());
  request.set_job_id("job b");
  EXPECT_EQ(Ask(*stub_, request).error_code(), grpc::StatusCode::UNAVAILABLE);
  request = Request();
  request.add_samples(3);
  request.set_data("16-ones");
  EXPECT_EQ(Ask(*stub_, request).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  request.clear_data();
  EXPECT_EQ(Ask(*stub_, request).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

// A bad sector at the manager is no wrong answer: devices wait for a better one, and the manager says it once.
TEST_F(ClusterServiceTest, ARowThatTheManagerCanNotReadIsItsOwnTrouble) {
  {
    const auto contribution = *rows_->Begin();
    const std::vector<std::byte> row(kRowBytes);
    const std::vector<int32_t> label = {1};
    ASSERT_TRUE(contribution->Add(row, label).ok());
    ASSERT_TRUE(rows_->Finish(*contribution).ok());
    ASSERT_TRUE(rows_->Keep(*contribution, {.first_row = kRows, .row_count = 1, .hash = contribution->hash()}).ok());
  }
  v1::GetSamplesRequest request = Request();
  request.add_samples(kRows);
  EXPECT_TRUE(Ask(*stub_, request).ok());
  std::filesystem::resize_file(std::filesystem::directory_iterator(folder_ + "/contributed")->path(), 0);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Ask(*stub_, request).error_code(), grpc::StatusCode::UNAVAILABLE);
  const absl::MutexLock lock(&troubles_mutex_);
  ASSERT_EQ(troubles_.size(), 1u);
  EXPECT_NE(troubles_[0].find("the manager can't read its data: sample 16 can't be read from "), std::string::npos)
      << troubles_[0];
}

TEST_F(ClusterServiceTest, ServesAFewFetchesOfOneCallerAtOnce) {
  std::vector<std::unique_ptr<Reading<v1::FilePiece>>> files;
  for (int i = 0; i + 1 < CallLimits{}.per_caller; ++i) {
    files.push_back(FetchModel(*stub_));
    ASSERT_TRUE(files.back()->Read()) << i;
  }
  const auto rows = FetchSamples(*stub_);
  ASSERT_TRUE(rows->Read());
  for (const grpc::Status& status : {FetchModel(*stub_)->End(), FetchSamples(*stub_)->End()}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_NE(status.error_message().find("has as many fetches under way as are served at once (8)"), std::string::npos)
        << status.error_message();
  }
  const auto others = Connect();
  EXPECT_TRUE(FetchModel(*others)->Read()) << "others are not held up";
}

}  // namespace
}  // namespace eddl::cluster
