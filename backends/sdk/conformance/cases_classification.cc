// What stands at both ends of a network: bytes in, dropout between, probabilities and losses out.
#include <limits>

#include "backends/sdk/conformance/op_case.h"

namespace eddl::conformance {
namespace {

using kernels::Describe;
using kernels::F32;
using kernels::Op;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Op Dropout(const eddl_tensor_desc& x, uint32_t layer, float probability) {
  return {EDDL_OP_DROPOUT,
          {x, Describe(EDDL_I64, {x.shape[0]})},
          {x},
          eddl_dropout_attrs{.layer = layer, .probability = probability}};
}

Op SoftmaxXent(int64_t n, int64_t k, bool dx) {
  const eddl_tensor_desc x = F32({n, k});
  return {EDDL_OP_SOFTMAX_XENT, {x, Describe(EDDL_I32, {n})}, {F32({1}), F32({1}), dx ? x : eddl_tensor_desc{}}};
}

// Row 0 holds a NaN at 1; whatever a backend takes for the row's largest, it is not at label 2.
Fill RowWithNan() {
  return [](Random& random, kernels::Tensor& x) {
    for (int64_t i = 0; i < x.size(); ++i) x.At(i) = random.Uniform(-1, 1);
    x.At(1) = kNan;
    x.At(2) = -5.0;
  };
}

}  // namespace

void AddDropoutCases(CaseList& list) {
  list.StartFamily("dropout");
  Random& random = list.random();
  const float probabilities[] = {0.5f, 0, 0.1f, 0.9f, 0.25f};
  for (int round = 0; round < 15; ++round) {
    const int64_t n = random.Between(1, 9);
    const eddl_tensor_desc x = round % 2 == 0 ? F32({n, random.Size(97)})
                                              : F32({n, random.Between(1, 5), random.Between(1, 5), random.Size(17)});
    const Op op = Dropout(x, random.Small(0, 1000), probabilities[round % 5]);
    OpCase& one =
        list.Add(op, {Uniform(1, 2), Integers(0, int64_t{1} << 40)}, {{.u = random.Next()}, {.u = random.Next()}});
    if (round % 3 == 2) one.InPlace(0, 0);
  }
  list.Add(Dropout(F32({3, 33333}), 7, 0.5f), {Uniform(-2, -1), Integers(0, 60000)}, {{.u = 1}, {.u = 0}});
}

void AddSoftmaxCases(CaseList& list) {
  list.StartFamily("softmax");
  Random& random = list.random();
  for (int round = 0; round < 10; ++round) {
    const eddl_tensor_desc x = F32({random.Size(33), random.Size(97)});
    OpCase& one = list.Add({EDDL_OP_SOFTMAX, {x}, {x}}, {round % 3 == 2 ? Uniform(-2000, 2000) : Uniform(-5, 5)});
    if (round % 2 == 1) one.InPlace(0, 0);
  }
  list.Add({EDDL_OP_SOFTMAX, {F32({3, 1003})}, {F32({3, 1003})}}, {Uniform(-9, 9)});
  list.Add({EDDL_OP_SOFTMAX, {F32({4, 6})}, {F32({4, 6})}}, {WithNan(Uniform())});

  for (int round = 0; round < 24; ++round) {
    const int64_t n = random.Size(65), k = random.Between(1, 33);
    Op op = SoftmaxXent(n, k, round % 3 != 0);
    op.accumulate_mask = static_cast<uint32_t>(round) & 3u;
    const int contents = round / 4 % 3;
    const Fill x = contents == 0 ? Uniform(-5, 5) : contents == 1 ? Ties() : Uniform(-2000, 2000);
    list.Add(op, {x, Integers(round % 5 == 4 ? -2 : 0, k - 1)});
  }
  list.Add(SoftmaxXent(128, 10, true), {Uniform(-5, 5), Integers(0, 9)});
  list.Add(SoftmaxXent(5, 3, true), {Uniform(), Integers(-3, -1)});
  const Fill third = Integers(2, 2);
  list.Add(SoftmaxXent(3, 6, true), {RowWithNan(), third});
}

void AddLossCases(CaseList& list) {
  list.StartFamily("loss");
  Random& random = list.random();
  for (const eddl_op_kind kind : {EDDL_OP_SIGMOID_BCE, EDDL_OP_MSE}) {
    for (int round = 0; round < 12; ++round) {
      const eddl_tensor_desc x = round % 2 == 0 ? F32({random.Size(65), random.Size(33)}) : F32({random.Size(97)});
      Op op(kind, {x, x}, {F32({1}), round % 3 != 0 ? x : eddl_tensor_desc{}});
      op.accumulate_mask = static_cast<uint32_t>(round) & 1u;
      list.Add(op, {round % 4 == 3 ? Uniform(-80, 80) : Uniform(-4, 4), Uniform(0, 1)});
    }
    list.Add({kind, {F32({40001}), F32({40001})}, {F32({1}), F32({40001})}}, {Uniform(-4, 4), Uniform(0, 1)});
    list.Add({kind, {F32({7}), F32({7})}, {F32({1}), F32({7})}}, {WithNan(Uniform()), Uniform(0, 1)});
  }
}

void AddNormalizeCases(CaseList& list) {
  list.StartFamily("normalize");
  Random& random = list.random();
  for (int round = 0; round < 8; ++round) {
    const int64_t c = random.Size(33);
    const eddl_tensor_desc x = round % 2 == 0 ? Describe(EDDL_U8, {random.Between(1, 3), random.Between(1, 9), 5, c})
                                              : Describe(EDDL_U8, {random.Size(17), c});
    eddl_tensor_desc y = x;
    y.dtype = EDDL_F32;
    const eddl_tensor_desc scale = F32({round & 2 ? c : 1}), shift = F32({round & 4 ? c : 1});
    list.Add({EDDL_OP_NORMALIZE_U8, {x, scale, shift}, {y}}, {Integers(0, 255), Uniform(0, 0.02), Uniform()});
  }
  list.Add({EDDL_OP_NORMALIZE_U8, {Describe(EDDL_U8, {100003}), F32({1}), F32({1})}, {F32({100003})}},
           {Integers(0, 255), Uniform(0, 0.02), Uniform()});
}

}  // namespace eddl::conformance
