#include "net/wire/text.h"

#include <gtest/gtest.h>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

TEST(TextTest, CleanTextComesBackAsItIs) {
  for (const char* text : {"", "node 3: lost\n\tagain", "µ … 名 🙂", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"})
    EXPECT_EQ(CleanText(text), text);
}

TEST(TextTest, ControlCharactersAreMarked) {
  EXPECT_EQ(CleanText(std::string_view("a\0b\r\x1b[31m\x7f", 10)), "a?b??[31m?");
  EXPECT_EQ(CleanText("\xc2\x9b"
                      "2J"),
            "?2J");  // CSI as one character
}

TEST(TextTest, WhatIsNotUtf8IsMarkedByteByByte) {
  EXPECT_EQ(CleanText("a\x80z"), "a?z");        // a continuation alone
  EXPECT_EQ(CleanText("\xc0\xaf"), "??");       // overlong
  EXPECT_EQ(CleanText("\xe0\x9f\xbf"), "???");  // overlong
  EXPECT_EQ(CleanText("\xf0\x8f\xbf\xbf"), "????");
  EXPECT_EQ(CleanText("\xed\xa0\x80"), "???");  // a surrogate
  EXPECT_EQ(CleanText("\xf4\x90\x80\x80"), "????");
  EXPECT_EQ(CleanText("\xe5\x90"), "??");  // cut off
  EXPECT_EQ(CleanText("\xff\xfe"), "??");
}

TEST(TextTest, IsCutBetweenCharacters) {
  std::string text(kTextMax - 1, 'x');
  EXPECT_EQ(CleanText(text + "µµ"), text);
  EXPECT_EQ(CleanText(text + "yµ"), text + "y");
}

TEST(TextTest, CleaningTwiceChangesNothing) {
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (uint64_t left = rng.Below(12); left > 0; --left) text.push_back(static_cast<char>(rng.Next()));
    const std::string clean = CleanText(text);
    EXPECT_EQ(CleanText(clean), clean);
  }
}

}  // namespace
}  // namespace eddl::net
