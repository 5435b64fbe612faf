#include "tools/eddl_node/cluster/checkpoint_keeper.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/time/time.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

constexpr absl::Duration kRetrySave = absl::Seconds(5);
constexpr char kPrefix[] = "checkpoint-";
constexpr char kSuffix[] = ".safetensors";

}  // namespace

CheckpointKeeper::CheckpointKeeper(Options options, Replica& replica, Device& device, StripeLayout stripes,
                                   std::vector<float> initial)
    : options_(std::move(options)),
      replica_(replica),
      device_(device),
      stripes_(stripes),
      initial_(std::move(initial)),
      all_(static_cast<size_t>(replica.layout().total())),
      thread_([this] { Work(); }) {}

CheckpointKeeper::~CheckpointKeeper() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

std::string CheckpointKeeper::PathOf(net::Version version) const {
  return options_.folder + "/" + kPrefix + std::to_string(ToInt(version)) + kSuffix;
}

TensorStore& CheckpointKeeper::StoreOf(net::Version version) {
  std::unique_ptr<TensorStore>& store = gathered_[version];
  if (store == nullptr) {
    auto made =
        TensorStore::Create(replica_.layout(), stripes_, device_,
                            {.optimizer = options_.job.options.optimizer, .exact = options_.job.exact}, initial_);
    // The same call succeeded when the job was started.
    EDDL_CHECK(made.ok()) << MessageOf(made.status());
    store = *std::move(made);
  }
  return *store;
}

absl::Status CheckpointKeeper::Check(const net::Move& move, const net::Bytes& bytes) {
  return StoreOf(move.version).Check(net::kManager, move, bytes);
}

absl::Status CheckpointKeeper::Add(const net::Move& move, const net::Bytes& bytes) {
  TensorStore& store = StoreOf(move.version);
  EDDL_RETURN_IF_ERROR(store.Check(net::kManager, move, bytes));
  const net::Payload payload = store.NewPayload();
  store.PutWire(payload, bytes);
  store.Load({.stripes = move.stripes, .version = move.version, .payload = payload});
  return absl::OkStatus();
}

void CheckpointKeeper::DropParts() {
  std::erase_if(gathered_, [this](const auto& entry) { return entry.first != kept_; });
}

void CheckpointKeeper::Save(net::Version version, const TrainState& state) {
  auto whole = StoreOf(version).ReadWhole(version);
  EDDL_CHECK(whole.ok()) << MessageOf(whole.status());
  kept_ = version;
  std::erase_if(gathered_, [version](const auto& entry) { return entry.first < version; });
  const absl::MutexLock lock(&mutex_);
  tasks_.push_back({.version = version, .state = state, .whole = *std::move(whole)});
}

void CheckpointKeeper::Test(net::Version version, std::shared_ptr<const Checkpoint> whole) {
  EDDL_CHECK(whole != nullptr) << "a test of nothing";
  const absl::MutexLock lock(&mutex_);
  tasks_.push_back({.version = version, .test = std::move(whole)});
}

absl::Status CheckpointKeeper::Load(net::Version version) {
  EDDL_ASSIGN_OR_RETURN(const Checkpoint checkpoint, LoadCheckpoint(PathOf(version)));
  TensorStore::Whole whole;
  const auto end = static_cast<size_t>(replica_.layout().gradient_end());
  if (checkpoint.parameters.size() != all_.size()) {
    return FailedPrecondition(PathOf(version) + " is a checkpoint of another model");
  }
  whole.parameters.assign(checkpoint.parameters.begin(), checkpoint.parameters.begin() + static_cast<ptrdiff_t>(end));
  for (const OptimizerState& state : checkpoint.optimizer) whole.optimizer.emplace_back(state.name, state.values);
  kept_ = version;
  return StoreOf(version).LoadWhole(version, whole);
}

absl::StatusOr<net::Bytes> CheckpointKeeper::PartOf(net::Version version, const net::Move& move) {
  if (kept_ != version) {
    return NotFound("no checkpoint of version " + std::to_string(ToInt(version)) + " in " + options_.folder);
  }
  TensorStore& store = StoreOf(version);
  net::Move named = move;
  named.payload = store.NewPayload();
  store.Snapshot({.version = version, .stripes = move.stripes, .payload = named.payload});
  net::Bytes bytes = store.WireOf(net::kManager, named);
  store.Release(named.payload);
  return bytes;
}

bool CheckpointKeeper::Wait(Duration limit) {
  const absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(this, &CheckpointKeeper::IsIdle), absl::Nanoseconds(limit.ns));
}

void CheckpointKeeper::Work() {
  while (true) {
    Task task;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &CheckpointKeeper::HasTask));
      if (stopped_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
      busy_ = true;
    }
    task.test == nullptr ? RunSave(task) : RunTest(task);
    const absl::MutexLock lock(&mutex_);
    busy_ = false;
  }
}

Checkpoint CheckpointKeeper::MakeCheckpoint(const Task& task) const {
  Checkpoint checkpoint = {.model = replica_.model().spec(),
                           .input = replica_.model().input(),
                           .data = options_.job.data,
                           .parameters = all_,
                           .state = task.state,
                           .options = options_.job.options};
  std::copy(task.whole.parameters.begin(), task.whole.parameters.end(), checkpoint.parameters.begin());
  for (const auto& [name, values] : task.whole.optimizer) {
    checkpoint.optimizer.push_back({.name = name, .values = values});
  }
  return checkpoint;
}

void CheckpointKeeper::RunSave(const Task& task) {
  if (const absl::Status read = replica_.ReadParameters(all_); !read.ok()) options_.on_trouble(MessageOf(read));
  const auto checkpoint = std::make_shared<const Checkpoint>(MakeCheckpoint(task));
  SavedCheckpoint saved = {.version = task.version, .state = task.state, .path = PathOf(task.version)};
  for (bool told = false;; told = true) {
    const absl::Status status = SaveCheckpoint(saved.path, *checkpoint);
    if (status.ok() && told) options_.on_trouble("");
    if (status.ok()) break;
    if (!told) options_.on_trouble("can't save a checkpoint, trying again: " + MessageOf(status));
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), kRetrySave)) return;
  }
  options_.on_saved(saved, checkpoint);
}

void CheckpointKeeper::RunTest(const Task& task) {
  const auto test = [&]() -> absl::StatusOr<BatchSums> {
    if (options_.test == nullptr) return FailedPrecondition("there are no test data");
    EDDL_RETURN_IF_ERROR(replica_.WriteParameters(task.test->parameters));
    return EvaluateDataset(replica_, *options_.test, options_.job.options.evaluate_batch);
  };
  options_.on_tested(task.version, test());
}

void CheckpointKeeper::RemoveOlder(net::Version version) const {
  std::map<uint64_t, std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    const std::string digits = name.substr(sizeof(kPrefix) - 1, name.size() - sizeof(kPrefix) - sizeof(kSuffix) + 2);
    if (!digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos && digits.size() < 20) {
      files.emplace(std::stoull(digits), entry.path());
    }
  }
  constexpr size_t kKept = 2;
  while (files.size() > kKept && files.begin()->first < ToInt(version)) {
    std::filesystem::remove(files.begin()->second, error);
    files.erase(files.begin());
  }
}

}  // namespace eddl::cluster
