// Checker: what stands behind a CheckedBackend's table, one function a slot. It knows every handle, what work uses
// which memory, and where forward ops have left state.
//
// Thread-safe. Its lock is not held while the backend works, so that calls of different queues overlap as they would
// without it.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "backends/checked/answer.h"
#include "backends/checked/checked.h"
#include "backends/checked/handles.h"
#include "backends/checked/op_rules.h"
#include "backends/checked/violation.h"
#include "backends/sdk/eddl_backend.h"

namespace eddl::checked {

class Checker {
 public:
  Checker(const eddl_backend& inner, ViolationHandler handler);

  // The slots of eddl_backend.h, in its order: the same arguments, the same meaning.
  eddl_code DeviceCount(uint32_t* count, eddl_error* error);
  eddl_code DeviceInfo(uint32_t index, eddl_device_info* info, eddl_error* error);
  eddl_code DeviceOpen(uint32_t index, const eddl_device_options* options, eddl_device** device, eddl_error* error);
  void DeviceClose(eddl_device* device);
  eddl_code BufferCreate(eddl_device* device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer,
                         eddl_error* error);
  void BufferDestroy(eddl_buffer* buffer);
  eddl_code QueueCreate(eddl_device* device, eddl_queue_kind kind, eddl_queue** queue, eddl_error* error);
  void QueueDestroy(eddl_queue* queue);
  eddl_code QueueWait(eddl_queue* queue, eddl_error* error);
  eddl_code Write(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* source,
                  uint64_t size_bytes, eddl_error* error);
  eddl_code Read(eddl_queue* queue, const eddl_buffer* source, uint64_t offset_bytes, void* target, uint64_t size_bytes,
                 eddl_error* error);
  eddl_code Copy(eddl_queue* queue, const eddl_buffer* source, uint64_t source_offset_bytes, eddl_buffer* target,
                 uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error);
  eddl_code Fill(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* pattern,
                 uint64_t pattern_size, uint64_t size_bytes, eddl_error* error);
  eddl_code OpPrepare(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                      eddl_error* error);
  eddl_code OpEnqueue(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error);
  void OpDestroy(eddl_op* op);
  eddl_code BufferImport(eddl_device* device, void* data, uint64_t size_bytes, eddl_buffer** buffer, eddl_error* error);
  void* BufferHostPointer(eddl_buffer* buffer);
  eddl_code EventRecord(eddl_queue* queue, eddl_event** event, eddl_error* error);
  eddl_code QueueWaitEvent(eddl_queue* queue, eddl_event* event, eddl_error* error);
  eddl_code EventWait(eddl_event* event, eddl_error* error);
  void EventDestroy(eddl_event* event);
  eddl_code EventTimes(eddl_event* begin, eddl_event* end, uint64_t* begin_ns, uint64_t* end_ns, eddl_error* error);
  eddl_code GroupCreate(eddl_device* const* devices, uint32_t device_count, eddl_group** group, eddl_error* error);
  eddl_code AllReduce(eddl_group* group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                      eddl_dtype dtype, eddl_error* error);
  void GroupDestroy(eddl_group* group);

 private:
  struct Bound;      // one enqueue's bindings, resolved: enqueue.cc
  struct Reduction;  // one all_reduce's: groups.cc
  using QueueCheck = std::function<Verdict(QueueEntry&)>;
  using QueueCall = std::function<eddl_code(eddl_queue*, eddl_error*)>;

  // lifetimes.cc
  void Report(const char* slot, const Violation& violation) const;
  eddl_code KeepBuffer(Answer& answer, eddl_device* device, eddl_buffer* inner, uint64_t size_bytes,
                       uint64_t imported_address, eddl_buffer** buffer);
  // The answer to a dry run, or a reason to blame the backend.
  eddl_code DryRun(Answer& answer, const DeviceEntry& device, const eddl_op_desc& desc, eddl_op_info* info) const;

  // work.cc. OnQueue checks under the lock with the queue entered, then calls the backend without it; the other
  // functions are called with the lock held.
  eddl_code OnQueue(Answer& answer, eddl_queue* queue, const QueueCheck& check, const QueueCall& call);
  // The living buffer, of the queue's device, if [offset, offset + size) lies in it.
  Verdict FindRange(const QueueEntry& queue, const eddl_buffer* buffer, uint64_t offset_bytes, uint64_t size_bytes,
                    const std::string& name, BufferEntry** entry);
  // Forgets the states that overlap what is about to be written.
  void Overwrite(Serial device, const Range& range);
  bool IsDone(const QueueMark& mark) const;
  void Complete(const std::vector<QueueMark>& marks);

  // enqueue.cc; called with the lock held.
  Verdict Bind(const QueueEntry& queue, const OpEntry& op, const eddl_op_args& args, Bound& bound);
  Verdict BindTensors(const QueueEntry& queue, const OpEntry& op, bool input, const eddl_binding* bindings,
                      Bound& bound);
  Verdict BindState(const QueueEntry& queue, const OpEntry& op, const eddl_binding& binding, Bound& bound);
  Verdict BindRange(const QueueEntry& queue, const eddl_binding& binding, uint64_t size_bytes, const std::string& name,
                    eddl_binding& inner, Range& range, Bound& bound);
  DeviceEntry& DeviceOf(Serial device);

  // groups.cc; called with the lock held.
  Verdict BindReduction(eddl_group* group, eddl_queue* const* queues, const eddl_binding* targets, uint64_t count,
                        eddl_dtype dtype, Reduction& reduction);
  Verdict BindMember(const GroupEntry& group, size_t i, eddl_queue* queue, const eddl_binding& target,
                     uint64_t size_bytes, Reduction& reduction);

  const eddl_backend& inner_;
  const ViolationHandler handler_;

  std::mutex mutex_;  // guards what follows
  Serial last_serial_ = 0;
  HandleTable<eddl_device, DeviceEntry> devices_{last_serial_};
  HandleTable<eddl_buffer, BufferEntry> buffers_{last_serial_};
  HandleTable<eddl_queue, QueueEntry> queues_{last_serial_};
  HandleTable<eddl_op, OpEntry> ops_{last_serial_};
  HandleTable<eddl_event, EventEntry> events_{last_serial_};
  HandleTable<eddl_group, GroupEntry> groups_{last_serial_};
  std::map<Serial, uint64_t> completed_;  // of living queues: the newest sequence known to be done
};

}  // namespace eddl::checked
