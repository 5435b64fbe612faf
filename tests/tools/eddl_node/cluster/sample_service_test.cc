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
#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "tools/eddl_node/cluster/cluster_options.h"

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

// Answers as a manager does, or as `answer` says.
class Server final : public v1::Cluster::Service {
 public:
  using Answer = std::function<grpc::Status(const v1::GetSamplesRequest&, grpc::ServerWriter<v1::SamplesPiece>&)>;

  explicit Server(Answer answer = {}) : answer_(std::move(answer)) {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    fetch_ = MakeFetcher(server_->InProcessChannel({}));
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
