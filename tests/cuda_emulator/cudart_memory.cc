// Memory, copies and fills of the emulated CUDA runtime.
#include <cstdlib>
#include <cstring>

#include "tests/cuda_emulator/cudart.h"

namespace eddl::cuda_emulator {
namespace {

constexpr size_t kPageBytes = 4096;

// FNV-1a: tells whether bytes have changed.
uint64_t Digest(const void* data, size_t size) {
  uint64_t digest = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; ++i) {
    digest = (digest ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3;
  }
  return digest;
}

// One end of a copy.
struct End {
  uint64_t address = 0;
  bool device = false;
  uint64_t pinned = 0;  // serial of the page-locked block, 0: other host memory
};

End MakeEnd(Emulator& emulator, const void* pointer, bool device, const char* role) {
  End end = {.address = reinterpret_cast<uint64_t>(pointer), .device = device};
  if (emulator.memory().Owns(end.address) != device) {
    throw Violation(std::string("the ") + role + (device ? " is no device memory" : " is device memory") +
                    ", which is not what the direction says");
  }
  if (const Pinned* pinned = emulator.FindPinned(pointer); pinned != nullptr) end.pinned = pinned->serial;
  return end;
}

// Where the bytes of one end are now, checked.
std::byte* Resolve(Emulator& emulator, const End& end, size_t size, bool write, const OperationId& operation) {
  if (end.device) return emulator.memory().Access(end.address, size, write, operation);
  auto* bytes = reinterpret_cast<std::byte*>(end.address);
  if (end.pinned != 0) {
    const Pinned* pinned = emulator.FindPinned(bytes);
    if (pinned == nullptr || pinned->serial != end.pinned) {
      throw Violation("the page-locked memory of a queued copy was freed before it ran");
    }
  }
  return bytes;
}

void NoteUse(Emulator& emulator, const void* pointer, const Stream& stream) {
  if (Pinned* pinned = emulator.FindPinned(pointer); pinned != nullptr) {
    pinned->uses.push_back({.stream = stream.index, .tick = stream.tick + 1});
  }
}

void EnqueueCopy(Emulator& emulator, Stream& stream, const End& to, const End& from, size_t size) {
  // A host that changes what a queued copy reads has a race that only some orders show; here all do that are late.
  const auto* host_source = from.device ? nullptr : reinterpret_cast<const void*>(from.address);
  const uint64_t digest = host_source == nullptr ? 0 : Digest(host_source, size);
  emulator.Enqueue(stream, {.name = "copy", .run = [&emulator, to, from, size, digest](const OperationId& operation) {
                              const std::byte* source = Resolve(emulator, from, size, false, operation);
                              std::byte* target = Resolve(emulator, to, size, true, operation);
                              if (!from.device && Digest(source, size) != digest) {
                                throw Violation("the host changed memory that a queued copy had yet to read");
                              }
                              std::memmove(target, source, size);
                            }});
}

}  // namespace
}  // namespace eddl::cuda_emulator

using namespace eddl::cuda_emulator;

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t size) {
  return Call("cudaMalloc", cudaErrorMemoryAllocation, [&](Emulator& emulator, auto&) {
    const uint64_t used = emulator.memory().live_bytes(CurrentDevice());
    if (size == 0) {
      *pointer = nullptr;
      return cudaSuccess;
    }
    if (size > emulator.options().memory_bytes - used) return cudaErrorMemoryAllocation;
    const uint64_t address = emulator.memory().Allocate(CurrentDevice(), size);
    *pointer = reinterpret_cast<void*>(address);
    return address == 0 ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}

// Stricter than CUDA, which waits for the device here: our code has waited before.
cudaError_t cudaFree(void* pointer) {
  return CallToFree("cudaFree", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    if (pointer == nullptr) return cudaSuccess;
    const auto address = reinterpret_cast<uint64_t>(pointer);
    const Allocation* allocation = emulator.memory().FindStart(address);
    if (allocation == nullptr) throw Violation("no allocation begins there (freed twice?)");
    const std::string user =
        allocation->UnorderedWith(emulator.scheduler().host_clock(), emulator.memory().operations());
    emulator.memory().Free(address);
    if (!user.empty()) throw Violation("the memory is in use: the host has not waited for " + user);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** pointer, size_t size) {
  return Call("cudaMallocHost", cudaErrorMemoryAllocation, [&](Emulator& emulator, auto&) {
    *pointer = std::aligned_alloc(kPageBytes, (size + kPageBytes - 1) / kPageBytes * kPageBytes);
    std::memset(*pointer, 0xff, size);
    emulator.pinned()[*pointer] = {.serial = emulator.NextSerial(), .size_bytes = size, .uses = {}};
    return cudaSuccess;
  });
}

cudaError_t cudaFreeHost(void* pointer) {
  return CallToFree("cudaFreeHost", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    const auto found = emulator.pinned().find(pointer);
    if (found == emulator.pinned().end()) throw Violation("no page-locked block begins there (freed twice?)");
    const Pinned pinned = found->second;
    emulator.pinned().erase(found);
    std::free(pointer);
    for (const ClockPoint& use : pinned.uses) {
      if (!emulator.scheduler().host_clock().Knows(use)) {
        throw Violation("the memory is in use: the host has not waited for a copy on stream " +
                        std::to_string(use.stream));
      }
    }
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t size, cudaMemcpyKind kind, cudaStream_t handle) {
  return Call("cudaMemcpyAsync", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    Stream& stream = StreamOf(emulator, handle);
    if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDeviceToHost && kind != cudaMemcpyDeviceToDevice) {
      return cudaErrorInvalidValue;
    }
    if (size == 0) return cudaSuccess;
    const End to = MakeEnd(emulator, target, kind != cudaMemcpyDeviceToHost, "target");
    const End from = MakeEnd(emulator, source, kind != cudaMemcpyHostToDevice, "source");
    NoteUse(emulator, target, stream);
    NoteUse(emulator, source, stream);
    EnqueueCopy(emulator, stream, to, from, size);
    return cudaSuccess;
  });
}

cudaError_t cudaMemsetAsync(void* target, int value, size_t size, cudaStream_t handle) {
  return Call("cudaMemsetAsync", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    Stream& stream = StreamOf(emulator, handle);
    if (size == 0) return cudaSuccess;
    const End to = MakeEnd(emulator, target, true, "target");
    emulator.Enqueue(stream, {.name = "memset", .run = [&emulator, to, value, size](const OperationId& operation) {
                                std::memset(Resolve(emulator, to, size, true, operation), value, size);
                              }});
    return cudaSuccess;
  });
}

}  // extern "C"
