/* The interface as C11, without extensions or padding; first, so that the header is seen to stand alone. */
#include "tests/abi/layout_check.h"

/* A C plugin's entry point, to see that the table can be written in C. */
static eddl_code NoDevice(uint32_t* count, eddl_error* error) {
  *count = 0;
  if (error != NULL) error->code = EDDL_UNAVAILABLE;
  return EDDL_UNAVAILABLE;
}

const eddl_backend* eddl_abi_test_table(const eddl_host* host);
const eddl_backend* eddl_abi_test_table(const eddl_host* host) {
  static const eddl_backend table = {
      .struct_size = sizeof(eddl_backend), .abi_major = EDDL_ABI_MAJOR, .name = "c", .device_count = NoDevice};
  (void)host;
  return &table;
}
