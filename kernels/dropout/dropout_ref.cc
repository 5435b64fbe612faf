#include "kernels/dropout/dropout.h"

namespace eddl::kernels {

std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr int kRounds = 10;
  constexpr uint64_t kMultiplier0 = 0xd2511f53u;
  constexpr uint64_t kMultiplier1 = 0xcd9e8d57u;
  constexpr uint32_t kWeyl0 = 0x9e3779b9u;  // golden ratio
  constexpr uint32_t kWeyl1 = 0xbb67ae85u;  // sqrt(3) - 1
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {high(product1) ^ counter[1] ^ key[0], low(product1), high(product0) ^ counter[3] ^ key[1],
               low(product0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

// y[n, j] = x[n, j] / (1 - probability) if u(n, j) >= probability, else 0; u = (word >> 8) 2^-24, with word = number j
// mod 4 of Philox under counter (j / 4, sample[n] low, layer, epoch low) and key (seed low, seed high).
void Dropout(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_dropout_attrs>();
  const Tensor& x = call.input(0);
  const Tensor& sample = call.input(1);
  const uint64_t seed = call.scalars[0].u;
  const uint64_t epoch = call.scalars[1].u;
  const double probability = attrs.probability;
  const int64_t row = x.size() / x.dim(0);
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t j = i % row;
    const auto words = Philox({static_cast<uint32_t>(j / 4), static_cast<uint32_t>(sample.Integer(i / row)),
                               attrs.layer, static_cast<uint32_t>(epoch)},
                              {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    const double u = static_cast<double>(words[static_cast<size_t>(j % 4)] >> 8) * 0x1p-24;
    outputs[0].At(i) = u >= probability ? x[i] / (1 - probability) : 0;
  }
}

}  // namespace eddl::kernels
