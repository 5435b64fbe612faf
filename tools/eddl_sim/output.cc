#include "tools/eddl_sim/output.h"

#include <cstdio>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"

namespace eddl::net::sim {

int Fail(OutputFormat format, const absl::Status& status, int exit_code) {
  std::string text = "eddl-sim: error: ";
  for (const char c : MessageOf(status)) text += c == '\n' ? std::string("\neddl-sim: error: ") : std::string(1, c);
  std::fflush(stdout);
  std::fprintf(stderr, "%s\n", text.c_str());
  if (format == OutputFormat::kJson) {
    PrintJson({{"schema", "eddl.sim.error.v1"}, {"exit_code", exit_code}, {"message", MessageOf(status)}});
  }
  return exit_code;
}

void PrintJson(const nlohmann::ordered_json& object) {
  const std::string line = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

}  // namespace eddl::net::sim
