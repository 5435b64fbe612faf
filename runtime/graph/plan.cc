#include "runtime/graph/plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "backends/sdk/op_table.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/graph/passes.h"

namespace eddl {
namespace {

// A location whose arena offset is not known yet: region kArena holds the index of a block.
struct Slot {
  Location location;
  int32_t block = -1;
};

struct PendingStep {
  PlanStep step;
  std::vector<Slot> inputs, outputs;
  Slot workspace, state;
};

class Planner {
 public:
  Planner(Graph graph, const ParamLayout& layout, const Capabilities& primary, const Capabilities* fallback,
          const PlanOptions& options)
      : graph_(std::move(graph)), layout_(layout), primary_(primary), fallback_(fallback), options_(options) {}

  absl::StatusOr<Plan> Run() {
    RemoveDeadNodes(graph_);
    if (options_.fuse) {
      FuseEpilogues(graph_, primary_);
      FusePoolReluGradients(graph_, primary_);
    }
    EDDL_RETURN_IF_ERROR(ChoosePlaces());
    FindLastUses();
    PlaceInputs();
    for (size_t i = 0; i < graph_.nodes().size(); ++i) AddNode(static_cast<int32_t>(i));
    return Finish();
  }

 private:
  const Capabilities& CapabilitiesOf(Place place) const { return place == Place::kPrimary ? primary_ : *fallback_; }

  OpDescription DescriptionOf(size_t node) const {
    OpDescription description = graph_.Describe(graph_.nodes()[node], options_.accumulate);
    description.tag = node + 1;
    return description;
  }

  // An op goes to the fallback if the primary device lacks it. A gradient op reads the opaque state of its forward op,
  // so the two go together.
  absl::Status ChoosePlaces() {
    const size_t count = graph_.nodes().size();
    places_.assign(count, Place::kPrimary);
    std::string lacking;
    for (size_t i = 0; i < count; ++i) {
      if (!primary_.Has(DescriptionOf(i))) places_[i] = Place::kFallback;
    }
    for (size_t i = 0; i < count; ++i) {
      const int32_t forward = graph_.nodes()[i].state_of;
      if (forward < 0) continue;
      Place& other = places_[static_cast<size_t>(forward)];
      if (places_[i] == Place::kFallback || other == Place::kFallback) places_[i] = other = Place::kFallback;
    }
    for (size_t i = 0; i < count; ++i) {
      if (places_[i] == Place::kPrimary) continue;
      const OpDescription description = DescriptionOf(i);
      if (fallback_ != nullptr && fallback_->Has(description)) continue;
      const Capabilities& last = fallback_ != nullptr ? *fallback_ : primary_;
      lacking += (lacking.empty() ? "" : "; ") + graph_.nodes()[i].name + " (" + description.ToString() +
                 "): " + MessageOf(last.Answer(description).status());
    }
    if (lacking.empty()) return absl::OkStatus();
    return Unimplemented("no device has " + lacking);
  }

  size_t Root(ValueId id) const { return static_cast<size_t>(graph_.root(id)); }

  void FindLastUses() {
    last_use_.assign(graph_.value_count(), -1);
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      for (ValueId input : node.inputs) {
        if (input != kNoValue) last_use_[Root(input)] = static_cast<int32_t>(i);
      }
    }
  }

  int32_t now() const { return static_cast<int32_t>(steps_.size()); }

  Slot NewBlock(Place place, int64_t size_bytes, int32_t first) {
    blocks_.push_back({.size_bytes = size_bytes, .first = first, .last = first});
    block_places_.push_back(place);
    return {.location = {.region = Region::kArena, .size_bytes = size_bytes},
            .block = static_cast<int32_t>(blocks_.size() - 1)};
  }

  void Touch(const Slot& slot) {
    if (slot.block >= 0) blocks_[static_cast<size_t>(slot.block)].last = now();
  }

  // Inputs are written before the first step, so they are alive from it on.
  void PlaceInputs() {
    for (size_t v = 0; v < graph_.value_count(); ++v) {
      const Value& value = graph_.value(static_cast<ValueId>(v));
      if (value.kind != ValueKind::kInput || value.view_of != kNoValue || last_use_[v] < 0) continue;
      slots_[{v, Place::kPrimary}] = NewBlock(Place::kPrimary, value.desc.bytes(), 0);
      input_values_.push_back(v);
    }
  }

  // Where a value that outlasts the run lies; region kNone for the others.
  Location FixedHome(size_t root) {
    const Value& value = graph_.value(static_cast<ValueId>(root));
    const int64_t bytes = value.desc.bytes();
    if (value.kind == ValueKind::kParameter || value.kind == ValueKind::kGradient) {
      const int64_t offset = layout_.slice(value.parameter).begin * SizeOf(DType::kF32);
      return {value.kind == ValueKind::kParameter ? Region::kParameters : Region::kGradients, offset, bytes};
    }
    if (value.kind != ValueKind::kOutput) return {};
    const auto [entry, is_new] = output_offsets_.try_emplace(root, outputs_bytes_);
    const auto alignment = static_cast<int64_t>(primary_.alignment_bytes());
    if (is_new) outputs_bytes_ += (bytes + alignment - 1) / alignment * alignment;
    return {Region::kOutputs, entry->second, bytes};
  }

  void AddCopy(PlanStep::Kind kind, size_t root, const Slot& from, const Slot& to) {
    Touch(from);
    Touch(to);
    PendingStep copy;
    copy.step.kind = kind;
    copy.step.place = kind == PlanStep::Kind::kToFallback ? Place::kFallback : Place::kPrimary;
    const Value& value = graph_.value(static_cast<ValueId>(root));
    copy.step.name = value.name.empty() ? "%" + std::to_string(root) : value.name;
    copy.inputs = {from};
    copy.outputs = {to};
    steps_.push_back(std::move(copy));
  }

  // The slot of a value at a place, copied there if need be.
  Slot Use(size_t root, Place place) {
    const auto found = slots_.find({root, place});
    if (found != slots_.end()) return found->second;
    const Location home = FixedHome(root);
    if (home.region != Region::kNone && place == Place::kPrimary) return {.location = home};
    const Place other = place == Place::kPrimary ? Place::kFallback : Place::kPrimary;
    const Slot source = home.region != Region::kNone ? Slot{.location = home} : slots_.at({root, other});
    const Slot target = NewBlock(place, graph_.value(static_cast<ValueId>(root)).desc.bytes(), now());
    AddCopy(place == Place::kFallback ? PlanStep::Kind::kToFallback : PlanStep::Kind::kToPrimary, root, source, target);
    slots_[{root, place}] = target;
    return target;
  }

  // The block of an input that dies at this node and that output `o` may overwrite.
  Slot TakeOver(const Node& node, int32_t index, size_t o, Place place, const std::vector<Slot>& inputs) {
    const OpTraits* traits = FindOpTraits(node.kind);
    const int64_t bytes = graph_.desc(node.outputs[o]).bytes();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const uint32_t in_place_mask = traits->output(static_cast<uint32_t>(o)).in_place_mask;
      if (node.inputs[i] == kNoValue || (in_place_mask >> i & 1u) == 0) continue;
      const size_t root = Root(node.inputs[i]);
      const Slot& slot = inputs[i];
      const bool dies =
          last_use_[root] == index && graph_.value(static_cast<ValueId>(root)).kind == ValueKind::kIntermediate;
      const bool taken = std::find(taken_over_.begin(), taken_over_.end(), slot.block) != taken_over_.end();
      if (slot.block >= 0 && dies && !taken && slot.location.size_bytes == bytes && slots_.count({root, place}) != 0) {
        taken_over_.push_back(slot.block);
        return slot;
      }
    }
    return {};
  }

  void AddNode(int32_t index) {
    const Node& node = graph_.nodes()[static_cast<size_t>(index)];
    const Place place = places_[static_cast<size_t>(index)];
    PendingStep pending;
    pending.step.place = place;
    pending.step.name = node.name;
    pending.step.op = DescriptionOf(static_cast<size_t>(index));
    std::vector<std::pair<size_t, Slot>> copy_back;  // results that live on the primary device
    std::vector<std::pair<size_t, Slot>> add_after;  // results that the op can't add to what is there

    for (ValueId input : node.inputs) pending.inputs.push_back(input == kNoValue ? Slot{} : Use(Root(input), place));
    taken_over_.clear();
    for (size_t o = 0; o < node.outputs.size(); ++o) {
      pending.outputs.push_back(PlaceOutput(node, index, o, place, pending, copy_back, add_after));
    }
    pending.step.info = *CapabilitiesOf(place).Answer(pending.step.op);
    pending.workspace = NewBlock(place, static_cast<int64_t>(pending.step.info.workspace_bytes), now());
    pending.state = StateOf(node, index, place, static_cast<int64_t>(pending.step.info.state_bytes));
    for (const Slot& slot : pending.inputs) Touch(slot);
    for (const Slot& slot : pending.outputs) Touch(slot);
    Touch(pending.workspace);
    Touch(pending.state);
    steps_.push_back(std::move(pending));
    for (const auto& [root, slot] : copy_back) {
      AddCopy(PlanStep::Kind::kToPrimary, root, slot, {.location = FixedHome(root)});
    }
    for (const auto& [root, slot] : add_after) AddSum(root, slot);
  }

  Slot PlaceOutput(const Node& node, int32_t index, size_t o, Place place, PendingStep& pending,
                   std::vector<std::pair<size_t, Slot>>& copy_back, std::vector<std::pair<size_t, Slot>>& add_after) {
    const ValueId output = node.outputs[o];
    if (output == kNoValue) return {};
    const size_t root = Root(output);
    const int64_t bytes = graph_.desc(output).bytes();
    const Location home = FixedHome(root);
    const bool adds = (pending.step.op.accumulate_mask >> o & 1u) != 0;
    if (home.region == Region::kNone) {
      Slot slot = TakeOver(node, index, o, place, pending.inputs);
      if (slot.location.region == Region::kNone) slot = NewBlock(place, bytes, now());
      slots_[{root, place}] = slot;
      return slot;
    }
    const bool must_add =
        options_.accumulate && !adds && graph_.value(static_cast<ValueId>(root)).kind == ValueKind::kGradient;
    if (place == Place::kPrimary && !must_add) return {.location = home};
    const Slot slot = NewBlock(place, bytes, now());
    if (must_add) {
      EDDL_CHECK(place == Place::kPrimary) << node.name << " cannot add to a gradient from the fallback device";
      add_after.push_back({root, slot});
    } else {
      if (adds) AddCopy(PlanStep::Kind::kToFallback, root, {.location = home}, slot);
      copy_back.push_back({root, slot});
    }
    return slot;
  }

  // gradient += value, for the rare op that makes a parameter's gradient but cannot accumulate.
  void AddSum(size_t root, const Slot& slot) {
    const TensorDesc desc = graph_.desc(static_cast<ValueId>(root));
    const Slot home = {.location = FixedHome(root)};
    PendingStep pending;
    pending.step.name = "accumulate";
    pending.step.op = {.kind = EDDL_OP_ADD, .inputs = {desc, desc}, .outputs = {desc}};
    pending.inputs = {slot, home};
    pending.outputs = {home};
    const absl::StatusOr<OpAnswer>& answer = primary_.Answer(pending.step.op);
    EDDL_CHECK(answer.ok()) << "add: " << MessageOf(answer.status());
    pending.step.info = *answer;
    pending.workspace = NewBlock(Place::kPrimary, static_cast<int64_t>(answer->workspace_bytes), now());
    Touch(slot);
    steps_.push_back(std::move(pending));
  }

  // A forward op's state lives until its gradient op has read it.
  Slot StateOf(const Node& node, int32_t index, Place place, int64_t size_bytes) {
    if (node.state_of >= 0) return states_.at(node.state_of);
    if (size_bytes == 0) return {};
    const Slot slot = NewBlock(place, size_bytes, now());
    states_[index] = slot;
    return slot;
  }

  Location Resolve(const Slot& slot) const {
    Location location = slot.location;
    if (slot.block >= 0) location.offset_bytes = blocks_[static_cast<size_t>(slot.block)].offset_bytes;
    if (location.region == Region::kArena && location.size_bytes == 0) return {};
    return location;
  }

  absl::StatusOr<Plan> Finish() {
    Plan plan;
    for (Place place : {Place::kPrimary, Place::kFallback}) plan.arena_bytes[static_cast<size_t>(place)] = Pack(place);
    for (PendingStep& pending : steps_) {
      for (const Slot& slot : pending.inputs) pending.step.inputs.push_back(Resolve(slot));
      for (const Slot& slot : pending.outputs) pending.step.outputs.push_back(Resolve(slot));
      pending.step.workspace = Resolve(pending.workspace);
      pending.step.state = Resolve(pending.state);
      plan.steps.push_back(std::move(pending.step));
    }
    for (size_t v : input_values_) {
      const Value& value = graph_.value(static_cast<ValueId>(v));
      plan.inputs.push_back({value.name, value.desc, Resolve(slots_.at({v, Place::kPrimary}))});
    }
    for (size_t v = 0; v < graph_.value_count(); ++v) {
      const Value& value = graph_.value(static_cast<ValueId>(v));
      if (value.kind != ValueKind::kOutput || value.view_of != kNoValue || output_offsets_.count(v) == 0) continue;
      plan.outputs.push_back({value.name, value.desc, FixedHome(v)});
    }
    plan.outputs_bytes = outputs_bytes_;
    plan.gradient_end = layout_.gradient_end();
    return plan;
  }

  int64_t Pack(Place place) {
    std::vector<ArenaBlock> packed;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (block_places_[i] == place && blocks_[i].size_bytes > 0) packed.push_back(blocks_[i]);
    }
    const auto alignment =
        fallback_ != nullptr || place == Place::kPrimary ? CapabilitiesOf(place).alignment_bytes() : 64;
    const int64_t size = PackArena(packed, static_cast<int64_t>(alignment));
    size_t next = 0;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (block_places_[i] == place && blocks_[i].size_bytes > 0) blocks_[i].offset_bytes = packed[next++].offset_bytes;
    }
    return size;
  }

  Graph graph_;
  const ParamLayout& layout_;
  const Capabilities& primary_;
  const Capabilities* fallback_;
  const PlanOptions options_;

  std::vector<Place> places_;      // by node
  std::vector<int32_t> last_use_;  // by root value: the last node that reads it
  std::vector<PendingStep> steps_;
  std::vector<ArenaBlock> blocks_;
  std::vector<Place> block_places_;
  std::map<std::pair<size_t, Place>, Slot> slots_;  // where a root value lies, at each place that has it
  std::map<int32_t, Slot> states_;                  // by forward node
  std::map<size_t, int64_t> output_offsets_;
  int64_t outputs_bytes_ = 0;
  std::vector<size_t> input_values_;
  std::vector<int32_t> taken_over_;  // blocks reused in place by the node at hand
};

}  // namespace

int64_t PlanStep::bytes() const {
  int64_t sum = 0;
  for (const Location& location : inputs) sum += location.size_bytes;
  for (const Location& location : outputs) sum += location.size_bytes;
  return sum;
}

const PlanTensor* Plan::FindInput(std::string_view name) const {
  const auto found = std::find_if(inputs.begin(), inputs.end(), [&](const PlanTensor& t) { return t.name == name; });
  return found == inputs.end() ? nullptr : &*found;
}

const PlanTensor* Plan::FindOutput(std::string_view name) const {
  const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const PlanTensor& t) { return t.name == name; });
  return found == outputs.end() ? nullptr : &*found;
}

int64_t Plan::fallback_ops() const {
  return std::count_if(steps.begin(), steps.end(), [](const PlanStep& step) {
    return step.kind == PlanStep::Kind::kOp && step.place == Place::kFallback;
  });
}

int64_t Plan::fallback_copy_bytes() const {
  int64_t sum = 0;
  for (const PlanStep& step : steps) {
    if (step.kind != PlanStep::Kind::kOp) sum += step.inputs[0].size_bytes;
  }
  return sum;
}

absl::StatusOr<Plan> MakePlan(Graph graph, const ParamLayout& layout, const Capabilities& primary,
                              const Capabilities* fallback, const PlanOptions& options) {
  return Planner(std::move(graph), layout, primary, fallback, options).Run();
}

}  // namespace eddl
