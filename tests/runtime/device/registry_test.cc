// The registry: one folder with good and bad plugins, and what a user may write for a device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/device/backend.h"
#include "tests/runtime/device/fake_backend.h"

namespace eddl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kFolder = EDDL_FAKE_PLUGIN_DIR;

std::string PathOf(const std::string& plugin) { return kFolder + "/libeddl_backend_" + plugin + ".so"; }

std::vector<std::string> Names(const BackendRegistry& registry) {
  std::vector<std::string> names;
  for (const auto& backend : registry.backends()) names.push_back(backend->name());
  return names;
}

// "opened good:0", or the error.
std::string Open(BackendRegistry& registry, const std::string& spec) {
  const auto device = registry.Open(spec, {});
  return device.ok() ? "opened " + (*device)->info().Id() : MessageOf(device.status());
}

TEST(BackendRegistryTest, GoesOnWithThePluginsThatWork) {
  BackendRegistry registry;
  registry.LoadFolder(kFolder);
  EXPECT_THAT(Names(registry), ElementsAre("bad_alignment", "good", "newer", "no_driver", "older", "open_fails",
                                           "open_throws", "opens_nothing", "talkative"));
  std::vector<std::string> refused;
  for (const std::string& problem : registry.problems()) {
    const size_t begin = problem.find("libeddl_backend_") + 16;
    refused.push_back(problem.substr(begin, problem.find(".so") - begin));
  }
  EXPECT_THAT(refused, ElementsAre("bad_name", "no_entry", "no_slot", "null_table", "same_name", "short_table", "text",
                                   "tiny_table", "too_new", "too_old"));
}

TEST(BackendRegistryTest, RefusesASecondPluginOfTheSameName) {
  BackendRegistry registry;
  ASSERT_TRUE(registry.LoadFile(PathOf("good")).ok());
  EXPECT_EQ(registry.LoadFile(PathOf("same_name")),
            FailedPrecondition("backend " + PathOf("same_name") +
                               " can't be used: a backend named 'good' is already "
                               "loaded from " +
                               PathOf("good")));
}

TEST(BackendRegistryTest, MissingFolderIsAProblemAndNoCrash) {
  BackendRegistry registry;
  registry.LoadFolder("/nonexistent");
  EXPECT_THAT(registry.problems(),
              ElementsAre("can't list the backend folder /nonexistent: No such file or directory"));
  EXPECT_EQ(Open(registry, "auto"),
            "no usable device: can't list the backend folder /nonexistent: No such file or directory");
}

TEST(BackendRegistryTest, OpensByNameIndexAndPath) {
  BackendRegistry registry;
  ASSERT_TRUE(registry.LoadFile(PathOf("good")).ok());
  EXPECT_EQ(Open(registry, "good"), "opened good:0");
  EXPECT_EQ(Open(registry, "good:0"), "opened good:0");
  EXPECT_EQ(Open(registry, "good:1"), "no device 'good:1': backend good has 1, counted from 0");
  EXPECT_EQ(Open(registry, PathOf("newer")), "opened newer:0");
  EXPECT_EQ(Open(registry, PathOf("newer") + ":0"), "opened newer:0");  // not loaded twice
  EXPECT_THAT(Names(registry), ElementsAre("good", "newer"));
}

TEST(BackendRegistryTest, OpensAPluginOfTheCurrentFolder) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(kFolder);
  BackendRegistry registry;
  EXPECT_EQ(Open(registry, "libeddl_backend_good.so"), "opened good:0");
  std::filesystem::current_path(before);
}

TEST(BackendRegistryTest, UnknownNameListsWhatWasFound) {
  BackendRegistry registry;
  registry.LoadFolder(kFolder);
  EXPECT_EQ(Open(registry, "cuda"), "no backend named 'cuda' in " + kFolder +
                                        " (found: bad_alignment, good, newer, no_driver, older, open_fails, "
                                        "open_throws, opens_nothing, talkative); is it installed?");
  EXPECT_EQ(BackendRegistry().Find("cpu").status(), NotFound("no backend named 'cpu' (found: none); is it installed?"));
}

TEST(BackendRegistryTest, RefusedPluginAskedByNameSaysWhy) {
  BackendRegistry registry;
  registry.LoadFolder(kFolder);
  EXPECT_THAT(Open(registry, "null_table"),
              HasSubstr("; backend " + PathOf("null_table") + " can't be used: its table is NULL"));
}

TEST(BackendRegistryTest, SpecThatIsNotUnderstoodSaysWhatToWrite) {
  BackendRegistry registry;
  for (const std::string spec : {"", ":1", "good:", "good:x", "good:-1", "good:1x", "good:99999999999"}) {
    EXPECT_EQ(Open(registry, spec),
              "device '" + spec +
                  "' is not understood; write auto, cpu, opencl:1, cuda:all or the path of a plugin "
                  "(./libmine.so:0)");
  }
}

TEST(BackendRegistryTest, AutoOpensTheBestScore) {
  BackendRegistry registry;
  eddl_backend fast = FakeTable("fast");
  fast.device_info = [](uint32_t index, eddl_device_info* info, eddl_error* error) {
    const eddl_code code = FakeTable("").device_info(index, info, error);
    info->score = 9;
    return code;
  };
  const eddl_backend slow = FakeTable("slow");
  ASSERT_TRUE(registry.Add(*Backend::FromTable(&slow, "slow")).ok());
  ASSERT_TRUE(registry.Add(*Backend::FromTable(&fast, "fast")).ok());
  EXPECT_EQ(Open(registry, "auto"), "opened fast:0");
  EXPECT_EQ(registry.Devices().front().Id(), "fast:0");
}

TEST(BackendRegistryTest, AutoPassesOverWhatDoesNotOpen) {
  BackendRegistry registry;
  ASSERT_TRUE(registry.LoadFile(PathOf("open_fails")).ok());
  ASSERT_TRUE(registry.LoadFile(PathOf("good")).ok());
  EXPECT_EQ(Open(registry, "auto"), "opened good:0");
  EXPECT_THAT(registry.problems(),
              ElementsAre("opening device open_fails:0: open_fails: the device is in use by another program"));
}

// A first draft must not end the program of whoever has it in the folder.
TEST(BackendRegistryTest, AutoPassesOverWhatThrowsOrOpensNothing) {
  BackendRegistry registry;
  for (const char* plugin : {"open_throws", "opens_nothing", "good"}) {
    ASSERT_TRUE(registry.LoadFile(PathOf(plugin)).ok()) << plugin;
  }
  EXPECT_EQ(Open(registry, "auto"), "opened good:0");
  EXPECT_THAT(
      registry.problems(),
      ElementsAre("opening device open_throws:0: open_throws: device_open threw: no such file: firmware.bin; no "
                  "exception may leave a plugin: catch it there, and return a code",
                  "opening device opens_nothing:0: device_open said OK and gave none"));
}

TEST(BackendRegistryTest, AutoWithoutAnyDeviceSaysWhyForEach) {
  BackendRegistry registry;
  ASSERT_TRUE(registry.LoadFile(PathOf("no_driver")).ok());
  ASSERT_TRUE(registry.LoadFile(PathOf("open_fails")).ok());
  EXPECT_EQ(Open(registry, "auto"),
            "no usable device: opening device open_fails:0: open_fails: the device is in use by another program; "
            "no_driver: no driver: libfake.so.1 is missing; install fake-icd");
}

TEST(BackendRegistryTest, BackendFolderIsBesideTheProgramUnlessTheEnvironmentNamesOne) {
  setenv("EDDL_BACKEND_DIR", "/somewhere/else", 1);
  EXPECT_EQ(DefaultBackendFolder(), "/somewhere/else");
  unsetenv("EDDL_BACKEND_DIR");
  const std::filesystem::path program = std::filesystem::canonical("/proc/self/exe");
  EXPECT_EQ(DefaultBackendFolder(), program.parent_path().parent_path() / "lib/eddl/backends");
}

}  // namespace
}  // namespace eddl
