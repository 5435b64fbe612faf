// Plans ops that move data: each is a dense tensor beside a strided view into another one (layout.knl).
#include <string>
#include <vector>

#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

struct Dimension {
  int64_t size, stride;
};

// A view: elements at origin + sum of index stride, in row-major order of the sizes.
struct View {
  std::vector<Dimension> dimensions;
  int64_t origin = 0;

  // Drops dimensions of 1 and joins neighbours that are one run.
  View Collapsed() const {
    View view = {.dimensions = {}, .origin = origin};
    for (const Dimension& d : dimensions) {
      if (d.size == 1) continue;
      if (!view.dimensions.empty() && view.dimensions.back().stride == d.size * d.stride) {
        view.dimensions.back() = {view.dimensions.back().size * d.size, d.stride};
      } else {
        view.dimensions.push_back(d);
      }
    }
    if (view.dimensions.empty()) view.dimensions.push_back({1, 1});
    return view;
  }
  int64_t Count() const {
    int64_t count = 1;
    for (const Dimension& d : dimensions) count *= d.size;
    return count;
  }
};

std::vector<int64_t> StridesOf(const eddl_tensor_desc& tensor) {
  std::vector<int64_t> strides(tensor.rank);
  int64_t stride = 1;
  for (uint32_t d = tensor.rank; d-- > 0;) {
    strides[d] = stride;
    stride *= tensor.shape[d];
  }
  return strides;
}

// The view of `large` that has the sizes of `small` and begins at `begin`. REQUIRES: equal ranks.
View BoxOf(const eddl_tensor_desc& small, const eddl_tensor_desc& large, const int64_t* begin) {
  const std::vector<int64_t> strides = StridesOf(large);
  View view;
  for (uint32_t d = 0; d < small.rank; ++d) {
    view.dimensions.push_back({small.shape[d], strides[d]});
    view.origin += begin[d] * strides[d];
  }
  return view;
}

enum class Move { kGather, kScatter };  // dense y from a view of x; a view of y from dense x

// Both operands begin at their tensors.
void PlanMove(Planner& planner, Move move, const Operand& x, const Operand& y, const View& any_view,
              uint32_t element_bytes) {
  const View view = any_view.Collapsed();
  const int64_t count = view.Count();
  const std::vector<Dimension>& d = view.dimensions;
  const bool rows = element_bytes == 4 && d.size() <= 2 && d.back().stride == 1;
  if (rows) {
    planner.LaunchFlat(move == Move::kGather ? "layout_gather_rows_4" : "layout_scatter_rows_4", count)
        .Tensor(x, element_bytes)
        .Tensor(y, element_bytes)
        .Int(count)
        .Divisor(d.back().size)
        .Ints({view.origin, d.size() == 2 ? d[0].stride : 0});
    return;
  }
  static constexpr const char* kGather[] = {"layout_gather_1", "layout_gather_2", "layout_gather_4", "layout_gather_8"};
  static constexpr const char* kScatter[] = {"layout_scatter_1", "layout_scatter_2", "layout_scatter_4",
                                             "layout_scatter_8"};
  const size_t width = element_bytes == 1 ? 0 : element_bytes == 2 ? 1 : element_bytes == 4 ? 2 : 3;
  LaunchWriter writer = planner.LaunchFlat(move == Move::kGather ? kGather[width] : kScatter[width], count);
  writer.Tensor(x, element_bytes).Tensor(y, element_bytes).Ints({count, view.origin});
  std::vector<Dimension> six(static_cast<size_t>(EDDL_RANK_MAX) - d.size(), {1, 0});
  six.insert(six.end(), d.begin(), d.end());
  for (const Dimension& one : six) writer.Int(one.size);
  for (const Dimension& one : six) writer.Int(one.stride);
}

// Checks the tensors joined along the axis and calls move(index, box) for each. Shared by concat and split.
template <typename Body>
Status ForEachPart(const OpView& op, const std::array<eddl_tensor_desc, kTensorsMax>& parts, uint32_t count,
                   const eddl_tensor_desc& joined, const Body& move) {
  eddl_axis_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  EDDL_KERNELS_REQUIRE(attrs.axis < joined.rank, "%s: axis %u of %s", op.name, attrs.axis, ToString(joined).c_str());
  int64_t sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    EDDL_KERNELS_REQUIRE(IsPresent(parts[i]) && parts[i].rank == joined.rank, "%s: tensor %u is %s beside %s", op.name,
                         i, ToString(parts[i]).c_str(), ToString(joined).c_str());
    eddl_tensor_desc expected = joined;
    expected.shape[attrs.axis] = parts[i].shape[attrs.axis];
    EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "a part", parts[i], expected));
    sum += parts[i].shape[attrs.axis];
  }
  EDDL_KERNELS_REQUIRE(sum == joined.shape[attrs.axis],
                       "%s: the parts have %lld elements along axis %u, the whole has %lld", op.name,
                       static_cast<long long>(sum), attrs.axis, static_cast<long long>(joined.shape[attrs.axis]));
  int64_t begin[EDDL_RANK_MAX] = {};
  for (uint32_t i = 0; i < count; ++i) {
    move(i, BoxOf(parts[i], joined, begin));
    begin[attrs.axis] += parts[i].shape[attrs.axis];
  }
  return {};
}

// The part of the larger tensor where the smaller one lies: shared by slice and pad.
Status ReadBox(const OpView& op, const eddl_tensor_desc& small, const eddl_tensor_desc& large, View* view) {
  eddl_slice_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  EDDL_KERNELS_REQUIRE(small.rank == large.rank && small.dtype == large.dtype, "%s: %s does not lie in %s", op.name,
                       ToString(small).c_str(), ToString(large).c_str());
  for (uint32_t d = 0; d < small.rank; ++d) {
    EDDL_KERNELS_REQUIRE(attrs.begin[d] >= 0 && attrs.begin[d] <= large.shape[d] - small.shape[d],
                         "%s: [%lld, +%lld) is outside dimension %u of %s", op.name,
                         static_cast<long long>(attrs.begin[d]), static_cast<long long>(small.shape[d]), d,
                         ToString(large).c_str());
  }
  *view = BoxOf(small, large, attrs.begin);
  return {};
}

}  // namespace

Status PlanConcat(Planner& planner) {
  const OpView& op = planner.op();
  const uint32_t bytes = ElementBytes(op.out[0].dtype);
  return ForEachPart(op, op.in, op.input_count, op.out[0], [&](uint32_t i, const View& box) {
    PlanMove(planner, Move::kScatter, Input(i), Output(0), box, bytes);
  });
}

Status PlanSplit(Planner& planner) {
  const OpView& op = planner.op();
  const uint32_t bytes = ElementBytes(op.in[0].dtype);
  return ForEachPart(op, op.out, op.output_count, op.in[0], [&](uint32_t i, const View& box) {
    PlanMove(planner, Move::kGather, Input(0), Output(i), box, bytes);
  });
}

Status PlanSlice(Planner& planner) {
  const OpView& op = planner.op();
  View box;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadBox(op, op.out[0], op.in[0], &box));
  PlanMove(planner, Move::kGather, Input(0), Output(0), box, ElementBytes(op.in[0].dtype));
  return {};
}

Status PlanPad(Planner& planner) {
  const OpView& op = planner.op();
  View box;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadBox(op, op.in[0], op.out[0], &box));
  planner.Zero(Output(0), ByteCount(op.out[0]));
  PlanMove(planner, Move::kScatter, Input(0), Output(0), box, ElementBytes(op.in[0].dtype));
  return {};
}

Status PlanTranspose(Planner& planner) {
  const OpView& op = planner.op();
  eddl_transpose_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  const eddl_tensor_desc& x = op.in[0];
  const std::vector<int64_t> strides = StridesOf(x);
  eddl_tensor_desc expected = x;
  View view;
  uint32_t seen = 0;
  for (uint32_t d = 0; d < x.rank; ++d) {
    const uint32_t source = attrs.permutation[d];
    EDDL_KERNELS_REQUIRE(source < x.rank && ((seen >> source) & 1u) == 0,
                         "transpose: entry %u of the permutation is %u, for %s", d, source, ToString(x).c_str());
    seen |= 1u << source;
    expected.shape[d] = x.shape[source];
    view.dimensions.push_back({x.shape[source], strides[source]});
  }
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.out[0], expected));
  PlanMove(planner, Move::kGather, Input(0), Output(0), view, ElementBytes(x.dtype));
  return {};
}

Status PlanBroadcast(Planner& planner) {
  const OpView& op = planner.op();
  eddl_reduce_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  const eddl_tensor_desc& y = op.out[0];
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectReduced(op, y, op.in[0], attrs.axis_mask));
  View view = {.dimensions = std::vector<Dimension>(y.rank), .origin = 0};
  int64_t stride = 1;
  for (uint32_t d = y.rank; d-- > 0;) {
    const bool repeats = (attrs.axis_mask >> d) & 1u;
    view.dimensions[d] = {y.shape[d], repeats ? 0 : stride};
    if (!repeats) stride *= y.shape[d];
  }
  PlanMove(planner, Move::kGather, Input(0), Output(0), view, sizeof(float));
  return {};
}

}  // namespace eddl::kernels
