// Input without labels, for a trained model: rows in the shape and type that the model was trained on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"

namespace eddl {

struct InputOptions {
  // One file (CSV, NPY, NPZ, IDX images), or images (PNG, JPEG, BMP, PGM, PPM) and folders of images.
  std::vector<std::string> paths;
  std::string label_column = "-1";   // csv: the column to pass over if the file has one more than the model takes
  std::string header = "auto";       // csv: auto | yes | no
  std::string on_bad_row = "error";  // csv: error | skip
  std::string x_array;               // npz: the array; empty: x, x_test or x_train, or the only one
  int64_t limit = 0;                 // use the first samples only; 0: all
};

struct InputRows {
  Dataset rows;                    // described by the model's info; every label is 0 and means nothing
  std::vector<std::string> names;  // one per row: "photo.png", "apps.csv:178", "x.npy[3]"
  std::vector<std::string> notes;  // one line each, for the user
};

// Reads all rows and gives them the model's sample shape, dtype and scaling: flat rows become images of as many
// elements and the reverse, bytes become floats and whole numbers from 0 to 255 bytes. Columns of a CSV file with a
// header are matched by name if the model knows its features' names. kInvalidArgument, naming both, if shapes or values
// don't fit; errors of the readers.
absl::StatusOr<InputRows> OpenInput(const DatasetInfo& model, const InputOptions& options);

}  // namespace eddl
