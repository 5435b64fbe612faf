#include "tools/eddl_node/cluster/dial_back.h"

#include <algorithm>
#include <utility>

namespace eddl::cluster {

DialBack::DialBack(Dial dial, OnDialled on_dialled, Duration wait_max)
    : dial_(std::move(dial)), on_dialled_(std::move(on_dialled)), wait_max_(wait_max) {
  for (size_t i = 0; i < kDialThreads; ++i) threads_.emplace_back([this] { Work(); });
}

DialBack::~DialBack() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

bool DialBack::Ask(Instant now, net::NodeId node, const std::string& address) {
  const absl::MutexLock lock(&mutex_);
  const auto failure = failures_.find(node);
  if (failure != failures_.end() && failure->second.address == address && now - failure->second.at < kDialAgain) {
    return false;
  }
  // Its connection is a new one: it waits its turn again.
  std::erase_if(late_, [node](const Question& question) { return question.node == node; });
  const auto waiting = std::find_if(questions_.begin(), questions_.end(),
                                    [node](const Question& question) { return question.node == node; });
  if (waiting != questions_.end()) {
    waiting->address = address;
  } else if (!dialling_.contains(node)) {
    questions_.push_back({.node = node, .address = address, .asked_at = now});
  }
  return true;
}

void DialBack::Work() {
  while (true) {
    Question question;
    bool is_late = false;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &DialBack::HasWork));
      if (stopped_) return;
      std::deque<Question>& from = questions_.empty() ? late_ : questions_;
      question = std::move(from.front());
      from.pop_front();
      // So that many addresses where nobody answers are soon through.
      is_late = &from == &questions_ && Now() - question.asked_at > wait_max_;
      if (!is_late) dialling_.insert(question.node);
    }
    if (is_late) {
      // Before anybody can try it and tell what came of that.
      on_dialled_(question.node, question.address, Dialled::kLate);
      const absl::MutexLock lock(&mutex_);
      const auto is_same = [&](const Question& other) { return other.node == question.node; };
      const bool is_asked_anew =
          dialling_.contains(question.node) || std::any_of(questions_.begin(), questions_.end(), is_same);
      if (!is_asked_anew) late_.push_back(std::move(question));
      continue;
    }
    const bool reached = dial_(question.node, question.address);
    {
      const absl::MutexLock lock(&mutex_);
      dialling_.erase(question.node);
      failures_.erase(question.node);
      if (!reached) failures_[question.node] = {.address = question.address, .at = Now()};
    }
    on_dialled_(question.node, question.address, reached ? Dialled::kReached : Dialled::kNotReached);
  }
}

}  // namespace eddl::cluster
