// The manager's side and a member's, over a channel within the process.
#include "tools/eddl_node/cluster/sample_service.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "net/transport/grpc_transport.h"
#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "tools/eddl_node/cluster/cluster_options.h"
#include "tools/eddl_node/cluster/cluster_service.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl::cluster {
namespace {

constexpr int64_t kRows = 500;
constexpr int64_t kRowBytes = 4096;  // 64 to a piece

std::byte ByteOf(int64_t sample) { return static_cast<std::byte>(7 * sample + 3); }

// Rows of one byte's value each, and their labels; `change`: of all bytes, one that is another.
Dataset MakeData(int64_t change = -1, int32_t label = 0) {
  DatasetInfo info = {.name = "bytes", .sample_shape = Shape{kRowBytes}, .dtype = DType::kU8, .class_count = 10};
  HostBytes bytes;
  EXPECT_TRUE(bytes.Resize(kRows * kRowBytes).ok());
  std::vector<int32_t> labels;
  for (int64_t row = 0; row < kRows; ++row) {
    std::memset(bytes.span().data() + row * kRowBytes, static_cast<int>(ByteOf(row)), kRowBytes);
    labels.push_back(static_cast<int32_t>(row % 10));
  }
  if (change >= 0) bytes.span()[static_cast<size_t>(change)] ^= std::byte{1};
  labels.front() = label;
  return {std::move(info), std::make_shared<RowStore>(std::move(bytes), kRowBytes, 0.0), std::move(labels)};
}

JobPacket Packet() { return {.job_id = "job a", .data_fingerprint = "500-rows", .test_fingerprint = "test-40-rows"}; }

// Answers as a manager does, or as `answer` says.
class Server final : public v1::Cluster::Service {
 public:
  using Answer = std::function<grpc::Status(const v1::GetSamplesRequest&, grpc::ServerWriter<v1::SamplesPiece>&)>;

  explicit Server(Answer answer = {}) : answer_(std::move(answer)) {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    fetch_ = MakeFetcher(server_->InProcessChannel({}), Packet());
  }
  grpc::Status GetSamples(grpc::ServerContext*, const v1::GetSamplesRequest* request,
                          grpc::ServerWriter<v1::SamplesPiece>* writer) override {
    if (answer_) return answer_(*request, *writer);
    return ServeSamples(*rows_, turns_, *request, [&](const v1::SamplesPiece& piece) { return writer->Write(piece); });
  }
  // "ok" and all rows that were asked for, or what went wrong.
  std::string Fetch(const std::vector<int64_t>& samples, FetchKind kind = FetchKind::kLeased) {
    std::vector<int64_t> got;
    const absl::Status status = fetch_(samples, kind, [&](auto some, auto rows, auto labels) -> absl::Status {
      if (rows.size() != some.size() * kRowBytes) return DataLoss("rows of another size");
      for (size_t i = 0; i < some.size(); ++i) {
        if (labels[i] != some[i] % 10) return DataLoss("a wrong label");
        const std::vector<std::byte> row(kRowBytes, ByteOf(some[i]));
        if (std::memcmp(rows.data() + i * kRowBytes, row.data(), kRowBytes) != 0) return DataLoss("a wrong row");
      }
      got.insert(got.end(), some.begin(), some.end());
      return absl::OkStatus();
    });
    if (!status.ok()) return absl::StatusCodeToString(status.code()) + ": " + MessageOf(status);
    return got == samples ? "ok" : "others";
  }
  SampleTurns& turns() { return turns_; }

 private:
  const Answer answer_;
  const Dataset data_ = MakeData();
  const std::unique_ptr<TrainingRows> rows_ = *TrainingRows::Open(data_, data_.size(), "", {});
  SampleTurns turns_;
  std::unique_ptr<grpc::Server> server_;
  SampleFetcher fetch_;
};

TEST(SampleServiceTest, RowsComeInTheOrderOfAsking) {
  Server server;
  EXPECT_EQ(server.Fetch({7}), "ok");
  EXPECT_EQ(server.Fetch({499, 0, 0, 3}), "ok");
  std::vector<int64_t> all(kRows);
  std::iota(all.rbegin(), all.rend(), 0);
  EXPECT_EQ(server.Fetch(all), "ok");
  EXPECT_EQ(server.Fetch(all, FetchKind::kAhead), "ok");
}

TEST(SampleServiceTest, NothingIsReadBesideTheData) {
  Server server;
  for (const int64_t sample : {int64_t{-1}, kRows, int64_t{1} << 40}) {
    EXPECT_EQ(server.Fetch({1, sample}), "INVALID_ARGUMENT: there is no sample " + std::to_string(sample));
  }
  EXPECT_EQ(server.Fetch(std::vector<int64_t>(kSamplesPerRequestMax + 1)),
            "INVALID_ARGUMENT: too many samples at once");
}

TEST(SampleServiceTest, AManagerThatSendsOtherSamplesIsNotBelieved) {
  const auto answer = [](const std::vector<int64_t>& samples, size_t labels, bool and_more = false) {
    return Server::Answer([=](const auto&, auto& writer) {
      v1::SamplesPiece piece;
      for (const int64_t sample : samples) {
        piece.add_samples(sample);
        piece.mutable_rows()->append(kRowBytes, static_cast<char>(ByteOf(sample)));
      }
      for (size_t i = 0; i < labels; ++i) piece.add_labels(static_cast<int32_t>(samples[i] % 10));
      writer.Write(piece);
      if (and_more) writer.Write(piece);
      return grpc::Status::OK;
    });
  };
  const std::string others = "DATA_LOSS: the manager sent other samples than were asked for";
  EXPECT_EQ(Server(answer({1, 2}, 2)).Fetch({1, 2}), "ok");
  EXPECT_EQ(Server(answer({2, 1}, 2)).Fetch({1, 2}), others);
  EXPECT_EQ(Server(answer({1, 2}, 1)).Fetch({1, 2}), others);
  EXPECT_EQ(Server(answer({1, 2, 3}, 3)).Fetch({1, 2}), others);
  EXPECT_EQ(Server(answer({1, 2}, 2, /*and_more=*/true)).Fetch({1, 2}), others);
  EXPECT_EQ(Server(answer({}, 0)).Fetch({1, 2}), others);
  EXPECT_EQ(Server(answer({1}, 1)).Fetch({1, 2}), "DATA_LOSS: the manager sent fewer samples than were asked for");
}

TEST(SampleServiceTest, AManagersErrorIsPassedOn) {
  Server server([](const auto&, auto&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting"); });
  EXPECT_EQ(server.Fetch({1}), "UNAVAILABLE: restarting");
}

TEST(SampleServiceTest, AFetchSaysWhichJobsDataItIsFor) {
  std::string said;
  Server server([&](const v1::GetSamplesRequest& request, auto&) {
    said += request.job_id() + "/" + request.data() + (request.test() ? "/test" : "");
    return ToGrpc(CheckAsked(Packet(), request));
  });
  EXPECT_EQ(server.Fetch({1}), "DATA_LOSS: the manager sent fewer samples than were asked for");
  EXPECT_EQ(said, "job a/500-rows");
}

TEST(SampleServiceTest, RowsOfAnotherJobOrOfOtherDataAreRefused) {
  const auto ask = [](const std::string& job, const std::string& data, bool test = false) {
    v1::GetSamplesRequest request;
    request.set_job_id(job);
    request.set_data(data);
    request.set_test(test);
    return absl::StatusCodeToString(CheckAsked(Packet(), request).code());
  };
  EXPECT_EQ(ask("job a", "500-rows"), "OK");
  EXPECT_EQ(ask("job a", "test-40-rows", /*test=*/true), "OK");
  EXPECT_EQ(ask("job b", "500-rows"), "UNAVAILABLE") << "its own manager may come back";
  EXPECT_EQ(ask("job a", "500-others"), "FAILED_PRECONDITION");
  EXPECT_EQ(ask("job a", "500-rows", /*test=*/true), "FAILED_PRECONDITION");
  EXPECT_EQ(ask("", "500-rows"), "FAILED_PRECONDITION");
  EXPECT_EQ(ask("job a", ""), "FAILED_PRECONDITION");
  v1::GetSamplesRequest of_a_job_without_names;
  EXPECT_EQ(CheckAsked({}, of_a_job_without_names).code(), absl::StatusCode::kFailedPrecondition);
}

Dataset MakeLarge(int64_t row_bytes) {
  DatasetInfo info = {.name = "large", .sample_shape = Shape{row_bytes}, .dtype = DType::kU8, .class_count = 2};
  HostBytes bytes;
  EXPECT_TRUE(bytes.Resize(2 * row_bytes).ok());
  return {std::move(info), std::make_shared<RowStore>(std::move(bytes), row_bytes, 0.0), {0, 1}};
}

// Over a real socket, with the limits of nodes: what the job may have comes, and what would not come is no job's.
TEST(SampleServiceTest, TheLargestRowsTravelAndLargerOnesAreRefusedBeforeTheJobBegins) {
  const Dataset data = MakeLarge(kSampleRowBytesMax);
  const auto rows = *TrainingRows::Open(data, data.size(), "", {});
  class Manager final : public v1::Cluster::Service {
   public:
    explicit Manager(const TrainingRows& rows) : rows_(rows) {}
    grpc::Status GetSamples(grpc::ServerContext*, const v1::GetSamplesRequest* request,
                            grpc::ServerWriter<v1::SamplesPiece>* writer) override {
      return ServeSamples(rows_, turns_, *request, [&](const v1::SamplesPiece& piece) { return writer->Write(piece); });
    }

   private:
    const TrainingRows& rows_;
    SampleTurns turns_;
  } manager(*rows);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&manager);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const SampleFetcher fetch =
      MakeFetcher(net::MakeChannel("127.0.0.1:" + std::to_string(port), net::kManager, std::nullopt), Packet());
  size_t got = 0;
  const absl::Status status =
      fetch(std::vector<int64_t>{1, 0}, FetchKind::kLeased, [&](auto, auto some, auto) -> absl::Status {
        got += some.size();
        return absl::OkStatus();
      });
  EXPECT_EQ(MessageOf(status), "");
  EXPECT_EQ(got, static_cast<size_t>(2 * kSampleRowBytesMax));

  const auto make = [](int64_t row_bytes, const std::string& policy) {
    const Dataset large = MakeLarge(row_bytes);
    JobConfig job;
    job.data_policy = policy;
    return MakeJobPacket(job, "job", "0011", {}, {.train = large, .test = large, .info = large.info()}, {}, {})
        .status();
  };
  EXPECT_EQ(MessageOf(make(kSampleRowBytesMax, "shared")), "");
  EXPECT_EQ(MessageOf(make(kSampleRowBytesMax + 1, "local")), "");
  const absl::Status refused = make(kSampleRowBytesMax + 1, "shared");
  EXPECT_EQ(ExitCodeOf(refused), ExitCode::kData);
  EXPECT_EQ(
      MessageOf(refused),
      "a sample has 4194305 bytes, and samples of more than 4194304 are not sent to devices; make them smaller, or "
      "keep them on their devices (data.policy = \"local\")");
}

// While a lease waits for its rows somewhere, what others fetch ahead of need stands back; but not for ever.
TEST(SampleServiceTest, LeasedRowsGoFirst) {
  Server server;
  auto leased = std::make_unique<SampleTurns::Leased>(server.turns());
  Instant begin = Now();
  EXPECT_FALSE(server.turns().AwaitTurn());
  EXPECT_GE((Now() - begin).seconds(), 0.99 * absl::ToDoubleSeconds(SampleTurns::kPatience));
  EXPECT_EQ(server.Fetch({1}), "ok");
  EXPECT_EQ(server.Fetch({1}, FetchKind::kAhead), "ok");
  begin = Now();
  absl::Notification has_come;
  std::thread ahead([&] {
    EXPECT_TRUE(server.turns().AwaitTurn());
    has_come.Notify();
  });
  leased.reset();
  has_come.WaitForNotification();
  ahead.join();
}

// A cache is used without another look at the data: any difference must have another name.
TEST(SampleServiceTest, DataThatDifferInOneByteHaveAnotherName) {
  const std::string name = *CacheFingerprint(MakeData());
  EXPECT_EQ(name, *CacheFingerprint(MakeData()));
  for (int64_t change = 0; change < kRows * kRowBytes; change += 4097 * 13) {
    EXPECT_NE(name, *CacheFingerprint(MakeData(change))) << change;
  }
  EXPECT_NE(name, *CacheFingerprint(MakeData(-1, 1)));
}

}  // namespace
}  // namespace eddl::cluster
