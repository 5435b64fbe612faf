#include <gtest/gtest.h>

#include "kernels/dropout/dropout.h"
#include "tests/kernels/fixtures.h"

namespace eddl::kernels {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers of "philox 4x32 10" in the authors' Random123 distribution.
TEST(PhiloxTest, GivesThePublishedAnswers) {
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

constexpr uint64_t kSeed = 0x123456789abcdef0;

Tensor DropoutOf(const Tensor& x, const Tensor& sample, float probability, uint64_t seed = kSeed, uint64_t epoch = 0,
                 uint32_t layer = 0) {
  const Op op(EDDL_OP_DROPOUT, {x.desc(), sample.desc()}, {x.desc()},
              eddl_dropout_attrs{.layer = layer, .probability = probability});
  const Tensor inputs[] = {x, sample};
  const eddl_scalar scalars[] = {{.u = seed}, {.u = epoch}};
  return RunReference({.desc = op.desc(), .inputs = inputs, .scalars = scalars})[0];
}

Tensor Ones(int64_t rows, int64_t columns) {
  Tensor ones(F32({rows, columns}));
  for (int64_t i = 0; i < ones.size(); ++i) ones.At(i) = 1.0;
  return ones;
}

// The mask is part of the contract: these bits must never change, or cluster and single-device training part ways.
TEST(DropoutReferenceTest, KeepsTheseElements) {
  const Tensor sample = Integers(EDDL_I64, {2}, {0, 7});
  EXPECT_EQ(Text(DropoutOf(Ones(2, 10), sample, 0.5f)), "0 0 2 0 0 0 0 2 2 0 2 2 2 2 2 0 2 0 0 0");
  EXPECT_EQ(Text(DropoutOf(Ones(2, 10), sample, 0.5f, kSeed, /*epoch=*/3, /*layer=*/2)),
            "2 0 2 0 2 2 0 2 0 0 2 2 2 0 2 2 2 0 2 2");
}

TEST(DropoutReferenceTest, DecidesBySampleNotByPlaceInTheBatch) {
  const Tensor together = DropoutOf(Ones(3, 9), Integers(EDDL_I64, {3}, {4, 5, 6}), 0.5f);
  const Tensor alone = DropoutOf(Ones(1, 9), Integers(EDDL_I64, {1}, {5}), 0.5f);
  for (int64_t j = 0; j < 9; ++j) EXPECT_EQ(together(1, j), alone(0, j)) << j;
}

TEST(DropoutReferenceTest, DropsAboutTheGivenFractionAndKeepsTheMean) {
  const Tensor y = DropoutOf(Ones(1, 40000), Integers(EDDL_I64, {1}, {1}), 0.25f);
  int64_t dropped = 0;
  double sum = 0;
  for (int64_t i = 0; i < y.size(); ++i) {
    dropped += y[i] == 0 ? 1 : 0;
    sum += y[i];
  }
  EXPECT_NEAR(static_cast<double>(dropped) / 40000, 0.25, 0.01);
  EXPECT_NEAR(sum / 40000, 1, 0.02);
}

TEST(DropoutReferenceTest, OfProbabilityZeroIsTheIdentity) {
  EXPECT_EQ(Text(DropoutOf(Values({1, 3}, {1, -2, 3}), Integers(EDDL_I64, {1}, {9}), 0)), "1 -2 3");
}

}  // namespace
}  // namespace eddl::kernels
