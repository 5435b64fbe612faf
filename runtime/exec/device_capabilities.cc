#include "runtime/exec/device_capabilities.h"

#include <utility>

#include "runtime/base/status.h"

namespace eddl {

Capabilities CapabilitiesOf(const Device& device) {
  return Capabilities(
      [&device](const OpDescription& description) -> absl::StatusOr<OpAnswer> {
        EDDL_ASSIGN_OR_RETURN(OpInfo info, device.Query(AbiOpDesc(description).get()));
        return OpAnswer{.workspace_bytes = info.workspace_bytes,
                        .state_bytes = info.state_bytes,
                        .implementation = std::move(info.implementation)};
      },
      device.info().alignment_bytes);
}

}  // namespace eddl
