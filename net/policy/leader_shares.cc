#include "net/policy/leader_shares.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

using Leader = ExchangeModel::Leader;

constexpr double kStripeBytes = 65536;
constexpr double kStripesPerLeader = 20;
constexpr uint32_t kStripesMax = 1u << 16;
constexpr size_t kAllCountsUpTo = 16;
constexpr int kStepsMax = 200;
constexpr double kPrecision = 1e-11;  // of the time that is searched for

// y = clamp(slope x + offset, low, high): such functions are closed under composition, which solves a ring in one walk.
struct Clamped {
  double slope = 1;
  double offset = 0;
  double low = 0;
  double high = 0;

  double operator()(double x) const { return std::clamp(slope * x + offset, low, high); }
};

// outer(inner(x)).
Clamped Compose(const Clamped& outer, const Clamped& inner) {
  const double a = outer.slope * inner.low + outer.offset;
  const double b = outer.slope * inner.high + outer.offset;
  return {.slope = outer.slope * inner.slope,
          .offset = outer.slope * inner.offset + outer.offset,
          .low = std::clamp(std::min(a, b), outer.low, outer.high),
          .high = std::clamp(std::max(a, b), outer.low, outer.high)};
}

double FixedPoint(const Clamped& f) {
  if (f.slope < 1) return std::clamp(f.offset / (1 - f.slope), f.low, f.high);
  return f.slope * f.high + f.offset >= f.high ? f.high : f.low;
}

// Finds the best shares of one ring of leaders.
class Filler {
 public:
  Filler(const ExchangeModel& model, const ShareOptions& options, std::span<const Leader> ring);

  // They sum to 1; some may be 0.
  std::vector<double> Fill();

 private:
  // Sets shares_ to the largest with which the ring is done in `seconds`. Returns how far they are beyond a whole, or a
  // negative number if they are not one: continuous and growing with `seconds`.
  double Excess(double seconds) {
    return options_.overlapped ? ExcessOverlapped(seconds) : ExcessInPhases(seconds / 2);
  }
  double ExcessOverlapped(double seconds);
  double ExcessInPhases(double seconds);
  double FitAir(double seconds);

  const ExchangeModel& model_;
  const ShareOptions& options_;
  std::span<const Leader> ring_;
  double payload_;
  double backup_;
  // Leaders in cells: those of a cell together, that with the least air for a share first.
  struct Wireless {
    size_t cell = 0;
    double price = 0;  // seconds of air for the whole of the parameters
    size_t index = 0;
  };
  std::vector<Wireless> wireless_;
  std::vector<double> shares_;
  std::vector<double> high_;
};

Filler::Filler(const ExchangeModel& model, const ShareOptions& options, std::span<const Leader> ring)
    : model_(model),
      options_(options),
      ring_(ring),
      payload_(options.payload_bytes),
      backup_(ring.size() > 1 ? options.backup_bytes : 0),
      shares_(ring.size()),
      high_(ring.size()) {
  for (size_t i = 0; i < ring.size(); ++i) {
    const Leader& leader = ring[i];
    if (leader.cell == ExchangeModel::kNoCell) continue;
    const double per_share = payload_ * (leader.serves - leader.works);
    wireless_.push_back({leader.cell, per_share * (1 / leader.up + 1 / leader.down) + backup_ / leader.up, i});
  }
  std::sort(wireless_.begin(), wireless_.end(), [](const Wireless& a, const Wireless& b) {
    return std::tie(a.cell, a.price, a.index) < std::tie(b.cell, b.price, b.index);
  });
}

// Without backups each share has its own cap. With them, the share of one leader takes from its successor's downlink:
// x_i = clamp((D_i - R x_(i-1)) / A_i, 0, cap_i), where cap_i also leaves the successor's own work room. These
// equations around the ring have one solution if R < A_i, and linear programming's dual shows that it is the largest.
double Filler::ExcessOverlapped(double seconds) {
  const size_t count = ring_.size();
  const auto share = [&](size_t i) {
    const Leader& leader = ring_[i];
    const double work = payload_ * leader.works;
    const double per_share = payload_ * (leader.serves - leader.works);
    double cap = (seconds * leader.up - work) / (per_share + backup_);
    if (backup_ > 0) {
      const Leader& next = ring_[i + 1 < count ? i + 1 : 0];
      cap = std::min(cap, (seconds * next.down - payload_ * next.works) / backup_);
    }
    return Clamped{.slope = -backup_ / per_share,
                   .offset = (seconds * leader.down - work) / per_share,
                   .low = 0,
                   .high = std::clamp(cap, 0.0, 1.0)};
  };
  double before = 0;
  if (backup_ > 0) {
    Clamped around = share(0);
    for (size_t i = 1; i < count; ++i) around = Compose(share(i), around);
    before = FixedPoint(around);
  }
  for (size_t i = 0; i < count; ++i) before = shares_[i] = share(i)(before);
  const double air = FitAir(seconds);
  return air < 0 ? air : std::accumulate(shares_.begin(), shares_.end(), 0.0) - 1;
}

// Both pushes and pulls are to be done in `seconds`, one after the other. A share adds to what a leader serves and
// takes from what it sends and gets as a worker, so it is bounded from both sides. The successor's downlink is left
// room for the backup as if it led nothing.
double Filler::ExcessInPhases(double seconds) {
  const size_t count = ring_.size();
  double low_sum = 0;
  double high_sum = 0;
  double room = 1;
  for (size_t i = 0; i < count; ++i) {
    const Leader& leader = ring_[i];
    const double work_part = std::min(leader.up, leader.down) * seconds / payload_;
    shares_[i] = leader.works > 0 ? std::max(0.0, 1 - work_part) : 0;
    high_[i] = std::min({1.0, leader.down * seconds / (payload_ * leader.serves),
                         leader.up * seconds / (payload_ * leader.serves + backup_)});
    room = std::min(room, high_[i] - shares_[i]);
    low_sum += shares_[i];
    high_sum += high_[i];
  }
  const double excess = std::min({high_sum - 1, 1 - low_sum, room});
  if (!wireless_.empty() || !model_.cells().empty()) {
    // The air must carry both phases, and does not ask for more than nothing from anybody.
    shares_ = high_;
    const double air = FitAir(2 * seconds);
    return std::min({air, excess, std::accumulate(shares_.begin(), shares_.end(), 0.0) - 1});
  }
  const double part = high_sum > low_sum ? (1 - low_sum) / (high_sum - low_sum) : 0;
  for (size_t i = 0; i < count; ++i) shares_[i] += part * (high_[i] - shares_[i]);
  return excess;
}

// Lowers shares of leaders in cells until their air is enough: at a fixed time a fractional knapsack, in which the
// leaders that take the least air for a share are filled first. Negative if even no share is too much.
double Filler::FitAir(double seconds) {
  if (model_.cells().empty()) return 0;
  double worst = std::min(0.0, 1 - payload_ * model_.air_max() / seconds);
  for (size_t begin = 0, end = 0; begin < wireless_.size(); begin = end) {
    const ExchangeModel::Air& air = model_.cells()[wireless_[begin].cell];
    double left = seconds - payload_ * (air.up + air.down);
    for (end = begin; end < wireless_.size() && wireless_[end].cell == wireless_[begin].cell; ++end) {
      const size_t i = wireless_[end].index;
      left -= backup_ * shares_[i > 0 ? i - 1 : ring_.size() - 1] / ring_[i].down;
    }
    worst = std::min(worst, left / seconds);
    left = std::max(0.0, left);
    for (size_t k = begin; k < end; ++k) {
      if (wireless_[k].price <= 0) continue;
      double& share = shares_[wireless_[k].index];
      share = std::min(share, left / wireless_[k].price);
      left = std::max(0.0, left - share * wireless_[k].price);
    }
  }
  return worst;
}

std::vector<double> Filler::Fill() {
  const size_t count = ring_.size();
  if (count == 1) return {1.0};
  const std::vector<double> equal(count, 1 / static_cast<double>(count));
  double low = 0;
  double low_excess = -1;
  double high = model_.Evaluate(ring_, equal, options_).transfer_seconds;
  double high_excess = Excess(high);
  int steps = 0;
  for (; high_excess < 0 && steps < kStepsMax; ++steps) {
    low = high;
    low_excess = high_excess;
    high *= 2;
    high_excess = Excess(high);
  }
  // Excess is piecewise linear: the secant ends in few steps, if halving keeps it from creeping up from one side.
  for (; high - low > kPrecision * high && high_excess > 0 && steps < kStepsMax; ++steps) {
    const double secant = low + (high - low) * low_excess / (low_excess - high_excess);
    const double margin = 0.5 * kPrecision * high;
    const double middle = steps % 3 == 2 ? low + (high - low) / 2 : std::clamp(secant, low + margin, high - margin);
    const double excess = Excess(middle);
    (excess < 0 ? low : high) = middle;
    (excess < 0 ? low_excess : high_excess) = excess;
  }
  EDDL_CHECK(Excess(high) >= 0) << count << " leaders, " << high << " s";
  const double sum = std::accumulate(shares_.begin(), shares_.end(), 0.0);
  for (double& share : shares_) share /= sum;
  return shares_;
}

SharePlan MakePlan(const ExchangeModel& model, const ShareOptions& options, std::span<const Leader> ring,
                   std::span<const double> shares) {
  SharePlan plan{.exchange = model.Evaluate(ring, shares, options)};
  for (size_t i = 0; i < ring.size(); ++i) plan.leaders.push_back({ring[i].node, shares[i]});
  return plan;
}

// Leaves out leaders whose shares are too small, the smaller half of them at a time, since the others then get more.
SharePlan FillAndPrune(const ExchangeModel& model, const ShareOptions& options, std::vector<Leader> ring) {
  const double fraction_min = std::max(options.share_bytes_min / options.payload_bytes, 1e-9);
  while (true) {
    const std::vector<double> shares = Filler(model, options, ring).Fill();
    std::vector<std::pair<double, size_t>> small;
    for (size_t i = 0; i < ring.size(); ++i) {
      if (shares[i] < fraction_min * (1 - 1e-9)) small.push_back({shares[i], i});
    }
    if (small.empty() || ring.size() == 1) return MakePlan(model, options, ring, shares);
    std::sort(small.begin(), small.end());
    small.resize(std::min((small.size() + 1) / 2, ring.size() - 1));
    std::vector<bool> drop(ring.size(), false);
    for (const auto& [share, index] : small) drop[index] = true;
    std::vector<Leader> rest;
    for (size_t i = 0; i < ring.size(); ++i) {
      if (!drop[i]) rest.push_back(ring[i]);
    }
    ring = std::move(rest);
  }
}

// Every count up to 16, then half as many again each; `most` itself is always one.
std::vector<size_t> LeaderCounts(size_t most) {
  std::vector<size_t> counts;
  for (size_t count = 1; count < most; count += count < kAllCountsUpTo ? 1 : count / 2) counts.push_back(count);
  if (most > 0) counts.push_back(most);
  return counts;
}

// As many as share_bytes_min allows, and as are worth a try.
size_t MostLeaders(const ExchangeModel& model, const ShareOptions& options) {
  // One worker leads itself best, and two that push while they pull gain nothing from a second leader.
  if (model.worker_count() <= (options.overlapped ? 2 : 1)) return 1;
  const double fitting = options.payload_bytes / std::max(options.share_bytes_min, 1.0);
  const double most =
      std::min({fitting, static_cast<double>(options.leaders_max), static_cast<double>(ExchangeModel::kLeadersMax)});
  return static_cast<size_t>(std::max(1.0, most));
}

}  // namespace

absl::StatusOr<SharePlan> FillShares(const ExchangeModel& model, const ShareOptions& options) {
  EDDL_RETURN_IF_ERROR(Validate(options));
  if (model.fastest().empty()) {
    return FailedPrecondition(
        "leader shares: no node can lead; one with a link must accept connections from all others");
  }
  SharePlan best;
  for (const std::vector<Leader>* family : {&model.fastest(), &model.fastest_wired()}) {
    for (const size_t count : LeaderCounts(std::min(MostLeaders(model, options), family->size()))) {
      std::vector<Leader> ring(family->begin(), family->begin() + static_cast<ptrdiff_t>(count));
      std::sort(ring.begin(), ring.end(), [](const Leader& a, const Leader& b) { return a.node < b.node; });
      const std::vector<double> equal(count, 1 / static_cast<double>(count));
      for (SharePlan& plan : std::vector{MakePlan(model, options, ring, equal), FillAndPrune(model, options, ring)}) {
        // Rounding errors must not decide between plans that are equal.
        const bool better = plan.exchange.seconds() < best.exchange.seconds() * (1 - 1e-9);
        if (best.leaders.empty() || better) best = std::move(plan);
      }
    }
  }
  return best;
}

absl::StatusOr<SharePlan> FillShares(std::span<const ShareNode> nodes, const ShareOptions& options) {
  EDDL_ASSIGN_OR_RETURN(const ExchangeModel model, ExchangeModel::Create(nodes));
  return FillShares(model, options);
}

uint32_t StripeCount(std::span<const LeaderShare> leaders, int64_t parameter_count) {
  EDDL_CHECK(!leaders.empty() && parameter_count > 0) << leaders.size() << " leaders, " << parameter_count;
  double smallest = 1;
  for (const LeaderShare& leader : leaders) smallest = std::min(smallest, leader.fraction);
  EDDL_CHECK(smallest > 0) << "a leader without a share";
  const double by_size = std::ceil(4 * static_cast<double>(parameter_count) / kStripeBytes);
  const double by_share = std::ceil(kStripesPerLeader / smallest * (1 - 1e-9));
  const double most = std::min(static_cast<double>(parameter_count), static_cast<double>(kStripesMax));
  const double least = std::min(static_cast<double>(leaders.size()), most);
  return static_cast<uint32_t>(std::clamp(std::max(by_size, by_share), least, most));
}

}  // namespace eddl::net
