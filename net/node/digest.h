// Digest: 128 bits that name the state of a machine, for checkers that must know a state when they see it again.
//
// Not for secrets, and not a wire format. Pure; one thread.
//
// States that differ in names alone should get one digest: who numbers the workers the other way round explores the
// same protocol. So ids pass through a Names table on their way in; and what is sorted by id (maps, sets of ids) is
// digested without its order, since renaming would change that. Left out: strings (they are for people) and instants
// and durations (the same state at another time is the same state).
//
// A class with private state has a `template <typename D> void AddTo(D& digest) const`, which names all of its members
// with one structured binding of *this, and then adds or omits each: one that is added to the class and not named there
// does not compile. A struct that leaves some out has `template <typename D> static void AddTo(D& digest, const S& s)`
// for that, whose names are free. Plain structs of up to twelve fields need nothing.
#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "net/ids.h"
#include "net/messages.h"
#include "net/shard_map.h"
#include "runtime/base/rng.h"
#include "runtime/base/time.h"

namespace eddl::net {

struct DigestValue {
  uint64_t low = 0;
  uint64_t high = 0;

  auto operator<=>(const DigestValue&) const = default;
  // Of a set: the sum over its elements, in any order.
  DigestValue& operator+=(const DigestValue& other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  DigestValue& operator-=(const DigestValue& other) {
    low -= other.low;
    high -= other.high;
    return *this;
  }
};

// What ids are called in a digest. Ids that a table does not have keep their names.
struct Names {
  std::vector<NodeId> nodes;              // by node
  std::vector<MicroBatch> micro_batches;  // by micro-batch
  std::vector<Stripe> stripes;            // by stripe
  std::map<Incarnation, Incarnation> incarnations;
  std::unordered_map<uint64_t, uint64_t> covers;  // CoverHash of a set, and of the set renamed
};

// A payload is named by what is in it.
using PayloadDigests = std::map<Payload, DigestValue>;

namespace digest_internal {

// Stands for a field of any type.
struct AnyField {
  template <typename T>
  operator T() const;
};

// How many fields a plain struct has: as many as braces take.
template <typename T, typename... Fields>
consteval size_t CountFields() {
  if constexpr (requires { T{Fields{}..., AnyField{}}; }) {
    return CountFields<T, Fields..., AnyField>();
  } else {
    return sizeof...(Fields);
  }
}

// Sorted by an id, so that renaming may change its order.
template <typename T>
constexpr bool kIsNamed =
    std::is_same_v<T, NodeId> || std::is_same_v<T, MicroBatch> || std::is_same_v<T, Contributor> ||
    std::is_same_v<T, StripeRange> || std::is_same_v<T, Shard> || std::is_same_v<T, Held> ||
    std::is_same_v<T, LeaderShare> || std::is_same_v<T, Transfer>;

}  // namespace digest_internal

class Digest {
 public:
  // Both outlive the digest. Payloads that are not in the table keep their ids.
  explicit Digest(const Names& names, const PayloadDigests* payloads = nullptr) : names_(names), payloads_(payloads) {}

  template <typename... T>
  void Add(const T&... values) {
    (AddOne(values), ...);
  }

  // What the digest leaves out: times and speeds, what follows from the rest, what only people see.
  template <typename... T>
  void Omit(const T&...) {}

  // A set of parts, in any order.
  template <typename Range, typename AddPart>
  void AddUnordered(const Range& range, AddPart add_part) {
    DigestValue sum;
    uint64_t count = 0;
    for (const auto& element : range) {
      Digest part(names_, payloads_);
      add_part(part, element);
      sum += part.value();
      ++count;
    }
    Add(count, sum);
  }

  DigestValue value() const { return {Mix(low_), Mix(high_ ^ low_)}; }

 private:
  void AddWord(uint64_t word) {
    low_ = Mix(low_ ^ word);
    high_ = Mix(high_ + word * 0x9e3779b97f4a7c15u);
  }

  template <typename Id>
  static Id Rename(const std::vector<Id>& table, Id id) {
    return ToInt(id) < table.size() ? table[ToInt(id)] : id;
  }

  void AddOne(NodeId id) { AddWord(ToInt(Rename(names_.nodes, id))); }
  void AddOne(MicroBatch id) { AddWord(ToInt(Rename(names_.micro_batches, id))); }
  void AddOne(Stripe id) { AddWord(ToInt(Rename(names_.stripes, id))); }
  void AddOne(Payload id) {
    const DigestValue* value = nullptr;
    if (payloads_ != nullptr) {
      if (const auto it = payloads_->find(id); it != payloads_->end()) value = &it->second;
    }
    AddOne(value != nullptr ? *value : DigestValue{ToInt(id), 0});
  }
  void AddOne(const Incarnation& incarnation) {
    const auto it = names_.incarnations.find(incarnation);
    const Incarnation& named = it != names_.incarnations.end() ? it->second : incarnation;
    AddWord(ToInt(named.view));
    AddWord(named.counter);
  }
  void AddOne(const DigestValue& value) {
    AddWord(value.low);
    AddWord(value.high);
  }
  void AddOne(const std::string&) {}
  void AddOne(Duration) {}
  void AddOne(Instant) {}
  void AddOne(double value) { AddWord(std::bit_cast<uint64_t>(value)); }
  void AddOne(uint64_t value) {
    // Small numbers are no hashes.
    const auto it = value >> 32 == 0 ? names_.covers.end() : names_.covers.find(value);
    AddWord(it != names_.covers.end() ? it->second : value);
  }

  template <typename T>
  void AddOne(const std::vector<T>& values) {
    if constexpr (std::is_same_v<T, StripeRange>) {
      AddStripes(values);
    } else if constexpr (digest_internal::kIsNamed<T>) {
      AddUnordered(values, [](Digest& part, const T& value) { part.Add(value); });
    } else {
      AddWord(values.size());
      for (const auto& value : values) Add(static_cast<const T&>(value));
    }
  }
  template <typename T>
  void AddOne(const std::deque<T>& values) {
    AddWord(values.size());
    for (const T& value : values) Add(value);
  }
  template <typename K, typename V>
  void AddOne(const std::map<K, V>& values) {
    AddUnordered(values, [](Digest& part, const auto& entry) { part.Add(entry.first, entry.second); });
  }
  template <typename K, typename V>
  void AddOne(const absl::btree_map<K, V>& values) {
    AddUnordered(values, [](Digest& part, const auto& entry) { part.Add(entry.first, entry.second); });
  }
  template <typename T>
  void AddOne(const std::set<T>& values) {
    AddUnordered(values, [](Digest& part, const T& value) { part.Add(value); });
  }
  template <typename A, typename B>
  void AddOne(const std::pair<A, B>& pair) {
    Add(pair.first, pair.second);
  }
  template <typename T>
  void AddOne(const std::optional<T>& value) {
    AddWord(value.has_value());
    if (value) Add(*value);
  }
  template <typename... T>
  void AddOne(const std::variant<T...>& value) {
    AddWord(value.index());
    std::visit([this](const auto& alternative) { Add(alternative); }, value);
  }

  template <typename T>
  void AddOne(const T& value) {
    if constexpr (requires { value.AddTo(*this); }) {
      value.AddTo(*this);
    } else if constexpr (requires { T::AddTo(*this, value); }) {
      T::AddTo(*this, value);
    } else if constexpr (std::is_enum_v<T>) {
      AddWord(static_cast<uint64_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
      AddOne(static_cast<uint64_t>(value));
    } else {
      AddFields(value);
    }
  }

  // Ranges of stripes are sets of stripes.
  void AddStripes(const std::vector<StripeRange>& ranges) {
    std::vector<Stripe> stripes;
    for (const StripeRange& range : ranges) {
      for (Stripe s = range.begin; s < range.end; s = Stripe{ToInt(s) + 1}) stripes.push_back(s);
    }
    AddUnordered(stripes, [](Digest& part, Stripe stripe) { part.Add(stripe); });
  }

  template <typename T>
  void AddFields(const T& value) {
    static_assert(std::is_aggregate_v<T>, "give the class an AddTo");
    constexpr size_t kCount = digest_internal::CountFields<T>();
    if constexpr (kCount == 0) {
      static_assert(std::is_empty_v<T>);
    } else if constexpr (kCount == 1) {
      const auto& [a] = value;
      Add(a);
    } else if constexpr (kCount == 2) {
      const auto& [a, b] = value;
      Add(a, b);
    } else if constexpr (kCount == 3) {
      const auto& [a, b, c] = value;
      Add(a, b, c);
    } else if constexpr (kCount == 4) {
      const auto& [a, b, c, d] = value;
      Add(a, b, c, d);
    } else if constexpr (kCount == 5) {
      const auto& [a, b, c, d, e] = value;
      Add(a, b, c, d, e);
    } else if constexpr (kCount == 6) {
      const auto& [a, b, c, d, e, f] = value;
      Add(a, b, c, d, e, f);
    } else if constexpr (kCount == 7) {
      const auto& [a, b, c, d, e, f, g] = value;
      Add(a, b, c, d, e, f, g);
    } else if constexpr (kCount == 8) {
      const auto& [a, b, c, d, e, f, g, h] = value;
      Add(a, b, c, d, e, f, g, h);
    } else {
      AddManyFields<kCount>(value);
    }
  }

  template <size_t kCount, typename T>
  void AddManyFields(const T& value) {
    if constexpr (kCount == 9) {
      const auto& [a, b, c, d, e, f, g, h, i] = value;
      Add(a, b, c, d, e, f, g, h, i);
    } else if constexpr (kCount == 10) {
      const auto& [a, b, c, d, e, f, g, h, i, j] = value;
      Add(a, b, c, d, e, f, g, h, i, j);
    } else if constexpr (kCount == 11) {
      const auto& [a, b, c, d, e, f, g, h, i, j, k] = value;
      Add(a, b, c, d, e, f, g, h, i, j, k);
    } else {
      static_assert(kCount == 12, "give the struct an AddTo");
      const auto& [a, b, c, d, e, f, g, h, i, j, k, l] = value;
      Add(a, b, c, d, e, f, g, h, i, j, k, l);
    }
  }

  const Names& names_;
  const PayloadDigests* payloads_;
  uint64_t low_ = 0x243f6a8885a308d3u;
  uint64_t high_ = 0x13198a2e03707344u;
};

}  // namespace eddl::net
