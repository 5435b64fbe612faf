// The table of the cpu backend, loaded once as the runtime does it.
#pragma once

#include "backends/sdk/eddl_backend.h"

namespace eddl {

// Ends the process if the plugin can't be loaded: no test here means anything without it.
const eddl_backend& CpuTable();

}  // namespace eddl
