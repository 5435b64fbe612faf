#include "tools/eddl_node/dashboard/request_guard.h"

#include <gtest/gtest.h>

namespace eddl {
namespace {

const std::string kToken = "0123456789abcdef0123456789abcdef";

TEST(RequestGuardTest, KnowsThisMachinesNamesFromOthers) {
  for (const char* host : {"127.0.0.1:7448", "localhost", "localhost:80", "[::1]:7448", "192.168.1.4:1", "box:7448",
                           "box.local", "dash.lan:7448"}) {
    EXPECT_TRUE(IsOwnHost(host, "dash.lan", "box")) << host;
  }
  for (const char* host : {"", ":80", "evil.example", "evil.example:7448", "127.0.0.1.evil.example", "[", "[]", "[::1",
                           "localhost.evil.example", "box.evil.example", "999.1.1.1"}) {
    EXPECT_FALSE(IsOwnHost(host, "dash.lan", "box")) << host;
  }
  EXPECT_FALSE(IsOwnHost(".local", "127.0.0.1", ""));
  // A name has no case: browsers write it small.
  for (const char* host : {"desktop-ab12:7448", "DESKTOP-AB12", "desktop-ab12.local", "dash.lan", "LocalHost:1"}) {
    EXPECT_TRUE(IsOwnHost(host, "Dash.LAN", "DESKTOP-AB12")) << host;
  }
}

ActionRequest Good() {
  return {.remote_address = "127.0.0.1", .authorization = "Bearer " + kToken, .host = "127.0.0.1:7448"};
}

std::string Refusal(const ActionRequest& request) { return std::string(MayAct(request, kToken).message()); }

TEST(RequestGuardTest, LetsTheOperatorActOnThisMachineOnly) {
  ActionRequest request = Good();
  EXPECT_EQ(Refusal(request), "");
  for (const char* own : {"::1", "127.8.8.8", "::ffff:127.0.0.1"}) {
    request.remote_address = own;
    EXPECT_EQ(Refusal(request), "") << own;
  }
  request.remote_address = "192.168.1.7";
  EXPECT_NE(Refusal(request).find("unencrypted"), std::string::npos);
}

TEST(RequestGuardTest, WantsTheWholeTokenAndNothingElse) {
  for (const std::string& header :
       {std::string(), kToken, "bearer " + kToken, std::string("Bearer"), "Basic " + kToken}) {
    ActionRequest request = Good();
    request.authorization = header;
    EXPECT_NE(Refusal(request).find("token is needed"), std::string::npos) << header;
  }
  for (const std::string& token : {std::string(), kToken.substr(1), kToken + "0", "1" + kToken.substr(1)}) {
    ActionRequest request = Good();
    request.authorization = "Bearer " + token;
    EXPECT_NE(Refusal(request).find("wrong token"), std::string::npos) << token;
  }
}

TEST(RequestGuardTest, RefusesOtherPages) {
  ActionRequest request = Good();
  request.origin = "http://127.0.0.1:7448";
  EXPECT_EQ(Refusal(request), "");
  for (const char* origin : {"http://evil.example", "https://127.0.0.1:7448", "null", "http://127.0.0.1:80"}) {
    request.origin = origin;
    EXPECT_NE(Refusal(request).find("does not come from"), std::string::npos) << origin;
  }
}

}  // namespace
}  // namespace eddl
