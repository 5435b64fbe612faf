// Manager: the ends of epochs. Each is told once, with the version that ends it, which is saved and tested.
//
// Most epochs end with a commit, whose record asks for the checkpoint. But what is left of one may also turn out to be
// of no use: its owners are away, or it is poisonous. No commit ends such an epoch; it is over with the newest version,
// and the checkpoint is asked for as the round from that version closes, while all leaders have it. An end is final
// when its checkpoint is here. A view that starts before that undoes it, or loses what was on its way, and the epoch
// ends anew: with the version that the view starts from, or when it is over again. So does a manager that starts again:
// what ended after its checkpoint ends anew.
#include <algorithm>
#include <utility>

#include "net/node/manager.h"

namespace eddl::net {

void Manager::EndEpochs(Step& step, int64_t count) {
  if (version_ > checkpoint_) epoch_ends_.push_back({.version = version_, .count_before = epochs_over_});
  epochs_over_ = count;
  step.out.Do(EpochsOver{.version = version_, .count = count});
  BeginTest(step, version_);
}

void Manager::EndEpochsWithoutCommit(Step& step) {
  if (ledger_.current_epoch() <= epochs_over_) return;
  EndEpochs(step, ledger_.current_epoch());
  // That round is closed already: leaders hear of the checkpoint by being told again.
  if (EndsEpoch(version_) && !rounds_.empty() && rounds_.front().attempt > 0) {
    CloseRound(step, rounds_.front(), /*remind=*/true);
  }
}

bool Manager::EndsEpoch(Version version) const {
  return options_.checkpoint_epochs && std::any_of(epoch_ends_.begin(), epoch_ends_.end(),
                                                   [version](const EpochEnd& end) { return end.version == version; });
}

void Manager::VoidEpochEnds(Version version) {
  const Version kept = options_.checkpoint_epochs ? checkpoint_ : version;
  while (!epoch_ends_.empty() && epoch_ends_.back().version > kept) {
    epochs_over_ = epoch_ends_.back().count_before;
    epoch_ends_.pop_back();
  }
}

void Manager::RestoreEpochs() {
  Ledger ledger = checkpoint_ledger_;
  for (const ClosedEpoch& closed : closed_) {
    if (closed.version <= checkpoint_) ledger.CloseAsItWas(closed);
  }
  epochs_over_ = ledger.current_epoch();
}

}  // namespace eddl::net
