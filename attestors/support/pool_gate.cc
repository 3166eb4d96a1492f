#include "attestors/support/pool_gate.h"

#include <deque>
#include <map>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

namespace credence {

/// Shared with the jobs on the pool, which may end after the gate.
class PoolGate::State : public std::enable_shared_from_this<PoolGate::State> {
 public:
  State(asio::any_io_executor core, asio::thread_pool& pool, Options options)
      : core_(std::move(core)), pool_(pool), options_(options) {}

  Result<void> Submit(uid_t uid, std::function<void()> work, std::function<void()> done) {
    if (waiting_ >= options_.waiting) {
      return Error(Code::kResourceExhausted, fmt::format("{} jobs wait for a thread", waiting_));
    }
    User& user = users_[uid];
    if (user.waiting.size() >= options_.waiting_per_uid) {
      return Error(Code::kResourceExhausted,
                   fmt::format("{} jobs for uid {} wait for a thread", user.waiting.size(), uid));
    }
    user.waiting.push_back({std::move(work), std::move(done)});
    ++waiting_;
    StartMore();
    return Ok();
  }

  void Close() {
    closed_ = true;
    users_.clear();
    waiting_ = 0;
  }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  struct User {
    std::deque<Job> waiting;
    std::size_t running = 0;
  };

  /// The next user after the last served who may start a job, in a circle.
  std::map<uid_t, User>::iterator NextUser() {
    auto user = users_.upper_bound(last_served_);
    for (std::size_t tried = 0; tried < users_.size(); ++tried, ++user) {
      if (user == users_.end()) {
        user = users_.begin();
      }
      if (!user->second.waiting.empty() && user->second.running < options_.running_per_uid) {
        return user;
      }
    }
    return users_.end();
  }

  void StartMore() {
    while (running_ < options_.running) {
      const auto next = NextUser();
      if (next == users_.end()) {
        return;
      }
      last_served_ = next->first;
      Job job = std::move(next->second.waiting.front());
      next->second.waiting.pop_front();
      --waiting_;
      ++next->second.running;
      ++running_;
      Start(next->first, std::move(job));
    }
  }

  void Start(uid_t uid, Job job) {
    asio::post(pool_,
               [self = shared_from_this(),
                uid,
                job = std::move(job),
                guard = asio::make_work_guard(core_)]() mutable {
                 job.work();
                 // What the job owns may be used on the core thread only from here on.
                 auto core = guard.get_executor();
                 asio::post(core, [self = std::move(self), uid, job = std::move(job)]() mutable {
                   self->Ended(uid, std::move(job));
                 });
               });
  }

  void Ended(uid_t uid, Job job) {
    if (closed_) {
      return;
    }
    --running_;
    const auto user = users_.find(uid);
    --user->second.running;
    if (user->second.running == 0 && user->second.waiting.empty()) {
      users_.erase(user);
    }
    StartMore();
    job.done();
  }

  asio::any_io_executor core_;
  asio::thread_pool& pool_;
  Options options_;
  std::map<uid_t, User> users_;
  uid_t last_served_ = 0;
  std::size_t waiting_ = 0;
  std::size_t running_ = 0;
  bool closed_ = false;
};

PoolGate::PoolGate(asio::any_io_executor core, asio::thread_pool& pool, Options options)
    : state_(std::make_shared<State>(std::move(core), pool, options)) {}

PoolGate::~PoolGate() {
  state_->Close();
}

Result<void> PoolGate::Submit(uid_t uid, std::function<void()> work, std::function<void()> done) {
  return state_->Submit(uid, std::move(work), std::move(done));
}

}  // namespace credence
