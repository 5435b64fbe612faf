#include "net/sim/trace.h"

#include <bit>
#include <cstdio>

#include "net/node/overloaded.h"
#include "net/sim/fields.h"
#include "runtime/base/rng.h"

namespace eddl::net::sim {
namespace {

// The two numbers that say most about a message or event: which round or version, and which part of it.
struct Numbers {
  uint64_t round = 0;
  uint64_t detail = 0;
};

uint64_t FirstOf(const std::vector<MicroBatch>& mbs) { return mbs.empty() ? 0 : ToInt(mbs.front()); }

Numbers NumbersOf(const Body& body) {
  return std::visit(Overloaded{
                        [](const Grant& m) {
                          return Numbers{ToInt(m.round), FirstOf(m.micro_batches)};
                        },
                        [](const Done& m) {
                          return Numbers{ToInt(m.round), FirstOf(m.micro_batches)};
                        },
                        [](const Cancel& m) {
                          return Numbers{ToInt(m.round), FirstOf(m.micro_batches)};
                        },
                        [](const Assign& m) {
                          return Numbers{ToInt(m.into), ToInt(m.part)};
                        },
                        [](const Drop& m) {
                          return Numbers{ToInt(m.round), ToInt(m.part)};
                        },
                        [](const Close& m) {
                          return Numbers{ToInt(m.round), m.attempt};
                        },
                        [](const Push& m) {
                          return Numbers{ToInt(m.round), ToInt(m.part)};
                        },
                        [](const Nack& m) {
                          return Numbers{ToInt(m.round), ToInt(m.part)};
                        },
                        [](const Staged& m) {
                          return Numbers{ToInt(m.round), m.attempt};
                        },
                        [](const Waiting& m) {
                          return Numbers{ToInt(m.round), m.attempt};
                        },
                        [](const Commit& m) {
                          return Numbers{ToInt(m.record.round), std::bit_cast<uint64_t>(m.record.scale)};
                        },
                        [](const Replica& m) {
                          return Numbers{ToInt(m.record.round), 0};
                        },
                        [](const ReplicaOk& m) {
                          return Numbers{ToInt(m.version), 0};
                        },
                        [](const Publish& m) {
                          return Numbers{ToInt(m.version), 0};
                        },
                        [](const Pull& m) {
                          return Numbers{ToInt(m.have), 0};
                        },
                        [](const Start& m) {
                          return Numbers{ToInt(m.version), m.map.shards.size()};
                        },
                        [](const Welcome& m) {
                          return Numbers{ToInt(m.version), m.map.shards.size()};
                        },
                        [](const Move& m) {
                          return Numbers{ToInt(m.version), m.backup};
                        },
                        [](const Fence& m) {
                          return Numbers{ToInt(m.node), m.incarnation.counter};
                        },
                        [](const auto&) { return Numbers{}; },
                    },
                    body);
}

}  // namespace

std::string ToString(Instant at) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.6f s", (at - Instant{}).seconds());
  return text;
}

void Trace::Add(Instant at, NodeId node, const Event& event) {
  Line line{.at = at, .node = node, .event = static_cast<uint8_t>(event.index())};
  const auto set = [&line](Numbers numbers) {
    line.round = numbers.round;
    line.detail = numbers.detail;
  };
  std::visit(Overloaded{
                 [&](const Received& e) {
                   line.from = e.from;
                   line.body = static_cast<uint8_t>(e.message.body.index());
                   line.view = ToInt(e.message.view);
                   set(NumbersOf(e.message.body));
                 },
                 [&](const PeerUp& e) { line.from = e.node; },
                 [&](const PeerDown& e) { line.from = e.node; },
                 [&](const LeaseFinished& e) {
                   set({ToInt(e.done.round), FirstOf(e.done.micro_batches)});
                   line.view = std::bit_cast<uint64_t>(e.done.loss_sum);
                 },
                 [&](const Sealed& e) {
                   set({ToInt(e.round), std::bit_cast<uint64_t>(e.norm2)});
                 },
                 [&](const Loaded& e) {
                   set({ToInt(e.version), e.backup});
                 },
                 [&](const Journaled& e) {
                   set({ToInt(e.below), 0});
                 },
                 [&](const auto&) {},
             },
             event);
  Keep(line);
}

void Trace::AddMark(Instant at, NodeId node, const char* what) { Keep({.at = at, .node = node, .mark = what}); }

void Trace::Keep(const Line& line) {
  lines_[static_cast<size_t>(count_++) % kKept] = line;
  const uint64_t who = uint64_t{ToInt(line.node)} << 32 | ToInt(line.from);
  const uint64_t what = uint64_t{line.event} << 16 | uint64_t{line.body} << 8 | (line.mark != nullptr ? 1 : 0);
  hash_ = Mix(hash_ ^ static_cast<uint64_t>(line.at.ns)) + Mix(who ^ what << 40 ^ Mix(line.view));
  hash_ = Mix(hash_ ^ line.round) + line.detail;
}

std::string Trace::ToText(const Line& line) {
  const auto name = [](NodeId node) { return node == kManager ? std::string("M") : std::to_string(ToInt(node)); };
  const std::string start = ToString(line.at) + "  " + name(line.node);
  if (line.mark != nullptr) return start + " * " + line.mark;
  const std::string numbers = " " + std::to_string(line.round) + " " + std::to_string(line.detail);
  if (line.event != Event(Received{}).index()) {
    const bool peer = line.event == Event(PeerUp{}).index() || line.event == Event(PeerDown{}).index();
    return start + " " + kEventNames[line.event] + (peer ? " " + name(line.from) : numbers);
  }
  return start + " <- " + name(line.from) + " " + kBodyNames[line.body] + numbers + " v" + std::to_string(line.view);
}

std::vector<std::string> Trace::Last() const {
  std::vector<std::string> text;
  const int64_t first = count_ > static_cast<int64_t>(kKept) ? count_ - static_cast<int64_t>(kKept) : 0;
  for (int64_t i = first; i < count_; ++i) text.push_back(ToText(lines_[static_cast<size_t>(i) % kKept]));
  return text;
}

}  // namespace eddl::net::sim
