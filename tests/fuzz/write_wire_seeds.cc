// Writes a corpus for wire_libfuzzer: write_wire_seeds FOLDER makes FOLDER/PARSER-NUMBER, as the fuzzer reads them.
#include <fstream>
#include <iostream>
#include <string>

#include "tests/fuzz/wire_seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write_wire_seeds FOLDER\n";
    return 2;
  }
  for (char parser = 0; parser < 4; ++parser) {
    int number = 0;
    for (const std::string& seed : eddl::WireSeeds(static_cast<eddl::WireParser>(parser))) {
      std::ofstream file(std::string(argv[1]) + "/" + std::to_string(parser) + "-" + std::to_string(number++),
                         std::ios::binary);
      if (!(file << parser << seed).flush()) {
        std::cerr << "can't write to " << argv[1] << "\n";
        return 1;
      }
    }
  }
  return 0;
}
