// The ops by shape that the kernel benchmark times: those of the model zoo's training steps, and plain sizes for
// orientation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/kernels/op_runner.h"

namespace eddl::bench {

// What one run of a case moves, or computes: as much as the product [m, k] by [k, n]. A case has one of them.
struct Work {
  int64_t m = 0, n = 0, k = 0;
  double bytes = 0;

  double flops() const { return 2 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k); }
};

struct Case {
  std::string name;  // "Matmul/f32/M:256/N:256/K:256"
  OpSpec spec;
  Work work;
  OpSpec forward;         // kind 0, or the op whose state this one reads
  double zero_share = 0;  // of input 0, for products that skip zeros
};

// Every case of the benchmark, in the order of its rows.
std::vector<Case> AllCases();

// The ops of the model zoo's training steps, without flat vectors.
std::vector<Case> ZooCases(int64_t batch);
// The flat-vector ops and optimizers on vectors of size elements.
std::vector<Case> FlatCases(int64_t size);
// A square product and its gradients.
std::vector<Case> SquareMatmulCases(int64_t size);

}  // namespace eddl::bench
