#include "tools/eddl_node/cluster/member_session.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "tests/runtime/test_device.h"
#include "tests/tools/eddl_node/cluster/hand_cluster.h"
#include "tools/eddl_node/cluster/node_runtime.h"
#include "tools/eddl_node/cluster/tensor_store.h"

namespace eddl::cluster {
namespace {

// A peer that sends more is cut off, so no honest message may be larger: all parameters with the optimizer's state, as
// they move to a new leader, and a sum in exact mode.
TEST(PayloadBytesMaxTest, IsNoLessThanAnyMessageOfTheJobHas) {
  const auto cpu = eddl::test::OpenCpu();
  for (const test::Problem& problem : {test::FeatureProblem(32), test::ImageProblem(32)}) {
    const ParamLayout& layout = problem.model->layout();
    const StripeLayout stripes = StripesOf(layout, StripeLayout::ChooseCount(layout.gradient_end()));
    const std::vector<net::StripeRange> all = {{net::Stripe{0}, net::Stripe{stripes.stripe_count()}}};
    for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam, OptimizerKind::kAdamW}) {
      const OptimizerSpec optimizer = {.kind = kind};
      std::vector<float> initial = problem.model->InitialParameters(3);
      initial.resize(static_cast<size_t>(layout.gradient_end()));
      auto store = TensorStore::Create(layout, stripes, *cpu, {.optimizer = optimizer}, std::move(initial));
      ASSERT_TRUE(store.ok()) << MessageOf(store.status());
      (*store)->Load({.stripes = all});
      const net::Payload payload = (*store)->NewPayload();
      (*store)->Snapshot({.stripes = all, .payload = payload});
      const uint64_t moved = (*store)->WireOf(net::NodeId{1}, net::Move{.payload = payload})->size();
      const uint64_t most = PayloadBytesMax(layout, optimizer);
      EXPECT_GE(most, moved) << NameOf(kind);
      EXPECT_GE(most, static_cast<uint64_t>(layout.gradient_end()) * sizeof(int64_t)) << NameOf(kind);
      EXPECT_LE(most, 3 * moved) << NameOf(kind) << ": as good as none";
    }
  }
}

}  // namespace
}  // namespace eddl::cluster
