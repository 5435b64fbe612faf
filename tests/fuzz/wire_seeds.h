// Good bytes for the parsers of net/wire, to begin fuzzing with. The same in every run.
#pragma once

#include <string>
#include <vector>

#include "tests/fuzz/wire_parsers.h"

namespace eddl {

std::vector<std::string> WireSeeds(WireParser parser);

}  // namespace eddl
