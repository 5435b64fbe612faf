#include "backends/sdk/conformance/op_runner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "backends/sdk/conformance/arena.h"
#include "backends/sdk/conformance/codec.h"
#include "backends/sdk/conformance/describe.h"
#include "backends/sdk/conformance/prepared.h"
#include "backends/sdk/op_table.h"
#include "kernels/reference.h"
#include "kernels/tolerance.h"

namespace eddl::conformance {
namespace {

using kernels::Tensor;

// Bytes that nobody wrote: a NaN in every floating dtype, -1 as an integer; and the second time a large number.
constexpr std::byte kPoison[] = {std::byte{0xff}, std::byte{0x7f}};

using Image = std::vector<std::byte>;

class CaseRun {
 public:
  CaseRun(const Device& device, const OpCase& one, uint64_t seed, CaseResult& result)
      : device_(device), case_(one), seed_(seed), result_(result) {}

  Problem Run();

 private:
  Problem PrepareSteps();
  // Lays out, fills and runs everything once; outputs are appended to `bits`.
  Problem RunOnce(int round, std::vector<Image>& bits);
  void Layout(Random& random);
  Image FilledImage(std::byte poison) const;
  Problem Enqueue(size_t step, eddl_buffer* buffer) const;
  // Compares what a step left in `after` with the reference of what it found in `before`.
  Problem Check(size_t step, const Image& before, const Image& after);
  Problem CheckOutput(size_t step, uint32_t output, const Tensor& expected, const Image& after);

  Region RegionOf(int tensor) const { return tensors_[static_cast<size_t>(tensor)]; }
  Tensor Load(int tensor, const Image& image) const;
  std::vector<Tensor> LoadAll(const std::vector<int>& indices, const Image& image) const;

  const Device& device_;
  const OpCase& case_;
  uint64_t seed_;
  CaseResult& result_;
  std::vector<Prepared> prepared_;
  std::vector<Region> tensors_;
  std::vector<Region> workspaces_;  // one a step
  Region state_;
  uint64_t arena_bytes_ = 0;
};

Problem CaseRun::Run() {
  if (Problem problem = PrepareSteps()) return problem;
  if (result_.outcome == Outcome::kLacking) return std::nullopt;
  std::vector<Image> first, second;
  if (Problem problem = RunOnce(0, first)) return problem;
  if (Problem problem = RunOnce(1, second))
    return Text(*problem, " (in the second run, at other offsets and with other poison)");
  if (device_.deterministic() && first != second)
    return "a second run gave other bits, but the device says DETERMINISTIC";
  return std::nullopt;
}

Problem CaseRun::PrepareSteps() {
  for (const Step& step : case_.steps) {
    prepared_.emplace_back(device_);
    if (Problem problem = Prepare(device_, step.op, &prepared_.back())) return problem;
    if (!prepared_.back().lacking) continue;
    result_.outcome = Outcome::kLacking;
    result_.message = Text(NameOf(step.op, step.scalars), ": ", prepared_.back().refusal);
    return std::nullopt;
  }
  return std::nullopt;
}

void CaseRun::Layout(Random& random) {
  Arena arena(device_.info().alignment_bytes, random);
  tensors_.clear();
  workspaces_.clear();
  for (const CaseTensor& tensor : case_.tensors) tensors_.push_back(arena.Place(TensorBytes(tensor.desc)));
  for (const Prepared& prepared : prepared_) workspaces_.push_back(arena.Place(prepared.info.workspace_bytes));
  state_ = arena.Place(prepared_[0].info.state_bytes);
  arena_bytes_ = arena.size_bytes();
}

Image CaseRun::FilledImage(std::byte poison) const {
  Image image(arena_bytes_, poison);
  Random random(seed_, case_.name);
  for (size_t i = 0; i < case_.tensors.size(); ++i) {
    const CaseTensor& one = case_.tensors[i];
    if (!one.fill) continue;
    Tensor tensor(one.desc);
    one.fill(random, tensor);
    Encode(tensor, &image[tensors_[i].begin]);
  }
  return image;
}

Problem CaseRun::RunOnce(int round, std::vector<Image>& bits) {
  Random places(seed_ + static_cast<uint64_t>(round), case_.name);
  Layout(places);
  Image image = FilledImage(kPoison[round]);
  BufferPtr buffer = device_.NoBuffer();
  if (Problem problem = device_.CreateBuffer(image.size(), &buffer)) return problem;
  if (Problem problem = device_.Write(buffer.get(), 0, image)) return problem;
  for (size_t step = 0; step < case_.steps.size(); ++step) {
    Image after(image.size());
    if (Problem problem = Enqueue(step, buffer.get())) return problem;
    if (Problem problem = device_.Read(buffer.get(), 0, after)) return problem;
    if (Problem problem = Check(step, image, after)) return problem;
    for (const int tensor : case_.steps[step].outputs) {
      if (tensor == kAbsent) continue;
      bits.emplace_back(after.begin() + static_cast<ptrdiff_t>(RegionOf(tensor).begin),
                        after.begin() + static_cast<ptrdiff_t>(RegionOf(tensor).end));
    }
    image = std::move(after);
  }
  return std::nullopt;
}

Problem CaseRun::Enqueue(size_t index, eddl_buffer* buffer) const {
  const Step& step = case_.steps[index];
  const auto bind = [&](const std::vector<int>& tensors) {
    std::vector<eddl_binding> bindings;
    for (const int tensor : tensors) {
      bindings.push_back(tensor == kAbsent ? eddl_binding{} : eddl_binding{buffer, RegionOf(tensor).begin});
    }
    return bindings;
  };
  const OpState state = FindOpTraits(step.op.kind)->state;
  const bool has_state = state != OpState::kNone && prepared_[0].info.state_bytes > 0;
  const std::vector<eddl_binding> inputs = bind(step.inputs), outputs = bind(step.outputs);
  const eddl_op_args args = {.struct_size = sizeof(args),
                             .scalar_count = static_cast<uint32_t>(step.scalars.size()),
                             .inputs = inputs.data(),
                             .outputs = outputs.data(),
                             .workspace = prepared_[index].info.workspace_bytes > 0
                                              ? eddl_binding{buffer, workspaces_[index].begin}
                                              : eddl_binding{},
                             .state = has_state ? eddl_binding{buffer, state_.begin} : eddl_binding{},
                             .scalars = step.scalars.empty() ? nullptr : step.scalars.data()};
  ErrorRecord error;
  const eddl_code code = device_.table().op_enqueue(device_.queue(), prepared_[index].op.get(), &args, error.get());
  return Expect("op_enqueue", code, error);
}

Tensor CaseRun::Load(int tensor, const Image& image) const {
  if (tensor == kAbsent) return Tensor();
  return Decode(case_.tensors[static_cast<size_t>(tensor)].desc, &image[RegionOf(tensor).begin]);
}

std::vector<Tensor> CaseRun::LoadAll(const std::vector<int>& indices, const Image& image) const {
  std::vector<Tensor> tensors;
  for (const int index : indices) tensors.push_back(Load(index, image));
  return tensors;
}

Problem CaseRun::Check(size_t index, const Image& before, const Image& after) {
  const Step& step = case_.steps[index];
  std::vector<Region> written = {workspaces_[index]};
  if (FindOpTraits(step.op.kind)->state == OpState::kLeaves) written.push_back(state_);
  for (const int tensor : step.outputs) {
    if (tensor != kAbsent) written.push_back(RegionOf(tensor));
  }
  const auto inputs = LoadAll(step.inputs, before);
  const auto previous = LoadAll(step.outputs, before);
  const auto forward_inputs = index == 0 ? std::vector<Tensor>() : LoadAll(case_.steps[0].inputs, before);
  const auto expected = kernels::RunReference(
      {.desc = step.op.desc(), .inputs = inputs, .scalars = step.scalars, .forward_inputs = forward_inputs}, previous);
  for (uint32_t i = 0; i < expected.size(); ++i) {
    if (step.outputs[i] == kAbsent) continue;
    if (Problem problem = CheckOutput(index, i, expected[i], after)) return problem;
  }
  if (Problem problem = FindStrayWrite(before, after, written)) {
    return Text(FindOpTraits(step.op.kind)->name, " wrote where it may not: ", *problem);
  }
  return std::nullopt;
}

Problem CaseRun::CheckOutput(size_t index, uint32_t output, const Tensor& expected, const Image& after) {
  const Step& step = case_.steps[index];
  const OpTraits& traits = *FindOpTraits(step.op.kind);
  const kernels::Tolerance tolerance = kernels::ToleranceOf(step.op.kind, output);
  const Tensor got = Load(step.outputs[output], after);
  double worst = 0;
  int64_t worst_at = 0;
  for (int64_t i = 0; i < expected.size(); ++i) {
    double error = 0;
    if (expected.is_integer()) {
      error = got.Integer(i) == expected.Integer(i) ? 0 : std::numeric_limits<double>::infinity();
    } else {
      error = kernels::ErrorFraction(got[i], expected.At(i), expected.desc().dtype, tolerance);
    }
    if (error > worst) {
      worst = error;
      worst_at = i;
    }
  }
  result_.error = std::max(result_.error, worst);
  if (worst <= 1) return std::nullopt;
  std::string at;
  const kernels::Index position = expected.IndexOf(worst_at);
  for (int d = 0; d < expected.rank(); ++d) at += Text(d == 0 ? "" : ",", position[static_cast<size_t>(d)]);
  const std::string where = Text(traits.name, ": output ", output, " '", traits.output(output).name, "' at [", at, "]");
  if (expected.is_integer())
    return Text(where, ": got ", got.Integer(worst_at), ", expected ", expected.Integer(worst_at));
  const double allowed = tolerance.exact ? 0 : tolerance.atol + tolerance.rtol * expected.At(worst_at).scale;
  return Text(where, ": got ", got[worst_at], ", expected ", expected[worst_at], " within ", allowed);
}

// All that is needed to see the failure again.
std::string Reproducer(const OpCase& one, uint64_t seed, const CaseResult& result) {
  std::string text = Text("case ", one.name, ", seed ", seed, "\n");
  for (const Step& step : one.steps) {
    text += "  " + NameOf(step.op, step.scalars);
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      const auto same = std::find(step.inputs.begin(), step.inputs.end(), step.outputs[i]);
      if (step.outputs[i] != kAbsent && same != step.inputs.end()) {
        text += Text(", output ", i, " in place of input ", same - step.inputs.begin());
      }
    }
    text += "\n";
  }
  return text + "  " + result.message + "\n";
}

}  // namespace

CaseResult RunOpCase(const Device& device, const OpCase& one, uint64_t seed) {
  CaseResult result = {.kind = FindOpTraits(one.steps.back().op.kind)->name, .name = one.name};
  CaseRun run(device, one, seed, result);
  if (Problem problem = run.Run()) {
    result.outcome = Outcome::kFail;
    result.message = std::move(*problem);
    result.reproducer = Reproducer(one, seed, result);
  }
  return result;
}

}  // namespace eddl::conformance
