#include "tests/cuda_emulator/device_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <iterator>

#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr int kFill = 0xff;

std::string Hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

void Allocation::RecordOperation(uint64_t offset, uint64_t size, bool write, const OperationId& operation,
                                 const std::vector<OperationId>& operations) {
  if (cells_.empty()) cells_.resize(size_bytes / kCellBytes + 1);
  last_of_stream_[operation.point.stream] = operation.serial;
  const auto check = [&](uint32_t serial, const char* did) {
    if (serial == 0 || serial == operation.serial) return;
    const OperationId& other = operations[serial - 1];
    if (other.point.stream == operation.point.stream || operation.clock.Knows(other.point)) return;
    throw Violation("stream race: " + operation.name + " on stream " + std::to_string(operation.point.stream) +
                    (write ? " writes" : " reads") + " device memory that " + other.name + " on stream " +
                    std::to_string(other.point.stream) + " " + did + ", and no event or synchronisation orders them");
  };
  for (uint64_t i = offset / kCellBytes; i * kCellBytes < offset + size; ++i) {
    Cell& cell = cells_[i];
    if (cell.writer == operation.serial) continue;
    if (!write && cell.readers[0] == operation.serial) continue;
    check(cell.writer, "wrote");
    if (write) {
      check(cell.readers[0], "read");
      check(cell.readers[1], "read");
      cell = {.writer = operation.serial, .readers = {}};
      continue;
    }
    // Of readers that are ordered only the later one matters; two that are not are both kept.
    const uint32_t before = cell.readers[0];
    if (before != 0 && operations[before - 1].point.stream != operation.point.stream) cell.readers[1] = before;
    cell.readers[0] = operation.serial;
  }
}

std::string Allocation::UnorderedWith(const VectorClock& clock, const std::vector<OperationId>& operations) const {
  for (const auto& [stream, serial] : last_of_stream_) {
    const OperationId& operation = operations[serial - 1];
    if (!clock.Knows(operation.point)) return operation.name + " on stream " + std::to_string(stream);
  }
  return "";
}

DeviceMemory::DeviceMemory() {
  file_ = memfd_create("cuda_emulator", MFD_CLOEXEC);
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(kSpaceBytes)) != 0) {
    throw Violation(std::string("can't reserve memory for emulated devices: ") + std::strerror(errno));
  }
  void* closed = mmap(nullptr, kSpaceBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  void* open = mmap(nullptr, kSpaceBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
  if (closed == MAP_FAILED || open == MAP_FAILED) {
    throw Violation(std::string("can't map memory for emulated devices: ") + std::strerror(errno));
  }
  base_ = reinterpret_cast<uint64_t>(closed);
  host_base_ = static_cast<std::byte*>(open);
}

DeviceMemory::~DeviceMemory() {
  munmap(reinterpret_cast<void*>(base_), kSpaceBytes);
  munmap(host_base_, kSpaceBytes);
  close(file_);
}

uint64_t DeviceMemory::Allocate(int32_t device, uint64_t size_bytes) {
  // A page between two allocations, so that a pointer that runs off one is not in the next.
  const uint64_t pages = (size_bytes + kPageBytes - 1) / kPageBytes + 1;
  if (size_bytes > kSpaceBytes || next_ + pages * kPageBytes > kSpaceBytes) return 0;
  auto allocation = std::make_unique<Allocation>();
  allocation->address = base_ + next_;
  allocation->size_bytes = size_bytes;
  allocation->device = device;
  allocation->host = host_base_ + next_;
  std::memset(allocation->host, kFill, size_bytes);
  next_ += pages * kPageBytes;
  const uint64_t address = allocation->address;
  allocations_[address] = std::move(allocation);
  return address;
}

Allocation* DeviceMemory::FindStart(uint64_t address) {
  const auto found = allocations_.find(address);
  return found == allocations_.end() ? nullptr : found->second.get();
}

void DeviceMemory::Free(uint64_t address) {
  const Allocation& allocation = *allocations_.at(address);
  fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(address - base_),
            static_cast<off_t>((allocation.size_bytes + kPageBytes - 1) / kPageBytes * kPageBytes));
  freed_[address] = allocation.size_bytes;
  allocations_.erase(address);
}

Allocation& DeviceMemory::Find(uint64_t address, uint64_t size, int32_t device) {
  if (!Owns(address)) throw Violation(Hex(address) + " is no device memory");
  const auto freed = freed_.upper_bound(address);
  if (freed != freed_.begin() && address - std::prev(freed)->first < std::prev(freed)->second) {
    throw Violation(Hex(address) + " was freed");
  }
  const auto next = allocations_.upper_bound(address);
  if (next == allocations_.begin()) throw Violation(Hex(address) + " is in no allocation");
  Allocation& allocation = *std::prev(next)->second;
  const uint64_t offset = address - allocation.address;
  if (offset > allocation.size_bytes || size > allocation.size_bytes - offset) {
    throw Violation(std::to_string(size) + " bytes at " + Hex(address) + " are in no live allocation: byte " +
                    std::to_string(offset) + " after the start of one of " + std::to_string(allocation.size_bytes));
  }
  if (allocation.device != device) {
    throw Violation(Hex(address) + " is memory of device " + std::to_string(allocation.device) + ", used on device " +
                    std::to_string(device));
  }
  return allocation;
}

std::byte* DeviceMemory::Access(uint64_t address, uint64_t size, bool write, const OperationId& operation) {
  Allocation& allocation = Find(address, size, operation.device);
  allocation.RecordOperation(address - allocation.address, size, write, operation, operations_);
  return allocation.host + (address - allocation.address);
}

void DeviceMemory::Begin(OperationId* operation) {
  operation->serial = static_cast<uint32_t>(operations_.size()) + 1;
  OperationId record = *operation;
  record.clock = {};  // of later ones only the point is asked
  operations_.push_back(std::move(record));
}

uint64_t DeviceMemory::live_bytes(int32_t device) const {
  uint64_t bytes = 0;
  for (const auto& [address, allocation] : allocations_) {
    if (allocation->device == device) bytes += allocation->size_bytes;
  }
  return bytes;
}

}  // namespace eddl::cuda_emulator
