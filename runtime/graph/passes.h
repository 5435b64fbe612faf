// Passes: rewrite a graph into one that computes the same and runs faster. Pure; a device is asked through
// Capabilities.
//
// Each fusion is proposed, and done only where the device has the fused op; the rest stays as it is.
#pragma once

#include "runtime/graph/capabilities.h"
#include "runtime/graph/graph.h"

namespace eddl {

// Drops ops whose results nobody uses: neither an op, nor a gradient, nor an output.
void RemoveDeadNodes(Graph& graph);

// matmul, convolution, batch norm or add, then relu or clamp: one op with an epilogue. The gradient of a batch norm
// fused with relu takes over the relu's gradient.
void FuseEpilogues(Graph& graph, const Capabilities& capabilities);

// The gradient of a max pool, then of the relu before it: one loop. A window's maximum is positive iff the relu let it
// pass, so the mask is read from the pool's small output instead of the relu's large one.
void FusePoolReluGradients(Graph& graph, const Capabilities& capabilities);

}  // namespace eddl
