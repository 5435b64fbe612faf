// Plans reductions: EDDL_OP_REDUCE, and the sums over rows or columns that other families need.
#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

constexpr int64_t kChunksMax = 1024;
constexpr int64_t kElementsPerLane = 16;  // at least, before an axis is cut into more chunks

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The kind of a second pass, over results of the first.
Reduction JoinOf(Reduction kind) {
  return kind == Reduction::kMax || kind == Reduction::kAbsMax ? Reduction::kMax : Reduction::kSum;
}

// Chunks that keep the device busy beside `groups` others, of at least `length_min` elements.
int64_t ChunkCount(const DeviceTraits& traits, int64_t groups, int64_t length, int64_t length_min) {
  const int64_t wanted = CeilDiv(traits.groups_wanted, groups);
  return std::clamp<int64_t>(std::min(wanted, length / length_min), 1, kChunksMax);
}

void LaunchColumns(Planner& planner, const Operand& x, const Operand& y, int64_t outer, int64_t rows, int64_t columns,
                   const ColumnTiling& tiling, Reduction kind, double factor, bool accumulate) {
  planner.Launch("reduce_columns", outer * tiling.tiles, tiling.chunks)
      .Tensor(x)
      .Tensor(y)
      .Ints({rows, columns, tiling.chunks, tiling.chunk_rows})
      .Divisor(tiling.tiles)
      .Ints({tiling.tile_bits, static_cast<int64_t>(kind)})
      .Float(factor)
      .Int(accumulate);
}

void LaunchRows(Planner& planner, const Operand& x, const Operand& y, int64_t rows, int64_t length, int64_t chunks,
                Reduction kind, double factor, bool accumulate) {
  const int64_t chunk_length = CeilDiv(length, chunks);
  // A vector for each work-item, or none.
  const int lanes = chunk_length >= planner.traits().group * planner.traits().lanes ? planner.traits().lanes : 1;
  planner.Launch("reduce_rows", rows, chunks)
      .Lanes(lanes)
      .Tensor(x)
      .Tensor(y)
      .Ints({length, chunks, chunk_length, static_cast<int64_t>(kind)})
      .Float(factor)
      .Int(accumulate);
}

struct Dimension {
  int64_t size, stride;
  bool reduced;
};

// Merges neighbours of one fate and drops dimensions of 1.
std::vector<Dimension> Collapse(const eddl_tensor_desc& x, uint32_t axis_mask) {
  std::vector<Dimension> list;
  for (uint32_t d = 0; d < x.rank; ++d) {
    if (x.shape[d] == 1) continue;
    const bool reduced = (axis_mask >> d) & 1u;
    if (!list.empty() && list.back().reduced == reduced) {
      list.back().size *= x.shape[d];
    } else {
      list.push_back({x.shape[d], 0, reduced});
    }
  }
  int64_t stride = 1;
  for (size_t d = list.size(); d-- > 0;) {
    list[d].stride = stride;
    stride *= list[d].size;
  }
  return list;
}

// Sizes and strides of the dimensions with this fate, outermost first, at the end of six.
void WriteDimensions(LaunchWriter& writer, const std::vector<Dimension>& list, bool reduced) {
  std::vector<Dimension> six;
  for (const Dimension& dimension : list) {
    if (dimension.reduced == reduced) six.push_back(dimension);
  }
  six.insert(six.begin(), static_cast<size_t>(EDDL_RANK_MAX) - six.size(), {1, 0, reduced});
  for (const Dimension& dimension : six) writer.Int(dimension.size);
  for (const Dimension& dimension : six) writer.Int(dimension.stride);
}

}  // namespace

ColumnTiling TileColumns(const DeviceTraits& traits, int64_t outer, int64_t rows, int64_t columns) {
  const int group_bits = std::bit_width(static_cast<unsigned>(traits.group)) - 1;
  const auto column_bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(columns - 1)));
  ColumnTiling tiling = {.tile_bits = std::min(group_bits, column_bits), .tiles = 0, .chunks = 0, .chunk_rows = 0};
  tiling.tiles = CeilDiv(columns, int64_t{1} << tiling.tile_bits);
  const int64_t lanes = traits.group >> tiling.tile_bits;
  const int64_t chunks = ChunkCount(traits, outer * tiling.tiles, rows, lanes * kElementsPerLane);
  tiling.chunk_rows = CeilDiv(rows, chunks);
  tiling.chunks = CeilDiv(rows, tiling.chunk_rows);
  return tiling;
}

void PlanReduceColumns(Planner& planner, const Operand& x, const Operand& y, int64_t outer, int64_t rows,
                       int64_t columns, Reduction kind, double factor, bool accumulate) {
  const ColumnTiling tiling = TileColumns(planner.traits(), outer, rows, columns);
  if (tiling.chunks == 1) {
    LaunchColumns(planner, x, y, outer, rows, columns, tiling, kind, factor, accumulate);
    return;
  }
  const Operand partial = planner.WorkspaceFloats(outer * tiling.chunks * columns);
  LaunchColumns(planner, x, partial, outer, rows, columns, tiling, kind, 1, false);
  ColumnTiling last = tiling;
  last.chunks = 1;
  last.chunk_rows = tiling.chunks;
  LaunchColumns(planner, partial, y, outer, tiling.chunks, columns, last, JoinOf(kind), factor, accumulate);
}

void PlanReduceRows(Planner& planner, const Operand& x, const Operand& y, int64_t rows, int64_t length, Reduction kind,
                    double factor, bool accumulate) {
  const int64_t wanted = ChunkCount(planner.traits(), rows, length, planner.traits().group * kElementsPerLane);
  const int64_t chunks = CeilDiv(length, CeilDiv(length, wanted));
  if (chunks == 1) {
    LaunchRows(planner, x, y, rows, length, 1, kind, factor, accumulate);
    return;
  }
  const Operand partial = planner.WorkspaceFloats(rows * chunks);
  LaunchRows(planner, x, partial, rows, length, chunks, kind, 1, false);
  LaunchRows(planner, partial, y, rows, chunks, 1, JoinOf(kind), factor, accumulate);
}

Status PlanReduce(Planner& planner) {
  const OpView& op = planner.op();
  eddl_reduce_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectReduced(op, op.in[0], op.out[0], attrs.axis_mask));
  if (attrs.kind > EDDL_REDUCE_MAX) return Error(EDDL_UNIMPLEMENTED, "reduce: kind %u is not known", attrs.kind);
  const Reduction kind = attrs.kind == EDDL_REDUCE_MAX ? Reduction::kMax : Reduction::kSum;
  const int64_t count = ElementCount(op.out[0]);
  const double terms = static_cast<double>(ElementCount(op.in[0]) / count);
  const double factor = attrs.kind == EDDL_REDUCE_MEAN ? 1 / terms : 1;
  const std::vector<Dimension> list = Collapse(op.in[0], attrs.axis_mask);
  std::string fates;
  for (const Dimension& dimension : list) fates += dimension.reduced ? 'r' : 'k';
  const bool adds = op.accumulates(0);
  if (fates == "r" || fates == "kr") {
    PlanReduceRows(planner, Input(0), Output(0), count, list.back().size, kind, factor, adds);
  } else if (fates.empty() || fates == "k") {
    PlanReduceColumns(planner, Input(0), Output(0), 1, 1, count, kind, factor, adds);
  } else if (fates == "rk") {
    PlanReduceColumns(planner, Input(0), Output(0), 1, list[0].size, list[1].size, kind, factor, adds);
  } else if (fates == "krk") {
    PlanReduceColumns(planner, Input(0), Output(0), list[0].size, list[1].size, list[2].size, kind, factor, adds);
  } else {
    LaunchWriter writer = planner.LaunchFlat("reduce_any", count);
    writer.Tensor(Input(0)).Tensor(Output(0)).Int(count);
    WriteDimensions(writer, list, false);
    WriteDimensions(writer, list, true);
    writer.Int(static_cast<int64_t>(kind)).Float(factor).Int(adds);
  }
  return {};
}

}  // namespace eddl::kernels
