// Streams and events of the emulated CUDA runtime.
#include "tests/cuda_emulator/cudart.h"

namespace eddl::cuda_emulator {

Stream& StreamOf(Emulator& emulator, cudaStream_t handle) {
  auto* stream = reinterpret_cast<Stream*>(handle);
  if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread) {
    throw Violation("the default stream is used: it waits for others behind our back");
  }
  if (!emulator.scheduler().IsStream(stream)) throw Violation("the stream does not exist (destroyed?)");
  if (stream->device != CurrentDevice()) {
    throw Violation("a stream of device " + std::to_string(stream->device) + " is used while device " +
                    std::to_string(CurrentDevice()) + " is current");
  }
  return *stream;
}

namespace {

std::shared_ptr<Event> EventOf(Emulator& emulator, cudaEvent_t handle) {
  const auto found = emulator.events().find(handle);
  if (found == emulator.events().end()) throw Violation("the event does not exist (destroyed?)");
  return found->second;
}

}  // namespace
}  // namespace eddl::cuda_emulator

using namespace eddl::cuda_emulator;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned int flags) {
  return Call("cudaStreamCreateWithFlags", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    if (flags != cudaStreamNonBlocking) throw Violation("a stream that waits for the default stream");
    *handle = reinterpret_cast<cudaStream_t>(emulator.scheduler().CreateStream(CurrentDevice()));
    return cudaSuccess;
  });
}

// CUDA lets queued work end by itself; our code has waited before, or does not know whether it went well.
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return CallToFree("cudaStreamDestroy", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    Stream& stream = StreamOf(emulator, handle);
    const std::string head = Scheduler::HeadOf(stream);
    const bool busy = !stream.queue.empty();
    emulator.scheduler().DestroyStream(&stream);
    if (busy) throw Violation("the stream is destroyed while '" + head + "' is queued on it");
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return Call("cudaStreamSynchronize", cudaErrorUnknown, [&](Emulator& emulator, auto& lock) {
    emulator.Synchronize(lock, StreamOf(emulator, handle));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return Call("cudaStreamQuery", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    Stream& stream = StreamOf(emulator, handle);
    if (!stream.queue.empty()) emulator.Poll(stream);
    if (!stream.queue.empty()) return cudaErrorNotReady;
    emulator.scheduler().Join(stream.clock);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int flags) {
  return Call("cudaStreamWaitEvent", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    if (flags != 0) return cudaErrorInvalidValue;
    emulator.scheduler().Wait(StreamOf(emulator, handle), EventOf(emulator, event));
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned int flags) {
  return Call("cudaEventCreateWithFlags", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    auto event = std::make_shared<Event>();
    event->device = CurrentDevice();
    event->timed = (flags & cudaEventDisableTiming) == 0;
    *handle = reinterpret_cast<cudaEvent_t>(event.get());
    emulator.events()[*handle] = std::move(event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return CallToFree("cudaEventDestroy", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    EventOf(emulator, handle);
    emulator.events().erase(handle);  // waits that are queued keep what they need
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
  return Call("cudaEventRecord", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    const std::shared_ptr<Event> event = EventOf(emulator, handle);
    Stream& on = StreamOf(emulator, stream);
    if (event->device != on.device) return cudaErrorInvalidResourceHandle;
    emulator.scheduler().Record(on, event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return Call("cudaEventSynchronize", cudaErrorUnknown, [&](Emulator& emulator, auto& lock) {
    const std::shared_ptr<Event> event = EventOf(emulator, handle);
    const uint64_t wanted = event->recorded;
    const VectorClock clock = event->clock;
    if (event->reached < wanted) {
      emulator.WaitUntil(lock, *emulator.scheduler().FindStream(event->device),
                         [&] { return event->reached >= wanted; });
    }
    emulator.scheduler().Join(clock);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return Call("cudaEventQuery", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    const std::shared_ptr<Event> event = EventOf(emulator, handle);
    if (event->reached < event->recorded) emulator.Poll(*emulator.scheduler().FindStream(event->device));
    if (event->reached < event->recorded) return cudaErrorNotReady;
    emulator.scheduler().Join(event->clock);
    return cudaSuccess;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return Call("cudaEventElapsedTime", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    const std::shared_ptr<Event> from = EventOf(emulator, begin), to = EventOf(emulator, end);
    if (!from->timed || !to->timed || from->recorded == 0 || to->recorded == 0) return cudaErrorInvalidResourceHandle;
    if (from->reached < from->recorded || to->reached < to->recorded) return cudaErrorNotReady;
    *milliseconds = (static_cast<float>(to->time_ns) - static_cast<float>(from->time_ns)) * 1e-6f;
    return cudaSuccess;
  });
}

}  // extern "C"
