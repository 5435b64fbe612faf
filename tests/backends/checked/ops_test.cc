// Descriptions, bindings and transfers: each broken rule is refused with the op, the tensor and the values.
#include <gmock/gmock.h>

#include <limits>

#include "tests/backends/checked/session.h"

namespace eddl {
namespace {

using ::testing::HasSubstr;

constexpr char kPrepare[] = "INVALID_ARGUMENT checked: op_prepare: ";
constexpr char kEnqueue[] = "INVALID_ARGUMENT checked: op_enqueue: ";

eddl_pool2d_attrs Pool(uint32_t relu = 0) { return {.kernel_h = 2, .kernel_w = 2, .relu = relu}; }

class CheckedDescription : public Session {
 protected:
  // The refusal without what all have in common.
  std::string Refusal(Description description) {
    const std::string said = Prepare(description);
    return said.starts_with(kPrepare) ? said.substr(sizeof(kPrepare) - 1) : said;
  }
};

TEST_F(CheckedDescription, StructSizeIsSet) {
  Description relu(EDDL_OP_RELU);
  relu.Get();
  relu.desc.struct_size = 0;
  EXPECT_EQ(Say(table().op_prepare(device, &relu.desc, nullptr, nullptr, &error)),
            std::string(kPrepare) + "desc.struct_size is 0, set it to 72");
}

TEST_F(CheckedDescription, CountsAreTheKinds) {
  EXPECT_EQ(Refusal(Description(EDDL_OP_RELU, 2)), "relu (tag 7): 2 inputs; 1 to 1 are possible");
  Description xent(EDDL_OP_SOFTMAX_XENT, 2, 1);
  xent.inputs[1].dtype = EDDL_I32;
  EXPECT_EQ(Refusal(xent), "softmax_xent (tag 7): 1 outputs; 2 to 3 are possible");
  EXPECT_EQ(Refusal(Description(EDDL_OP_CONCAT, 17).With(eddl_axis_attrs{})),
            "concat (tag 7): 17 inputs; 1 to 16 are possible");
}

TEST_F(CheckedDescription, RequiredTensorsAreThere) {
  Description add(EDDL_OP_ADD, 2);
  add.inputs[1] = Description::kAbsent;
  EXPECT_EQ(Refusal(add), "add (tag 7): input 1 'b' is absent but required");
}

TEST_F(CheckedDescription, TensorsAreWellFormed) {
  Description relu(EDDL_OP_RELU);
  relu.inputs[0].rank = 7;
  EXPECT_EQ(Refusal(relu), "relu (tag 7): input 0 'x' has rank 7; 1 to 6 are possible");
  relu.inputs[0] = {.shape = {-4}, .rank = 1, .dtype = EDDL_F32};
  EXPECT_EQ(Refusal(relu), "relu (tag 7): input 0 'x' has dimension 0 of size -4");
  relu.inputs[0] = {.shape = {4, 5}, .rank = 1, .dtype = EDDL_F32};
  EXPECT_EQ(Refusal(relu), "relu (tag 7): input 0 'x' has rank 1 but dimension 1 of size 5");
  relu.inputs[0] = {.shape = {4}, .rank = 1, .dtype = 99};
  EXPECT_EQ(Refusal(relu), "relu (tag 7): input 0 'x' has the unknown dtype 99");
  relu.inputs[0] = {.shape = {int64_t{1} << 40, int64_t{1} << 40}, .rank = 2, .dtype = EDDL_F32};
  EXPECT_EQ(Refusal(relu), "relu (tag 7): input 0 'x' has more bytes than 63 bits can count");
}

TEST_F(CheckedDescription, LabelsAndIndicesHaveTheirType) {
  EXPECT_EQ(Refusal(Description(EDDL_OP_SOFTMAX_XENT, 2, 2)),
            "softmax_xent (tag 7): input 1 'label' has dtype 1, its kind takes 4");
}

TEST_F(CheckedDescription, DataMovementKeepsTheType) {
  Description slice(EDDL_OP_SLICE);
  slice.outputs[0].dtype = EDDL_I32;
  EXPECT_EQ(Refusal(slice.With(eddl_slice_attrs{})), "slice (tag 7): inputs have dtype 1, output 0 has 4");
}

TEST_F(CheckedDescription, AttributesAreThoseOfTheKind) {
  EXPECT_EQ(Refusal(Description(EDDL_OP_CLAMP)), "clamp (tag 7): attrs is NULL");
  EXPECT_EQ(Refusal(Description(EDDL_OP_RELU).With(eddl_clamp_attrs{})),
            "relu (tag 7): the kind has no attributes, but attrs is set");
  EXPECT_EQ(Refusal(Description(EDDL_OP_CLAMP).With(eddl_axis_attrs{})),
            "clamp (tag 7): attrs_size is 8, the kind's struct has 12");
  Description clamp(EDDL_OP_CLAMP);
  const eddl_clamp_attrs without_size = {};
  clamp.Get();
  clamp.desc.attrs = &without_size;
  clamp.desc.attrs_size = sizeof(without_size);
  EXPECT_EQ(Say(table().op_prepare(device, &clamp.desc, nullptr, nullptr, &error)),
            std::string(kPrepare) + "clamp (tag 7): attrs.struct_size is 0, set it to 12");
}

TEST_F(CheckedDescription, PresenceFollowsFromTheAttributes) {
  EXPECT_EQ(Refusal(Description(EDDL_OP_MAX_POOL2D_GRAD, 1).With(Pool(/*relu=*/1))),
            "max_pool2d_grad (tag 7): input 1 'y' is absent but attrs.relu is 1");
  EXPECT_EQ(Refusal(Description(EDDL_OP_MAX_POOL2D_GRAD, 2).With(Pool(/*relu=*/0))),
            "max_pool2d_grad (tag 7): input 1 'y' is present but attrs.relu is 0");
  EXPECT_EQ(Refusal(Description(EDDL_OP_SGD, 3, 2).With(eddl_sgd_attrs{.momentum = 0})),
            "sgd (tag 7): 'velocity' is present but attrs.momentum is 0");
  EXPECT_EQ(Refusal(Description(EDDL_OP_SGD, 3, 1).With(eddl_sgd_attrs{.momentum = 0.5f})),
            "sgd (tag 7): 'velocity' is an input only; it is both or none");
}

TEST_F(CheckedDescription, EpilogueIsOfKindsThatTakeOne) {
  Description mul(EDDL_OP_MUL, 2);
  mul.desc.epilogue = EDDL_EPILOGUE_RELU;
  EXPECT_EQ(Refusal(mul), "mul (tag 7): the kind takes no epilogue, but it is 1");
  Description add(EDDL_OP_ADD, 2);
  add.desc.epilogue = 9;
  EXPECT_EQ(Refusal(add), "add (tag 7): unknown epilogue 9");
  add.desc.epilogue = EDDL_EPILOGUE_CLAMP;
  add.desc.epilogue_min = 1;
  EXPECT_EQ(Refusal(add), "add (tag 7): the epilogue clamps to [1, 0]");
  add.desc.epilogue_max = 2;
  EXPECT_EQ(Refusal(add), "");
}

TEST_F(CheckedDescription, AccumulateIsOfOutputsThatDo) {
  Description relu(EDDL_OP_RELU);
  relu.desc.accumulate_mask = 1;
  EXPECT_EQ(Refusal(relu), "relu (tag 7): accumulate_mask has bit 0, but output 0 'y' does not accumulate");
  Description squares(EDDL_OP_SUM_SQUARES);
  squares.desc.accumulate_mask = 2;
  EXPECT_EQ(Refusal(squares), "sum_squares (tag 7): accumulate_mask has bit 1 for 1 outputs");
  squares.desc.accumulate_mask = 1;
  EXPECT_EQ(Refusal(squares), "");
  Description norm(EDDL_OP_BATCH_NORM, 3, 3);
  norm.outputs[1] = Description::kAbsent;
  norm.desc.accumulate_mask = 2;
  EXPECT_EQ(Refusal(norm.With(eddl_batch_norm_attrs{})),
            "batch_norm (tag 7): accumulate_mask has bit 1, but output 1 'mean_sum' is absent");
}

TEST_F(CheckedDescription, UnknownKindGoesToTheBackendWhichLacksIt) {
  EXPECT_EQ(Refusal(Description(9999)), "12 the fake backend does not multiply matrices");
}

class CheckedEnqueue : public Session {
 protected:
  std::string Refusal(eddl_op* op, const Arguments& arguments) {
    const std::string said = Enqueue(op, arguments);
    return said.starts_with(kEnqueue) ? said.substr(sizeof(kEnqueue) - 1) : said;
  }
};

TEST_F(CheckedEnqueue, BindingsLieInTheirBuffers) {
  eddl_op* const relu = Prepared(Description(EDDL_OP_RELU));
  EXPECT_THAT(Refusal(relu, {.inputs = {At(0, 128)}, .outputs = {At(1)}}),
              ::testing::MatchesRegex("relu \\(tag 7\\): input 0 'x': 16 bytes at offset 128 leave buffer #[0-9]+ of "
                                      "128 bytes"));
  EXPECT_THAT(Refusal(relu, {.inputs = {At(0)}, .outputs = {At(1, ~uint64_t{15})}}), HasSubstr("leave buffer #"));
  EXPECT_EQ(Refusal(relu, {.inputs = {At(0, 112)}, .outputs = {At(1)}}), "");
}

TEST_F(CheckedEnqueue, OffsetsAreAligned) {
  eddl_op* const relu = Prepared(Description(EDDL_OP_RELU));
  EXPECT_EQ(Refusal(relu, {.inputs = {At(0, 4)}, .outputs = {At(1)}}),
            "relu (tag 7): input 0 'x': offset 4 is no multiple of the device's 16 bytes");
}

TEST_F(CheckedEnqueue, WhatIsDescribedIsBoundAndNothingElse) {
  Description bias(EDDL_OP_SPARSE_MATMUL, 3);
  bias.inputs[2] = Description::kAbsent;
  eddl_op* const matmul = Prepared(bias);
  EXPECT_EQ(Refusal(matmul, {.inputs = {At(0), {}, {}}, .outputs = {At(2)}}),
            "sparse_matmul (tag 7): input 1 'w' is not bound");
  EXPECT_EQ(Refusal(matmul, {.inputs = {At(0), At(1), At(3)}, .outputs = {At(2)}}),
            "sparse_matmul (tag 7): input 2 'bias' is bound, but the description has none");
  EXPECT_EQ(Refusal(matmul, {.inputs = {At(0), At(1), {}}, .outputs = {At(2)}}), "");
}

TEST_F(CheckedEnqueue, ArgumentsHaveTheirSizeAndArrays) {
  eddl_op* const relu = Prepared(Description(EDDL_OP_RELU));
  eddl_op_args args = {};
  EXPECT_EQ(Say(table().op_enqueue(queue, relu, &args, &error)),
            std::string(kEnqueue) + "relu (tag 7): args.struct_size is 0, set it to 64");
  args.struct_size = sizeof(args);
  EXPECT_EQ(Say(table().op_enqueue(queue, relu, &args, &error)),
            std::string(kEnqueue) + "relu (tag 7): inputs is NULL");
}

TEST_F(CheckedEnqueue, ScalarsAreAsManyAsTheKindTakes) {
  eddl_op* const scale = Prepared(Description(EDDL_OP_SCALE));
  EXPECT_EQ(Refusal(scale, {.inputs = {At(0)}, .outputs = {At(0)}}), "scale (tag 7): 0 scalars, the kind takes 1");
  EXPECT_EQ(Refusal(scale, {.inputs = {At(0)}, .outputs = {At(0)}, .scalars = {{.f = 1}, {.f = 2}}}),
            "scale (tag 7): 2 scalars, the kind takes 1");
  EXPECT_EQ(Refusal(scale, {.inputs = {At(0)}, .outputs = {At(0)}, .scalars = {{.f = 2}}}), "");
}

TEST_F(CheckedEnqueue, InPlaceIsWhereTheKindAllowsIt) {
  eddl_op* const relu = Prepared(Description(EDDL_OP_RELU));
  EXPECT_EQ(Refusal(relu, {.inputs = {At(0)}, .outputs = {At(0)}}), "");
  Description two(EDDL_OP_AXPY, 2);
  eddl_op* const axpy = Prepared(two);
  EXPECT_EQ(Refusal(axpy, {.inputs = {At(0), At(1)}, .outputs = {At(1)}, .scalars = {{.f = 1}}}), "");
  EXPECT_EQ(Refusal(axpy, {.inputs = {At(0), At(1)}, .outputs = {At(0)}, .scalars = {{.f = 1}}}),
            "axpy (tag 7): output 0 'y' overlaps input 0 'x', in whose place it may not be");
}

TEST_F(CheckedEnqueue, PartialOverlapIsNeverAllowed) {
  Description wide(EDDL_OP_RELU);
  wide.inputs[0] = wide.outputs[0] = {.shape = {8}, .rank = 1, .dtype = EDDL_F32};
  eddl_op* const relu = Prepared(wide);
  EXPECT_EQ(Refusal(relu, {.inputs = {At(0)}, .outputs = {At(0, 16)}}),
            "relu (tag 7): output 0 'y' overlaps input 0 'x'; only the same binding is allowed");
}

TEST_F(CheckedEnqueue, OutputsOverlapNeitherEachOtherNorTheWorkspace) {
  eddl_op* const split = Prepared(Description(EDDL_OP_SPLIT, 1, 2).With(eddl_axis_attrs{}));
  EXPECT_EQ(Refusal(split, {.inputs = {At(0)}, .outputs = {At(1), At(1)}}),
            "split (tag 7): output 0 'y' overlaps output 1 'y'");
  EXPECT_EQ(Refusal(split, {.inputs = {At(0)}, .outputs = {At(1), At(4, 16)}}),
            "split (tag 7): output 1 'y' overlaps workspace");
  EXPECT_EQ(Refusal(split, {.inputs = {At(4)}, .outputs = {At(1), At(2)}}),
            "split (tag 7): workspace overlaps input 0 'x', in whose place it may not be");
}

// Two buffers over the same bytes are one memory.
TEST_F(CheckedEnqueue, ImportsOfTheSameBytesOverlap) {
  alignas(kFakeAlignment) std::array<std::byte, 64> bytes = {};
  eddl_buffer *one = nullptr, *two = nullptr;
  EXPECT_EQ(Say(table().buffer_import(device, bytes.data(), 64, &one, &error)), "");
  EXPECT_EQ(Say(table().buffer_import(device, bytes.data(), 64, &two, &error)), "");
  eddl_op* const split = Prepared(Description(EDDL_OP_SLICE).With(eddl_slice_attrs{}));
  EXPECT_THAT(Refusal(split, {.inputs = {{one, 0}}, .outputs = {{two, 0}}}), HasSubstr("overlaps input 0 'x'"));
  table().buffer_destroy(one);
  table().buffer_destroy(two);
}

TEST_F(CheckedEnqueue, WorkspaceIsBoundAndLargeEnough) {
  eddl_op* const relu = Prepared(Description(EDDL_OP_RELU));
  eddl_op_args args = {.struct_size = sizeof(args)};
  const eddl_binding x = At(0), y = At(1);
  args.inputs = &x;
  args.outputs = &y;
  EXPECT_EQ(Say(table().op_enqueue(queue, relu, &args, &error)),
            std::string(kEnqueue) + "relu (tag 7): workspace of 32 bytes is not bound");
  EXPECT_THAT(Refusal(relu, {.inputs = {x}, .outputs = {y}, .workspace = At(4, 112)}),
              HasSubstr("workspace: 32 bytes at offset 112 leave buffer #"));
}

TEST_F(CheckedEnqueue, StateIsBoundByForwardAndGradient) {
  eddl_op* const pool = Prepared(Description(EDDL_OP_MAX_POOL2D).With(Pool()));
  eddl_op* const grad = Prepared(Description(EDDL_OP_MAX_POOL2D_GRAD).With(Pool()));
  EXPECT_EQ(Refusal(pool, {.inputs = {At(0)}, .outputs = {At(1)}}),
            "max_pool2d (tag 7): state of 64 bytes is not bound");
  EXPECT_THAT(Refusal(pool, {.inputs = {At(0)}, .outputs = {At(1)}, .state = At(2, 80)}),
              HasSubstr("state: 64 bytes at offset 80 leave buffer #"));
  EXPECT_EQ(Refusal(pool, {.inputs = {At(0)}, .outputs = {At(1)}, .state = At(2)}), "");
  EXPECT_EQ(
      Refusal(grad, {.inputs = {At(1)}, .outputs = {At(0)}}),
      "FAILED_PRECONDITION checked: op_enqueue: max_pool2d_grad (tag 7): state is not bound, but every max_pool2d of "
      "this device leaves one");
  EXPECT_EQ(
      Refusal(grad, {.inputs = {At(1)}, .outputs = {At(0)}, .state = At(3)}),
      "FAILED_PRECONDITION checked: op_enqueue: max_pool2d_grad (tag 7): state at offset 0 is not what a max_pool2d "
      "has left, or something has overwritten it");
  EXPECT_EQ(Refusal(grad, {.inputs = {At(1)}, .outputs = {At(2, 48)}, .state = At(2)}),
            "max_pool2d_grad (tag 7): output 0 'dx' overlaps state");
  EXPECT_EQ(Refusal(grad, {.inputs = {At(1)}, .outputs = {At(0)}, .state = At(2)}), "");
}

TEST_F(CheckedEnqueue, StateIsOfNoUseToOtherKinds) {
  eddl_op* const relu = Prepared(Description(EDDL_OP_RELU));
  EXPECT_EQ(Refusal(relu, {.inputs = {At(0)}, .outputs = {At(1)}, .state = At(2)}),
            "relu (tag 7): state is bound, but the op has none");
}

// A planner that gives the state's bytes away too early.
TEST_F(CheckedEnqueue, StateThatAnythingHasOverwrittenIsRefused) {
  eddl_op* const pool = Prepared(Description(EDDL_OP_MAX_POOL2D).With(Pool()));
  eddl_op* const grad = Prepared(Description(EDDL_OP_MAX_POOL2D_GRAD).With(Pool()));
  eddl_op* const relu = Prepared(Description(EDDL_OP_RELU));
  const std::array<float, 4> values = {};
  const uint8_t zero = 0;
  const std::vector<std::function<std::string()>> overwrites = {
      [&] { return Refusal(relu, {.inputs = {At(0)}, .outputs = {At(2, 48)}}); },
      [&] { return Refusal(relu, {.inputs = {At(0)}, .outputs = {At(1)}, .workspace = At(2, 32)}); },
      [&] { return Say(table().write(queue, buffers[2], 8, values.data(), sizeof(values), &error)); },
      [&] { return Say(table().copy(queue, buffers[0], 0, buffers[2], 60, 4, &error)); },
      [&] { return Say(table().fill(queue, buffers[2], 0, &zero, 1, 1, &error)); },
  };
  for (const auto& overwrite : overwrites) {
    EXPECT_EQ(Refusal(pool, {.inputs = {At(0)}, .outputs = {At(1)}, .state = At(2)}), "");
    EXPECT_EQ(overwrite(), "");
    EXPECT_THAT(Refusal(grad, {.inputs = {At(1)}, .outputs = {At(0)}, .state = At(2)}),
                HasSubstr("something has overwritten it"));
  }
}

TEST_F(CheckedEnqueue, WritingBesideTheStateLeavesItAlone) {
  eddl_op* const pool = Prepared(Description(EDDL_OP_MAX_POOL2D).With(Pool()));
  eddl_op* const grad = Prepared(Description(EDDL_OP_MAX_POOL2D_GRAD).With(Pool()));
  const uint8_t zero = 0;
  EXPECT_EQ(Refusal(pool, {.inputs = {At(0)}, .outputs = {At(1)}, .state = At(2, 16)}), "");
  EXPECT_EQ(Say(table().fill(queue, buffers[2], 0, &zero, 1, 16, &error)), "");
  EXPECT_EQ(Say(table().fill(queue, buffers[2], 16 + kFakeStateBytes, &zero, 1, 16, &error)), "");
  EXPECT_EQ(Refusal(grad, {.inputs = {At(1)}, .outputs = {At(0)}, .state = At(2, 16)}), "");
}

TEST_F(CheckedEnqueue, TransfersLieInTheirBuffers) {
  std::array<std::byte, 16> bytes = {};
  EXPECT_THAT(Say(table().write(queue, buffers[0], 120, bytes.data(), 16, &error)),
              HasSubstr("checked: write: target: 16 bytes at offset 120 leave buffer #"));
  EXPECT_THAT(Say(table().read(queue, buffers[0], 129, bytes.data(), 0, &error)),
              HasSubstr("checked: read: source: 0 bytes at offset 129 leave buffer #"));
  EXPECT_THAT(Say(table().copy(queue, buffers[0], 0, buffers[1], 120, 16, &error)),
              HasSubstr("checked: copy: target: 16 bytes at offset 120 leave buffer #"));
  EXPECT_THAT(Say(table().copy(queue, buffers[0], std::numeric_limits<uint64_t>::max(), buffers[1], 0, 16, &error)),
              HasSubstr("checked: copy: source: 16 bytes at offset 18446744073709551615 leave buffer #"));
  EXPECT_EQ(Say(table().write(queue, buffers[0], 0, nullptr, 16, &error)),
            "INVALID_ARGUMENT checked: write: source is NULL for 16 bytes");
  EXPECT_EQ(Say(table().read(queue, buffers[0], 0, nullptr, 16, &error)),
            "INVALID_ARGUMENT checked: read: target is NULL for 16 bytes");
}

TEST_F(CheckedEnqueue, CopyDoesNotOverlap) {
  EXPECT_EQ(Say(table().copy(queue, buffers[0], 0, buffers[0], 8, 16, &error)),
            "INVALID_ARGUMENT checked: copy: source and target overlap: 16 bytes at offsets 0 and 8");
  EXPECT_EQ(Say(table().copy(queue, buffers[0], 0, buffers[0], 16, 16, &error)), "");
}

TEST_F(CheckedEnqueue, FillRepeatsAWholePattern) {
  const uint64_t pattern = 0;
  EXPECT_EQ(Say(table().fill(queue, buffers[0], 0, &pattern, 3, 6, &error)),
            "INVALID_ARGUMENT checked: fill: a pattern of 3 bytes; 1, 2, 4 or 8 are possible");
  EXPECT_EQ(Say(table().fill(queue, buffers[0], 0, &pattern, 4, 6, &error)),
            "INVALID_ARGUMENT checked: fill: 6 bytes are no multiple of the pattern's 4");
  EXPECT_EQ(Say(table().fill(queue, buffers[0], 0, nullptr, 4, 8, &error)),
            "INVALID_ARGUMENT checked: fill: pattern is NULL");
}

}  // namespace
}  // namespace eddl
