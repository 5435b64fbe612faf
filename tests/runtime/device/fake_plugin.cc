// One plugin, built many times: each definition FAKE_... makes it wrong, or of another age, in one way.
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "backends/sdk/eddl_backend.h"
#include "tests/runtime/device/fake_backend.h"

#ifndef FAKE_NAME
#define FAKE_NAME "fake"
#endif
#ifndef FAKE_ENTRY
#define FAKE_ENTRY eddl_backend_get_v1
#endif

namespace {

// What a later minor version would return: today's table, and slots that today's runtime does not know.
struct Table {
  eddl_backend known;
  void (*appended[2])();
};

[[maybe_unused]] eddl_code NoDriver(uint32_t*, eddl_error* error) {
  std::snprintf(error->message, sizeof(error->message), "no driver: libfake.so.1 is missing; install fake-icd");
  return EDDL_UNAVAILABLE;
}

[[maybe_unused]] eddl_code OpenFails(uint32_t, const eddl_device_options*, eddl_device**, eddl_error* error) {
  std::snprintf(error->message, sizeof(error->message), "the device is in use by another program");
  return EDDL_UNAVAILABLE;
}

[[maybe_unused]] eddl_code OpenThrows(uint32_t, const eddl_device_options*, eddl_device**, eddl_error*) {
  throw std::runtime_error("no such file: firmware.bin");
}

[[maybe_unused]] eddl_code OpensNothing(uint32_t, const eddl_device_options*, eddl_device**, eddl_error*) {
  return EDDL_OK;
}

[[maybe_unused]] eddl_code BadAlignment(uint32_t, eddl_device_info* info, eddl_error*) {
  info->alignment_bytes = 48;
  std::strcpy(info->name, "Fake device");
  return EDDL_OK;
}

Table MakeTable() {
  Table table = {};
  table.known = eddl::FakeTable(FAKE_NAME);
#ifdef FAKE_ABI_MAJOR
  table.known.abi_major = FAKE_ABI_MAJOR;
#endif
#ifdef FAKE_NEWER_MINOR
  table.known.struct_size = sizeof(Table);
  table.known.abi_minor = EDDL_ABI_MINOR + 1;
  table.appended[0] = table.appended[1] = [] {};
#endif
#ifdef FAKE_TABLE_BYTES
  // The bytes beyond are not of the table; what they hold must not be read as slots.
  table.known.struct_size = FAKE_TABLE_BYTES;
  std::memset(reinterpret_cast<char*>(&table) + FAKE_TABLE_BYTES, 0x5a, sizeof(table) - FAKE_TABLE_BYTES);
#endif
#ifdef FAKE_MISSING_SLOT
  table.known.FAKE_MISSING_SLOT = nullptr;
#endif
#ifdef FAKE_NO_DRIVER
  table.known.device_count = NoDriver;
#endif
#ifdef FAKE_OPEN_FAILS
  table.known.device_open = OpenFails;
#endif
#ifdef FAKE_OPEN_THROWS
  table.known.device_open = OpenThrows;
#endif
#ifdef FAKE_OPENS_NOTHING
  table.known.device_open = OpensNothing;
#endif
#ifdef FAKE_BAD_ALIGNMENT
  table.known.device_info = BadAlignment;
#endif
  return table;
}

}  // namespace

extern "C" EDDL_EXPORT const eddl_backend* FAKE_ENTRY([[maybe_unused]] const eddl_host* host) {
  [[maybe_unused]] static const Table table = MakeTable();
#ifdef FAKE_TALKATIVE
  constexpr char kHello[] = "hello from the plugin (not terminated)";
  host->log(host->context, EDDL_LOG_INFO, kHello, 21);
#endif
#ifdef FAKE_NULL_TABLE
  return nullptr;
#else
  return &table.known;
#endif
}
