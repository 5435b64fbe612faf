// Runs a graph in double precision with the kernels' references: what any device should compute.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/reference.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/param_layout.h"

namespace eddl::test {

// What goes into a graph: integer inputs as integers, the others as numbers.
struct ReferenceInputs {
  std::map<std::string, std::vector<double>> numbers;
  std::map<std::string, std::vector<int64_t>> integers;
  uint64_t seed = 0;  // of dropout
  uint64_t epoch = 0;
};

struct ReferenceResult {
  std::map<std::string, std::vector<double>> outputs;    // by name
  std::map<std::string, std::vector<double>> gradients;  // by parameter name
};

// parameters: the flat vector, layout.total() elements. REQUIRES: every input of the graph is given.
ReferenceResult RunReference(const Graph& graph, const ParamLayout& layout, std::span<const double> parameters,
                             const ReferenceInputs& inputs);

}  // namespace eddl::test
