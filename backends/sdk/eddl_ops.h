/* Op kinds: what each computes, its tensors, attributes, scalars, aliasing and tolerance. The contract of every
 * backend.
 *
 * Notation. x [N, H, W, C] is a dense row-major tensor. "acc" after an output: its bit in accumulate_mask may be set.
 * "epi": the epilogue may be set. "in place": the output may be the same binding as that input; otherwise an output
 * overlaps nothing. "opt": may be absent. Sizes that a kind leaves open are fixed by the descriptions given to
 * op_prepare.
 *
 * Losses and gradients are sums over samples, never means: whoever applies them divides once.
 *
 * Tolerance. A result y is compared with the reference r, computed in double from the same float inputs: it passes
 * where |y - r| <= atol + rtol * s, with s the sum of the absolute values of the terms that r adds up (|r| where it is
 * no sum). Written as "tol rtol" with atol 1e-6 unless stated; "exact" means bit for bit, but for the sign of a zero
 * and the bits of a NaN. NaN passes where the reference is NaN, and only there; likewise an infinity.
 */
#ifndef EDDL_BACKENDS_SDK_EDDL_OPS_H_
#define EDDL_BACKENDS_SDK_EDDL_OPS_H_

#include "eddl_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  /* ---- Matrix products. tol 1e-5 ---- */
  /* inputs a, b, bias [Q] opt; output y acc epi. y = op(a) op(b) + bias, op = transpose of the last two dimensions if
   * asked. a [.., P, R] or [.., R, P]; b [.., R, Q] or [.., Q, R]; y [.., P, Q]. Leading dimensions are batch, equal in
   * a, b, y. */
  EDDL_OP_MATMUL = 1,
  /* inputs x [N, F], w [F, M], bias [M] opt; output y [N, M] epi. y = x w + bias, for an x that is mostly zeros: exact
   * zeros may be skipped, also where w is not finite. No attributes. */
  EDDL_OP_SPARSE_MATMUL = 2,
  /* inputs x [N, F], dy [N, M]; output dw [F, M] acc. dw = x^T dy, zeros of x skipped. No attributes. */
  EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT = 3,

  /* ---- Convolution: eddl_conv2d_attrs. tol 2e-5 ---- */
  /* inputs x [N, H, W, C], w [K, R, S, C / groups], bias [K] opt; output y [N, P, Q, K] epi.
   * P = floor((H + pad_top + pad_bottom - dilation_h (R - 1) - 1) / stride_h) + 1, Q alike. Cross-correlation. */
  EDDL_OP_CONV2D = 10,
  /* inputs dy [N, P, Q, K], w; output dx [N, H, W, C]. */
  EDDL_OP_CONV2D_GRAD_INPUT = 11,
  /* inputs x, dy; outputs dw [K, R, S, C / groups] acc, dbias [K] acc opt. */
  EDDL_OP_CONV2D_GRAD_WEIGHT = 12,

  /* ---- Pooling: eddl_pool2d_attrs, except global. REQUIRES: each pad is smaller than the kernel. ---- */
  /* input x [N, H, W, C]; output y [N, P, Q, C]. Leaves state. Padding never wins; ties go to the first in row-major
   * order. Output size as in convolution, with ceil instead of floor if ceil_mode (a window that begins in the right or
   * bottom padding is dropped). exact; NaN in a window gives NaN. */
  EDDL_OP_MAX_POOL2D = 20,
  /* inputs dy [N, P, Q, C], y [N, P, Q, C] opt (present iff attrs.relu); state of the forward op; output dx [N, H, W,
   * C]. dx = dy at each window's maximum, summed where windows overlap; with relu, dy counts only where y > 0 (x came
   * out of a relu whose gradient is folded in here). tol 1e-6 */
  EDDL_OP_MAX_POOL2D_GRAD = 21,
  /* input x; output y. Mean over the window; the divisor counts padding if count_include_pad, but never what
   * a window of ceil_mode covers beyond it. tol 1e-5 */
  EDDL_OP_AVG_POOL2D = 22,
  /* input dy; output dx. tol 1e-5 */
  EDDL_OP_AVG_POOL2D_GRAD = 23,
  /* input x [N, H, W, C]; output y [N, C]: mean over H and W. No attributes. tol 1e-5 */
  EDDL_OP_GLOBAL_AVG_POOL = 24,
  /* input dy [N, C]; output dx [N, H, W, C]. No attributes. tol 1e-6 */
  EDDL_OP_GLOBAL_AVG_POOL_GRAD = 25,

  /* ---- Batch normalisation over the last dimension (Ioffe and Szegedy, 2015): eddl_batch_norm_attrs. tol 1e-4 ----
   * x [.., C] with n = product of the other dimensions, N = the first one. var is biased (divided by n). */
  /* inputs x, gamma [C], beta [C]; outputs y epi, mean_sum [C] acc opt, var_sum [C] acc opt. Leaves state.
   * y = gamma (x - mean) / sqrt(var + epsilon) + beta. mean_sum = N mean; var_sum = N var n / (n - 1) (n > 1; else N
   * var): sums over samples like a gradient, which STATISTICS_UPDATE turns into running averages. */
  EDDL_OP_BATCH_NORM = 30,
  /* inputs dy, x, gamma, y opt (present iff the forward op had epilogue relu: dy counts where y > 0); state of the
   * forward op; outputs dx (in place: dy), dgamma [C] acc, dbeta [C] acc. */
  EDDL_OP_BATCH_NORM_GRAD = 31,
  /* inputs x, gamma, beta, mean [C], var [C]; output y epi (in place: x). */
  EDDL_OP_BATCH_NORM_INFERENCE = 32,

  /* ---- Layer normalisation over the last dimension (Ba, Kiros and Hinton, 2016): eddl_layer_norm_attrs. tol 1e-4 ----
   * x [.., C]; mean and biased var are each row's own. */
  /* inputs x, gamma [C], beta [C]; output y = gamma (x - mean) / sqrt(var + epsilon) + beta. */
  EDDL_OP_LAYER_NORM = 33,
  /* inputs dy, x, gamma; outputs dx (in place: dy), dgamma [C] acc, dbeta [C] acc. */
  EDDL_OP_LAYER_NORM_GRAD = 34,

  /* ---- Elementwise; all shapes equal; every output may be in place of any input. tol 2e-6; relu, clamp (and
   * their gradients), add, mul exact. NaN in x, a or b stays NaN. ---- */
  EDDL_OP_RELU = 40,         /* x -> y = max(x, 0) */
  EDDL_OP_SIGMOID = 41,      /* x -> y */
  EDDL_OP_TANH = 42,         /* x -> y */
  EDDL_OP_CLAMP = 43,        /* x -> y = min(max(x, min), max): eddl_clamp_attrs */
  EDDL_OP_RELU_GRAD = 44,    /* dy, y -> dx = y > 0 ? dy : 0 */
  EDDL_OP_SIGMOID_GRAD = 45, /* dy, y -> dx = dy y (1 - y) */
  EDDL_OP_TANH_GRAD = 46,    /* dy, y -> dx = dy (1 - y^2) */
  EDDL_OP_CLAMP_GRAD = 47,   /* dy, y -> dx = min < y < max ? dy : 0: eddl_clamp_attrs */
  /* x -> y = x Phi(x), Phi the normal distribution's, not its approximation by tanh (Hendrycks and Gimpel, 2016).
   * tol 5e-6 */
  EDDL_OP_GELU = 48,
  EDDL_OP_LEAKY_RELU = 49, /* x -> y = x > 0 ? x : slope x: eddl_leaky_relu_attrs, slope >= 0 */
  EDDL_OP_ADD = 50,        /* a, b -> y = a + b, epi */
  EDDL_OP_MUL = 51,        /* a, b -> y = a b */
  /* dy, x -> dx = dy (Phi(x) + x phi(x)), phi the normal density. Takes x: y does not tell it. tol 5e-6 */
  EDDL_OP_GELU_GRAD = 52,
  EDDL_OP_LEAKY_RELU_GRAD = 53, /* dy, y -> dx = y > 0 ? dy : slope dy: eddl_leaky_relu_attrs */

  /* ---- Moving data. exact. Any dtype, the same in and out. ---- */
  EDDL_OP_CONCAT = 60,    /* inputs x_0 .. (1 to EDDL_CONCAT_MAX); output y: joined along attrs.axis: eddl_axis_attrs */
  EDDL_OP_SPLIT = 61,     /* input x; outputs y_0 ..: the inverse: eddl_axis_attrs */
  EDDL_OP_SLICE = 62,     /* x -> y: y[i] = x[begin + i]: eddl_slice_attrs */
  EDDL_OP_PAD = 63,       /* x -> y: y zero but for y[begin + i] = x[i]: eddl_slice_attrs */
  EDDL_OP_TRANSPOSE = 64, /* x -> y: dimension d of y is dimension permutation[d] of x: eddl_transpose_attrs */
  EDDL_OP_BROADCAST = 65, /* x as REDUCE's y -> y: x repeated along axis_mask; f32: eddl_reduce_attrs, kind ignored */

  /* ---- Reduction: eddl_reduce_attrs. tol 1e-5 ---- */
  /* input x; output y acc: x reduced over the dimensions in axis_mask, which y lacks (or has as 1; all reduced: y [1]).
   * The maximum is NaN iff some x is. */
  EDDL_OP_REDUCE = 70,

  /* ---- Dropout: eddl_dropout_attrs. exact but for the product (tol 1e-6, atol 0); mask bits are fixed. ---- */
  /* inputs x [N, ..], sample i64 [N] (global sample indices); scalars u: seed, epoch; output y (in place: x).
   * y = x keep / (1 - probability). Element j of row n is kept iff u >= probability, u = (word >> 8) 2^-24, with word =
   * number j mod 4 of Philox4x32-10 (Salmon et al., 2011) under key (seed low, seed high) and counter (j / 4, sample[n]
   * low, layer, epoch low). Linear in x: the gradient is this op on dy with the same scalars. */
  EDDL_OP_DROPOUT = 80,

  /* ---- Classification. tol 1e-5 ---- */
  EDDL_OP_SOFTMAX = 90, /* x [N, K] -> y [N, K], rows sum to 1 (in place) */
  /* inputs x [N, K], label i32 [N]; outputs loss [1] acc, correct [1] acc, dx [N, K] opt.
   * loss = sum of -log softmax(x)[label]; correct = how many rows have their largest x (first of equals) at label;
   * dx = softmax(x) - onehot(label). A row whose label is negative counts nowhere (dx = 0). REQUIRES label < K.
   * A row with a NaN makes the loss NaN. */
  EDDL_OP_SOFTMAX_XENT = 91,

  /* ---- Losses of an element beside its target: inputs x, target, of one shape; outputs loss [1] acc, dx opt.
   * tol 1e-5 ---- */
  /* Binary cross-entropy of sigmoid(x), for targets in [0, 1]: loss = sum of max(x, 0) - x target + log(1 + e^-|x|);
   * dx = sigmoid(x) - target. No attributes. */
  EDDL_OP_SIGMOID_BCE = 92,
  EDDL_OP_MSE = 93, /* loss = sum of (x - target)^2; dx = 2 (x - target). No attributes. */

  /* ---- Input. tol 1e-6 ---- */
  /* inputs x u8 [.., C], scale f32 [C or 1], shift f32 [C or 1]; output y f32: y = x scale + shift. */
  EDDL_OP_NORMALIZE_U8 = 100,

  /* ---- Flat vectors [P]. Elementwise unless said; in place where an output has an input's name. tol 1e-6 ---- */
  EDDL_OP_AXPY = 110,        /* x, y -> y += alpha x. scalars f: alpha */
  EDDL_OP_SCALE = 111,       /* x -> x alpha. scalars f: alpha */
  EDDL_OP_SUM_SQUARES = 112, /* x -> y [1] acc. tol 1e-5; not finite iff some x is not (or the sum overflows float) */
  EDDL_OP_ABS_MAX = 113,     /* x -> y [1]; NaN iff some x is NaN */
  EDDL_OP_PACK_F16 = 114,    /* x f32 -> y f16, to nearest even, overflow to infinity; exact */
  EDDL_OP_UNPACK_F16 = 115,  /* x f16 -> y f32; exact */
  EDDL_OP_FIXED_ADD = 116,   /* x f32, acc i64 -> acc += round-half-even(x scale), wrapping. scalars f: scale; exact.
                                REQUIRES |x scale| < 2^63 */
  EDDL_OP_FIXED_TO_FLOAT = 117, /* acc i64 -> y f32 = float(acc / scale), rounded once; exact for 2^k. f: scale */

  /* ---- Optimizers on flat vectors [P]: param, state and grad; g = grad scale. tol 1e-5 ---- */
  /* inputs grad, param, velocity opt (iff momentum > 0); outputs param, velocity opt, both in place. eddl_sgd_attrs.
   * scalars f: lr, scale. g += weight_decay param; velocity = momentum velocity + g; step = nesterov ? g + momentum
   * velocity : velocity (g without momentum); param -= lr step. (Sutskever et al., 2013, in the form that PyTorch
   * uses.) */
  EDDL_OP_SGD = 130,
  /* inputs grad, param, m, v; outputs param, m, v, in place. eddl_adam_attrs. scalars f: lr, scale; u: step, from 1.
   * not decoupled: g += weight_decay param (Adam, Kingma and Ba, 2015); decoupled: param -= lr weight_decay param first
   * (AdamW, Loshchilov and Hutter, 2019). m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
   * param -= lr / (1 - beta1^step) m / (sqrt(v / (1 - beta2^step)) + epsilon). */
  EDDL_OP_ADAM = 131,
  /* inputs sum, running; output running in place. eddl_statistics_attrs. scalars f: scale.
   * running = keep running + (1 - keep) sum scale. */
  EDDL_OP_STATISTICS_UPDATE = 132
};

#define EDDL_CONCAT_MAX 16

typedef struct eddl_matmul_attrs {
  uint32_t struct_size;
  uint32_t transpose_a;
  uint32_t transpose_b;
  uint32_t reserved;
} eddl_matmul_attrs;

typedef struct eddl_conv2d_attrs {
  uint32_t struct_size;
  uint32_t groups;
  uint32_t stride_h, stride_w;
  uint32_t pad_top, pad_left, pad_bottom, pad_right;
  uint32_t dilation_h, dilation_w; /* 1: dense */
} eddl_conv2d_attrs;

typedef struct eddl_pool2d_attrs {
  uint32_t struct_size;
  uint32_t kernel_h, kernel_w;
  uint32_t stride_h, stride_w;
  uint32_t pad_top, pad_left, pad_bottom, pad_right;
  uint32_t ceil_mode;
  uint32_t count_include_pad; /* average only */
  uint32_t relu;              /* MAX_POOL2D_GRAD only: see there */
} eddl_pool2d_attrs;

typedef struct eddl_batch_norm_attrs {
  uint32_t struct_size;
  float epsilon;
} eddl_batch_norm_attrs;

typedef struct eddl_layer_norm_attrs {
  uint32_t struct_size;
  float epsilon;
} eddl_layer_norm_attrs;

typedef struct eddl_leaky_relu_attrs {
  uint32_t struct_size;
  float slope; /* below 0 */
} eddl_leaky_relu_attrs;

typedef struct eddl_clamp_attrs {
  uint32_t struct_size;
  float min, max;
} eddl_clamp_attrs;

typedef struct eddl_axis_attrs {
  uint32_t struct_size;
  uint32_t axis;
} eddl_axis_attrs;

typedef struct eddl_slice_attrs {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t begin[EDDL_RANK_MAX];
} eddl_slice_attrs;

typedef struct eddl_transpose_attrs {
  uint32_t struct_size;
  uint32_t permutation[EDDL_RANK_MAX];
  uint32_t reserved;
} eddl_transpose_attrs;

typedef uint32_t eddl_reduce_kind;
enum { EDDL_REDUCE_SUM = 0, EDDL_REDUCE_MEAN = 1, EDDL_REDUCE_MAX = 2 };
typedef struct eddl_reduce_attrs {
  uint32_t struct_size;
  eddl_reduce_kind kind;
  uint32_t axis_mask; /* bit d: dimension d of the larger tensor */
  uint32_t reserved;
} eddl_reduce_attrs;

typedef struct eddl_dropout_attrs {
  uint32_t struct_size;
  uint32_t layer;    /* tells the dropout layers of a model apart */
  float probability; /* of dropping, in [0, 1) */
  uint32_t reserved;
} eddl_dropout_attrs;

typedef struct eddl_sgd_attrs {
  uint32_t struct_size;
  float momentum;
  float weight_decay;
  uint32_t nesterov;
} eddl_sgd_attrs;

typedef struct eddl_adam_attrs {
  uint32_t struct_size;
  float beta1, beta2, epsilon, weight_decay;
  uint32_t decoupled;
} eddl_adam_attrs;

typedef struct eddl_statistics_attrs {
  uint32_t struct_size;
  float keep; /* fraction of the running value that is kept, 0.9 */
} eddl_statistics_attrs;

#ifdef __cplusplus
}
#endif

#endif /* EDDL_BACKENDS_SDK_EDDL_OPS_H_ */
