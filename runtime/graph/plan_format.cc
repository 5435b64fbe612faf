#include <algorithm>
#include <string>

#include "runtime/graph/plan.h"

namespace eddl {
namespace {

std::string Padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

std::string RightAligned(const std::string& text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string OutputsOf(const PlanStep& step) {
  std::string text;
  for (const TensorDesc& output : step.op.outputs) {
    if (output.present()) text += (text.empty() ? "" : ", ") + output.ToString();
  }
  return text;
}

}  // namespace

std::string FormatPlan(const Plan& plan, std::string_view primary_name, std::string_view fallback_name) {
  size_t name_width = 4;
  size_t op_width = 2;
  size_t output_width = 6;
  for (const PlanStep& step : plan.steps) {
    name_width = std::max(name_width, step.name.size());
    op_width = std::max(op_width, OpName(step.op.kind).size() + 6);
    output_width = std::max(output_width, OutputsOf(step).size());
  }
  std::string text = RightAligned("step", 4) + "  " + Padded("name", name_width) + "  " + Padded("op", op_width) +
                     "  " + Padded("output", output_width) + "  " + Padded("device", 8) + RightAligned("bytes", 12) +
                     RightAligned("workspace", 12) + "  implementation\n";
  int index = 0;
  for (const PlanStep& step : plan.steps) {
    const bool is_op = step.kind == PlanStep::Kind::kOp;
    std::string op = is_op ? OpName(step.op.kind) : "copy";
    if (step.op.epilogue.kind == EDDL_EPILOGUE_RELU) op += "+relu";
    if (step.op.epilogue.kind == EDDL_EPILOGUE_CLAMP) op += "+clamp";
    const std::string_view device = step.place == Place::kPrimary ? primary_name : fallback_name;
    text += RightAligned(std::to_string(++index), 4) + "  " + Padded(step.name, name_width) + "  " +
            Padded(op, op_width) + "  " + Padded(OutputsOf(step), output_width) + "  " +
            Padded(std::string(device), 8) + RightAligned(std::to_string(step.bytes()), 12) +
            RightAligned(std::to_string(step.info.workspace_bytes), 12) + "  " + step.info.implementation + "\n";
  }
  return text;
}

}  // namespace eddl
