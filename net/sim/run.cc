#include "net/sim/run.h"

#include "net/sim/build.h"
#include "net/sim/world.h"
#include "runtime/base/status.h"

namespace eddl::net::sim {

absl::StatusOr<Record> Run(const Scenario& scenario, const RunOptions& options) {
  EDDL_RETURN_IF_ERROR(WithContext(Validate(scenario), "scenario '" + scenario.name + "'"));
  return World(scenario, options).Run();
}

}  // namespace eddl::net::sim
