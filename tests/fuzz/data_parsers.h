// What the fuzz tests do with bytes: every parser of runtime/data over memory, each ending in a value or a status.
//
// A case fails by a crash, a sanitizer's report, a failed check, a result that contradicts itself, or more memory than
// bytes could stand for.
#pragma once

#include <cstddef>
#include <span>

namespace eddl {

enum class DataParser { kIdxImages, kIdxLabels, kCsv, kNpySamples, kNpyLabels, kNpz, kCifar10, kImage, kInfoJson };

// True if the parser took the bytes for a whole file.
bool ParseData(DataParser parser, std::span<const std::byte> bytes);

}  // namespace eddl
