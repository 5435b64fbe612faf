// How many bytes a message takes on the wire. Pure.
#pragma once

#include <cstdint>

#include "net/messages.h"
#include "net/plan.h"
#include "net/shard_map.h"

namespace eddl::net::sim {

// What tensor payloads are made of.
struct PayloadShape {
  int64_t parameter_count = 1;
  uint32_t stripe_count = 1;
  uint32_t moment_count = 0;  // optimizer state: vectors as long as the parameters
};

// Of everything but tensor data: fields as protobuf would encode them, roughly, with framing.
double ControlBytes(const Body& body);

// Of the tensor data in a message of this kind that carries so many stripes. 0 for kinds that carry none.
double PayloadBytes(const Body& body, uint32_t stripes, Codec codec, const PayloadShape& shape);

}  // namespace eddl::net::sim
