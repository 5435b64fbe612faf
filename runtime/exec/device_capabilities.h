// What a device can do, as the value that planning asks: the bridge from runtime/device to the pure runtime/graph.
#pragma once

#include "runtime/device/device.h"
#include "runtime/graph/capabilities.h"

namespace eddl {

// Asks the device by dry runs of op_prepare, as questions come. The device outlives the value.
Capabilities CapabilitiesOf(const Device& device);

}  // namespace eddl
