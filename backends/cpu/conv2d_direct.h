// Direct convolution for few output channels (LeNet's layers), where oneDNN computes mostly padding: stride 1, dilation
// 1, one group.
//
// An image is copied into padded planes [C][rows][columns], so that no pixel is at an edge and neighbours lie at
// constant distances; the output channels are one vector; a strip of neighbouring pixels shares each weight. Not
// thread-safe beyond what ParallelFor does: one call at a time per workspace.
#pragma once

#include "backends/cpu/conv2d_shape.h"
#include "backends/cpu/elementwise.h"

namespace eddl::cpu {

// y [n, p, q, k] from x [n, h, w, c]; the gradient with respect to the input has the roles of c and k exchanged.
struct DirectConv {
  int64_t n, h, w, c;
  int64_t k, r, s;
  int64_t p, q;
  int64_t pad_top, pad_left;
  int threads;

  int64_t PlaneRows() const { return p + r - 1; }
  int64_t PlaneColumns() const { return q + s - 1; }

  // The convolution itself, and the convolution of dy with rotated weights that gives dx.
  static DirectConv Forward(const ConvShape& v, int threads);
  static DirectConv GradInput(const ConvShape& v, int threads);
};

// Where the kernels here were measured to be faster than oneDNN's.
bool DirectSuitsForward(const ConvShape& v);
bool DirectSuitsGradInput(const ConvShape& v);
bool DirectSuitsGradWeight(const ConvShape& v);

// Of one call: packed weights or their gradient sums, and padded planes, by thread.
uint64_t DirectWorkspaceBytes(const DirectConv& v);

// Packs w [K, R, S, C] for a forward convolution, or rotated for the gradient with respect to the input.
void DirectPackForward(const DirectConv& v, const float* w, float* workspace);
void DirectPackGradInput(const DirectConv& v, const float* w, float* workspace);

// Convolves with the packed weights. bias [k] may be nullptr.
void DirectRun(const DirectConv& v, const float* x, const float* bias, float* y, Epilogue epilogue, float* workspace);

// dw [k, r, s, c] and dbias [k] (may be nullptr); adds to them where asked.
void DirectGradWeight(const DirectConv& v, const float* x, const float* dy, float* dw, bool adds_dw, float* dbias,
                      bool adds_dbias, float* workspace);

}  // namespace eddl::cpu
