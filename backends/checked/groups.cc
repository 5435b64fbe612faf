// Checker: several devices as one — that a group's devices, queues and targets belong together, and that nothing of it
// goes while a sum may still be under way.
#include <algorithm>
#include <limits>

#include "backends/checked/checker.h"

namespace eddl::checked {
namespace {

// 0 for a dtype that there is not.
uint64_t ElementBytes(eddl_dtype dtype) {
  switch (dtype) {
    case EDDL_U8:
      return 1;
    case EDDL_F16:
    case EDDL_BF16:
      return 2;
    case EDDL_F32:
    case EDDL_I32:
      return 4;
    case EDDL_I64:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

// One all_reduce, member by member, in the backend's handles.
struct Checker::Reduction {
  eddl_group* group = nullptr;
  std::vector<QueueEntry*> queues;
  std::vector<BufferEntry*> buffers;
  std::vector<eddl_queue*> inner_queues;
  std::vector<eddl_binding> inner_targets;
  std::vector<Range> ranges;
};

eddl_code Checker::GroupCreate(eddl_device* const* devices, uint32_t device_count, eddl_group** group,
                               eddl_error* error) {
  Answer answer("group_create", error);
  GroupEntry entry;
  std::vector<eddl_device*> inner;
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (devices == nullptr || device_count == 0) return answer.Refuse(Invalid("a group of no devices"));
    if (group == nullptr) return answer.Refuse(Invalid("group is NULL"));
    for (uint32_t i = 0; i < device_count; ++i) {
      DeviceEntry* device = nullptr;
      if (Verdict verdict = devices_.Find(devices[i], &device)) return answer.Refuse(*verdict);
      const Serial serial = devices_.SerialOf(devices[i]);
      if (std::find(entry.devices.begin(), entry.devices.end(), serial) != entry.devices.end()) {
        return answer.Refuse(Invalid("device #", serial, " is twice in the group"));
      }
      entry.devices.push_back(serial);
      inner.push_back(device->inner);
    }
  }
  const eddl_code code = answer.Pass(inner_.group_create(inner.data(), device_count, &entry.inner, answer.record()));
  if (code != EDDL_OK) return code;
  if (entry.inner == nullptr) return answer.Blame("returned EDDL_OK but no group");
  std::lock_guard lock(mutex_);
  *group = groups_.Add(std::move(entry));
  return EDDL_OK;
}

Verdict Checker::BindMember(const GroupEntry& group, size_t i, eddl_queue* queue, const eddl_binding& target,
                            uint64_t size_bytes, Reduction& reduction) {
  QueueEntry* entry = nullptr;
  if (Verdict verdict = queues_.Find(queue, &entry)) return verdict;
  if (entry->busy) return Misused("queue #", entry->serial, " is used by two threads at once");
  if (entry->device != group.devices[i]) {
    return Invalid("queue ", i, ", #", entry->serial, ", is of device #", entry->device, "; the group's device ", i,
                   " is #", group.devices[i]);
  }
  const std::string name = Text("target ", i);
  BufferEntry* buffer = nullptr;
  if (Verdict verdict = FindRange(*entry, target.buffer, target.offset_bytes, size_bytes, name, &buffer))
    return verdict;
  const uint64_t alignment_bytes = DeviceOf(entry->device).alignment_bytes;
  if (target.offset_bytes % alignment_bytes != 0) {
    return Invalid(name, ": offset ", target.offset_bytes, " is no multiple of the device's ", alignment_bytes,
                   " bytes");
  }
  const Range range = RangeOf(target.buffer, *buffer, target.offset_bytes, size_bytes);
  for (size_t j = 0; j < i; ++j) {
    if (range.Overlaps(reduction.ranges[j])) return Invalid(name, " and target ", j, " overlap");
  }
  reduction.queues.push_back(entry);
  reduction.buffers.push_back(buffer);
  reduction.inner_queues.push_back(entry->inner);
  reduction.inner_targets.push_back({.buffer = buffer->inner, .offset_bytes = target.offset_bytes});
  reduction.ranges.push_back(range);
  return std::nullopt;
}

Verdict Checker::BindReduction(eddl_group* group, eddl_queue* const* queues, const eddl_binding* targets,
                               uint64_t count, eddl_dtype dtype, Reduction& reduction) {
  GroupEntry* entry = nullptr;
  if (Verdict verdict = groups_.Find(group, &entry)) return verdict;
  const uint64_t element_bytes = ElementBytes(dtype);
  if (element_bytes == 0) return Invalid("there is no dtype ", dtype);
  if (queues == nullptr || targets == nullptr) return Invalid("queues or targets is NULL");
  if (count > std::numeric_limits<uint64_t>::max() / element_bytes) return Invalid(count, " elements overflow");
  for (size_t i = 0; i < entry->devices.size(); ++i) {
    if (Verdict verdict = BindMember(*entry, i, queues[i], targets[i], count * element_bytes, reduction))
      return verdict;
  }
  reduction.group = entry->inner;
  entry->marks.clear();
  for (size_t i = 0; i < entry->devices.size(); ++i) {
    QueueEntry& queue = *reduction.queues[i];
    ++queue.sequence;
    queue.busy = true;
    MarkUse(*reduction.buffers[i], queue);
    Overwrite(queue.device, reduction.ranges[i]);
    entry->marks.push_back({.queue = queue.serial, .sequence = queue.sequence});
  }
  return std::nullopt;
}

eddl_code Checker::AllReduce(eddl_group* group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                             eddl_dtype dtype, eddl_error* error) {
  Answer answer("all_reduce", error);
  Reduction reduction;
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (Verdict verdict = BindReduction(group, queues, targets, count, dtype, reduction))
      return answer.Refuse(*verdict);
  }
  const eddl_code code = answer.Pass(inner_.all_reduce(reduction.group, reduction.inner_queues.data(),
                                                       reduction.inner_targets.data(), count, dtype, answer.record()));
  std::lock_guard lock(mutex_);
  for (QueueEntry* queue : reduction.queues) queue->busy = false;
  return code;
}

void Checker::GroupDestroy(eddl_group* group) {
  Verdict verdict;
  eddl_group* inner = nullptr;
  {
    std::lock_guard lock(mutex_);
    GroupEntry* entry = nullptr;
    verdict = groups_.Find(group, &entry);
    if (!verdict &&
        !std::all_of(entry->marks.begin(), entry->marks.end(), [&](const QueueMark& mark) { return IsDone(mark); })) {
      verdict = Misused("group #", groups_.SerialOf(group),
                        " is destroyed while a sum of it may be under way; wait for its queues first");
    }
    if (!verdict) {
      inner = entry->inner;
      groups_.Remove(group);
    }
  }
  if (verdict) return Report("group_destroy", *verdict);
  inner_.group_destroy(inner);
}

}  // namespace eddl::checked
