// Compiled kernels are taken from disk when they fit this device, and compiled again when they do not.
#include "backends/opencl/program.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "backends/opencl/platform.h"

namespace eddl::opencl {
namespace {

class OpenclProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    const std::vector<PlatformDevice> devices = FindDevices(&why);
    if (devices.empty()) GTEST_SKIP() << why;
    device_ = devices[0].device;
    context_.reset(clCreateContext(nullptr, 1, &device_, nullptr, nullptr, nullptr));
    folder_ = std::filesystem::path(testing::TempDir()) / "opencl_program_cache";
    std::filesystem::remove_all(folder_);
  }

  // Whether the kernels were compiled, as what it says tells; the program must have a kernel in any case.
  bool Compiles(const std::string& key, const std::string& folder, const std::string& options = "-DGROUP=64") {
    bool said = false;
    Program program;
    const Status status =
        BuildKernels({.context = context_.get(),
                      .device = device_,
                      .key = key,
                      .options = "-cl-std=CL1.2 " + options,
                      .cache_folder = folder,
                      .log = [&](const std::string& line) { said = line == "compiling kernels (once)"; }},
                     &program);
    EXPECT_TRUE(status.ok()) << status.message;
    cl_int error = CL_SUCCESS;
    const Kernel kernel(clCreateKernel(program.get(), "flat_scale", &error));
    EXPECT_EQ(error, CL_SUCCESS) << ErrorName(error);
    return said;
  }
  std::filesystem::path OnlyFile() const { return std::filesystem::directory_iterator(folder_)->path(); }

  cl_device_id device_ = nullptr;
  Context context_;
  std::filesystem::path folder_;
};

TEST_F(OpenclProgramTest, CompilesOnceForADeviceADriverAndOptions) {
  EXPECT_TRUE(Compiles("a", folder_));
  EXPECT_FALSE(Compiles("a", folder_));
  EXPECT_TRUE(Compiles("another driver", folder_));
  EXPECT_TRUE(Compiles("a", folder_, "-DGROUP=128"));
  EXPECT_FALSE(Compiles("a", folder_));
}

TEST_F(OpenclProgramTest, CompilesAgainWhereTheFileIsDamaged) {
  ASSERT_TRUE(Compiles("a", folder_));
  const auto size = std::filesystem::file_size(OnlyFile());
  std::filesystem::resize_file(OnlyFile(), size / 2);
  EXPECT_TRUE(Compiles("a", folder_));
  EXPECT_EQ(std::filesystem::file_size(OnlyFile()), size);
  std::fstream(OnlyFile(), std::ios::in | std::ios::out)
      .seekp(static_cast<std::streamoff>(size) - 100)
      .put('x')
      .put('y');
  EXPECT_TRUE(Compiles("a", folder_));
  EXPECT_FALSE(Compiles("a", folder_));
}

TEST_F(OpenclProgramTest, NeedsNoCache) {
  EXPECT_TRUE(Compiles("a", ""));
  std::ofstream(folder_) << "a file where the folder should be";
  EXPECT_TRUE(Compiles("a", folder_));
}

TEST(OpenclCacheFolderTest, IsTheUsersUnlessAskedFor) {
  EXPECT_EQ(CacheFolder("/somewhere"), "/somewhere");
  setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(CacheFolder(nullptr), "/cache/eddl");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/users/someone", 1);
  EXPECT_EQ(CacheFolder(nullptr), "/users/someone/.cache/eddl");
  unsetenv("HOME");
  EXPECT_EQ(CacheFolder(nullptr), "");
}

}  // namespace
}  // namespace eddl::opencl
