// Whether layout.inc is complete, so that its compile-time checks see every field and enumerator of the headers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "backends/sdk/eddl_ops.h"

extern "C" const eddl_backend* eddl_abi_test_table(const eddl_host* host);

namespace eddl {
namespace {

struct Field {
  std::string name;
  size_t offset, bytes;
};

struct Layout {
  std::map<std::string, size_t> structs;
  std::map<std::string, std::vector<Field>> fields;
  std::set<std::string> values;
};

Layout Golden() {
  Layout layout;
#define STRUCT(type, bytes) layout.structs[#type] = bytes;
#define FIELD(type, field, offset, bytes) layout.fields[#type].push_back({#field, offset, bytes});
#define VALUE(enumerator, value) layout.values.insert(#enumerator);
#include "tests/abi/layout.inc"
#undef STRUCT
#undef FIELD
#undef VALUE
  return layout;
}

std::string HeaderText() {
  std::ostringstream text;
  for (const char* name : {"eddl_backend.h", "eddl_ops.h"}) {
    std::ifstream file(std::string(EDDL_SDK_DIR) + "/" + name);
    EXPECT_TRUE(file.good()) << name;
    text << file.rdbuf();
  }
  return text.str();
}

std::set<std::string> Matches(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) found.insert((*it)[1]);
  return found;
}

TEST(AbiTest, GoldenHasEveryEnumerator) {
  EXPECT_EQ(Golden().values, Matches(HeaderText(), std::regex(R"((EDDL_[A-Z0-9_]+) = \d)")));
}

TEST(AbiTest, GoldenHasEveryStruct) {
  std::set<std::string> structs;
  for (const auto& [name, bytes] : Golden().structs) structs.insert(name);
  EXPECT_EQ(structs, Matches(HeaderText(), std::regex(R"(typedef (?:struct|union) (eddl_\w+) \{)")));
}

// Fields that follow one another up to the end leave no room for one that the golden lacks, nor for padding.
TEST(AbiTest, FieldsFillTheirStructsWithoutGaps) {
  const Layout golden = Golden();
  for (const auto& [name, bytes] : golden.structs) {
    if (name == "eddl_scalar") continue;  // a union
    size_t end = 0;
    for (const Field& field : golden.fields.at(name)) {
      EXPECT_EQ(field.offset, end) << name << "." << field.name;
      end = field.offset + field.bytes;
    }
    EXPECT_EQ(end, bytes) << name;
  }
}

TEST(AbiTest, WhateverMayGrowBeginsWithItsSize) {
  const std::set<std::string> fixed = {"eddl_tensor_desc", "eddl_binding", "eddl_scalar"};
  for (const auto& [name, fields] : Golden().fields) {
    EXPECT_EQ(fields.front().name == "struct_size", !fixed.contains(name)) << name;
  }
}

TEST(AbiTest, TableCanBeWrittenInC) {
  const eddl_backend* table = eddl_abi_test_table(nullptr);
  uint32_t count = 7;
  eddl_error error = {.struct_size = sizeof(eddl_error)};
  EXPECT_EQ(table->device_count(&count, &error), EDDL_UNAVAILABLE);
  EXPECT_EQ(count, 0u);
}

}  // namespace
}  // namespace eddl
