#include "tests/net/wire/random_messages.h"

#include <algorithm>
#include <bit>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "net/fields.h"
#include "net/node/journal_fields.h"
#include "runtime/base/check.h"

namespace eddl::net {
namespace {

template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsVariant = false;
template <typename... T>
inline constexpr bool kIsVariant<std::variant<T...>> = true;
template <typename T>
concept HasFields = !std::is_same_v<std::remove_cvref_t<decltype(kFields<T>)>, std::nullptr_t>;

// Of every size, so that varints of every length occur.
uint64_t Random(Rng& rng, int bits) {
  return rng.Next() >> (64 - bits + static_cast<int>(rng.Below(static_cast<uint64_t>(bits))));
}

void Fill(Rng& rng, bool& value) { value = rng.Below(2) == 1; }
void Fill(Rng& rng, uint32_t& value) { value = static_cast<uint32_t>(Random(rng, 32)); }
void Fill(Rng& rng, uint64_t& value) { value = rng.Below(4) == 0 ? rng.Next() : Random(rng, 62); }
void Fill(Rng& rng, int64_t& value) { value = static_cast<int64_t>(Random(rng, 40)); }
void Fill(Rng& rng, double& value) { value = rng.Below(4) == 0 ? 0 : rng.Uniform(0, 1e9) * rng.Uniform(); }
void Fill(Rng& rng, NodeId& value) { value = NodeId{1 + static_cast<uint32_t>(Random(rng, 31))}; }
void Fill(Rng& rng, Part& value) { value = Part{static_cast<uint32_t>(Random(rng, 32))}; }
void Fill(Rng& rng, View& value) { value = View{Random(rng, 62)}; }
void Fill(Rng& rng, Version& value) { value = Version{Random(rng, 62)}; }
void Fill(Rng& rng, Payload& value) { value = Payload{rng.Next()}; }
void Fill(Rng& rng, Mode& value) { value = static_cast<Mode>(rng.Below(3)); }
void Fill(Rng& rng, Codec& value) { value = static_cast<Codec>(rng.Below(3)); }
void Fill(Rng& rng, LeaseKind& value) { value = static_cast<LeaseKind>(rng.Below(2)); }
void Fill(Rng& rng, std::string& value) {
  constexpr const char* kPieces[] = {"a", " lost", "µ", "…", "\n", "名", "🙂"};
  value.clear();
  for (uint64_t left = rng.Below(6); left > 0; --left) value += kPieces[rng.Below(std::size(kPieces))];
}
void Fill(Rng& rng, std::vector<MicroBatch>& list) {
  uint64_t next = Random(rng, 50);
  list.clear();
  for (uint64_t runs = rng.Below(4); runs > 0; --runs) {
    for (uint64_t left = 1 + rng.Below(20); left > 0; --left) list.push_back(MicroBatch{next++});
    next += 1 + Random(rng, 40);
  }
}
void Fill(Rng& rng, std::vector<StripeRange>& list) {
  uint32_t next = static_cast<uint32_t>(rng.Below(3));
  list.clear();
  for (uint64_t left = 1 + rng.Below(4); left > 0; --left) {
    const uint32_t end = next + 1 + static_cast<uint32_t>(rng.Below(5));
    list.push_back({.begin = Stripe{next}, .end = Stripe{end}});
    next = end + static_cast<uint32_t>(rng.Below(3));
  }
}
void Fill(Rng& rng, ShardMap& map) {
  std::vector<LeaderShare> leaders;
  uint32_t node = 0;
  for (uint64_t left = rng.Below(4); left > 0; --left) {
    node += 1 + static_cast<uint32_t>(rng.Below(200));
    leaders.push_back({.node = NodeId{node}, .fraction = rng.Uniform(0.1, 1)});
  }
  map = leaders.empty() ? ShardMap{} : DealStripes(leaders, 8 + static_cast<uint32_t>(rng.Below(30)));
}

template <HasFields T>
void Fill(Rng& rng, T& value);

template <HasFields T>
void Fill(Rng& rng, std::vector<T>& list) {
  list.resize(rng.Below(4));
  for (T& value : list) Fill(rng, value);
  if constexpr (std::is_same_v<T, Contributor>) std::sort(list.begin(), list.end());
  if constexpr (std::is_same_v<T, CommitRecord>) {
    for (size_t i = 0; i < list.size(); ++i) list[i].round = Version{100 * i + rng.Below(100)};
  }
}
void Fill(Rng& rng, std::vector<NodeId>& list) {
  list.resize(rng.Below(4));
  for (NodeId& node : list) Fill(rng, node);
}

void Fill(Rng& rng, std::vector<View>& list) {
  list.resize(rng.Below(4));
  for (View& view : list) Fill(rng, view);
}

// What the types do not say.
template <typename T>
void Mend(Rng& rng, T& value) {
  if constexpr (std::is_same_v<T, Held>) {
    if (value.oldest > value.newest) std::swap(value.oldest, value.newest);
    if (rng.Below(4) == 0) value.oldest = value.newest = kNoVersion;
  } else if constexpr (std::is_same_v<T, Capabilities>) {
    value.beat_period.ns += 1;
  } else if constexpr (std::is_same_v<T, CommitRecord>) {
    value.step = 1 + Random(rng, 40);
  } else if constexpr (std::is_same_v<T, Grant>) {
    if (value.micro_batches.empty()) value.last = true;
  } else if constexpr (std::is_same_v<T, Done>) {
    if (value.micro_batches.empty()) value.micro_batches.push_back(MicroBatch{rng.Below(1000)});
    value.correct = std::min(value.correct, value.samples);
  } else if constexpr (std::is_same_v<T, Push>) {
    value.samples += 1;
  } else if constexpr (std::is_same_v<T, Start>) {
    while (value.map.shards.empty()) Fill(rng, value.map);
  } else if constexpr (std::is_same_v<T, DataBlock>) {
    value.first_row %= kDataRowsMax / 2;
    value.row_count = 1 + value.row_count % (kDataRowsMax / 2);
  } else if constexpr (std::is_same_v<T, JournalAway>) {
    std::sort(value.owners.begin(), value.owners.end());
    value.owners.erase(std::unique(value.owners.begin(), value.owners.end()), value.owners.end());
  } else if constexpr (std::is_same_v<T, Pull>) {
    if (rng.Below(2) == 0) value.have = kNoVersion;
  }
}

template <HasFields T>
void Fill(Rng& rng, T& value) {
  std::apply([&](const auto&... field) { (Fill(rng, value.*field.member), ...); }, kFields<T>);
  Mend(rng, value);
}

template <typename Variant>
Variant FillAlternative(size_t kind, Rng& rng) {
  Variant result;
  [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
    const auto fill = [&](auto alternative, size_t index) {
      if (index != kind) return;
      Fill(rng, alternative);
      result = std::move(alternative);
    };
    (fill(std::variant_alternative_t<kIndex, Variant>{}, kIndex), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Variant>>());
  return result;
}

template <typename T>
bool Equal(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, double>) {
    return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
  } else if constexpr (kIsVariant<T>) {
    if (a.index() != b.index()) return false;
    return std::visit(
        [&](const auto& alternative) {
          return Equal(alternative, std::get<std::remove_cvref_t<decltype(alternative)>>(b));
        },
        a);
  } else if constexpr (HasFields<T>) {
    bool equal = true;
    [[maybe_unused]] const auto compare = [&](const auto& f) {
      using Member = std::remove_cvref_t<decltype(a.*f.member)>;
      if (std::is_same_v<Member, Payload> || f.name == std::string("intact")) return;
      equal = equal && Equal(a.*f.member, b.*f.member);
    };
    std::apply([&](const auto&... field) { (compare(field), ...); }, kFields<T>);
    return equal;
  } else if constexpr (kIsVector<T>) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return Equal(x, y); });
  } else {
    return a == b;
  }
}

}  // namespace

template <>
inline constexpr auto kFields<JournalHeader> = std::tuple{Field{"job", &JournalHeader::job}};

Body RandomBody(size_t kind, Rng& rng) { return FillAlternative<Body>(kind, rng); }

Message RandomMessage(size_t kind, Rng& rng) {
  Message message;
  Fill(rng, message.view);
  Fill(rng, message.incarnation);
  message.body = RandomBody(kind, rng);
  return message;
}

Parcel RandomParcel(size_t kind, Rng& rng) {
  EDDL_CHECK(kind >= 1 && kind < std::variant_size_v<Parcel>) << kind;
  if (kind == 1) {
    Directory directory;
    uint32_t node = 0;
    for (uint64_t left = rng.Below(5); left > 0; --left) {
      node += 1 + static_cast<uint32_t>(rng.Below(100));
      const bool reachable = rng.Below(4) > 0;
      directory.entries.push_back(
          {.node = NodeId{node}, .address = reachable ? "10.0.0.1:" + std::to_string(node) : ""});
      if (rng.Below(3) == 0) directory.revoked.push_back(NodeId{node + 7});
    }
    return directory;
  }
  if (kind == 2) {
    Opening opening = {.protocol_min = 1 + static_cast<uint32_t>(rng.Below(3)), .job_id = "3f2a", .lane = Lane::kBulk};
    opening.protocol_max = opening.protocol_min + static_cast<uint32_t>(rng.Below(3));
    Fill(rng, opening.from);
    Fill(rng, opening.connection);
    return opening;
  }
  if (kind == 3) {
    Opened opened = {.protocol = static_cast<uint32_t>(rng.Below(3))};
    Fill(rng, opened.error);
    return opened;
  }
  if (kind == 6) {
    DataBlocks blocks;
    for (uint64_t left = rng.Below(4); left > 0; --left) {
      blocks.blocks.push_back({.first_row = static_cast<int64_t>(rng.Below(1000)),
                               .row_count = 1 + static_cast<int64_t>(rng.Below(1000)),
                               .owner = NodeId{static_cast<uint32_t>(rng.Below(3))},
                               .first_epoch = static_cast<int64_t>(rng.Below(3)),
                               .hash = rng.Next()});
    }
    return blocks;
  }
  int64_t sent_ns = 0;
  Fill(rng, sent_ns);
  if (kind == 4) return Ping{.sent_ns = sent_ns};
  return Pong{.sent_ns = -sent_ns};
}

JournalEntry RandomEntry(size_t kind, Rng& rng) { return FillAlternative<JournalEntry>(kind, rng); }

bool AreEqual(const Parcel& a, const Parcel& b) { return Equal(a, b); }

bool AreEqual(const JournalEntry& a, const JournalEntry& b) { return Equal(a, b); }

}  // namespace eddl::net
