#include "backends/sdk/conformance/reproducer.h"

#include <cctype>
#include <charconv>
#include <map>

namespace eddl::conformance {
namespace {

constexpr std::string_view kTitle =
    "# A case of EDDL's backend conformance suite; run it: eddl-conformance --reproduce THIS_FILE\n";

template <typename Number>
bool ReadNumber(std::string_view text, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

// The first line, which is cut off.
std::string_view TakeLine(std::string_view* text) {
  const size_t end = text->find('\n');
  std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// A value is one line, whatever a plugin calls itself.
std::string OneLine(std::string value) {
  for (char& c : value) {
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) c = '?';
  }
  return value;
}

}  // namespace

std::string FormatReproducer(const Reproducer& reproducer) {
  return Text(kTitle, "suite = ", OneLine(reproducer.suite), "\nplugin = ", OneLine(reproducer.plugin),
              "\nbackend = ", OneLine(reproducer.backend), "\ndevice = ", reproducer.device,
              "\nseed = ", reproducer.seed, "\nthreads = ", reproducer.threads, "\ncase = ", reproducer.case_name,
              "\n\n", reproducer.description);
}

Problem ParseReproducer(std::string_view text, Reproducer* reproducer) {
  std::map<std::string_view, std::string_view> values;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = TakeLine(&text);
    if (line.empty()) break;
    if (line.starts_with('#')) continue;
    const size_t equals = line.find(" = ");
    if (equals == std::string_view::npos) return Text("line ", number, " is not of the form 'key = value': ", line);
    const bool is_new = values.emplace(line.substr(0, equals), line.substr(equals + 3)).second;
    if (!is_new) return Text("line ", number, " says ", line.substr(0, equals), " again");
  }
  for (const std::string_view key : {"suite", "plugin", "backend", "device", "seed", "threads", "case"}) {
    if (!values.contains(key)) return Text("there is no line '", key, " = ...'");
  }
  *reproducer = {.suite = std::string(values["suite"]),
                 .plugin = std::string(values["plugin"]),
                 .backend = std::string(values["backend"]),
                 .case_name = std::string(values["case"]),
                 .description = std::string(text)};
  if (!ReadNumber(values["device"], &reproducer->device) || !ReadNumber(values["seed"], &reproducer->seed) ||
      !ReadNumber(values["threads"], &reproducer->threads)) {
    return "device, seed and threads are not all numbers";
  }
  return std::nullopt;
}

std::string ReproducerFileName(std::string_view case_name) {
  std::string name(case_name);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') c = '-';
  }
  return name + ".txt";
}

}  // namespace eddl::conformance
