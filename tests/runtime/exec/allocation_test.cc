// A training step allocates nothing once its plan has run: not in our code, and not in the CPU backend.
//
// The allocation functions are replaced by ones that count, in this program and in what it loads. Calls that come from
// inside oneDNN are its own affair (it builds an argument map for every execution) and are not counted.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/train/param_shard.h"
#include "runtime/train/replica.h"
#include "tests/runtime/test_device.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EDDL_COUNTS_ALLOCATIONS 0
#else
#define EDDL_COUNTS_ALLOCATIONS 1
#endif

#if EDDL_COUNTS_ALLOCATIONS
namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};

// Counts a call from this return address.
void Count(const void* caller) {
  if (!counting) return;
  Dl_info info = {};
  const bool known = dladdr(caller, &info) != 0 && info.dli_fname != nullptr;
  if (known && std::strstr(info.dli_fname, "libdnnl") != nullptr) return;
  ++allocations;
}

}  // namespace

#define EDDL_EXPORTED __attribute__((visibility("default")))
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
EDDL_EXPORTED void* malloc(size_t size) {
  Count(__builtin_return_address(0));
  return __libc_malloc(size);
}
EDDL_EXPORTED void* calloc(size_t count, size_t size) {
  Count(__builtin_return_address(0));
  return __libc_calloc(count, size);
}
EDDL_EXPORTED void* realloc(void* pointer, size_t size) {
  Count(__builtin_return_address(0));
  return __libc_realloc(pointer, size);
}
EDDL_EXPORTED int posix_memalign(void** pointer, size_t alignment, size_t size) {
  Count(__builtin_return_address(0));
  *pointer = __libc_memalign(alignment, size);
  return *pointer == nullptr ? ENOMEM : 0;
}
EDDL_EXPORTED void* aligned_alloc(size_t alignment, size_t size) {
  Count(__builtin_return_address(0));
  return __libc_memalign(alignment, size);
}
}
// Not through malloc, so that the caller is whoever wrote `new`.
EDDL_EXPORTED void* operator new(size_t size) {
  Count(__builtin_return_address(0));
  return __libc_malloc(size);
}
EDDL_EXPORTED void* operator new[](size_t size) {
  Count(__builtin_return_address(0));
  return __libc_malloc(size);
}
EDDL_EXPORTED void operator delete(void* pointer) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete[](void* pointer) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete(void* pointer, size_t) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete[](void* pointer, size_t) noexcept { std::free(pointer); }
#endif

namespace eddl {
namespace {

class AllocationTest : public testing::TestWithParam<const char*> {};

TEST_P(AllocationTest, AStepAfterTheFirstAllocatesNothing) {
#if !EDDL_COUNTS_ALLOCATIONS
  GTEST_SKIP() << "the sanitizer owns malloc";
#else
  const std::unique_ptr<Device> cpu = test::OpenCpu();
  constexpr int64_t kBatch = 8;
  const Model model =
      *Model::Create({.name = GetParam()}, {.sample_shape = {12, 12, 3}, .dtype = DType::kU8, .class_count = 10});
  const std::unique_ptr<Replica> replica = *Replica::Create(model, *cpu, nullptr, 1);
  absl::StatusOr<ParamShard> shard =
      ParamShard::Create(*cpu, replica->queue(), model.layout(), {0, model.layout().total()}, {}, replica->parameters(),
                         replica->gradients());
  ASSERT_TRUE(shard.ok()) << MessageOf(shard.status());
  const std::vector<std::byte> x(kBatch * 12 * 12 * 3, std::byte{3});
  const std::vector<int32_t> labels(kBatch, 1);
  const auto step = [&] {
    const bool trained = replica->Train({.count = kBatch, .x = x, .labels = labels}, {}).ok();
    return trained && shard->Apply({.learning_rate = 0.01, .gradient_scale = 1.0 / kBatch}).ok();
  };
  ASSERT_TRUE(step());
  ASSERT_TRUE(step());  // the vendor's library may set itself up in the first execution
  counting = true;
  const std::vector<int> seen(3);
  ASSERT_GT(allocations, 0) << "the counting functions are not in use";
  allocations = 0;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(step());
  counting = false;
  EXPECT_EQ(allocations, 0);
#endif
}

INSTANTIATE_TEST_SUITE_P(Zoo, AllocationTest,
                         testing::Values("mlp", "pernet", "lenet5", "inception_small", "resnet20", "mobilenet_small"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace eddl
