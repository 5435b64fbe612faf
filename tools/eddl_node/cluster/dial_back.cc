#include "tools/eddl_node/cluster/dial_back.h"

#include <algorithm>
#include <utility>

namespace eddl::cluster {

DialBack::DialBack(Dial dial, OnDialled on_dialled) : dial_(std::move(dial)), on_dialled_(std::move(on_dialled)) {
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
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &DialBack::HasWork));
      if (stopped_) return;
      question = std::move(questions_.front());
      questions_.pop_front();
      dialling_.insert(question.node);
    }
    // So that many addresses where nobody answers are soon through.
    const bool is_late = Now() - question.asked_at > kDialWaitMax;
    const bool reached = !is_late && dial_(question.node, question.address);
    {
      const absl::MutexLock lock(&mutex_);
      dialling_.erase(question.node);
      failures_.erase(question.node);
      if (!reached && !is_late) failures_[question.node] = {.address = question.address, .at = Now()};
    }
    on_dialled_(question.node, question.address, reached);
  }
}

}  // namespace eddl::cluster
