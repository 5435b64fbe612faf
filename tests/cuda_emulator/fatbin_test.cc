#include "tests/cuda_emulator/fatbin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using Bytes = std::vector<std::byte>;

template <typename T>
void Append(T value, Bytes* bytes) {
  for (size_t i = 0; i < sizeof(value); ++i) bytes->push_back(static_cast<std::byte>(value >> (8 * i)));
}

// One entry: 16 bytes of header, then the payload.
Bytes Entry(uint16_t kind, const std::string& payload) {
  Bytes bytes;
  Append<uint16_t>(kind, &bytes);
  Append<uint16_t>(0, &bytes);
  Append<uint32_t>(16, &bytes);
  Append<uint64_t>(payload.size(), &bytes);
  for (const char c : payload) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}

Bytes FatBinary(const std::vector<Bytes>& entries) {
  size_t payload = 0;
  for (const Bytes& entry : entries) payload += entry.size();
  Bytes bytes;
  Append<uint32_t>(0xba55ed50, &bytes);
  Append<uint16_t>(1, &bytes);
  Append<uint16_t>(16, &bytes);
  Append<uint64_t>(payload, &bytes);
  for (const Bytes& entry : entries) bytes.insert(bytes.end(), entry.begin(), entry.end());
  return bytes;
}

TEST(FatBinaryTest, FindsPtxBehindMachineCode) {
  const Bytes bytes = FatBinary({Entry(2, "machine code"), Entry(1, std::string(".version 9.0\0\0", 14))});
  EXPECT_EQ(FindPtx(bytes), ".version 9.0");
  EXPECT_EQ(FatBinarySize(bytes.data()), bytes.size());
}

TEST(FatBinaryTest, SaysWhatIsMissing) {
  EXPECT_THAT([] { FindPtx(FatBinary({Entry(2, "machine code")})); },
              ThrowsMessage<Violation>(HasSubstr("has no PTX; compile with -gencode")));
  EXPECT_THAT([] { FindPtx(FatBinary({Entry(1, "\x28\xb5\x2f\xfd")})); },
              ThrowsMessage<Violation>(HasSubstr("compile with nvcc --no-compress")));
  EXPECT_THAT([] { FindPtx(Bytes(64)); }, ThrowsMessage<Violation>(HasSubstr("no fat binary")));
}

TEST(FatBinaryTest, DoesNotReadBeyondTheEnd) {
  const Bytes whole = FatBinary({Entry(2, "machine code"), Entry(1, ".version 9.0")});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(FindPtx(std::span(whole).first(size)), Violation) << size;
  }
}

}  // namespace
}  // namespace eddl::cuda_emulator
