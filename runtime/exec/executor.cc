#include "runtime/exec/executor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/profile/span_recorder.h"

namespace eddl {
namespace {

const Buffer* BufferFor(const ExecutorBuffers& buffers, Region region, Place place) {
  switch (region) {
    case Region::kNone:
      return nullptr;
    case Region::kArena:
      return place == Place::kPrimary ? buffers.arena : buffers.fallback_arena;
    case Region::kParameters:
      return buffers.parameters;
    case Region::kGradients:
      return buffers.gradients;
    case Region::kOutputs:
      return buffers.outputs;
  }
  return nullptr;
}

eddl_binding BindingFor(const ExecutorBuffers& buffers, const Location& location, Place place) {
  const Buffer* buffer = BufferFor(buffers, location.region, place);
  if (location.region == Region::kNone) return {};
  EDDL_CHECK(buffer != nullptr) << "no buffer for region " << static_cast<int>(location.region);
  EDDL_CHECK(static_cast<uint64_t>(location.offset_bytes + location.size_bytes) <= buffer->size_bytes())
      << location.offset_bytes << " + " << location.size_bytes << " of " << buffer->size_bytes();
  return {.buffer = buffer->raw(), .offset_bytes = static_cast<uint64_t>(location.offset_bytes)};
}

// Where what the step reads of the parameters that change ends, in elements; 0: it reads none.
int64_t ParametersEnd(const PlanStep& step, int64_t gradient_end) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(float));
  int64_t end = 0;
  for (const Location& input : step.inputs) {
    const bool changes = input.region == Region::kParameters && input.offset_bytes < gradient_end * kSize;
    if (changes) end = std::max(end, (input.offset_bytes + input.size_bytes) / kSize);
  }
  return end;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(Device& primary, Device* fallback, Plan plan) {
  auto executor = std::unique_ptr<Executor>(new Executor(std::move(plan)));
  size_t binding_count = 0;
  int64_t parameters_end = 0;
  for (const PlanStep& step : executor->plan_.steps) {
    binding_count += step.inputs.size() + step.outputs.size();
    Ready& ready = executor->ready_.emplace_back();
    parameters_end = std::max(parameters_end, ParametersEnd(step, executor->plan_.gradient_end));
    ready.parameters_end = parameters_end;
    if (step.kind != PlanStep::Kind::kOp) continue;
    EDDL_CHECK(step.place == Place::kPrimary || fallback != nullptr) << step.name << " needs a fallback device";
    Device& device = step.place == Place::kPrimary ? primary : *fallback;
    absl::StatusOr<PreparedOp> op = PreparedOp::Create(device, AbiOpDesc(step.op).get());
    if (!op.ok()) return WithContext(op.status(), "cannot prepare " + step.name + " (" + step.op.ToString() + ")");
    ready.op = std::move(op).value();
  }
  executor->bindings_.resize(binding_count);
  return executor;
}

void Executor::Bind(const ExecutorBuffers& buffers) {
  buffers_ = buffers;
  size_t next = 0;
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    const PlanStep& step = plan_.steps[i];
    eddl_op_args& args = ready_[i].args;
    args = {.struct_size = sizeof(args)};
    if (step.kind != PlanStep::Kind::kOp) continue;
    args.inputs = bindings_.data() + next;
    for (const Location& location : step.inputs) bindings_[next++] = BindingFor(buffers, location, step.place);
    args.outputs = bindings_.data() + next;
    for (const Location& location : step.outputs) bindings_[next++] = BindingFor(buffers, location, step.place);
    args.workspace = BindingFor(buffers, step.workspace, step.place);
    args.state = BindingFor(buffers, step.state, step.place);
    if (step.op.kind == EDDL_OP_DROPOUT) {
      args.scalars = scalars_;
      args.scalar_count = 2;
    }
  }
}

absl::Status Executor::WriteInput(Queue& queue, std::string_view name, std::span<const std::byte> bytes) {
  const PlanTensor* input = plan_.FindInput(name);
  if (input == nullptr) return InvalidArgument("the plan has no input '" + std::string(name) + "'");
  if (static_cast<int64_t>(bytes.size()) != input->location.size_bytes) {
    return InvalidArgument("input '" + input->name + "' is " + input->desc.ToString() + ", " +
                           std::to_string(input->location.size_bytes) + " bytes, not " + std::to_string(bytes.size()));
  }
  return queue.Write(*buffers_.arena, static_cast<uint64_t>(input->location.offset_bytes), bytes);
}

absl::Status Executor::ReadOutput(Queue& queue, std::string_view name, std::span<std::byte> bytes) {
  const PlanTensor* output = plan_.FindOutput(name);
  if (output == nullptr) return InvalidArgument("the plan has no output '" + std::string(name) + "'");
  if (static_cast<int64_t>(bytes.size()) != output->location.size_bytes) {
    return InvalidArgument("output '" + output->name + "' is " + output->desc.ToString() + ", not " +
                           std::to_string(bytes.size()) + " bytes");
  }
  return queue.Read(*buffers_.outputs, static_cast<uint64_t>(output->location.offset_bytes), bytes);
}

// Moves a value between the devices through the fallback's memory, which the host sees. The fallback device computes in
// the calling thread, so only the primary queue has to be waited for.
absl::Status Executor::RunCopy(const PlanStep& step, Queue& queue) {
  const bool to_fallback = step.kind == PlanStep::Kind::kToFallback;
  const Location& host = to_fallback ? step.outputs[0] : step.inputs[0];
  const Location& remote = to_fallback ? step.inputs[0] : step.outputs[0];
  const std::span<std::byte> bytes(buffers_.fallback_arena->host_data() + host.offset_bytes,
                                   static_cast<size_t>(host.size_bytes));
  const Buffer& buffer = *BufferFor(buffers_, remote.region, Place::kPrimary);
  const auto offset = static_cast<uint64_t>(remote.offset_bytes);
  if (to_fallback) {
    EDDL_RETURN_IF_ERROR(queue.Read(buffer, offset, bytes));
  } else {
    EDDL_RETURN_IF_ERROR(queue.Write(buffer, offset, bytes));
  }
  return queue.Wait();
}

absl::Status Executor::Run(Queue& queue, Queue* fallback_queue, const RunKeys& keys, SpanRecorder* recorder,
                           ParameterFeed* feed) {
  scalars_[0].u = keys.seed;
  scalars_[1].u = keys.epoch;
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    const PlanStep& step = plan_.steps[i];
    if (feed != nullptr) EDDL_RETURN_IF_ERROR(feed->Need(ready_[i].parameters_end));
    const ScopedSpan span(recorder, step.name, "op", recorder == nullptr ? 0 : step.bytes());
    absl::Status status;
    if (step.kind != PlanStep::Kind::kOp) {
      status = RunCopy(step, queue);
    } else if (step.place == Place::kPrimary) {
      status = queue.Enqueue(ready_[i].op, ready_[i].args);
    } else {
      status = fallback_queue->Enqueue(ready_[i].op, ready_[i].args);
      if (status.ok()) status = fallback_queue->Wait();
    }
    if (!status.ok()) return WithContext(status, step.name);
  }
  return absl::OkStatus();
}

}  // namespace eddl
