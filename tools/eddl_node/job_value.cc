// How values meet keys: types, ranges, and the words for both.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "tools/eddl_node/job_keys.h"

namespace eddl {
namespace {

// The shortest text that reads back as the same number, with a point so that TOML takes it for a float.
std::string FormatNumber(double value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value);
  std::string text(buffer, error == std::errc() ? end : buffer);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

// A bound as people write it: 1, not 1.0.
std::string FormatBound(double value) {
  std::string text = FormatNumber(value);
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

std::string RangeText(const JobRange& range) {
  std::string text;
  if (std::isfinite(range.min)) text += (range.min_excluded ? " above " : " from ") + FormatBound(range.min);
  if (std::isfinite(range.max)) {
    if (!text.empty() && range.max_excluded) text += ",";
    text += (range.max_excluded ? " below " : " to ") + FormatBound(range.max);
  }
  return text;
}

bool InRange(const JobRange& range, double value) {
  return (range.min_excluded ? value > range.min : value >= range.min) &&
         (range.max_excluded ? value < range.max : value <= range.max) && !std::isnan(value);
}

template <typename T>
std::string FormatList(const std::vector<T>& items) {
  std::string text = "[";
  for (const T& item : items) {
    if (text.size() > 1) text += ", ";
    if constexpr (std::is_same_v<T, std::string>) {
      text += QuoteToml(item);
    } else {
      text += std::to_string(item);
    }
  }
  return text + "]";
}

std::string FormatAny(bool value) { return value ? "true" : "false"; }
std::string FormatAny(int64_t value) { return std::to_string(value); }
std::string FormatAny(double value) { return FormatNumber(value); }
std::string FormatAny(const std::string& value) { return QuoteToml(value); }
std::string FormatAny(const std::vector<int64_t>& value) { return FormatList(value); }
std::string FormatAny(const std::vector<std::string>& value) { return FormatList(value); }
std::string FormatAny(const std::optional<int64_t>& value) {
  return value.has_value() ? std::to_string(*value) : "\"auto\"";
}

std::string DescribeValue(const JobValue& value) {
  struct Visitor {
    std::string operator()(bool v) const { return FormatAny(v); }
    std::string operator()(int64_t v) const { return FormatAny(v); }
    std::string operator()(double v) const { return FormatAny(v); }
    std::string operator()(const std::string& v) const { return "the text " + QuoteToml(v); }
    std::string operator()(const std::vector<int64_t>& v) const { return "the list " + FormatList(v); }
    std::string operator()(const std::vector<std::string>& v) const { return "the list " + FormatList(v); }
  };
  return std::visit(Visitor{}, value);
}

// Puts a value into a field; false if it does not fit. One overload a field type.
struct Setter {
  const JobKey& key;
  const JobValue& value;

  bool operator()(bool& field) const { return Take(field); }
  bool operator()(int64_t& field) const {
    const auto* number = std::get_if<int64_t>(&value);
    return number != nullptr && InRange(key.range, static_cast<double>(*number)) && Take(field);
  }
  bool operator()(double& field) const {
    double number = 0.0;
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      number = static_cast<double>(*integer);
    } else if (const auto* real = std::get_if<double>(&value)) {
      number = *real;
    } else {
      return false;
    }
    if (!std::isfinite(number) || !InRange(key.range, number)) return false;
    field = number;
    return true;
  }
  bool operator()(std::string& field) const {
    if (const auto* integer = std::get_if<int64_t>(&value); integer != nullptr && key.integer_as_text) {
      field = std::to_string(*integer);
      return true;
    }
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return false;
    if (!key.choices.empty() && std::find(key.choices.begin(), key.choices.end(), *text) == key.choices.end()) {
      return false;
    }
    return Take(field);
  }
  bool operator()(std::vector<int64_t>& field) const {
    const auto* list = std::get_if<std::vector<int64_t>>(&value);
    if (list == nullptr) return TakeEmpty(field);
    const auto fits = [&](int64_t item) { return InRange(key.range, static_cast<double>(item)); };
    return std::all_of(list->begin(), list->end(), fits) && Take(field);
  }
  bool operator()(std::vector<std::string>& field) const { return Take(field) || TakeEmpty(field); }
  bool operator()(std::optional<int64_t>& field) const {
    if (const auto* text = std::get_if<std::string>(&value)) {
      if (*text != "auto") return false;
      field.reset();
      return true;
    }
    const auto* number = std::get_if<int64_t>(&value);
    if (number == nullptr || !InRange(key.range, static_cast<double>(*number))) return false;
    field = *number;
    return true;
  }

 private:
  template <typename T>
  bool Take(T& field) const {
    const T* typed = std::get_if<T>(&value);
    if (typed != nullptr) field = *typed;
    return typed != nullptr;
  }
  // An empty list has no element type, so that it fits any list.
  template <typename T>
  bool TakeEmpty(std::vector<T>& field) const {
    const auto is_empty = [](const auto* list) { return list != nullptr && list->empty(); };
    if (!is_empty(std::get_if<std::vector<int64_t>>(&value)) &&
        !is_empty(std::get_if<std::vector<std::string>>(&value))) {
      return false;
    }
    field.clear();
    return true;
  }
};

std::string_view LastWord(std::string_view name) { return name.substr(name.rfind('.') + 1); }

}  // namespace

const JobKey& NearestJobKey(std::string_view name) {
  const auto keys = JobKeys();
  // Whole names first; the last word alone decides between equals, so that "batch" finds train.batch.
  const auto distance = [&](const JobKey& key) {
    const size_t whole = EditDistance(name, key.name);
    const size_t last = EditDistance(LastWord(name), LastWord(key.name));
    return std::pair(std::min(whole, 2 * last), whole);
  };
  return *std::min_element(keys.begin(), keys.end(),
                           [&](const JobKey& a, const JobKey& b) { return distance(a) < distance(b); });
}

std::string QuoteToml(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += std::string{'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr char kHex[] = "0123456789abcdef";
      quoted += std::string("\\u00") + kHex[(c >> 4) & 0xf] + kHex[c & 0xf];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string ExpectationOf(const JobKey& key) {
  if (!key.choices.empty()) {
    std::string text = "one of ";
    for (const std::string_view choice : key.choices) {
      if (!text.ends_with("of ")) text += ", ";
      text += choice;
    }
    return text;
  }
  constexpr std::string_view kNames[] = {
      "true or false", "integer", "number", "text", "list of integers", "list of texts", "integer",
  };
  static_assert(std::size(kNames) == std::variant_size_v<JobField>);
  std::string text(kNames[key.field.index()]);
  if (key.integer_as_text) text += " or integer";
  text += RangeText(key.range);
  if (std::holds_alternative<std::optional<int64_t>& (*)(JobConfig&)>(key.field)) text = "\"auto\" or " + text;
  return text;
}

absl::Status SetJobValue(JobConfig& job, const JobKey& key, const JobValue& value) {
  const bool fits = std::visit([&](auto access) { return Setter{key, value}(access(job)); }, key.field);
  if (fits) return absl::OkStatus();
  return InvalidArgument(std::string(key.name) + ": expected " + ExpectationOf(key) + "; got " + DescribeValue(value));
}

std::string FormatJobValue(const JobConfig& job, const JobKey& key) {
  // The accessors give references to change; a copy keeps the argument const.
  JobConfig copy = job;
  return std::visit([&](auto access) { return FormatAny(access(copy)); }, key.field);
}

}  // namespace eddl
