// Reproducer: a case of the suite as a small text file, from which it can be run again.
//
// "key = value" lines, an empty line, then words for people, which the reader ignores. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "backends/sdk/conformance/problem.h"

namespace eddl::conformance {

struct Reproducer {
  std::string suite;    // version of the suite: the same number makes the same case there
  std::string plugin;   // path of the library
  std::string backend;  // its name and version
  uint32_t device = 0;
  uint64_t seed = 1;
  uint32_t threads = 0;     // as in eddl_device_options
  std::string case_name;    // "conv2d/12"
  std::string description;  // several lines
};

// The file.
std::string FormatReproducer(const Reproducer& reproducer);
// What is wrong with the text, with its line number; nullopt if it was read.
Problem ParseReproducer(std::string_view text, Reproducer* reproducer);

// A file name that tells the case: "conv2d-12.txt".
std::string ReproducerFileName(std::string_view case_name);

}  // namespace eddl::conformance
