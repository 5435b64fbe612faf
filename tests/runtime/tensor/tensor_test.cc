#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "runtime/tensor/dtype.h"
#include "runtime/tensor/shape.h"

namespace eddl {
namespace {

TEST(DTypeTest, SizesAndNames) {
  std::string text;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kI32, DType::kU8, DType::kI64, DType::kNone}) {
    text += std::string(NameOf(dtype)) + ":" + std::to_string(SizeOf(dtype)) + " ";
  }
  EXPECT_EQ(text, "f32:4 f16:2 i32:4 u8:1 i64:8 none:0 ");
}

TEST(ShapeTest, KnowsItsDimensionsFromBothEnds) {
  const Shape shape = {2, 3, 5};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.dim(0), 2);
  EXPECT_EQ(shape.dim(-1), 5);
  EXPECT_EQ(shape.elements(), 30);
  EXPECT_EQ(shape.ToString(), "[2, 3, 5]");
}

TEST(ShapeTest, RankZeroHasOneElementAndAnEmptyDimensionNone) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape().ToString(), "[]");
  EXPECT_EQ(Shape({4, 0}).elements(), 0);
}

TEST(ShapeTest, ComparesDimensionsAndRank) {
  EXPECT_EQ(Shape({2, 3}), Shape({2, 3}));
  EXPECT_NE(Shape({2, 3}), Shape({3, 2}));
  EXPECT_NE(Shape({2}), Shape({2, 0}));
  Shape changed = {2, 3};
  changed.set_dim(-1, 7);
  EXPECT_EQ(changed, Shape({2, 7}));
}

TEST(ShapeTest, WhatIsNoShapeIsABug) {
  EXPECT_DEATH(Shape({1, 2, 3, 4, 5, 6, 7}), "rank 7");
  EXPECT_DEATH(Shape({2, -1}), "dimension -1");
  const Shape shape = {2, 3};
  EXPECT_DEATH((void)shape.dim(2), "dimension 2 of \\[2, 3\\]");
  EXPECT_DEATH((void)shape.dim(-3), "dimension -3 of \\[2, 3\\]");
  Shape changed = shape;
  EXPECT_DEATH(changed.set_dim(0, -5), "dimension 0 = -5");
}

TEST(TensorDescTest, CountsBytesAndPrints) {
  const TensorDesc desc = {.shape = {128, 10}, .dtype = DType::kF32};
  EXPECT_EQ(desc.bytes(), 5120);
  EXPECT_EQ(desc.ToString(), "f32[128, 10]");
  EXPECT_TRUE(desc.present());
}

TEST(TensorDescTest, AbsentTensorHasNoBytes) {
  const TensorDesc absent = {};
  EXPECT_FALSE(absent.present());
  EXPECT_EQ(absent.bytes(), 0);
  const eddl_tensor_desc abi = absent.ToAbi();
  EXPECT_EQ(abi.rank, 0u);
  EXPECT_EQ(abi.dtype, 0u);
}

TEST(TensorDescTest, AbiFormHasZerosBeyondTheRank) {
  const eddl_tensor_desc abi = TensorDesc{.shape = {2, 3}, .dtype = DType::kI64}.ToAbi();
  EXPECT_EQ(abi.rank, 2u);
  EXPECT_EQ(abi.dtype, static_cast<eddl_dtype>(EDDL_I64));
  EXPECT_EQ(std::vector<int64_t>(abi.shape, abi.shape + EDDL_RANK_MAX), (std::vector<int64_t>{2, 3, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace eddl
