// Data movement: concat, split, slice, pad, transpose, broadcast. Bytes are copied, never interpreted.
#include <algorithm>
#include <cstring>
#include <vector>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

using Sizes = std::array<int64_t, EDDL_RANK_MAX>;

// Walks `sizes` in row-major order and keeps the offset that `strides` give.
class Odometer {
 public:
  Odometer(const Sizes& sizes, const Sizes& strides, uint32_t rank) : sizes_(sizes), strides_(strides), rank_(rank) {}

  void Seek(int64_t position) {
    offset_ = 0;
    for (uint32_t d = rank_; d-- > 0;) {
      index_[d] = position % sizes_[d];
      position /= sizes_[d];
      offset_ += index_[d] * strides_[d];
    }
  }
  void Next() {
    for (uint32_t d = rank_; d-- > 0;) {
      offset_ += strides_[d];
      if (++index_[d] < sizes_[d]) return;
      offset_ -= sizes_[d] * strides_[d];
      index_[d] = 0;
    }
  }
  int64_t offset() const { return offset_; }

 private:
  Sizes sizes_;
  Sizes strides_;
  uint32_t rank_;
  Sizes index_ = {};
  int64_t offset_ = 0;
};

Sizes SizesOf(const eddl_tensor_desc& tensor) {
  Sizes sizes = {};
  for (uint32_t d = 0; d < tensor.rank; ++d) sizes[d] = tensor.shape[d];
  return sizes;
}

Sizes StridesOf(const eddl_tensor_desc& tensor) {
  Sizes strides = {};
  int64_t stride = 1;
  for (uint32_t d = tensor.rank; d-- > 0;) {
    strides[d] = stride;
    stride *= tensor.shape[d];
  }
  return strides;
}

// Bytes of one tensor of the joined ones: outer blocks of `size` bytes that begin at `begin` in the joined block.
struct Part {
  size_t begin, size;
};

// Checks the tensors joined along the axis and lists their parts. Shared by concat and split.
Status ReadParts(const OpDesc& desc, const std::array<eddl_tensor_desc, kTensorsMax>& parts, uint32_t count,
                 const eddl_tensor_desc& joined, std::vector<Part>* list, int64_t* outer, size_t* joined_size) {
  eddl_axis_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  EDDL_CPU_REQUIRE(attrs.axis < joined.rank, "%s: axis %u of %s", desc.name, attrs.axis, ToString(joined).c_str());
  size_t inner = ElementBytes(joined.dtype);
  for (uint32_t d = attrs.axis + 1; d < joined.rank; ++d) inner *= static_cast<size_t>(joined.shape[d]);
  *outer = 1;
  for (uint32_t d = 0; d < attrs.axis; ++d) *outer *= joined.shape[d];
  int64_t sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    EDDL_CPU_REQUIRE(IsPresent(parts[i]) && parts[i].rank == joined.rank, "%s: tensor %u is %s beside %s", desc.name, i,
                     ToString(parts[i]).c_str(), ToString(joined).c_str());
    eddl_tensor_desc expected = joined;
    expected.shape[attrs.axis] = parts[i].shape[attrs.axis];
    EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "a part", parts[i], expected));
    list->push_back({static_cast<size_t>(sum) * inner, static_cast<size_t>(parts[i].shape[attrs.axis]) * inner});
    sum += parts[i].shape[attrs.axis];
  }
  EDDL_CPU_REQUIRE(sum == joined.shape[attrs.axis],
                   "%s: the parts have %lld elements along axis %u, the whole has %lld", desc.name,
                   static_cast<long long>(sum), attrs.axis, static_cast<long long>(joined.shape[attrs.axis]));
  *joined_size = static_cast<size_t>(sum) * inner;
  return {};
}

// Rows of the smaller tensor inside the larger one: shared by slice (larger to smaller) and pad (smaller to larger).
struct Box {
  Odometer odometer;  // over the rows; offsets into the larger tensor, in elements
  int64_t rows;
  int64_t origin;
  size_t row_bytes, element_bytes;
};

Status ReadBox(const OpDesc& desc, const eddl_tensor_desc& small, const eddl_tensor_desc& large,
               std::vector<Box>* box) {
  eddl_slice_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  EDDL_CPU_REQUIRE(small.rank == large.rank && small.dtype == large.dtype, "%s: %s does not lie in %s", desc.name,
                   ToString(small).c_str(), ToString(large).c_str());
  const Sizes strides = StridesOf(large);
  int64_t origin = 0;
  for (uint32_t d = 0; d < small.rank; ++d) {
    EDDL_CPU_REQUIRE(attrs.begin[d] >= 0 && attrs.begin[d] <= large.shape[d] - small.shape[d],
                     "%s: [%lld, +%lld) is outside dimension %u of %s", desc.name,
                     static_cast<long long>(attrs.begin[d]), static_cast<long long>(small.shape[d]), d,
                     ToString(large).c_str());
    origin += attrs.begin[d] * strides[d];
  }
  const int64_t row = small.shape[small.rank - 1];
  const size_t bytes = ElementBytes(small.dtype);
  box->push_back({Odometer(SizesOf(small), strides, small.rank - 1), ElementCount(small) / row, origin,
                  static_cast<size_t>(row) * bytes, bytes});
  return {};
}

// y[i] = x[offset of i] over a strided view of x; the innermost dimension of y is a loop of its own.
template <typename T>
void GatherLoop(const T* x, T* y, Odometer rows, int64_t begin, int64_t end, int64_t inner, int64_t inner_stride) {
  rows.Seek(begin);
  for (int64_t row = begin; row < end; ++row) {
    const T* from = x + rows.offset();
    T* to = y + row * inner;
    for (int64_t i = 0; i < inner; ++i) to[i] = from[i * inner_stride];
    rows.Next();
  }
}

// Prepares y = a view of x with these strides, one for each dimension of y.
void PrepareGather(const eddl_tensor_desc& y, const Sizes& strides, const Context& context, PreparedOp* op) {
  const int64_t inner = y.shape[y.rank - 1];
  const int64_t inner_stride = strides[y.rank - 1];
  const int64_t rows = ElementCount(y) / inner;
  const Odometer odometer(SizesOf(y), strides, y.rank - 1);
  op->run = [=, element_bytes = ElementBytes(y.dtype), threads = context.thread_count](const Args& args) -> Status {
    ParallelFor(threads, rows, kGrain / inner + 1, [&](int64_t begin, int64_t end) {
      switch (element_bytes) {
        case 1:
          return GatherLoop(args.in<uint8_t>(0), args.out<uint8_t>(0), odometer, begin, end, inner, inner_stride);
        case 2:
          return GatherLoop(args.in<uint16_t>(0), args.out<uint16_t>(0), odometer, begin, end, inner, inner_stride);
        case 4:
          return GatherLoop(args.in<uint32_t>(0), args.out<uint32_t>(0), odometer, begin, end, inner, inner_stride);
        default:
          return GatherLoop(args.in<uint64_t>(0), args.out<uint64_t>(0), odometer, begin, end, inner, inner_stride);
      }
    });
    return {};
  };
}

}  // namespace

Status PrepareConcat(const OpDesc& desc, const Context&, PreparedOp* op) {
  std::vector<Part> parts;
  int64_t outer = 0;
  size_t joined = 0;
  EDDL_CPU_RETURN_IF_ERROR(ReadParts(desc, desc.in, desc.input_count, desc.out[0], &parts, &outer, &joined));
  op->implementation = "memcpy";
  op->run = [=](const Args& args) -> Status {
    for (int64_t i = 0; i < outer; ++i) {
      for (size_t t = 0; t < parts.size(); ++t) {
        std::memcpy(args.out<std::byte>(0) + static_cast<size_t>(i) * joined + parts[t].begin,
                    args.in<std::byte>(t) + static_cast<size_t>(i) * parts[t].size, parts[t].size);
      }
    }
    return {};
  };
  return {};
}

Status PrepareSplit(const OpDesc& desc, const Context&, PreparedOp* op) {
  std::vector<Part> parts;
  int64_t outer = 0;
  size_t joined = 0;
  EDDL_CPU_RETURN_IF_ERROR(ReadParts(desc, desc.out, desc.output_count, desc.in[0], &parts, &outer, &joined));
  op->implementation = "memcpy";
  op->run = [=](const Args& args) -> Status {
    for (int64_t i = 0; i < outer; ++i) {
      for (size_t t = 0; t < parts.size(); ++t) {
        std::memcpy(args.out<std::byte>(t) + static_cast<size_t>(i) * parts[t].size,
                    args.in<std::byte>(0) + static_cast<size_t>(i) * joined + parts[t].begin, parts[t].size);
      }
    }
    return {};
  };
  return {};
}

Status PrepareSlice(const OpDesc& desc, const Context&, PreparedOp* op) {
  std::vector<Box> boxes;
  EDDL_CPU_RETURN_IF_ERROR(ReadBox(desc, desc.out[0], desc.in[0], &boxes));
  op->implementation = "memcpy";
  op->run = [box = boxes.front()](const Args& args) -> Status {
    Odometer rows = box.odometer;
    for (int64_t row = 0; row < box.rows; ++row, rows.Next()) {
      std::memcpy(args.out<std::byte>(0) + static_cast<size_t>(row) * box.row_bytes,
                  args.in<std::byte>(0) + static_cast<size_t>(box.origin + rows.offset()) * box.element_bytes,
                  box.row_bytes);
    }
    return {};
  };
  return {};
}

Status PreparePad(const OpDesc& desc, const Context&, PreparedOp* op) {
  std::vector<Box> boxes;
  EDDL_CPU_RETURN_IF_ERROR(ReadBox(desc, desc.in[0], desc.out[0], &boxes));
  op->implementation = "memcpy";
  op->run = [box = boxes.front(), size_bytes = ByteCount(desc.out[0])](const Args& args) -> Status {
    std::memset(args.out<std::byte>(0), 0, size_bytes);
    Odometer rows = box.odometer;
    for (int64_t row = 0; row < box.rows; ++row, rows.Next()) {
      std::memcpy(args.out<std::byte>(0) + static_cast<size_t>(box.origin + rows.offset()) * box.element_bytes,
                  args.in<std::byte>(0) + static_cast<size_t>(row) * box.row_bytes, box.row_bytes);
    }
    return {};
  };
  return {};
}

Status PrepareTranspose(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_transpose_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const eddl_tensor_desc& x = desc.in[0];
  const Sizes strides = StridesOf(x);
  eddl_tensor_desc expected = x;
  Sizes permuted = {};
  uint32_t seen = 0;
  for (uint32_t d = 0; d < x.rank; ++d) {
    const uint32_t source = attrs.permutation[d];
    EDDL_CPU_REQUIRE(source < x.rank && ((seen >> source) & 1u) == 0,
                     "transpose: entry %u of the permutation is %u, for %s", d, source, ToString(x).c_str());
    seen |= 1u << source;
    expected.shape[d] = x.shape[source];
    permuted[d] = strides[source];
  }
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "y", desc.out[0], expected));
  PrepareGather(desc.out[0], permuted, context, op);
  return {};
}

Status PrepareBroadcast(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_reduce_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  const eddl_tensor_desc& x = desc.in[0];
  const eddl_tensor_desc& y = desc.out[0];
  EDDL_CPU_RETURN_IF_ERROR(ExpectReduced(desc, y, x, attrs.axis_mask));
  Sizes strides = {};
  int64_t stride = 1;
  for (uint32_t d = y.rank; d-- > 0;) {
    if ((attrs.axis_mask >> d) & 1u) continue;
    strides[d] = stride;
    stride *= y.shape[d];
  }
  PrepareGather(y, strides, context, op);
  return {};
}

}  // namespace eddl::cpu
