// The part of NCCL that our backend uses. Ranks are streams of emulated devices in one process, driven by one thread or
// by a thread each.
//
// A collective is an operation on the stream of every rank. None runs before all have come to the head of their
// streams, as on GPUs; a rank that never comes is a hang, which is reported, and so are ranks that disagree. The ranks
// of a lost device do not come, and nobody is told: the others wait until their communicators are aborted.
#include <nccl.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "tests/cuda_emulator/cudart.h"

namespace eddl::cuda_emulator {
namespace {

struct Collective {
  uint64_t count = 0;
  std::set<int> arrived;            // ranks whose stream has come to it
  std::set<std::thread::id> alone;  // threads that called for one rank, outside of a group of calls
  std::vector<uint64_t> addresses;  // by rank
  std::vector<int32_t> devices;     // by rank
  std::vector<float> sum;           // of the first rank to run, for all
  int left = 0;                     // ranks that have yet to take it
};

struct World {
  int rank_count = 0;
  bool one_thread = false;                     // made by ncclCommInitAll: calls must be grouped
  std::map<uint64_t, Collective> collectives;  // by number, as each rank counts its calls
  std::set<int> aborted;                       // ranks
};

thread_local int group_depth = 0;

void Sum(Emulator& emulator, Collective& collective) {
  collective.sum.assign(collective.count, 0.0f);
  for (size_t rank = 0; rank < collective.addresses.size(); ++rank) {
    const uint64_t address = collective.addresses[rank];
    const Allocation& allocation =
        emulator.memory().Find(address, collective.count * sizeof(float), collective.devices[rank]);
    const auto* from = reinterpret_cast<const float*>(allocation.host + (address - allocation.address));
    for (uint64_t i = 0; i < collective.count; ++i) collective.sum[i] += from[i];
  }
}

template <typename Body>
ncclResult_t NcclCall(const char* function, const Body& body) {
  ncclResult_t result = ncclSuccess;
  const cudaError_t error = Call(function, cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    result = body(emulator);
    return cudaSuccess;
  });
  if (result != ncclSuccess) return result;
  return error == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

}  // namespace
}  // namespace eddl::cuda_emulator

using namespace eddl::cuda_emulator;

struct ncclComm {
  std::shared_ptr<World> world;
  int rank = 0;
  int32_t device = 0;
  uint64_t calls = 0;
};

extern "C" {

ncclResult_t ncclCommInitAll(ncclComm_t* communicators, int count, const int* devices) {
  return NcclCall("ncclCommInitAll", [&](Emulator& emulator) {
    const auto world = std::make_shared<World>();
    world->rank_count = count;
    for (int rank = 0; rank < count; ++rank) {
      if (devices[rank] < 0 || devices[rank] >= emulator.options().device_count) return ncclInvalidArgument;
    }
    for (int rank = 0; rank < count; ++rank) {
      communicators[rank] = new ncclComm{.world = world, .rank = rank, .device = devices[rank]};
      emulator.CountHandle("NCCL communicator", 1);
    }
    return ncclSuccess;
  });
}

// As NCCL does: a rank learns of its own device here, not of others'.
ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* result) {
  Emulator& emulator = Emulator::Get();
  const std::unique_lock<std::mutex> lock(emulator.mutex());
  *result = emulator.IsBroken(communicator->device) ? ncclUnhandledCudaError : ncclSuccess;
  return ncclSuccess;
}

// What the rank waits for is dropped. Also on a device that is broken.
ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  {
    Emulator& emulator = Emulator::Get();
    const std::unique_lock<std::mutex> lock(emulator.mutex());
    communicator->world->aborted.insert(communicator->rank);
  }
  return ncclCommDestroy(communicator);
}

// Also on a device that is broken.
ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  Emulator& emulator = Emulator::Get();
  const std::unique_lock<std::mutex> lock(emulator.mutex());
  emulator.CountHandle("NCCL communicator", -1);
  delete communicator;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++group_depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  --group_depth;
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* source, void* target, size_t count, ncclDataType_t type, ncclRedOp_t operation,
                           ncclComm_t communicator, cudaStream_t handle) {
  return NcclCall("ncclAllReduce", [&](Emulator& emulator) {
    if (type != ncclFloat || operation != ncclSum || source != target) return ncclInvalidArgument;
    Stream& stream = StreamOf(emulator, handle);
    const std::shared_ptr<World> world = communicator->world;
    if (stream.device != communicator->device) throw Violation("a stream of another device than the communicator's");
    const uint64_t number = communicator->calls++;
    const int rank = communicator->rank;
    Collective& collective = world->collectives[number];
    if (collective.addresses.empty()) {
      collective.count = count;
      collective.left = world->rank_count;
      collective.addresses.resize(static_cast<size_t>(world->rank_count));
      collective.devices.resize(static_cast<size_t>(world->rank_count));
    }
    if (group_depth == 0 && !collective.alone.insert(std::this_thread::get_id()).second) {
      throw Violation(
          "one thread drives several ranks outside of ncclGroupStart and ncclGroupEnd: it waits for itself");
    }
    if (collective.count != count) {
      throw Violation("rank " + std::to_string(rank) + " adds " + std::to_string(count) + " elements, another one " +
                      std::to_string(collective.count));
    }
    collective.addresses[static_cast<size_t>(rank)] = reinterpret_cast<uint64_t>(target);
    collective.devices[static_cast<size_t>(rank)] = communicator->device;
    emulator.Enqueue(stream, {.name = "ncclAllReduce of rank " + std::to_string(rank),
                              .run =
                                  [&emulator, world, number, rank, target, count](const OperationId& id) {
                                    if (world->aborted.contains(rank)) return;
                                    Collective& now = world->collectives.at(number);
                                    if (now.sum.empty()) Sum(emulator, now);
                                    std::memcpy(emulator.memory().Access(reinterpret_cast<uint64_t>(target),
                                                                         count * sizeof(float), true, id),
                                                now.sum.data(), count * sizeof(float));
                                    if (--now.left == 0) world->collectives.erase(number);
                                  },
                              .ready =
                                  [&emulator, world, number, rank] {
                                    if (world->aborted.contains(rank)) return true;
                                    Collective& now = world->collectives.at(number);
                                    now.arrived.insert(rank);
                                    if (now.left < world->rank_count) return true;  // it has begun
                                    const bool whole =
                                        std::none_of(now.devices.begin(), now.devices.end(),
                                                     [&](int32_t device) { return emulator.IsBroken(device); });
                                    return whole && static_cast<int>(now.arrived.size()) == world->rank_count;
                                  }});
    return ncclSuccess;
  });
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclInvalidArgument:
      return "invalid argument";
    default:
      return "internal error";
  }
}

}  // extern "C"
