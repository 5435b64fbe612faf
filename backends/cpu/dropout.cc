// Dropout with the fixed bits of Philox4x32-10 (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3").
#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

constexpr int64_t kLanes = 16;  // counters at a time

// The low words that are the same for a whole row; the first counter word is the element's.
struct RowKey {
  uint32_t key0, key1;
  uint32_t sample, layer, epoch;
};

// words[4 l + i] is word i of counter first + l.
EDDL_INLINE void Philox(const RowKey& row, uint32_t first, uint32_t* words) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53u;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57u;
  uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
  for (int64_t l = 0; l < kLanes; ++l) {
    c0[l] = first + static_cast<uint32_t>(l);
    c1[l] = row.sample;
    c2[l] = row.layer;
    c3[l] = row.epoch;
  }
  uint32_t k0 = row.key0;
  uint32_t k1 = row.key1;
  for (int round = 0; round < 10; ++round) {
// Unrolled, the loop would no longer be one that vectorises.
#pragma GCC unroll 1
    for (int64_t l = 0; l < kLanes; ++l) {
      const uint64_t product0 = kMultiplier0 * c0[l];
      const uint64_t product1 = kMultiplier1 * c2[l];
      c0[l] = static_cast<uint32_t>(product1 >> 32) ^ c1[l] ^ k0;
      c2[l] = static_cast<uint32_t>(product0 >> 32) ^ c3[l] ^ k1;
      c1[l] = static_cast<uint32_t>(product1);
      c3[l] = static_cast<uint32_t>(product0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
#pragma GCC unroll 1
  for (int64_t l = 0; l < kLanes; ++l) {
    words[4 * l] = c0[l];
    words[4 * l + 1] = c1[l];
    words[4 * l + 2] = c2[l];
    words[4 * l + 3] = c3[l];
  }
}

// One row. An element is kept iff its 24 random bits reach threshold = probability 2^24, rounded up.
EDDL_MULTIVERSION void DropoutRow(const float* x, float* y, int64_t count, RowKey row, uint32_t threshold,
                                  float scale) {
  uint32_t words[4 * kLanes];
  for (int64_t begin = 0; begin < count; begin += 4 * kLanes) {
    Philox(row, static_cast<uint32_t>(begin / 4), words);
    const int64_t size = count - begin < 4 * kLanes ? count - begin : 4 * kLanes;
    EDDL_ELEMENTWISE
    for (int64_t i = 0; i < size; ++i) y[begin + i] = (words[i] >> 8) >= threshold ? x[begin + i] * scale : 0.0f;
  }
}

// u >= probability with u a multiple of 2^-24 is the same as u 2^24 >= ceil(probability 2^24): exact in double.
uint32_t Threshold(float probability) {
  const double scaled = static_cast<double>(probability) * 0x1p24;
  const uint32_t floor = static_cast<uint32_t>(scaled);
  return static_cast<double>(floor) < scaled ? floor + 1 : floor;
}

}  // namespace

Status PrepareDropout(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_dropout_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const eddl_tensor_desc& x = desc.in[0];
  const int64_t rows = x.shape[0];
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "sample", desc.in[1], EDDL_I64, {rows}));
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.out[0], x));
  EDDL_CPU_REQUIRE(attrs.probability >= 0 && attrs.probability < 1, "dropout: probability %g is not in [0, 1)",
                   static_cast<double>(attrs.probability));
  op->run = [=, size = ElementCount(x) / rows, threshold = Threshold(attrs.probability),
             scale = static_cast<float>(1.0 / (1.0 - static_cast<double>(attrs.probability))),
             threads = context.thread_count](const Args& args) -> Status {
    const uint64_t seed = args.scalars[0].u;
    const uint64_t epoch = args.scalars[1].u;
    ParallelFor(threads, rows, kGrain / size + 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const RowKey key = {.key0 = static_cast<uint32_t>(seed),
                            .key1 = static_cast<uint32_t>(seed >> 32),
                            .sample = static_cast<uint32_t>(args.in<int64_t>(1)[row]),
                            .layer = attrs.layer,
                            .epoch = static_cast<uint32_t>(epoch)};
        DropoutRow(args.in(0) + row * size, args.out(0) + row * size, size, key, threshold, scale);
      }
    });
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
