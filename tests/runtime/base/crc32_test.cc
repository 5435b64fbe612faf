#include "runtime/base/crc32.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

namespace eddl {
namespace {

TEST(Crc32Test, GivesTheCheckValueOfTheCatalogue) { EXPECT_EQ(Crc32("123456789"), 0xCBF43926u); }

TEST(Crc32Test, OfNothingIsWhatWasBefore) {
  EXPECT_EQ(Crc32(""), 0u);
  EXPECT_EQ(Crc32(std::string_view(), 0xCBF43926u), 0xCBF43926u);
}

// Lengths around those of vectors, cut anywhere: zlib's, an implementation of its own, says the same.
TEST(Crc32Test, IsThatOfZlibHoweverItIsCut) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 37 % 256);
  for (size_t size = 0; size <= text.size(); ++size) {
    const std::string_view whole = std::string_view(text).substr(0, size);
    const auto expected = static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), size));
    ASSERT_EQ(Crc32(whole), expected) << size;
    for (const size_t cut : {size / 3, size / 2, size}) {
      ASSERT_EQ(Crc32(whole.substr(cut), Crc32(whole.substr(0, cut))), expected) << size << " cut at " << cut;
    }
  }
}

}  // namespace
}  // namespace eddl
