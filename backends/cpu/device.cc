#include "backends/cpu/device.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <new>
#include <string>

namespace eddl::cpu {
namespace {

// Buffers from here on are aligned for huge pages: fewer misses in the address cache where the kernel grants them.
constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;

struct InstructionSet {
  const char* name;
  uint32_t flops_per_cycle;  // one core: two fused units
};

InstructionSet FindInstructionSet() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {"avx512", 64};
  if (__builtin_cpu_supports("avx2")) return {"avx2", 32};
  return {"sse2", 8};
#elif defined(__aarch64__)
  return {"neon", 16};
#else
  return {"scalar", 2};
#endif
}

// The value of the first line of a /proc file that begins with key; empty if there is none.
std::string ProcValue(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || line.compare(0, key.size(), key) != 0) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

uint64_t MemoryBytes(const char* key) {
  const std::string kibibytes = ProcValue("/proc/meminfo", key);
  return std::strtoull(kibibytes.c_str(), nullptr, 10) * 1024;
}

}  // namespace

int CoreCount() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

void FillDeviceInfo(eddl_device_info* info) {
  const InstructionSet isa = FindInstructionSet();
  std::string model = ProcValue("/proc/cpuinfo", "model name");
  if (model.empty()) model = "CPU";
  const double megahertz = std::strtod(ProcValue("/proc/cpuinfo", "cpu MHz").c_str(), nullptr);
  const double gigahertz = megahertz > 0 ? megahertz / 1000 : 2.0;
  const uint32_t cores = static_cast<uint32_t>(CoreCount());
  info->flags = EDDL_DEVICE_INTEGRATED | EDDL_DEVICE_DETERMINISTIC;
  info->memory_total_bytes = MemoryBytes("MemTotal");
  info->memory_free_bytes = MemoryBytes("MemAvailable");
  info->alignment_bytes = kAlignmentBytes;
  info->dtype_mask = EDDL_DTYPE_BIT(EDDL_F32) | EDDL_DTYPE_BIT(EDDL_F16) | EDDL_DTYPE_BIT(EDDL_I32) |
                     EDDL_DTYPE_BIT(EDDL_U8) | EDDL_DTYPE_BIT(EDDL_I64);
  info->compute_units = cores;
  info->score = static_cast<uint32_t>(cores * isa.flops_per_cycle * gigahertz);
  std::snprintf(info->name, sizeof(info->name), "%s (%s)", model.c_str(), isa.name);
}

Status CreateBuffer(eddl_device& device, uint64_t size_bytes, eddl_buffer** buffer) {
  const uint64_t used = device.memory_used_bytes.fetch_add(size_bytes) + size_bytes;
  const uint64_t limit = device.memory_limit_bytes;
  if (limit != 0 && (used > limit || used < size_bytes)) {
    device.memory_used_bytes.fetch_sub(size_bytes);
    return Error(
        EDDL_RESOURCE_EXHAUSTED,
        "a buffer of %llu bytes does not fit: %llu of the limit of %llu bytes are in use; raise the memory limit or "
        "make the batch smaller",
        static_cast<unsigned long long>(size_bytes), static_cast<unsigned long long>(used - size_bytes),
        static_cast<unsigned long long>(limit));
  }
  const uint64_t alignment = size_bytes >= 2 * kHugePageBytes ? kHugePageBytes : kAlignmentBytes;
  // An empty buffer has an address too.
  void* data = ::operator new (std::max<uint64_t>(size_bytes, 1), std::align_val_t{alignment}, std::nothrow);
  if (data == nullptr) {
    device.memory_used_bytes.fetch_sub(size_bytes);
    return Error(EDDL_RESOURCE_EXHAUSTED, "the host has no memory for a buffer of %llu bytes; make the batch smaller",
                 static_cast<unsigned long long>(size_bytes));
  }
  if (alignment == kHugePageBytes) madvise(data, size_bytes / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
  *buffer = new eddl_buffer{
      .device = &device, .data = static_cast<std::byte*>(data), .size_bytes = size_bytes, .imported = false};
  return {};
}

void DestroyBuffer(eddl_buffer* buffer) {
  if (buffer == nullptr) return;
  if (!buffer->imported) {
    const uint64_t alignment = buffer->size_bytes >= 2 * kHugePageBytes ? kHugePageBytes : kAlignmentBytes;
    ::operator delete (buffer->data, std::align_val_t{alignment});
    buffer->device->memory_used_bytes.fetch_sub(buffer->size_bytes);
  }
  delete buffer;
}

Status Range(const eddl_buffer* buffer, uint64_t offset_bytes, uint64_t size_bytes, const char* role,
             std::byte** bytes) {
  EDDL_CPU_REQUIRE(buffer != nullptr, "%s: the buffer is NULL", role);
  EDDL_CPU_REQUIRE(offset_bytes <= buffer->size_bytes && size_bytes <= buffer->size_bytes - offset_bytes,
                   "%s: bytes [%llu, +%llu) lie beyond the buffer's %llu", role,
                   static_cast<unsigned long long>(offset_bytes), static_cast<unsigned long long>(size_bytes),
                   static_cast<unsigned long long>(buffer->size_bytes));
  *bytes = buffer->data + offset_bytes;
  return {};
}

}  // namespace eddl::cpu
