// The loader against real shared libraries, each wrong in one way, and tables made in this process.
#include "runtime/device/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "runtime/base/status.h"
#include "tests/runtime/device/fake_backend.h"

namespace eddl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string PathOf(const std::string& plugin) {
  return std::string(EDDL_FAKE_PLUGIN_DIR) + "/libeddl_backend_" + plugin + ".so";
}

// The one line that loading a plugin costs, without the part that all share.
std::string Refusal(const std::string& plugin) {
  const auto backend = Backend::Load(PathOf(plugin));
  if (backend.ok()) return "loaded";
  std::string message = MessageOf(backend.status());
  EXPECT_THAT(message, HasSubstr("backend " + PathOf(plugin) + " can't be "));
  EXPECT_EQ(message.find('\n'), std::string::npos);
  return message.substr(message.find("can't be"));
}

TEST(BackendTest, LoadsAPluginAndKnowsItsDevices) {
  const auto backend = Backend::Load(PathOf("good"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->name(), "good");
  EXPECT_EQ((*backend)->version(), "1.0 (fake)");
  EXPECT_EQ((*backend)->path(), PathOf("good"));
  const auto devices = (*backend)->Devices();
  ASSERT_TRUE(devices.ok()) << devices.status();
  ASSERT_EQ(devices->size(), 1u);
  EXPECT_EQ(devices->front().Id(), "good:0");
  EXPECT_EQ(devices->front().name, "Fake device");
  EXPECT_EQ(devices->front().alignment_bytes, kFakeAlignment);
  EXPECT_EQ(devices->front().score, 5u);
}

TEST(BackendTest, RefusesAPluginInOneLineThatNamesPathAndReason) {
  EXPECT_EQ(
      Refusal("too_old"),
      "can't be used: it is too old: it speaks version 0.1 of the backend interface, this program 1.1; update the "
      "plugin");
  EXPECT_EQ(
      Refusal("too_new"),
      "can't be used: it is too new: it speaks version 2.1 of the backend interface, this program 1.1; update EDDL");
  EXPECT_EQ(
      Refusal("no_entry"),
      "can't be used: it does not export eddl_backend_get_v1; it is no EDDL backend, or one for another version of "
      "the interface");
  EXPECT_EQ(Refusal("no_slot"), "can't be used: required function 'op_enqueue' is NULL");
  EXPECT_EQ(Refusal("short_table"), "can't be used: its table has 120 bytes, the required slots take 152");
  EXPECT_EQ(Refusal("tiny_table"), "can't be used: its table of 4 bytes has no version");
  EXPECT_EQ(Refusal("null_table"), "can't be used: its table is NULL");
  EXPECT_EQ(Refusal("bad_name"), "can't be used: its name 'Bad name' is not of the form [a-z0-9_]+");
  EXPECT_THAT(Refusal("text"), StartsWith("can't be loaded: "));
}

TEST(BackendTest, MissingFileIsNotFound) {
  const auto backend = Backend::Load(PathOf("nowhere"));
  EXPECT_EQ(backend.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MessageOf(backend.status()), "no backend plugin " + PathOf("nowhere") + ": no such file");
}

TEST(BackendTest, PassesOnWhyThereAreNoDevices) {
  const auto backend = Backend::Load(PathOf("no_driver"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->Devices().status(),
            Unavailable("no_driver: no driver: libfake.so.1 is missing; install fake-icd"));
}

TEST(BackendTest, RefusesDeviceInfoThatBreaksTheContract) {
  const auto backend = Backend::Load(PathOf("bad_alignment"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ(
      (*backend)->Devices().status(),
      FailedPrecondition("bad_alignment:0: reports an alignment of 48 bytes; a power of two up to 4096 is required"));
}

TEST(BackendTest, NewerMinorVersionWithAppendedSlotsWorks) {
  const auto backend = Backend::Load(PathOf("newer"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->table().struct_size, sizeof(eddl_backend));
  const auto device = Device::Open(**backend, 0, {});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_TRUE((*device)->host_visible());
}

// The table ends after buffer_import; the bytes behind it are garbage.
TEST(BackendTest, OlderTableWithFewerOptionalSlotsWorks) {
  const auto backend = Backend::Load(PathOf("older"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  const eddl_backend& table = (*backend)->table();
  EXPECT_NE(table.buffer_import, nullptr);
  EXPECT_EQ(table.buffer_host_pointer, nullptr);
  EXPECT_EQ(table.event_record, nullptr);
  EXPECT_EQ(table.event_times, nullptr);
  const auto device = Device::Open(**backend, 0, {});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_FALSE((*device)->host_visible());
}

TEST(BackendTest, EventsThatAreIncompleteAreAbsent) {
  eddl_backend table = FakeTable("events");
  table.queue_wait_event = nullptr;
  const auto backend = Backend::FromTable(&table, "here");
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->table().event_record, nullptr);
  EXPECT_EQ((*backend)->table().event_times, nullptr);
}

TEST(BackendTest, NamesEachRequiredSlotThatIsMissing) {
  const eddl_backend full = FakeTable("holes");
  const auto reason = [&](auto eddl_backend::*slot) {
    eddl_backend table = full;
    table.*slot = nullptr;
    return MessageOf(Backend::FromTable(&table, "here").status());
  };
  const auto expected = [](const std::string& slot) {
    return "backend here can't be used: required function '" + slot + "' is NULL";
  };
  EXPECT_EQ(reason(&eddl_backend::device_count), expected("device_count"));
  EXPECT_EQ(reason(&eddl_backend::device_info), expected("device_info"));
  EXPECT_EQ(reason(&eddl_backend::device_open), expected("device_open"));
  EXPECT_EQ(reason(&eddl_backend::device_close), expected("device_close"));
  EXPECT_EQ(reason(&eddl_backend::buffer_create), expected("buffer_create"));
  EXPECT_EQ(reason(&eddl_backend::buffer_destroy), expected("buffer_destroy"));
  EXPECT_EQ(reason(&eddl_backend::queue_create), expected("queue_create"));
  EXPECT_EQ(reason(&eddl_backend::queue_destroy), expected("queue_destroy"));
  EXPECT_EQ(reason(&eddl_backend::queue_wait), expected("queue_wait"));
  EXPECT_EQ(reason(&eddl_backend::write), expected("write"));
  EXPECT_EQ(reason(&eddl_backend::read), expected("read"));
  EXPECT_EQ(reason(&eddl_backend::copy), expected("copy"));
  EXPECT_EQ(reason(&eddl_backend::fill), expected("fill"));
  EXPECT_EQ(reason(&eddl_backend::op_prepare), expected("op_prepare"));
  EXPECT_EQ(reason(&eddl_backend::op_enqueue), expected("op_enqueue"));
  EXPECT_EQ(reason(&eddl_backend::op_destroy), expected("op_destroy"));
}

TEST(BackendTest, PrintsThePluginsLinesUnderItsName) {
  ::testing::internal::CaptureStderr();
  ASSERT_TRUE(Backend::Load(PathOf("talkative")).ok());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "talkative: hello from the plugin\n");
}

}  // namespace
}  // namespace eddl
