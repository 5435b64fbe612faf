// Unary functions, their gradients, add, mul, and the normalisation of bytes. Flat loops; shapes only have to be equal.
#include "backends/cpu/elementwise.h"

#include <cmath>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"
#include "backends/cpu/transcendental.h"

namespace eddl::cpu {
namespace {

EDDL_MULTIVERSION void ClampLoop(const float* x, float* y, int64_t begin, int64_t end, float low, float high) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = ClampKeepingNan(x[i], low, high);
}

EDDL_MULTIVERSION void ReluLoop(const float* x, float* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = ReluKeepingNan(x[i]);
}

EDDL_MULTIVERSION void SigmoidLoop(const float* x, float* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = Sigmoid(x[i]);
}

EDDL_MULTIVERSION void TanhLoop(const float* x, float* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = Tanh(x[i]);
}

EDDL_MULTIVERSION void ReluGradLoop(const float* dy, const float* y, float* dx, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

EDDL_MULTIVERSION void ClampGradLoop(const float* dy, const float* y, float* dx, int64_t begin, int64_t end, float low,
                                     float high) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) dx[i] = (low < y[i]) & (y[i] < high) ? dy[i] : 0.0f;
}

EDDL_MULTIVERSION void SigmoidGradLoop(const float* dy, const float* y, float* dx, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * y[i] * (1.0f - y[i]);
}

// (1 - y) (1 + y) keeps its digits where y is near 1; 1 - y y does not.
EDDL_MULTIVERSION void TanhGradLoop(const float* dy, const float* y, float* dx, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * ((1.0f - y[i]) * (1.0f + y[i]));
}

EDDL_MULTIVERSION void LeakyReluLoop(const float* x, float* y, int64_t begin, int64_t end, float slope) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = x[i] > 0.0f ? x[i] : slope * x[i];
}

EDDL_MULTIVERSION void LeakyReluGradLoop(const float* dy, const float* y, float* dx, int64_t begin, int64_t end,
                                         float slope) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) dx[i] = y[i] > 0.0f ? dy[i] : slope * dy[i];
}

// Twice the normal distribution's value at x.
float TwicePhi(float x) { return std::erfc(x * -0.70710678118654752f); }

void GeluLoop(const float* x, float* y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) y[i] = 0.5f * x[i] * TwicePhi(x[i]);
}

void GeluGradLoop(const float* dy, const float* x, float* dx, int64_t begin, int64_t end) {
  constexpr float kDensityAtZero = 0.39894228040143268f;  // 1 / sqrt(2 pi)
  for (int64_t i = begin; i < end; ++i) {
    dx[i] = dy[i] * (0.5f * TwicePhi(x[i]) + x[i] * kDensityAtZero * std::exp(-0.5f * x[i] * x[i]));
  }
}

EDDL_MULTIVERSION void AddLoop(const float* a, const float* b, float* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = a[i] + b[i];
}

EDDL_MULTIVERSION void AddReluLoop(const float* a, const float* b, float* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = ReluKeepingNan(a[i] + b[i]);
}

EDDL_MULTIVERSION void AddClampLoop(const float* a, const float* b, float* y, int64_t begin, int64_t end, float low,
                                    float high) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = ClampKeepingNan(a[i] + b[i], low, high);
}

EDDL_MULTIVERSION void MulLoop(const float* a, const float* b, float* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = a[i] * b[i];
}

EDDL_MULTIVERSION void NormalizeUniformLoop(const uint8_t* x, float* y, int64_t begin, int64_t end, float scale,
                                            float shift) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] = static_cast<float>(x[i]) * scale + shift;
}

EDDL_MULTIVERSION void NormalizeRows(const uint8_t* x, const float* scale, const float* shift, float* y, int64_t begin,
                                     int64_t end, int64_t channels, int64_t scale_step, int64_t shift_step) {
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = row * channels + c;
      y[i] = static_cast<float>(x[i]) * scale[c * scale_step] + shift[c * shift_step];
    }
  }
}

// A closure that cuts [0, count) over the threads and hands the float addresses of a unary op to loop.
template <typename Loop>
std::function<Status(const Args&)> UnaryRun(const OpDesc& desc, const Context& context, Loop loop) {
  return [count = ElementCount(desc.in[0]), threads = context.thread_count, loop](const Args& args) -> Status {
    ParallelFor(threads, count, kGrain, [&](int64_t begin, int64_t end) { loop(args.in(0), args.out(0), begin, end); });
    return {};
  };
}

template <typename Loop>
std::function<Status(const Args&)> BinaryRun(const OpDesc& desc, const Context& context, Loop loop) {
  return [count = ElementCount(desc.in[0]), threads = context.thread_count, loop](const Args& args) -> Status {
    ParallelFor(threads, count, kGrain,
                [&](int64_t begin, int64_t end) { loop(args.in(0), args.in(1), args.out(0), begin, end); });
    return {};
  };
}

Status ReadSlope(const OpDesc& desc, float* slope) {
  eddl_leaky_relu_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  EDDL_CPU_REQUIRE(attrs.slope >= 0, "%s: slope %g is below 0", desc.name, static_cast<double>(attrs.slope));
  *slope = attrs.slope;
  return {};
}

Status ExpectElementwise(const OpDesc& desc) {
  for (uint32_t i = 1; i < desc.input_count; ++i) {
    EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "input 1", desc.in[i], desc.in[0]));
  }
  return ExpectLike(desc, "output", desc.out[0], desc.in[0]);
}

}  // namespace

EDDL_MULTIVERSION void BiasEpilogue(float* y, const float* bias, int64_t begin, int64_t end, int64_t columns,
                                    Epilogue epilogue) {
  for (int64_t row = begin; row < end; ++row) {
    float* out = y + row * columns;
    if (bias != nullptr && epilogue.kind == EDDL_EPILOGUE_RELU) {
      EDDL_ELEMENTWISE
      for (int64_t j = 0; j < columns; ++j) out[j] = ReluKeepingNan(out[j] + bias[j]);
      continue;
    }
    if (bias != nullptr) {
      EDDL_ELEMENTWISE
      for (int64_t j = 0; j < columns; ++j) out[j] += bias[j];
    }
    if (epilogue.kind == EDDL_EPILOGUE_RELU) {
      EDDL_ELEMENTWISE
      for (int64_t j = 0; j < columns; ++j) out[j] = ReluKeepingNan(out[j]);
    } else if (epilogue.kind == EDDL_EPILOGUE_CLAMP) {
      EDDL_ELEMENTWISE
      for (int64_t j = 0; j < columns; ++j) out[j] = ClampKeepingNan(out[j], epilogue.min, epilogue.max);
    }
  }
}

EDDL_MULTIVERSION void AddInto(const float* x, float* y, int64_t begin, int64_t end) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) y[i] += x[i];
}

Status PrepareUnary(const OpDesc& desc, const Context& context, PreparedOp* op) {
  EDDL_CPU_RETURN_IF_ERROR(ExpectElementwise(desc));
  switch (desc.kind) {
    case EDDL_OP_RELU:
      op->run = UnaryRun(desc, context, ReluLoop);
      return {};
    case EDDL_OP_SIGMOID:
      op->run = UnaryRun(desc, context, SigmoidLoop);
      return {};
    case EDDL_OP_TANH:
      op->run = UnaryRun(desc, context, TanhLoop);
      return {};
    case EDDL_OP_GELU:
      op->run = UnaryRun(desc, context, GeluLoop);
      return {};
    case EDDL_OP_LEAKY_RELU: {
      float slope = 0;
      EDDL_CPU_RETURN_IF_ERROR(ReadSlope(desc, &slope));
      op->run = UnaryRun(desc, context, [slope](const float* x, float* y, int64_t begin, int64_t end) {
        LeakyReluLoop(x, y, begin, end, slope);
      });
      return {};
    }
    default:
      break;
  }
  eddl_clamp_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  op->run = UnaryRun(desc, context, [attrs](const float* x, float* y, int64_t begin, int64_t end) {
    ClampLoop(x, y, begin, end, attrs.min, attrs.max);
  });
  return {};
}

Status PrepareUnaryGrad(const OpDesc& desc, const Context& context, PreparedOp* op) {
  EDDL_CPU_RETURN_IF_ERROR(ExpectElementwise(desc));
  switch (desc.kind) {
    case EDDL_OP_RELU_GRAD:
      op->run = BinaryRun(desc, context, ReluGradLoop);
      return {};
    case EDDL_OP_SIGMOID_GRAD:
      op->run = BinaryRun(desc, context, SigmoidGradLoop);
      return {};
    case EDDL_OP_TANH_GRAD:
      op->run = BinaryRun(desc, context, TanhGradLoop);
      return {};
    case EDDL_OP_GELU_GRAD:
      op->run = BinaryRun(desc, context, GeluGradLoop);
      return {};
    case EDDL_OP_LEAKY_RELU_GRAD: {
      float slope = 0;
      EDDL_CPU_RETURN_IF_ERROR(ReadSlope(desc, &slope));
      op->run =
          BinaryRun(desc, context, [slope](const float* dy, const float* y, float* dx, int64_t begin, int64_t end) {
            LeakyReluGradLoop(dy, y, dx, begin, end, slope);
          });
      return {};
    }
    default:
      break;
  }
  eddl_clamp_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  op->run = BinaryRun(desc, context, [attrs](const float* dy, const float* y, float* dx, int64_t begin, int64_t end) {
    ClampGradLoop(dy, y, dx, begin, end, attrs.min, attrs.max);
  });
  return {};
}

Status PrepareAdd(const OpDesc& desc, const Context& context, PreparedOp* op) {
  EDDL_CPU_RETURN_IF_ERROR(ExpectElementwise(desc));
  if (desc.epilogue == EDDL_EPILOGUE_RELU) {
    op->run = BinaryRun(desc, context, AddReluLoop);
  } else if (desc.epilogue == EDDL_EPILOGUE_CLAMP) {
    const float low = desc.epilogue_min;
    const float high = desc.epilogue_max;
    op->run =
        BinaryRun(desc, context, [low, high](const float* a, const float* b, float* y, int64_t begin, int64_t end) {
          AddClampLoop(a, b, y, begin, end, low, high);
        });
  } else {
    op->run = BinaryRun(desc, context, AddLoop);
  }
  return {};
}

Status PrepareMul(const OpDesc& desc, const Context& context, PreparedOp* op) {
  EDDL_CPU_RETURN_IF_ERROR(ExpectElementwise(desc));
  op->run = BinaryRun(desc, context, MulLoop);
  return {};
}

Status PrepareNormalizeU8(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_tensor_desc wanted = desc.in[0];
  wanted.dtype = EDDL_F32;
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.out[0], wanted));
  const int64_t channels = desc.in[0].shape[desc.in[0].rank - 1];
  const int64_t scale_count = ElementCount(desc.in[1]);
  const int64_t shift_count = ElementCount(desc.in[2]);
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "scale", desc.in[1], EDDL_F32, {scale_count == 1 ? 1 : channels}));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "shift", desc.in[2], EDDL_F32, {shift_count == 1 ? 1 : channels}));
  const int64_t count = ElementCount(desc.in[0]);
  const int threads = context.thread_count;
  if (scale_count == 1 && shift_count == 1) {
    op->run = [=](const Args& args) -> Status {
      ParallelFor(threads, count, kGrain, [&](int64_t begin, int64_t end) {
        NormalizeUniformLoop(args.in<uint8_t>(0), args.out(0), begin, end, args.in(1)[0], args.in(2)[0]);
      });
      return {};
    };
    return {};
  }
  op->run = [=](const Args& args) -> Status {
    ParallelFor(threads, count / channels, kGrain / channels + 1, [&](int64_t begin, int64_t end) {
      NormalizeRows(args.in<uint8_t>(0), args.in(1), args.in(2), args.out(0), begin, end, channels, scale_count > 1,
                    shift_count > 1);
    });
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
