#include "net/messages.h"

#include <gtest/gtest.h>

namespace eddl::net {
namespace {

TEST(MessagesTest, OnlyTensorBytesTakeTheBulkLane) {
  std::string bulk;
  const std::vector<Body> bodies = {Grant{},   Done{},      Push{},    Staged{}, Commit{},
                                    Replica{}, ReplicaOk{}, Publish{}, Pull{},   Move{}};
  for (const Body& body : bodies) {
    if (LaneOf(body) == Lane::kBulk) bulk += NameOf(body) + ' ';
  }
  EXPECT_EQ(bulk, "Push Replica Publish Move ");
}

TEST(MessagesTest, EveryBodyHasItsOwnName) {
  EXPECT_EQ(NameOf(Hello{}), "Hello");
  EXPECT_EQ(NameOf(Cancel{}), "Cancel");
  EXPECT_EQ(NameOf(Pull{}), "Pull");
}

TEST(MessagesTest, CoverHashesOfDisjointSetsAddUp) {
  const std::vector<MicroBatch> a = {MicroBatch{1}, MicroBatch{5}};
  const std::vector<MicroBatch> b = {MicroBatch{2}};
  const std::vector<MicroBatch> both = {MicroBatch{5}, MicroBatch{2}, MicroBatch{1}};
  EXPECT_EQ(CoverHash(a) + CoverHash(b), CoverHash(both));
  EXPECT_NE(CoverHash(a), CoverHash(both));
  EXPECT_EQ(CoverHash({}), 0u);
}

}  // namespace
}  // namespace eddl::net
