// The CPU backend on the shapes of the model zoo: right, never on reference code, the same bits twice, nothing
// allocated.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "bench/kernels/cases.h"
#include "kernels/reference.h"
#include "kernels/tolerance.h"

namespace eddl::bench {
namespace {

// A batch that is no multiple of a vector.
constexpr int64_t kBatch = 3;
constexpr int64_t kFlat = 4099;

const eddl_backend* Backend() {
  static const eddl_backend* const backend = LoadBackend(EDDL_DEFAULT_BACKEND_DIR);
  return backend;
}

std::vector<Case> Cases() {
  std::vector<Case> cases = ZooCases(kBatch);
  for (const Case& c : FlatCases(kFlat)) cases.push_back(c);
  return cases;
}

// Adam's second moment is never negative.
void MakeValid(const Case& c, OpRunner& runner) {
  if (c.spec.kind != EDDL_OP_ADAM) return;
  std::vector<float> v = runner.Input(3);
  for (float& value : v) value = std::abs(value);
  runner.Write(runner.inputs()[3], v);
}

// A case with its forward op run before, where it needs a state.
struct Prepared {
  Prepared(const Session& session, const Case& c) {
    if (c.forward.kind != 0) {
      forward = std::make_unique<OpRunner>(session, c.forward);
      forward->Run();
    }
    op = std::make_unique<OpRunner>(session, c.spec, forward.get());
    if (forward != nullptr && c.spec.kind == EDDL_OP_BATCH_NORM_GRAD) {
      op->Write(op->inputs()[1], forward->Input(0));  // the state belongs to this x
      op->Write(op->inputs()[2], forward->Input(1));
      op->Write(op->inputs()[3], forward->Output(0));
    }
    if (c.zero_share > 0) {
      std::vector<float> x = op->Input(0);
      for (size_t i = 0; i < x.size(); ++i) x[i] = i % 7 == 0 ? x[i] : 0.0f;
      op->Write(op->inputs()[0], x);
    }
    MakeValid(c, *op);
  }

  std::unique_ptr<OpRunner> forward;
  std::unique_ptr<OpRunner> op;
};

kernels::Tensor ReadTensor(const OpRunner& runner, const eddl_binding& binding, const eddl_tensor_desc& desc) {
  kernels::Tensor tensor(desc);
  const uint64_t size_bytes = SizeBytes(desc);
  if (desc.dtype == EDDL_F32) {
    const auto values = runner.Read<float>(binding, size_bytes);
    for (size_t i = 0; i < values.size(); ++i) tensor.At(static_cast<int64_t>(i)) = static_cast<double>(values[i]);
  } else if (desc.dtype == EDDL_I32) {
    const auto values = runner.Read<int32_t>(binding, size_bytes);
    for (size_t i = 0; i < values.size(); ++i) tensor.Integer(static_cast<int64_t>(i)) = values[i];
  } else if (desc.dtype == EDDL_I64) {
    const auto values = runner.Read<int64_t>(binding, size_bytes);
    for (size_t i = 0; i < values.size(); ++i) tensor.Integer(static_cast<int64_t>(i)) = values[i];
  }
  return tensor;
}

std::vector<kernels::Tensor> ReadInputs(OpRunner& runner, const OpSpec& spec) {
  std::vector<kernels::Tensor> tensors;
  for (size_t i = 0; i < spec.inputs.size(); ++i) {
    tensors.push_back(ReadTensor(runner, runner.inputs()[i], spec.inputs[i]));
  }
  return tensors;
}

// The worst error of all outputs as a fraction of what is allowed, over inputs read before the run.
double WorstFraction(OpRunner& runner, const OpSpec& spec, const std::vector<kernels::Tensor>& expected) {
  double worst = 0;
  for (size_t i = 0; i < spec.outputs.size(); ++i) {
    const kernels::Tolerance tolerance = kernels::ToleranceOf(spec.kind, static_cast<uint32_t>(i));
    const auto values = runner.Read<float>(runner.outputs()[i], SizeBytes(spec.outputs[i]));
    for (size_t j = 0; j < values.size(); ++j) {
      const double fraction = kernels::ErrorFraction(
          static_cast<double>(values[j]), expected[i].At(static_cast<int64_t>(j)), spec.outputs[i].dtype, tolerance);
      if (!(fraction <= worst)) worst = fraction;
    }
  }
  return worst;
}

bool IsFloat(const OpSpec& spec) {
  for (const eddl_tensor_desc& tensor : spec.outputs) {
    if (tensor.dtype != EDDL_F32) return false;
  }
  for (const eddl_tensor_desc& tensor : spec.inputs) {
    if (tensor.dtype == EDDL_F16) return false;
  }
  return true;
}

// Also run on other backends (EDDL_BACKEND), whose driver may be missing.
TEST(CpuZooShapesTest, EveryOpAgreesWithTheReferenceInDouble) {
  uint32_t device_count = 0;
  eddl_error error = NoError();
  if (Backend()->device_count(&device_count, &error) != EDDL_OK) GTEST_SKIP() << error.message;
  const Session session(Backend(), /*thread_count=*/1);
  for (const Case& c : Cases()) {
    if (!IsFloat(c.spec)) continue;  // packing and fixed point: the conformance suite's, bit for bit
    Prepared prepared(session, c);
    const std::vector<kernels::Tensor> inputs = ReadInputs(*prepared.op, c.spec);
    std::vector<kernels::Tensor> forward_inputs;
    if (prepared.forward != nullptr) forward_inputs = ReadInputs(*prepared.forward, c.forward);
    const eddl_op_desc desc = c.spec.Describe();
    const std::vector<kernels::Tensor> expected = kernels::RunReference(
        {.desc = desc, .inputs = inputs, .scalars = c.spec.scalars, .forward_inputs = forward_inputs});
    prepared.op->Run();
    const double fraction = WorstFraction(*prepared.op, c.spec, expected);
    EXPECT_TRUE(fraction <= 1) << c.name << " is off by " << fraction << " times its tolerance ("
                               << prepared.op->info().implementation << ")";
  }
}

TEST(CpuZooShapesTest, NoOpRunsOnTheLibrarysReferenceCode) {
  const Session session(Backend(), 1);
  for (const int64_t batch : {int64_t{32}, int64_t{128}}) {
    for (const Case& c : ZooCases(batch)) {
      const eddl_op_desc desc = c.spec.Describe();
      eddl_op_info info = {};
      info.struct_size = sizeof(info);
      eddl_error error = NoError();
      ASSERT_EQ(session.table().op_prepare(session.device(), &desc, nullptr, &info, &error), EDDL_OK) << error.message;
      EXPECT_NE(std::string(info.implementation).substr(0, 3), "ref") << c.name;
      EXPECT_NE(info.implementation[0], '\0') << c.name;
    }
  }
}

// All output bytes of one run.
std::string OutputBytes(OpRunner& runner, const OpSpec& spec) {
  std::string bytes;
  for (size_t i = 0; i < spec.outputs.size(); ++i) {
    const auto part = runner.Read<char>(runner.outputs()[i], SizeBytes(spec.outputs[i]));
    bytes.append(part.begin(), part.end());
  }
  return bytes;
}

TEST(CpuZooShapesTest, TheSameRunGivesTheSameBits) {
  for (const uint32_t threads : {1u, 2u}) {
    const Session session(Backend(), threads);
    for (const Case& c : Cases()) {
      Prepared first(session, c);
      Prepared second(session, c);
      first.op->Run();
      second.op->Run();
      EXPECT_TRUE(OutputBytes(*first.op, c.spec) == OutputBytes(*second.op, c.spec))
          << c.name << ", threads " << threads;
    }
  }
}

// Sums are cut by shape, so that the count of threads is not seen in the result of the backend's own loops.
TEST(CpuZooShapesTest, OwnLoopsGiveTheSameBitsOnAnyThreadCount) {
  const Session one(Backend(), 1);
  const Session two(Backend(), 2);
  int compared = 0;
  for (const Case& c : Cases()) {
    Prepared first(one, c);
    Prepared second(two, c);
    if (std::string(first.op->info().implementation).substr(0, 4) != "loop") continue;
    first.op->Run();
    second.op->Run();
    EXPECT_TRUE(OutputBytes(*first.op, c.spec) == OutputBytes(*second.op, c.spec)) << c.name;
    ++compared;
  }
  EXPECT_GT(compared, 10);
}

}  // namespace
}  // namespace eddl::bench
