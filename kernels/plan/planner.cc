#include "kernels/plan/planner.h"

#include <algorithm>
#include <bit>

namespace eddl::kernels {
namespace {

constexpr uint64_t kAlignmentBytes = 256;

}  // namespace

// ---- LaunchWriter ----

LaunchWriter& LaunchWriter::Lanes(int lanes) {
  launch_.lanes = lanes;
  return *this;
}

LaunchWriter& LaunchWriter::Tensor(const Operand& operand, uint32_t element_bytes) {
  launch_.arguments.push_back({.type = Argument::Type::kTensor, .tensor = operand, .element_bytes = element_bytes});
  return *this;
}

LaunchWriter& LaunchWriter::Int(int64_t value) {
  launch_.arguments.push_back({.type = Argument::Type::kInt, .value = {.i = static_cast<int32_t>(value)}});
  return *this;
}

LaunchWriter& LaunchWriter::Ints(std::initializer_list<int64_t> values) {
  for (const int64_t value : values) Int(value);
  return *this;
}

LaunchWriter& LaunchWriter::Unsigned(uint32_t value) {
  launch_.arguments.push_back({.type = Argument::Type::kUnsigned, .value = {.u = value}});
  return *this;
}

LaunchWriter& LaunchWriter::Float(double value) {
  launch_.arguments.push_back({.type = Argument::Type::kFloat, .value = {.f = static_cast<float>(value)}});
  return *this;
}

LaunchWriter& LaunchWriter::Slot(Argument::Type type, int slot) {
  launch_.arguments.push_back({.type = type, .slot = slot});
  return *this;
}

// See QUOTIENT in kernels/dialect.h.
LaunchWriter& LaunchWriter::Divisor(int64_t divisor) {
  const auto value = static_cast<uint64_t>(divisor);
  const auto bits = static_cast<int>(std::bit_width(value - 1));
  return Int(divisor).Unsigned(static_cast<uint32_t>((uint64_t{1} << (31 + bits)) / value + 1)).Int(bits);
}

LaunchWriter& LaunchWriter::Epilogue(const OpView& op) {
  return Int(op.epilogue).Float(static_cast<double>(op.epilogue_min)).Float(static_cast<double>(op.epilogue_max));
}

// ---- Planner ----

Operand Planner::Workspace(uint64_t size_bytes) {
  const Operand place = {Operand::Source::kWorkspace, 0, plan_.workspace_bytes};
  plan_.workspace_bytes += (size_bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
  return place;
}

LaunchWriter Planner::Launch(const char* kernel, int64_t groups0, int64_t groups1) {
  plan_.steps.emplace_back(kernels::Launch{
      .kernel = kernel, .groups = {static_cast<uint32_t>(groups0), static_cast<uint32_t>(groups1)}, .arguments = {}});
  return LaunchWriter(std::get<kernels::Launch>(plan_.steps.back()));
}

LaunchWriter Planner::LaunchFlat(const char* kernel, int64_t count) {
  return Launch(kernel, (count + traits_.group - 1) / traits_.group);
}

}  // namespace eddl::kernels
