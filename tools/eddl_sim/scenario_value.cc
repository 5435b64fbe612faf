// How values meet keys: types, ranges, and the words for both.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <span>
#include <sstream>
#include <type_traits>

#include <toml++/toml.h>

#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "tools/eddl_sim/scenario_keys.h"

namespace eddl::net::sim {
namespace {

constexpr std::string_view kModes[] = {"sync", "pipe", "async"};
constexpr std::string_view kCodecs[] = {"f32", "f16", "exact"};
constexpr std::string_view kOptimizers[] = {"sgd", "momentum", "adam"};
constexpr std::string_view kTasks[] = {"none", "softmax", "mlp", "sparse"};
constexpr std::string_view kFaults[] = {"reset", "crash", "hang",  "partition", "manager_crash",
                                        "slow",  "leave", "pause", "contribute"};
constexpr std::string_view kWhos[] = {"any", "worker", "leader"};

// The names of an enumeration's values, in their order.
std::span<const std::string_view> NamesOf(const Mode*) { return kModes; }
std::span<const std::string_view> NamesOf(const Codec*) { return kCodecs; }
std::span<const std::string_view> NamesOf(const OptimizerKind*) { return kOptimizers; }
std::span<const std::string_view> NamesOf(const TaskSpec::Kind*) { return kTasks; }
std::span<const std::string_view> NamesOf(const FaultKind*) { return kFaults; }
std::span<const std::string_view> NamesOf(const FaultEvent::Who*) { return kWhos; }

template <typename T>
constexpr bool kIsOptional = false;
template <typename T>
constexpr bool kIsOptional<std::optional<T>> = true;

// The shortest text that reads back as the same number, with a point so that TOML takes it for a float.
std::string FormatNumber(double value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value);
  std::string text(buffer, error == std::errc() ? end : buffer);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

// The shortest number that gives the field when it is multiplied: 0.15 ms, not 0.15000000000000002.
double Unscaled(double field, double factor) {
  const double plain = field / factor;
  for (int digits = 1; digits <= 17; ++digits) {
    char buffer[40];
    std::snprintf(buffer, sizeof(buffer), "%.*g", digits, plain);
    double rounded = 0;
    std::from_chars(buffer, buffer + std::char_traits<char>::length(buffer), rounded);
    if (rounded * factor == field) return rounded;
  }
  return plain;
}

// A bound as people write it: 1, not 1.0.
std::string FormatBound(double value) {
  std::string text = FormatNumber(value);
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

std::string RangeText(const KeyRange& range) {
  std::string text;
  if (std::isfinite(range.min)) text += (range.min_excluded ? " above " : " from ") + FormatBound(range.min);
  if (std::isfinite(range.max)) {
    if (!text.empty() && range.max_excluded) text += ",";
    text += (range.max_excluded ? " below " : " to ") + FormatBound(range.max);
  }
  return text;
}

bool InRange(const KeyRange& range, double value) {
  return (range.min_excluded ? value > range.min : value >= range.min) &&
         (range.max_excluded ? value < range.max : value <= range.max) && std::isfinite(value);
}

std::string JoinNames(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

template <typename T>
std::string FormatList(const std::vector<T>& items, std::string (*format)(const T&)) {
  std::string text = "[";
  for (const T& item : items) text += (text.size() > 1 ? ", " : "") + format(item);
  return text + "]";
}

std::string FormatNumbers(const std::vector<double>& numbers) {
  return FormatList<double>(numbers, [](const double& number) { return FormatNumber(number); });
}

std::string Describe(const KeyValue& value) {
  struct Visitor {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const { return FormatNumber(v); }
    std::string operator()(const std::string& v) const { return "the text " + QuoteToml(v); }
    std::string operator()(const std::vector<int64_t>& v) const {
      return "the list " + FormatList<int64_t>(v, [](const int64_t& item) { return std::to_string(item); });
    }
    std::string operator()(const std::vector<std::vector<double>>& v) const {
      return "the list " + FormatList<std::vector<double>>(v, FormatNumbers);
    }
  };
  return std::visit(Visitor{}, value);
}

// Puts a value into a field; false if it does not fit. One overload a field type.
struct Setter {
  const Key& key;
  const KeyValue& value;

  bool operator()(bool* field) const { return Take(field); }
  bool operator()(std::string* field) const { return Take(field); }
  bool operator()(double* field) const {
    double number = 0;
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      number = static_cast<double>(*integer);
    } else if (const auto* real = std::get_if<double>(&value)) {
      number = *real;
    } else {
      return false;
    }
    if (!InRange(key.range, number)) return false;
    *field = number * key.factor;
    return true;
  }
  template <typename Integer>
  bool operator()(Integer* field) const requires std::is_integral_v<Integer> {
    const auto* number = std::get_if<int64_t>(&value);
    return number != nullptr && SetInteger(*number, *field);
  }
  template <typename Enum>
  bool operator()(Enum* field) const requires std::is_enum_v<Enum> {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return false;
    const auto names = NamesOf(field);
    const auto found = std::find(names.begin(), names.end(), *text);
    if (found == names.end()) return false;
    *field = static_cast<Enum>(found - names.begin());
    return true;
  }
  template <typename T>
  bool operator()(std::optional<T>* field) const {
    if (const auto* text = std::get_if<std::string>(&value); text != nullptr && *text == "auto") {
      field->reset();
      return true;
    }
    T inner{};
    if (!(*this)(&inner)) return false;
    *field = inner;
    return true;
  }
  bool operator()(std::vector<uint32_t>* field) const {
    const auto* list = std::get_if<std::vector<int64_t>>(&value);
    if (list == nullptr) return false;
    std::vector<uint32_t> items(list->size());
    for (size_t i = 0; i < list->size(); ++i) {
      if (!SetInteger((*list)[i], items[i])) return false;
    }
    *field = std::move(items);
    return true;
  }
  bool operator()(std::vector<RateChange>* field) const {
    std::vector<RateChange> changes;
    if (const auto* empty = std::get_if<std::vector<int64_t>>(&value); empty == nullptr || !empty->empty()) {
      const auto* rows = std::get_if<std::vector<std::vector<double>>>(&value);
      if (rows == nullptr) return false;
      for (const std::vector<double>& row : *rows) {
        if (row.size() != 2 || !InRange(key.range, row[0]) || !InRange(key.range, row[1])) return false;
        if (!changes.empty() && row[0] < changes.back().at_seconds) return false;
        changes.push_back({.at_seconds = row[0], .factor = row[1]});
      }
    }
    *field = std::move(changes);
    return true;
  }

 private:
  template <typename T>
  bool Take(T* field) const {
    const T* typed = std::get_if<T>(&value);
    if (typed != nullptr) *field = *typed;
    return typed != nullptr;
  }
  template <typename Integer>
  bool SetInteger(int64_t number, Integer& field) const {
    if (!InRange(key.range, static_cast<double>(number)) || !std::in_range<Integer>(number)) return false;
    field = static_cast<Integer>(number);
    return true;
  }
};

// The field's value in TOML. One overload a field type.
struct Formatter {
  const Key& key;

  std::string operator()(const bool* field) const { return *field ? "true" : "false"; }
  std::string operator()(const std::string* field) const { return QuoteToml(*field); }
  std::string operator()(const double* field) const { return FormatNumber(Unscaled(*field, key.factor)); }
  template <typename Integer>
  std::string operator()(const Integer* field) const requires std::is_integral_v<Integer> {
    return std::to_string(*field);
  }
  template <typename Enum>
  std::string operator()(const Enum* field) const requires std::is_enum_v<Enum> {
    return QuoteToml(NamesOf(field)[static_cast<size_t>(*field)]);
  }
  template <typename T>
  std::string operator()(const std::optional<T>* field) const {
    return field->has_value() ? (*this)(&**field) : "\"auto\"";
  }
  std::string operator()(const std::vector<uint32_t>* field) const {
    return FormatList<uint32_t>(*field, [](const uint32_t& item) { return std::to_string(item); });
  }
  std::string operator()(const std::vector<RateChange>* field) const {
    return FormatList<RateChange>(*field, [](const RateChange& change) {
      return FormatNumbers({change.at_seconds, change.factor});
    });
  }
};

// What a field accepts, without the range. One overload a field type.
struct Expectation {
  std::string operator()(const bool*) const { return "true or false"; }
  std::string operator()(const std::string*) const { return "text"; }
  std::string operator()(const double*) const { return "number"; }
  template <typename Integer>
  std::string operator()(const Integer*) const requires std::is_integral_v<Integer> {
    return "integer";
  }
  template <typename Enum>
  std::string operator()(const Enum* field) const requires std::is_enum_v<Enum> {
    return "one of " + JoinNames(NamesOf(field));
  }
  template <typename T>
  std::string operator()(const std::optional<T>*) const {
    const std::string inner = (*this)(static_cast<const T*>(nullptr));
    return inner.starts_with("one of ") ? "one of auto, " + inner.substr(7) : "\"auto\" or " + inner;
  }
  std::string operator()(const std::vector<uint32_t>*) const { return "list of integers"; }
  std::string operator()(const std::vector<RateChange>*) const {
    return "list of [seconds, factor], sorted by seconds, of numbers";
  }
};

std::string_view LastWord(std::string_view name) { return name.substr(name.rfind('.') + 1); }

}  // namespace

const Key* FindKey(const std::vector<Key>& keys, std::string_view name) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

std::string NearestName(std::string_view name, const std::vector<std::string>& names) {
  // Whole names first; the last word alone decides between equals, so that "batch_size" finds job.batch_size.
  const auto distance = [&](const std::string& candidate) {
    const size_t whole = EditDistance(name, candidate);
    const size_t last = EditDistance(LastWord(name), LastWord(candidate));
    return std::pair(std::min(whole, 2 * last), whole);
  };
  return *std::min_element(names.begin(), names.end(),
                           [&](const std::string& a, const std::string& b) { return distance(a) < distance(b); });
}

std::string QuoteToml(std::string_view text) {
  std::ostringstream quoted;
  quoted << toml::toml_formatter{toml::value<std::string>{text}, toml::format_flags::none};
  return quoted.str();
}

std::string ExpectationOf(const Key& key) {
  return std::visit([](const auto* field) { return Expectation()(field); }, key.field) + RangeText(key.range);
}

absl::Status SetValue(const Key& key, const KeyValue& value) {
  if (std::visit([&](auto* field) { return Setter{key, value}(field); }, key.field)) return absl::OkStatus();
  return InvalidArgument(key.name + ": expected " + ExpectationOf(key) + "; got " + Describe(value));
}

std::string FormatValue(const Key& key) {
  return std::visit([&](const auto* field) { return Formatter{key}(field); }, key.field);
}

}  // namespace eddl::net::sim
