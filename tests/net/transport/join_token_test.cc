#include "net/transport/join_token.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "runtime/base/status.h"

namespace eddl::net {
namespace {

const std::string kFingerprint(64, 'a');

std::string Token() { return JoinToken{.fingerprint = kFingerprint, .secret = std::string(32, '7')}.ToString(); }

// "ok", or what is said to whoever typed it.
std::string Answer(const std::string& text) {
  const auto token = JoinToken::Parse(text);
  return token.ok() ? "ok" : MessageOf(token.status());
}

TEST(JoinTokenTest, IsReadAsItWasWritten) {
  const auto made = JoinToken::Make(kFingerprint);
  ASSERT_TRUE(made.ok());
  const auto read = JoinToken::Parse(made->ToString());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, *made);
  EXPECT_EQ(read->fingerprint, kFingerprint);
  EXPECT_EQ(read->secret.size(), 32u);
}

TEST(JoinTokenTest, SecretsAreNeverTheSame) {
  std::set<std::string> secrets;
  for (int i = 0; i < 100; ++i) secrets.insert(JoinToken::Make(kFingerprint)->secret);
  EXPECT_EQ(secrets.size(), 100u);
}

// The form is a contract: tokens lie on paper and in scripts.
TEST(JoinTokenTest, HasOneForm) {
  EXPECT_EQ(Token(), "EDDL1-" + kFingerprint + "-77777777777777777777777777777777-f89a6546");
}

TEST(JoinTokenTest, WhatACopiedLineBringsAlongDoesNotMatter) {
  for (const std::string around : {" ", "\n", "\r\n", "\t", "\"", "'"}) {
    EXPECT_EQ(Answer(around + Token() + around), "ok");
  }
}

TEST(JoinTokenTest, SaysThatItIsCutOffWhereverItIs) {
  const std::string whole = Token();
  for (size_t size = 5; size < whole.size(); ++size) {
    EXPECT_EQ(Answer(whole.substr(0, size)), "the token is cut off (" + std::to_string(size) +
                                                 " of 112 characters): copy all of it from the manager's join line");
  }
}

TEST(JoinTokenTest, SaysThatItIsNoToken) {
  for (const std::string text : {"", " ", "x", "EDDL", "EDDL2-", "eddl1-aa", "K10::server:abc"}) {
    EXPECT_EQ(Answer(text), "that is no token: one begins with EDDL1-, as `eddl-node manage` printed it") << text;
  }
}

TEST(JoinTokenTest, FindsEveryCharacterThatWasMistyped) {
  const std::string whole = Token();
  for (size_t i = 6; i < whole.size(); ++i) {
    std::string wrong = whole;
    wrong[i] = whole[i] == '7' ? '1' : '7';
    const bool was_dash = whole[i] == '-';
    EXPECT_EQ(Answer(wrong), was_dash ? "the token is mistyped (at character " + std::to_string(i + 1) +
                                            "): copy it from the manager's join line"
                                      : "the token is mistyped (its check digits do not fit): copy it from the "
                                        "manager's join line")
        << i;
    wrong[i] = 'O';
    EXPECT_EQ(Answer(wrong), "the token is mistyped (at character " + std::to_string(i + 1) +
                                 "): copy it from the manager's join line");
  }
  EXPECT_EQ(Answer(whole + "0"), "the token is mistyped (113 of 112 characters): copy it from the manager's join line");
}

TEST(JoinTokenTest, FindsTwoCharactersThatChangedPlaces) {
  const auto made = JoinToken::Make(kFingerprint);
  const std::string whole = made->ToString();
  for (size_t i = 71; i + 1 < 103; ++i) {
    std::string wrong = whole;
    std::swap(wrong[i], wrong[i + 1]);
    EXPECT_EQ(Answer(wrong) == "ok", wrong == whole) << i;
  }
}

}  // namespace
}  // namespace eddl::net
