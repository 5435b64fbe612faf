// The zoo: each model's layers, appended to a builder. One function per network, read top to bottom.
#pragma once

#include <span>

#include "absl/status/status.h"
#include "runtime/nn/model_builder.h"

namespace eddl {

struct ZooEntry {
  const char* name;
  const char* summary;  // one line, for people
  bool images;          // needs samples [H, W, C]
  int64_t size_min;     // smallest H and W
  // Appends the whole network, head included.
  void (*build)(ModelBuilder& builder, const ModelSpec& spec, const ModelInput& input);
};

// All models, sorted by name.
std::span<const ZooEntry> Zoo();

}  // namespace eddl
