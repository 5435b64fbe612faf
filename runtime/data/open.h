// OpenData: from what a job file says about its data to a training set and a test set. The one entry point to the
// readers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"
#include "runtime/data/generator.h"

namespace eddl {

// The keys of [data] in a job file, under the same names.
struct DataOptions {
  std::string path;                  // a file, or a folder with files under their usual names
  std::string test_path;             // the test set; empty: found beside the training set, or split from it
  std::string format = "auto";       // auto | idx | csv | npy | npz | cifar10 | generate
  std::string labels_path;           // idx, npy: the training labels, if not beside the samples under the usual name
  std::string x_array;               // npz: the array of samples; empty: x_train or x (test set: x_test)
  std::string y_array;               // npz: the array of labels; empty: y_train or y (test set: y_test)
  double test_fraction = 0.2;        // split off, by the seed, where there is no test set; 0: no test set
  std::string label_column = "-1";   // csv: a name of the header, or a position from 0, or from the end (-1: the last)
  std::string header = "auto";       // csv: auto | yes | no
  std::string on_bad_row = "error";  // csv: error | skip
  // auto (u8: unit, f32: none) | none | unit (divide by 255) | standard (mean 0, deviation 1, per last dimension,
  // measured on the training set alone)
  std::string scale = "auto";
  int64_t limit = 0;          // use the first samples of each file only; 0: all
  int64_t class_count = 0;    // 0: as many as the labels show
  uint64_t seed = 1;          // of the split and of generated data
  GeneratorOptions generate;  // format "generate"; its seed is the one above
};

struct DataSplit {
  Dataset train;
  Dataset test;                    // may be empty
  DatasetInfo info;                // of both
  std::vector<std::string> notes;  // one line each, for the user
};

// Reads and checks everything but the image rows of IDX files, which are decoded in the background: training set, then
// test set. Errors of the readers, with file and position; kInvalidArgument for an option out of range or parts that do
// not fit together.
absl::StatusOr<DataSplit> OpenData(const DataOptions& options);

}  // namespace eddl
