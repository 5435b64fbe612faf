#include "net/sim/event_log.h"

#include <cmath>
#include <concepts>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include "net/sim/fields.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"

namespace eddl::net::sim {
namespace {

using Json = nlohmann::ordered_json;

// Converts to anything but `Struct`: for counting its fields.
template <typename Struct>
struct Anything {
  template <typename T>
  requires(!std::same_as<T, Struct>) operator T() const;
};

template <typename Struct, typename... Some>
constexpr size_t CountFields() {
  if constexpr (requires { Struct{Some{}..., Anything<Struct>{}}; }) {
    return CountFields<Struct, Some..., Anything<Struct>>();
  } else {
    return sizeof...(Some);
  }
}

template <typename T>
concept HasFields = !std::same_as<std::remove_cvref_t<decltype(kFields<T>)>, std::nullptr_t>;

template <typename T>
concept IsVariant = requires {
  std::variant_size<T>::value;
};

template <typename T>
concept IsVector = requires(T value) {
  value.push_back(value.front());
}
&&!std::same_as<T, std::string>;

template <typename Variant>
constexpr const auto& NamesOf() {
  if constexpr (std::same_as<Variant, Body>) {
    return kBodyNames;
  } else if constexpr (std::same_as<Variant, Event>) {
    return kEventNames;
  } else {
    return kActionNames;
  }
}

template <typename T>
Json Write(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return Json(ToInt(value));
  } else if constexpr (std::same_as<T, double>) {
    // JSON has no infinities.
    return std::isfinite(value) ? Json(value) : Json(std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
  } else if constexpr (IsVector<T>) {
    Json array = Json::array();
    for (const auto& item : value) array.push_back(Write(item));
    return array;
  } else if constexpr (IsVariant<T>) {
    Json object = Json::object();
    object[NamesOf<T>()[value.index()]] = std::visit([](const auto& alternative) { return Write(alternative); }, value);
    return object;
  } else if constexpr (HasFields<T>) {
    static_assert(std::tuple_size_v<std::remove_cvref_t<decltype(kFields<T>)>> == CountFields<T>(),
                  "fields.h lacks a field");
    Json object = Json::object();
    std::apply([&](const auto&... field) { ((object[field.name] = Write(value.*field.member)), ...); }, kFields<T>);
    return object;
  } else {
    return Json(value);
  }
}

// Reads into `value`; false, with `where` saying the field, if the JSON is of another form.
template <typename T>
bool Read(const Json& json, T& value, std::string& where);

template <typename Variant, size_t... kIndex>
bool ReadVariant(const Json& json, Variant& value, std::string& where, std::index_sequence<kIndex...>) {
  if (!json.is_object() || json.size() != 1) return false;
  const std::string& name = json.begin().key();
  bool known = false, good = false;
  const auto attempt = [&]<size_t kThis>() {
    if (known || name != NamesOf<Variant>()[kThis]) return;
    known = true;
    good = Read(json.begin().value(), value.template emplace<kThis>(), where);
  };
  (attempt.template operator()<kIndex>(), ...);
  if (!known) where = name;
  return good;
}

template <typename Field, typename T>
bool ReadField(const Json& json, const Field& field, T& value, std::string& where) {
  const auto it = json.find(field.name);
  where = field.name;
  return it != json.end() && Read(*it, value.*field.member, where);
}

template <typename T>
bool Read(const Json& json, T& value, std::string& where) {
  if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> number{};
    if (!Read(json, number, where)) return false;
    value = T{number};
    return true;
  } else if constexpr (std::same_as<T, bool>) {
    if (!json.is_boolean()) return false;
    value = json.get<bool>();
    return true;
  } else if constexpr (std::same_as<T, std::string>) {
    if (!json.is_string()) return false;
    value = json.get<std::string>();
    return true;
  } else if constexpr (std::same_as<T, double>) {
    if (json.is_string()) {
      const auto text = json.get<std::string>();
      value = text == "nan" ? NAN : text == "inf" ? INFINITY : -INFINITY;
      return text == "nan" || text == "inf" || text == "-inf";
    }
    if (!json.is_number()) return false;
    value = json.get<double>();
    return true;
  } else if constexpr (std::integral<T>) {
    if (!json.is_number_integer()) return false;
    value = json.get<T>();
    return true;
  } else if constexpr (IsVector<T>) {
    if (!json.is_array()) return false;
    value.clear();
    for (const Json& item : json) {
      if (!Read(item, value.emplace_back(), where)) return false;
    }
    return true;
  } else if constexpr (IsVariant<T>) {
    return ReadVariant(json, value, where, std::make_index_sequence<std::variant_size_v<T>>());
  } else {
    if (!json.is_object()) return false;
    return std::apply([&](const auto&... field) { return (ReadField(json, field, value, where) && ...); }, kFields<T>);
  }
}

uint64_t HashText(const std::string& text, uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

std::string LogLine::ToJson() const {
  Json line = Json::object();
  line["at"] = at.ns;
  line["node"] = ToInt(node);
  if (start) {
    line["start"] = Write(*start);
  } else {
    line["event"] = Write(event);
    line["actions"] = actions;
  }
  return line.dump();
}

absl::StatusOr<LogLine> LogLine::FromJson(std::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return DataLoss("not a line of an event log: " + std::string(text.substr(0, 60)));
  LogLine line;
  std::string where;
  const auto read = [&](const char* name, auto& value) {
    const auto it = json.find(name);
    where = name;
    return it != json.end() && Read(*it, value, where);
  };
  const bool starts = json.contains("start");
  const bool good =
      read("at", line.at.ns) && read("node", line.node) &&
      (starts ? read("start", line.start.emplace()) : read("event", line.event) && read("actions", line.actions));
  if (good) return line;
  return DataLoss("a line of an event log lacks '" + where +
                  "', or has it in another form: " + std::string(text.substr(0, 200)));
}

uint64_t HashOf(const Actions& actions) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const Action& action : actions) hash = Mix(HashText(ToText(action), hash));
  return hash;
}

std::string ToText(const Action& action) {
  return std::string(kActionNames[action.index()]) + " " +
         std::visit([](const auto& alternative) { return Write(alternative).dump(); }, action);
}

std::string ToText(const Event& event) {
  return std::string(kEventNames[event.index()]) + " " +
         std::visit([](const auto& alternative) { return Write(alternative).dump(); }, event);
}

}  // namespace eddl::net::sim
