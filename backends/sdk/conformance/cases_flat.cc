// Flat vectors: sums, halves, fixed point, optimizers. In place as the runtime uses them, and not.
#include <cmath>
#include <limits>

#include "backends/sdk/conformance/op_case.h"
#include "kernels/flat/half.h"

namespace eddl::conformance {
namespace {

using kernels::Describe;
using kernels::F32;
using kernels::HalfToDouble;
using kernels::Op;
using kernels::Tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Around a chunk, a vector register, and nothing.
constexpr int64_t kSizes[] = {1, 3, 15, 16, 17, 64, 255, 1003, 70001};

Fill EveryHalf() {
  return [](Random&, Tensor& x) {
    for (int64_t i = 0; i < x.size(); ++i) x.At(i) = HalfToDouble(static_cast<uint16_t>(i));
  };
}

// Every half, every middle between two halves, and the floats beside it.
Fill EveryRoundingBoundary() {
  return [](Random&, Tensor& x) {
    for (int64_t i = 0; i < x.size(); ++i) {
      const auto low = static_cast<uint16_t>(i / 4 % 0x7bff);
      const auto middle = static_cast<float>((HalfToDouble(low) + HalfToDouble(static_cast<uint16_t>(low + 1))) / 2);
      const double value = i % 4 == 0   ? HalfToDouble(low)
                           : i % 4 == 1 ? static_cast<double>(middle)
                                        : static_cast<double>(std::nextafter(middle, i % 4 == 2 ? 0.0f : 1e9f));
      x.At(i) = i / 4 / 0x7bff % 2 == 0 ? value : -value;
    }
  };
}

Fill OverflowingHalves() {
  return [](Random&, Tensor& x) {
    constexpr double kValues[] = {65504, 65519,     65519.99609375, 65520,
                                  65536, 1e30,      -65519,         -65520,
                                  -1e38, kInfinity, -kInfinity,     std::numeric_limits<double>::quiet_NaN(),
                                  0,     -0.0,      1e-8,           -1e-30};
    for (int64_t i = 0; i < x.size(); ++i) x.At(i) = kValues[i % static_cast<int64_t>(std::size(kValues))];
  };
}

// Terms whose product with 2^20 ends in one half: rounding decides.
Fill Halfway() {
  return [](Random& random, Tensor& x) {
    for (int64_t i = 0; i < x.size(); ++i) x.At(i) = (static_cast<double>(random.Between(-4000, 4000)) + 0.5) * 0x1p-20;
  };
}

Fill AnyInteger() {
  return [](Random& random, Tensor& x) {
    for (int64_t i = 0; i < x.size(); ++i) x.Integer(i) = static_cast<int64_t>(random.Next()) >> random.Between(0, 60);
  };
}

void AddVectorOps(CaseList& list) {
  int round = 0;
  for (const int64_t size : kSizes) {
    const eddl_tensor_desc flat = F32({size});
    ++round;
    OpCase& axpy = list.Add({EDDL_OP_AXPY, {flat, flat}, {flat}}, {Uniform(), Uniform()}, {{.f = -0.37}});
    if (round % 2 == 0) axpy.InPlace(0, 1);
    OpCase& scale = list.Add({EDDL_OP_SCALE, {flat}, {flat}}, {Uniform()}, {{.f = 1.7}});
    if (round % 2 == 0) scale.InPlace(0, 0);
    Op squares(EDDL_OP_SUM_SQUARES, {flat}, {F32({1})});
    squares.accumulate_mask = round % 2;
    list.Add(squares, {Uniform()});
    list.Add({EDDL_OP_ABS_MAX, {flat}, {F32({1})}}, {Uniform(-3, -1)});
  }
  const eddl_tensor_desc flat = F32({1003});
  list.Add({EDDL_OP_AXPY, {flat, flat}, {flat}}, {WithNan(Uniform()), Uniform()}, {{.f = 2}});
  list.Add({EDDL_OP_SCALE, {flat}, {flat}}, {WithNan(Uniform())}, {{.f = 0}});
  list.Add({EDDL_OP_SUM_SQUARES, {flat}, {F32({1})}}, {WithNan(Uniform())});
  list.Add({EDDL_OP_SUM_SQUARES, {flat}, {F32({1})}}, {Constant(1e30)});
  list.Add({EDDL_OP_SUM_SQUARES, {flat}, {F32({1})}}, {Constant(-kInfinity)});
  list.Add({EDDL_OP_SUM_SQUARES, {F32({70001})}, {F32({1})}}, {Uniform(0, 1e-3)});
  list.Add({EDDL_OP_ABS_MAX, {flat}, {F32({1})}}, {WithNan(Uniform())});
  list.Add({EDDL_OP_ABS_MAX, {F32({2})}, {F32({1})}}, {WithNan(Constant(7))});
  list.Add({EDDL_OP_ABS_MAX, {flat}, {F32({1})}}, {Constant(-kInfinity)});
  list.Add({EDDL_OP_ABS_MAX, {flat}, {F32({1})}}, {Constant(0)});
}

void AddWireOps(CaseList& list) {
  for (const int64_t size : kSizes) {
    list.Add({EDDL_OP_PACK_F16, {F32({size})}, {Describe(EDDL_F16, {size})}}, {Uniform(-100, 100)});
    list.Add({EDDL_OP_UNPACK_F16, {Describe(EDDL_F16, {size})}, {F32({size})}}, {Uniform(-100, 100)});
  }
  list.Add({EDDL_OP_UNPACK_F16, {Describe(EDDL_F16, {65536})}, {F32({65536})}}, {EveryHalf()});
  constexpr int64_t kBoundaries = 2 * 4 * 0x7bff;
  list.Add({EDDL_OP_PACK_F16, {F32({kBoundaries})}, {Describe(EDDL_F16, {kBoundaries})}}, {EveryRoundingBoundary()});
  list.Add({EDDL_OP_PACK_F16, {F32({67})}, {Describe(EDDL_F16, {67})}}, {OverflowingHalves()});

  int round = 0;
  for (const int64_t size : kSizes) {
    const eddl_tensor_desc acc = Describe(EDDL_I64, {size});
    const Fill terms = ++round % 3 == 0 ? Halfway() : Uniform();
    OpCase& one = list.Add({EDDL_OP_FIXED_ADD, {F32({size}), acc}, {acc}}, {terms, AnyInteger()},
                           {{.f = round % 3 == 0 ? 0x1p20 : 0x1p40}});
    if (round % 2 == 0) one.InPlace(0, 1);
    list.Add({EDDL_OP_FIXED_TO_FLOAT, {acc}, {F32({size})}}, {AnyInteger()}, {{.f = round % 2 == 0 ? 0x1p20 : 0x1p40}});
  }
  const eddl_tensor_desc acc = Describe(EDDL_I64, {33});
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  list.Add({EDDL_OP_FIXED_ADD, {F32({33}), acc}, {acc}}, {Uniform(), Integers(kMax - 9, kMax)}, {{.f = 0x1p40}});
}

}  // namespace

void AddFlatCases(CaseList& list) {
  list.StartFamily("flat");
  AddVectorOps(list);
  AddWireOps(list);
}

void AddOptimizerCases(CaseList& list) {
  list.StartFamily("optimizer");
  Random& random = list.random();
  for (int round = 0; round < 24; ++round) {
    const eddl_tensor_desc flat = F32({kSizes[round % 9]});
    const bool in_place = round % 4 != 3;
    const eddl_sgd_attrs sgd = {.momentum = round % 3 == 0 ? 0 : 0.9f,
                                .weight_decay = round & 1 ? 5e-4f : 0,
                                .nesterov = round % 3 == 2 ? 1u : 0u};
    const bool moves = sgd.momentum > 0;
    const eddl_tensor_desc velocity = moves ? flat : eddl_tensor_desc{};
    const double scale = 1.0 / static_cast<double>(random.Between(1, 128));
    OpCase& step = list.Add({EDDL_OP_SGD, {flat, flat, velocity}, {flat, velocity}, sgd},
                            {Uniform(-50, 50), Uniform(), Uniform()}, {{.f = 0.05}, {.f = scale}});
    if (in_place) step.InPlace(0, 1);
    if (in_place && moves) step.InPlace(1, 2);

    const eddl_adam_attrs adam = {.beta1 = 0.9f,
                                  .beta2 = round & 4 ? 0.99f : 0.999f,
                                  .epsilon = 1e-8f,
                                  .weight_decay = round & 1 ? 0.01f : 0,
                                  .decoupled = round & 2 ? 1u : 0u};
    const uint64_t count = round % 5 == 0 ? 1 : static_cast<uint64_t>(random.Between(2, 20000));
    OpCase& moment = list.Add({EDDL_OP_ADAM, {flat, flat, flat, flat}, {flat, flat, flat}, adam},
                              {Uniform(-50, 50), Uniform(), Uniform(), Uniform(0.01, 1)},
                              {{.f = 0.001}, {.f = scale}, {.u = count}});
    if (in_place) moment.InPlace(0, 1).InPlace(1, 2).InPlace(2, 3);

    OpCase& running = list.Add({EDDL_OP_STATISTICS_UPDATE, {flat, flat}, {flat}, eddl_statistics_attrs{.keep = 0.9f}},
                               {Uniform(-50, 50), Uniform()}, {{.f = scale}});
    if (in_place) running.InPlace(0, 1);
  }
  // From nothing, as the first step of a run: the moments are zero, and so may a gradient be.
  const eddl_tensor_desc flat = F32({257});
  list.Add({EDDL_OP_ADAM,
            {flat, flat, flat, flat},
            {flat, flat, flat},
            eddl_adam_attrs{.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f}},
           {Sparse(0.5), Uniform(), Constant(0), Constant(0)}, {{.f = 0.001}, {.f = 1}, {.u = 1}});
  list.Add({EDDL_OP_SGD, {flat, flat}, {flat}, eddl_sgd_attrs{}}, {WithNan(Uniform()), Uniform()},
           {{.f = 0.1}, {.f = 1}});
}

}  // namespace eddl::conformance
