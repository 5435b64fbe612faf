// Deterministic fuzzing of the data parsers: a few thousand damaged files each, from good ones, by seed.
#include <gtest/gtest.h>
#include <zip.h>

#include <fstream>

#include "runtime/data/cifar10.h"
#include "tests/fuzz/data_parsers.h"
#include "tests/fuzz/mutate.h"
#include "tests/runtime/data/files.h"
#include "tests/runtime/data/images.h"

namespace eddl {
namespace {

// Every seed is a good file, and most damage is noticed: a fuzzer whose cases are all refused at the door, or all
// accepted, tests nothing.
void Fuzz(DataParser parser, const std::vector<std::string>& seeds, int cases) {
  for (const std::string& seed : seeds) EXPECT_TRUE(ParseData(parser, AsBytes(seed)));
  Rng rng(DeriveSeed(1, static_cast<uint64_t>(parser)));
  int accepted = 0;
  for (int i = 0; i < cases; ++i) accepted += ParseData(parser, AsBytes(Mutate(seeds, rng)));
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, cases);
}

// The seeds, and their gzip.
std::vector<std::string> WithGzip(std::vector<std::string> seeds) {
  const size_t count = seeds.size();
  for (size_t i = 0; i < count; ++i) seeds.push_back(Gzip(seeds[i]));
  return seeds;
}

TEST(DataFuzzTest, IdxImages) {
  Fuzz(DataParser::kIdxImages, WithGzip({Idx({3, 2, 1}, "abcdef"), Idx({2, 1, 1, 3}, "abcdef"), Idx({2, 2}, "abcd")}),
       4000);
}

TEST(DataFuzzTest, IdxLabels) { Fuzz(DataParser::kIdxLabels, WithGzip({Idx({6}, "abcdef")}), 2000); }

// Headers of random dimensions over little content: nothing may be allocated by what they claim.
TEST(DataFuzzTest, IdxHeadersOfRandomDimensions) {
  Rng rng(7);
  for (int i = 0; i < 2000; ++i) {
    std::vector<uint32_t> dims(1 + rng.Below(5));
    for (uint32_t& dim : dims) dim = static_cast<uint32_t>(rng.Next() >> (32 + rng.Below(32)));
    const std::string file = Idx(dims, "some content");
    ParseData(DataParser::kIdxImages, AsBytes(file));
    ParseData(DataParser::kIdxLabels, AsBytes(file));
  }
}

TEST(DataFuzzTest, Csv) {
  Fuzz(DataParser::kCsv,
       WithGzip({"a,b,y\n1,2,cat\n3,4.5e3,dog\n", "1;2;0\r\n-3;4;1\r\n", "\"a,\"\"x\",b,y\n1,\"2\",0\n", "0\t1\t2\n"}),
       4000);
}

TEST(DataFuzzTest, NpySamples) {
  Fuzz(DataParser::kNpySamples,
       WithGzip({Npy("<f4", "(2, 2)", BytesOf<float>({1, 2, 3, 4})), Npy("|u1", "(2, 1, 2)", "abcd"),
                 Npy(">i8", "(1, 2)", BytesOf<int64_t>({1, 2})), Npy("<f8", "(1, 1)", BytesOf<double>({1}))}),
       4000);
}

TEST(DataFuzzTest, NpyHeadersOfRandomShapes) {
  Rng rng(8);
  for (int i = 0; i < 2000; ++i) {
    std::string shape = "(";
    for (uint64_t rank = rng.Below(6); rank > 0; --rank)
      shape += std::to_string(rng.Next() >> (1 + rng.Below(63))) + ", ";
    const std::string file = Npy("<f4", shape + ")", "some content");
    ParseData(DataParser::kNpySamples, AsBytes(file));
    ParseData(DataParser::kNpyLabels, AsBytes(file));
  }
}

TEST(DataFuzzTest, NpyLabels) {
  Fuzz(DataParser::kNpyLabels,
       WithGzip({Npy("<i8", "(2,)", BytesOf<int64_t>({1, 2})), Npy("<f8", "(2, 1)", BytesOf<double>({1, 2}))}), 2000);
}

TEST(DataFuzzTest, Npz) {
  const TempDir dir;
  const std::string x = Npy("<f4", "(2, 1)", BytesOf<float>({1, 2}));
  const std::string y = Npy("|u1", "(2,)", std::string("\0\1", 2));
  std::vector<std::string> seeds;
  for (int method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    const std::string path = dir.Path(std::to_string(method));
    zip_t* zip = zip_open(path.c_str(), ZIP_CREATE, nullptr);
    for (const auto& [name, content] : {std::pair("x.npy", &x), std::pair("y.npy", &y)}) {
      const auto index = zip_file_add(zip, name, zip_source_buffer(zip, content->data(), content->size(), 0), 0);
      zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), method, 0);
    }
    ASSERT_EQ(zip_close(zip), 0);
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  Fuzz(DataParser::kNpz, seeds, 4000);
}

TEST(DataFuzzTest, Cifar10) {
  Fuzz(DataParser::kCifar10, WithGzip({std::string(2 * kCifar10RecordBytes, '\5')}), 1000);
}

TEST(DataFuzzTest, Images) {
  std::string pixels;
  for (int i = 0; i < 48; ++i) pixels.push_back(static_cast<char>(i * 37));
  const std::string grey = pixels.substr(0, 16);
  Fuzz(DataParser::kImage,
       {"P5 4 4 255\n" + grey, "P6 4 4 255\n" + pixels, Png(4, 4, 1, grey), Png(4, 4, 3, pixels), Jpeg(4, 4, 1, grey),
        Jpeg(4, 4, 3, pixels), Bmp(4, 4, pixels)},
       8000);
}

TEST(DataFuzzTest, InfoJson) {
  Fuzz(DataParser::kInfoJson,
       {R"({"name":"n","sample_shape":[2,1],"dtype":"u8","class_count":2,"class_names":["a","b"],)"
        R"("feature_names":[],"scale":[0.5],"shift":[-1]})"},
       4000);
}

}  // namespace
}  // namespace eddl
