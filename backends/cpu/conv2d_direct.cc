// Compiled with fused multiply-add allowed (CMakeLists.txt): as in any matrix product, bits may differ between
// instruction sets.
#include "backends/cpu/conv2d_direct.h"

#include <omp.h>

#include <cstring>

#include "backends/cpu/lanes.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

constexpr int kLanes = 8;
using Float = Lanes<kLanes>::Float;

// Pixels that share each load of a weight. 14 sums, a weight and a pixel fill the 16 registers of AVX2, and 14 divides
// the widths of 28x28 images.
constexpr int kStrip = 14;

// Workspace, in floats: packed weights [c][r][s][8] (or their gradients, per thread), then planes per thread.
int64_t PackedCount(const DirectConv& v) { return v.c * v.r * v.s * kLanes; }
int64_t PlanesCount(const DirectConv& v) {
  return (v.c * v.PlaneRows() * v.PlaneColumns() + kLanes - 1) / kLanes * kLanes;
}
// One thread's gradients: weights, then bias.
int64_t GradCount(const DirectConv& v) { return PackedCount(v) + kLanes; }
float* GradsOf(const DirectConv& v, float* workspace, int64_t thread) { return workspace + thread * GradCount(v); }
float* PlanesOf(const DirectConv& v, float* workspace, int64_t thread) {
  return workspace + v.threads * GradCount(v) + thread * PlanesCount(v);
}

// Copies one image into the planes; their margin stays zero.
EDDL_INLINE void CopyToPlanes(const DirectConv& v, const float* __restrict x, float* __restrict planes) {
  const int64_t plane = v.PlaneRows() * v.PlaneColumns();
  const int64_t rows = v.h < v.PlaneRows() - v.pad_top ? v.h : v.PlaneRows() - v.pad_top;
  const int64_t columns = v.w < v.PlaneColumns() - v.pad_left ? v.w : v.PlaneColumns() - v.pad_left;
  for (int64_t row = 0; row < rows; ++row) {
    float* to = planes + (row + v.pad_top) * v.PlaneColumns() + v.pad_left;
    const float* from = x + row * v.w * v.c;
    for (int64_t column = 0; column < columns; ++column) {
      for (int64_t c = 0; c < v.c; ++c) to[c * plane + column] = from[column * v.c + c];
    }
  }
}

EDDL_INLINE Float Finish(Float value, Epilogue epilogue) {
  if (epilogue.kind == EDDL_EPILOGUE_RELU) return Float{} > value ? Float{} : value;
  if (epilogue.kind == EDDL_EPILOGUE_CLAMP) {
    const Float low = Float{} + epilogue.min;
    const Float high = Float{} + epilogue.max;
    const Float raised = low > value ? low : value;
    return high < raised ? high : raised;
  }
  return value;
}

// kPixels neighbouring pixels of one output row; planes and packed point at their first tap. Vectors run over the end
// of a pixel with k < 8 into the next one, which is written later; the image's last pixel is counted.
template <int kPixels>
EDDL_INLINE void ConvolveStrip(const DirectConv& v, const float* planes, const float* packed, const Float& bias,
                               float* y, int64_t left, Epilogue epilogue) {
  Float sum[kPixels];
#pragma GCC unroll 16
  for (int i = 0; i < kPixels; ++i) sum[i] = bias;
  for (int64_t c = 0; c < v.c; ++c) {
    for (int64_t r = 0; r < v.r; ++r) {
      const float* row = planes + (c * v.PlaneRows() + r) * v.PlaneColumns();
      for (int64_t s = 0; s < v.s; ++s, packed += kLanes) {
        const Float weight = Load<Float>(packed);
#pragma GCC unroll 16
        for (int i = 0; i < kPixels; ++i) sum[i] += weight * row[s + i];
      }
    }
  }
  if ((kPixels - 1) * v.k + kLanes <= left) {
#pragma GCC unroll 16
    for (int i = 0; i < kPixels; ++i) Store(Finish(sum[i], epilogue), y + i * v.k);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < kPixels; ++i) StoreSome(Finish(sum[i], epilogue), y + i * v.k, v.k);
  }
}

EDDL_MULTIVERSION void ConvolveImage(const DirectConv& v, const float* planes, const float* packed, const float* bias,
                                     float* y, Epilogue epilogue) {
  const Float start = bias == nullptr ? Float{} : LoadSome<Float>(bias, v.k);
  for (int64_t p = 0; p < v.p; ++p) {
    const float* row = planes + p * v.PlaneColumns();
    float* to = y + p * v.q * v.k;
    const int64_t left = (v.p - p) * v.q * v.k;
    int64_t q = 0;
    for (; q + kStrip <= v.q; q += kStrip) {
      ConvolveStrip<kStrip>(v, row + q, packed, start, to + q * v.k, left - q * v.k, epilogue);
    }
    for (; q + 4 <= v.q; q += 4) {
      ConvolveStrip<4>(v, row + q, packed, start, to + q * v.k, left - q * v.k, epilogue);
    }
    for (; q < v.q; ++q) ConvolveStrip<1>(v, row + q, packed, start, to + q * v.k, left - q * v.k, epilogue);
  }
}

// Adds to grads the products of one image for kRows rows of the kernel, kColumns wide, of one input channel.
template <int kRows, int kColumns>
EDDL_INLINE void GradTaps(const DirectConv& v, const float* plane, const float* dy, float* grads) {
  Float sum[kRows][kColumns];
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) sum[r][s] = Float{};
  }
  const int64_t pitch = v.PlaneColumns();
  const int64_t dy_count = v.p * v.q * v.k;
  for (int64_t p = 0; p < v.p; ++p) {
    for (int64_t q = 0; q < v.q; ++q) {
      const int64_t at = (p * v.q + q) * v.k;
      const Float d = at + kLanes <= dy_count ? Load<Float>(dy + at) : LoadSome<Float>(dy + at, v.k);
      const float* from = plane + p * pitch + q;
      for (int r = 0; r < kRows; ++r) {
        for (int s = 0; s < kColumns; ++s) sum[r][s] += d * from[r * pitch + s];
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) {
      float* to = grads + (r * kColumns + s) * kLanes;
      Store(Load<Float>(to) + sum[r][s], to);
    }
  }
}

// Two kernel rows at a time: ten sums hide the latency and fit every register file.
template <int kColumns>
EDDL_INLINE void GradImage(const DirectConv& v, const float* planes, const float* dy, float* grads) {
  const int64_t pitch = v.PlaneColumns();
  for (int64_t c = 0; c < v.c; ++c) {
    const float* plane = planes + c * v.PlaneRows() * pitch;
    float* to = grads + c * v.r * kColumns * kLanes;
    int64_t r = 0;
    for (; r + 2 <= v.r; r += 2) GradTaps<2, kColumns>(v, plane + r * pitch, dy, to + r * kColumns * kLanes);
    if (r < v.r) GradTaps<1, kColumns>(v, plane + r * pitch, dy, to + r * kColumns * kLanes);
  }
}

EDDL_MULTIVERSION void GradImageOf3(const DirectConv& v, const float* planes, const float* dy, float* grads) {
  GradImage<3>(v, planes, dy, grads);
}
EDDL_MULTIVERSION void GradImageOf5(const DirectConv& v, const float* planes, const float* dy, float* grads) {
  GradImage<5>(v, planes, dy, grads);
}

EDDL_MULTIVERSION void BiasImage(const DirectConv& v, const float* dy, float* sums) {
  const int64_t dy_count = v.p * v.q * v.k;
  Float sum[4] = {};
  for (int64_t i = 0; i < v.p * v.q; ++i) {
    const int64_t at = i * v.k;
    sum[i % 4] += at + kLanes <= dy_count ? Load<Float>(dy + at) : LoadSome<Float>(dy + at, v.k);
  }
  Store(Load<Float>(sums) + ((sum[0] + sum[1]) + (sum[2] + sum[3])), sums);
}

bool IsPlain(const ConvShape& v) {
  return v.groups == 1 && v.stride_h == 1 && v.stride_w == 1 && v.dilation_h == 1 && v.dilation_w == 1;
}

}  // namespace

DirectConv DirectConv::Forward(const ConvShape& v, int threads) {
  return {.n = v.n,
          .h = v.h,
          .w = v.w,
          .c = v.c,
          .k = v.k,
          .r = v.r,
          .s = v.s,
          .p = v.p,
          .q = v.q,
          .pad_top = v.pad_top,
          .pad_left = v.pad_left,
          .threads = threads};
}

DirectConv DirectConv::GradInput(const ConvShape& v, int threads) {
  return {.n = v.n,
          .h = v.p,
          .w = v.q,
          .c = v.k,
          .k = v.c,
          .r = v.r,
          .s = v.s,
          .p = v.h,
          .q = v.w,
          .pad_top = v.r - 1 - v.pad_top,
          .pad_left = v.s - 1 - v.pad_left,
          .threads = threads};
}

bool DirectSuitsForward(const ConvShape& v) { return IsPlain(v) && v.k <= kLanes; }

bool DirectSuitsGradInput(const ConvShape& v) {
  return IsPlain(v) && v.c <= kLanes && v.pad_top < v.r && v.pad_left < v.s;
}

bool DirectSuitsGradWeight(const ConvShape& v) {
  return IsPlain(v) && v.c == 1 && v.k <= kLanes && (v.s == 3 || v.s == 5);
}

uint64_t DirectWorkspaceBytes(const DirectConv& v) {
  return AlignUp(static_cast<uint64_t>(v.threads * (GradCount(v) + PlanesCount(v))) * sizeof(float));
}

void DirectPackForward(const DirectConv& v, const float* w, float* workspace) {
  std::memset(workspace, 0, static_cast<size_t>(PackedCount(v)) * sizeof(float));
  for (int64_t k = 0; k < v.k; ++k) {
    for (int64_t r = 0; r < v.r; ++r) {
      for (int64_t s = 0; s < v.s; ++s) {
        for (int64_t c = 0; c < v.c; ++c) {
          const int64_t tap = (c * v.r + r) * v.s + s;
          workspace[tap * kLanes + k] = w[((k * v.r + r) * v.s + s) * v.c + c];
        }
      }
    }
  }
}

// The output channels here are the input channels of w, and the kernel is turned by half a circle.
void DirectPackGradInput(const DirectConv& v, const float* w, float* workspace) {
  std::memset(workspace, 0, static_cast<size_t>(PackedCount(v)) * sizeof(float));
  for (int64_t c = 0; c < v.c; ++c) {
    for (int64_t r = 0; r < v.r; ++r) {
      for (int64_t s = 0; s < v.s; ++s) {
        for (int64_t k = 0; k < v.k; ++k) {
          const int64_t tap = (c * v.r + (v.r - 1 - r)) * v.s + (v.s - 1 - s);
          workspace[tap * kLanes + k] = w[((c * v.r + r) * v.s + s) * v.k + k];
        }
      }
    }
  }
}

void DirectRun(const DirectConv& v, const float* x, const float* bias, float* y, Epilogue epilogue, float* workspace) {
  ParallelFor(v.threads, v.n, 1, [&](int64_t begin, int64_t end) {
    float* planes = PlanesOf(v, workspace, omp_get_thread_num());
    std::memset(planes, 0, static_cast<size_t>(PlanesCount(v)) * sizeof(float));
    for (int64_t i = begin; i < end; ++i) {
      CopyToPlanes(v, x + i * v.h * v.w * v.c, planes);
      ConvolveImage(v, planes, workspace, bias, y + i * v.p * v.q * v.k, epilogue);
    }
  });
}

void DirectGradWeight(const DirectConv& v, const float* x, const float* dy, float* dw, bool adds_dw, float* dbias,
                      bool adds_dbias, float* workspace) {
  std::memset(workspace, 0, static_cast<size_t>(v.threads * GradCount(v)) * sizeof(float));
  ParallelFor(v.threads, v.n, 1, [&](int64_t begin, int64_t end) {
    float* planes = PlanesOf(v, workspace, omp_get_thread_num());
    float* grads = GradsOf(v, workspace, omp_get_thread_num());
    std::memset(planes, 0, static_cast<size_t>(PlanesCount(v)) * sizeof(float));
    for (int64_t i = begin; i < end; ++i) {
      const float* image = dy + i * v.p * v.q * v.k;
      CopyToPlanes(v, x + i * v.h * v.w * v.c, planes);
      if (v.s == 3) {
        GradImageOf3(v, planes, image, grads);
      } else {
        GradImageOf5(v, planes, image, grads);
      }
      if (dbias != nullptr) BiasImage(v, image, grads + PackedCount(v));
    }
  });
  for (int thread = 1; thread < v.threads; ++thread) AddInto(GradsOf(v, workspace, thread), workspace, 0, GradCount(v));
  for (int64_t k = 0; k < v.k; ++k) {
    for (int64_t tap = 0; tap < v.r * v.s; ++tap) {
      for (int64_t c = 0; c < v.c; ++c) {
        float& target = dw[(k * v.r * v.s + tap) * v.c + c];
        const float value = workspace[(c * v.r * v.s + tap) * kLanes + k];
        target = adds_dw ? target + value : value;
      }
    }
    if (dbias != nullptr) dbias[k] = workspace[PackedCount(v) + k] + (adds_dbias ? dbias[k] : 0.0f);
  }
}

}  // namespace eddl::cpu
