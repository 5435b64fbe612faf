// Several devices of one backend as one: what group_create and all_reduce promise.
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "backends/sdk/conformance/checks.h"
#include "backends/sdk/conformance/random.h"

namespace eddl::conformance {
namespace {

constexpr uint32_t kMembersMax = 8;

using Floats = std::vector<float>;

// All devices of a backend, open, with a buffer each and a group over them.
class Group {
 public:
  explicit Group(const eddl_backend& table) : table_(table) {}
  ~Group() {
    Settle();
    if (raw_ != nullptr) table_.group_destroy(raw_);
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // The last device goes first if reversed. *lacking says why there can be no group here.
  Problem Open(const eddl_device_options& options, bool reversed, std::string* lacking) {
    ErrorRecord error;
    uint32_t count = 0;
    if (Problem problem = Expect("device_count", table_.device_count(&count, error.get()), error)) return problem;
    if (count < 2) {
      *lacking = "one device only: a group needs two";
      return std::nullopt;
    }
    count = std::min(count, kMembersMax);
    std::vector<eddl_device*> members;
    for (uint32_t i = 0; i < count; ++i) {
      devices_.push_back(std::make_unique<Device>(table_));
      if (Problem problem = devices_.back()->Open(reversed ? count - 1 - i : i, options)) return problem;
      members.push_back(devices_.back()->raw());
      queues_.push_back(devices_.back()->queue());
    }
    const eddl_code code = table_.group_create(members.data(), count, &raw_, error.get());
    if (code == EDDL_UNAVAILABLE) *lacking = error.message();
    if (code == EDDL_UNAVAILABLE) return error.Check(code);
    return Expect(Text("group_create of ", count, " devices"), code, error);
  }

  // Nothing is under way any more, whatever came of it; of a device that did not open there is no queue.
  void Settle() const {
    for (const auto& device : devices_) {
      if (device->queue() != nullptr) table_.queue_wait(device->queue(), nullptr);
    }
  }

  size_t size() const { return devices_.size(); }
  const Device& device(size_t i) const { return *devices_[i]; }

  // Member i's values go to offset_bytes(i) of a new buffer, with bytes of 0x5a around them.
  Problem Write(const std::vector<Floats>& values) {
    values_ = values;
    buffers_.clear();
    images_.clear();
    for (size_t i = 0; i < size(); ++i) {
      images_.emplace_back(offset_bytes(i) + values[i].size() * sizeof(float) + kGuardBytes, std::byte{0x5a});
      const auto bytes = std::as_bytes(std::span(values_[i]));
      std::copy(bytes.begin(), bytes.end(), images_[i].begin() + static_cast<ptrdiff_t>(offset_bytes(i)));
      buffers_.push_back(device(i).NoBuffer());
      if (Problem problem = device(i).CreateBuffer(images_[i].size(), &buffers_[i])) return problem;
      if (Problem problem = device(i).Write(buffers_[i].get(), 0, images_[i])) return problem;
    }
    return std::nullopt;
  }

  Problem AllReduce(uint64_t count) {
    ErrorRecord error;
    return Expect(Text("all_reduce of ", count, " floats"), Call(count, EDDL_F32, error), error);
  }

  eddl_code Call(uint64_t count, eddl_dtype dtype, ErrorRecord& error) {
    std::vector<eddl_binding> targets;
    for (size_t i = 0; i < size(); ++i) targets.push_back({buffers_[i].get(), offset_bytes(i)});
    return table_.all_reduce(raw_, queues_.data(), targets.data(), count, dtype, error.get());
  }

  // What member i has now; a problem if a byte beside it has changed.
  Problem Read(size_t i, Floats* values) {
    std::vector<std::byte> image(images_[i].size());
    if (Problem problem = device(i).Read(buffers_[i].get(), 0, image)) return problem;
    values->resize(values_[i].size());
    const auto begin = static_cast<ptrdiff_t>(offset_bytes(i));
    const auto bytes = std::as_writable_bytes(std::span(*values));
    std::copy_n(image.begin() + begin, bytes.size(), bytes.begin());
    for (size_t at = 0; at < image.size(); ++at) {
      const bool inside = at >= offset_bytes(i) && at < offset_bytes(i) + bytes.size();
      if (!inside && image[at] != images_[i][at])
        return Text("all_reduce wrote to byte ", at, " of member ", i, "'s buffer, which is beside its target");
    }
    return std::nullopt;
  }

  // Copies member i's values to the same place of another buffer, on its queue.
  Problem CopyTo(size_t i, eddl_buffer* target) {
    ErrorRecord error;
    const eddl_code code = table_.copy(queues_[i], buffers_[i].get(), offset_bytes(i), target, 0,
                                       values_[i].size() * sizeof(float), error.get());
    return Expect("copy", code, error);
  }

 private:
  static constexpr uint64_t kGuardBytes = 256;

  uint64_t offset_bytes(size_t i) const { return (i + 1) * device(i).info().alignment_bytes; }

  const eddl_backend& table_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<eddl_queue*> queues_;
  std::vector<Floats> values_;
  std::vector<std::vector<std::byte>> images_;
  std::vector<BufferPtr> buffers_;
  eddl_group* raw_ = nullptr;
};

// Small whole numbers, different in every member: any order of adding gives the same sum.
std::vector<Floats> WholeNumbers(size_t members, size_t count) {
  std::vector<Floats> values(members, Floats(count));
  for (size_t i = 0; i < members; ++i) {
    for (size_t j = 0; j < count; ++j) values[i][j] = static_cast<float>((i + 1) * (j % 7 + 1));
  }
  return values;
}

Floats SumOf(const std::vector<Floats>& values) {
  Floats sum(values[0].size());
  for (const Floats& member : values) {
    for (size_t j = 0; j < sum.size(); ++j) sum[j] += member[j];
  }
  return sum;
}

Problem ExpectFloats(const std::string& what, const Floats& got, const Floats& expected) {
  for (size_t j = 0; j < expected.size(); ++j) {
    if (got[j] != expected[j])
      return Text(what, ": element ", j, " of ", expected.size(), " is ", got[j], ", expected ", expected[j]);
  }
  return std::nullopt;
}

Problem SumsOverAllDevices(Group& group) {
  for (const size_t count : {1, 7, 1000, 65537}) {
    const std::vector<Floats> values = WholeNumbers(group.size(), count);
    if (Problem problem = group.Write(values)) return problem;
    if (Problem problem = group.AllReduce(count)) return problem;
    for (size_t i = 0; i < group.size(); ++i) {
      Floats got;
      if (Problem problem = group.Read(i, &got)) return problem;
      if (Problem problem = ExpectFloats(Text("member ", i), got, SumOf(values))) return problem;
    }
  }
  return std::nullopt;
}

// No wait in between: each sum must see what the one before has left, and a copy between them the first one alone.
Problem CheckTheOrder(Group& group, std::vector<BufferPtr>& copies) {
  constexpr size_t kCount = 5000;
  const std::vector<Floats> values = WholeNumbers(group.size(), kCount);
  if (Problem problem = group.Write(values)) return problem;
  if (Problem problem = group.AllReduce(kCount)) return problem;
  for (size_t i = 0; i < group.size(); ++i) {
    copies.push_back(group.device(i).NoBuffer());
    if (Problem problem = group.device(i).CreateBuffer(kCount * sizeof(float), &copies[i])) return problem;
    if (Problem problem = group.CopyTo(i, copies[i].get())) return problem;
  }
  if (Problem problem = group.AllReduce(kCount)) return problem;
  const Floats first = SumOf(values);
  Floats second = first;
  for (float& value : second) value *= static_cast<float>(group.size());
  for (size_t i = 0; i < group.size(); ++i) {
    Floats got, copied(kCount);
    if (Problem problem = group.Read(i, &got)) return problem;
    if (Problem problem = group.device(i).Read(copies[i].get(), 0, std::as_writable_bytes(std::span(copied))))
      return problem;
    if (Problem problem = ExpectFloats(Text("a copy after the first sum, member ", i), copied, first)) return problem;
    if (Problem problem = ExpectFloats(Text("the sum of sums, member ", i), got, second)) return problem;
  }
  return std::nullopt;
}

Problem KeepsTheOrderOfItsQueues(Group& group) {
  std::vector<BufferPtr> copies;
  Problem problem = CheckTheOrder(group, copies);
  group.Settle();  // before the copies go
  return problem;
}

// Replicas that step with sums of other bits drift apart.
Problem GivesAllDevicesTheSameBits(Group& group) {
  constexpr size_t kCount = 4099, kNan = 17;
  Random random(1, "group");
  std::vector<Floats> values(group.size(), Floats(kCount));
  for (Floats& member : values) {
    for (float& value : member) value = static_cast<float>(random.Uniform(-1, 1) * std::exp(random.Uniform(-8, 8)));
  }
  values.back()[kNan] = std::numeric_limits<float>::quiet_NaN();
  if (Problem problem = group.Write(values)) return problem;
  if (Problem problem = group.AllReduce(kCount)) return problem;
  Floats first;
  for (size_t i = 0; i < group.size(); ++i) {
    Floats got;
    if (Problem problem = group.Read(i, &got)) return problem;
    if (i == 0) first = got;
    for (size_t j = 0; j < kCount; ++j) {
      double sum = 0, scale = 0;
      for (const Floats& member : values) {
        sum += static_cast<double>(member[j]);
        scale += std::abs(static_cast<double>(member[j]));
      }
      const bool right = j == kNan ? std::isnan(got[j]) : std::abs(got[j] - sum) <= 1e-6 * scale;
      if (!right) return Text("member ", i, ": element ", j, " is ", got[j], ", expected ", sum);
      if (j != kNan && std::bit_cast<uint32_t>(got[j]) != std::bit_cast<uint32_t>(first[j]))
        return Text("element ", j, " is ", first[j], " on member 0 and ", got[j], " on member ", i);
    }
  }
  return std::nullopt;
}

Problem RefusesWhatItDoesNotAdd(Group& group) {
  const std::vector<Floats> values = WholeNumbers(group.size(), 16);
  if (Problem problem = group.Write(values)) return problem;
  if (Problem problem = group.AllReduce(0)) return problem;
  ErrorRecord error;
  const eddl_code code = group.Call(16, 77, error);
  if (code != EDDL_UNIMPLEMENTED && code != EDDL_INVALID_ARGUMENT)
    return Text("all_reduce of an unknown dtype returned ", NameOf(code), ", not UNIMPLEMENTED");
  if (Problem problem = error.Check(code)) return problem;
  for (size_t i = 0; i < group.size(); ++i) {
    Floats got;
    if (Problem problem = group.Read(i, &got)) return problem;
    if (Problem problem = ExpectFloats(Text("after a sum of nothing and a refusal, member ", i), got, values[i]))
      return problem;
  }
  return std::nullopt;
}

struct Check {
  const char* name;
  Problem (*run)(Group& group);
  bool reversed = false;
};

constexpr Check kChecks[] = {
    {"sums over all devices", SumsOverAllDevices},
    {"takes devices in any order", SumsOverAllDevices, /*reversed=*/true},
    {"keeps the order of its queues", KeepsTheOrderOfItsQueues},
    {"gives all devices the same bits", GivesAllDevicesTheSameBits},
    {"refuses what it does not add", RefusesWhatItDoesNotAdd},
};

}  // namespace

std::vector<std::string> GroupCheckNames() {
  std::vector<std::string> names;
  for (const Check& check : kChecks) names.emplace_back(check.name);
  return names;
}

Problem RunGroupCheck(size_t index, const eddl_backend& backend, const eddl_device_options& options,
                      std::string* lacking) {
  if (backend.group_create == nullptr || backend.all_reduce == nullptr || backend.group_destroy == nullptr) {
    *lacking = "no groups of devices";
    return std::nullopt;
  }
  Group group(backend);
  if (Problem problem = group.Open(options, kChecks[index].reversed, lacking); problem || !lacking->empty())
    return problem;
  return kChecks[index].run(group);
}

}  // namespace eddl::conformance
