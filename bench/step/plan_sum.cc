#include "bench/step/plan_sum.h"

#include <utility>

#include "runtime/base/check.h"

namespace eddl::bench {
namespace {

eddl_binding Bind(const Buffer* buffer) {
  return {.buffer = buffer == nullptr ? nullptr : buffer->raw(), .offset_bytes = 0};
}

// All tensors of a step: inputs, then outputs.
std::vector<Location> Locations(const PlanStep& step) {
  std::vector<Location> locations = step.inputs;
  locations.insert(locations.end(), step.outputs.begin(), step.outputs.end());
  return locations;
}

uint64_t Bytes(int64_t size_bytes) { return static_cast<uint64_t>(size_bytes); }

}  // namespace

PlanSum::PlanSum(Training& training)
    : training_(training),
      device_(training.replica().device()),
      queue_(training.replica().queue()),
      plan_(*Need(training.replica().PlanFor(training.batch_size(), Mode::kTrain))) {
  EDDL_CHECK(plan_.fallback_ops() == 0) << plan_.fallback_ops() << " ops run on another device";
  for (const PlanStep& step : plan_.steps) Prepare(step);
  ComputeValues();
}

const Buffer* PlanSum::NewBuffer(int64_t size_bytes) {
  if (size_bytes == 0) return nullptr;
  buffers_.push_back(Need(Buffer::Create(device_, Bytes(size_bytes))));
  return &buffers_.back();
}

void PlanSum::Prepare(const PlanStep& step) {
  Op& op = ops_.emplace_back();
  op.op = Need(PreparedOp::Create(device_, AbiOpDesc(step.op).get()));
  const std::vector<Location> locations = Locations(step);
  for (size_t i = 0; i < locations.size(); ++i) {
    // Equal locations of one op are an op in place: it stays one.
    size_t same = 0;
    while (!(locations[same] == locations[i])) ++same;
    op.tensors.push_back(same < i ? op.tensors[same] : NewBuffer(locations[i].size_bytes));
    op.bindings.push_back(Bind(op.tensors.back()));
  }
  op.args = {.struct_size = sizeof(eddl_op_args),
             .inputs = op.bindings.data(),
             .outputs = op.bindings.data() + step.inputs.size(),
             .workspace = Bind(NewBuffer(step.workspace.size_bytes))};
  if (step.state.size_bytes == 0) return;
  const Buffer*& state = states_[step.state.offset_bytes];
  if (state == nullptr || state->size_bytes() < Bytes(step.state.size_bytes)) state = NewBuffer(step.state.size_bytes);
  op.args.state = Bind(state);
}

const Buffer& PlanSum::BufferOf(const Regions& regions, Region region) const {
  switch (region) {
    case Region::kParameters:
      return training_.replica().parameters();
    case Region::kGradients:
      return regions.gradients;
    case Region::kOutputs:
      return regions.outputs;
    case Region::kArena:
    case Region::kNone:
      break;
  }
  return regions.arena;
}

// Runs the ops once in order. Before each, what lies at its locations is copied into its own buffers (outputs too: an
// op may accumulate); after it, its outputs are copied back.
void PlanSum::ComputeValues() {
  Regions regions = {.arena = Need(Buffer::Create(device_, Bytes(plan_.arena_bytes[0]))),
                     .gradients = Need(Buffer::Create(device_, training_.replica().gradients().size_bytes())),
                     .outputs = Need(Buffer::Create(device_, Bytes(plan_.outputs_bytes)))};
  for (const Buffer* buffer : {&regions.arena, &regions.gradients, &regions.outputs}) {
    Need(queue_.FillZero(*buffer, 0, buffer->size_bytes()));
  }
  const BatchView batch = training_.Batch(0);
  for (const PlanTensor& input : plan_.inputs) {
    const auto offset = Bytes(input.location.offset_bytes);
    const auto bytes = input.name == kInputX       ? batch.x
                       : input.name == kInputLabel ? std::as_bytes(batch.labels)
                                                   : std::as_bytes(batch.samples);
    Need(queue_.Write(regions.arena, offset, bytes));
  }
  for (size_t i = 0; i < ops_.size(); ++i) {
    const std::vector<Location> locations = Locations(plan_.steps[i]);
    for (size_t t = 0; t < locations.size(); ++t) {
      if (ops_[i].tensors[t] == nullptr) continue;
      Need(queue_.Copy(BufferOf(regions, locations[t].region), Bytes(locations[t].offset_bytes), *ops_[i].tensors[t], 0,
                       Bytes(locations[t].size_bytes)));
    }
    Enqueue(i);
    for (size_t t = plan_.steps[i].inputs.size(); t < locations.size(); ++t) {
      if (ops_[i].tensors[t] == nullptr) continue;
      Need(queue_.Copy(*ops_[i].tensors[t], 0, BufferOf(regions, locations[t].region), Bytes(locations[t].offset_bytes),
                       Bytes(locations[t].size_bytes)));
    }
  }
  PrepareOptimizer(regions);
  Need(queue_.Wait());
}

void PlanSum::PrepareOptimizer(const Regions& regions) {
  const ParamLayout& layout = training_.replica().layout();
  const Buffer& parameters = training_.replica().parameters();
  parameters_ = Need(Buffer::Create(device_, parameters.size_bytes()));
  gradients_ = Need(Buffer::Create(device_, regions.gradients.size_bytes()));
  Need(queue_.Copy(parameters, 0, parameters_, 0, parameters.size_bytes()));
  Need(queue_.Copy(regions.gradients, 0, gradients_, 0, gradients_.size_bytes()));
  optimizer_.emplace(
      Need(ParamShard::Create(device_, queue_, layout, {0, layout.total()}, {}, parameters_, gradients_)));
}

void PlanSum::Enqueue(size_t i) {
  if (i == ops_.size()) {
    Need(optimizer_->Apply(training_.Scalars(0)));
    return;
  }
  Need(queue_.Enqueue(ops_[i].op, ops_[i].args));
}

void PlanSum::Run() {
  for (size_t i = 0; i < op_count(); ++i) Enqueue(i);
  Need(queue_.Wait());
}

void PlanSum::RunOp(size_t i) {
  Enqueue(i);
  Need(queue_.Wait());
}

std::string PlanSum::OpName(size_t i) const {
  const std::string number = (i < 10 ? "0" : "") + std::to_string(i);
  return number + " " + (i == ops_.size() ? "optimizer" : plan_.steps[i].name);
}

std::string PlanSum::Implementation(size_t i) const {
  return i == ops_.size() ? "" : plan_.steps[i].info.implementation;
}

}  // namespace eddl::bench
