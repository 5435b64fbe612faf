// Reverse-mode differentiation of a graph. Pure.
#pragma once

#include "absl/status/statusor.h"
#include "runtime/graph/graph.h"

namespace eddl {

// The forward graph with the ops appended that compute the gradient of its loss, a sum over samples, with respect to
// every trainable parameter; each such value is marked as the parameter's gradient. Nothing is computed that no
// trainable parameter needs: no gradient for the first layer's input, none below frozen layers.
//
// REQUIRES: no fused epilogues yet. The loss is the one softmax_xent node, with its third output present.
// kInvalidArgument without such a node; kUnimplemented if an op on the way has no gradient, by its name.
absl::StatusOr<Graph> Differentiate(Graph forward);

}  // namespace eddl
