#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/authority/services/authority_state.h"
#include "base/core/log.h"
#include "base/core/wall_clock.h"

/// How signing keys change: on schedule, by hand at once, and by hand once the new key is known.
namespace credence {
namespace {

constexpr std::chrono::seconds kRotationRetry{10};
constexpr std::chrono::milliseconds kBusyRetry{100};

Error BusyRotating() {
  return Error(Code::kAborted, "signing keys are being rotated; try again");
}

/// A flag that falls when the scope ends, however it ends.
class RestoreOnExit {
 public:
  explicit RestoreOnExit(bool& flag) : flag_(flag) {}
  ~RestoreOnExit() { flag_ = false; }
  RestoreOnExit(const RestoreOnExit&) = delete;
  RestoreOnExit& operator=(const RestoreOnExit&) = delete;

 private:
  bool& flag_;
};

}  // namespace

Task<Result<void>> AuthorityState::RotateKey(KeyKind kind, bool taint) {
  if (std::exchange(rotating_, true)) {
    co_return BusyRotating();
  }
  const RestoreOnExit restore(rotating_);
  if (const auto planned = planned_.find(kind); planned != planned_.end()) {
    taint = taint || planned->second.taint;
  }
  SharedSigningKeys before = keys_.value();
  auto rotate = [options = options_.keys, before, kind, taint, now = clock_.Now()] {
    return RotateSigningKey(options, before, kind, taint, now);
  };
  auto update = co_await RunOn(pool_, std::move(rotate));
  if (!update.ok()) {
    co_return std::move(update).error();
  }
  auto written = co_await Write(PlanOf(*std::move(update), before));
  if (written.ok()) {
    planned_.erase(kind);
    LogInfo("A signing key was rotated at once",
            {{"active", keys_.value()->Active(kind).record.id()},
             {"replaced", before->Active(kind).record.id()},
             {"tainted", taint}});
  }
  co_return written;
}

Task<Result<AuthorityState::PlannedRotation>> AuthorityState::PlanRotation(KeyKind kind,
                                                                           bool taint) {
  if (std::exchange(rotating_, true)) {
    co_return BusyRotating();
  }
  const RestoreOnExit restore(rotating_);
  if (const auto planned = planned_.find(kind); planned != planned_.end()) {
    planned->second.taint = planned->second.taint || taint;
    co_return planned->second;
  }
  SharedSigningKeys before = keys_.value();
  const WallTime now = clock_.Now();
  auto prepare = [options = options_.keys, before, kind, now] {
    return PrepareSigningKey(options, before, kind, now);
  };
  auto update = co_await RunOn(pool_, std::move(prepare));
  if (!update.ok()) {
    co_return std::move(update).error();
  }
  if (keys_.value() != before) {
    co_return BusyRotating();  // by one whose caller had given up, and which went on
  }
  if (update->has_value()) {
    const auto written = co_await Write(PlanOf(**std::move(update), before));
    if (!written.ok()) {
      co_return written.error();
    }
  }
  const SigningKey& successor = *keys_.value()->Prepared(kind);
  const PlannedRotation plan{successor.record.id(),
                             before->Active(kind).record.id(),
                             taint,
                             std::max(now, KnownEverywhereAt(successor))};
  planned_[kind] = plan;
  LogInfo("A signing key will be rotated",
          {{"successor", plan.successor},
           {"replaced", plan.replaced},
           {"at", FormatRfc3339(plan.at)},
           {"tainted", taint}});
  tasks_.Spawn("rotate a signing key", RotateAsPlanned(kind, plan.successor, plan.at - now));
  co_return plan;
}

Task<void> AuthorityState::RotateAsPlanned(KeyKind kind,
                                           std::string successor,
                                           std::chrono::nanoseconds wait) {
  co_await Sleep(wait);
  while (planned_.contains(kind) && planned_[kind].successor == successor) {
    const auto finished = co_await FinishRotation(kind);
    if (finished.ok()) {
      co_return;
    }
    if (finished.error().code() == Code::kAborted) {
      // The key of the other kind changes, which takes milliseconds.
      co_await Sleep(kBusyRetry);
      continue;
    }
    LogWarn("A planned rotation waits", {{"successor", successor}, {"error", finished.error()}});
    co_await Sleep(kRotationRetry);
  }
}

Task<Result<void>> AuthorityState::FinishRotation(KeyKind kind) {
  if (std::exchange(rotating_, true)) {
    co_return BusyRotating();
  }
  const RestoreOnExit restore(rotating_);
  const PlannedRotation plan = planned_[kind];
  SharedSigningKeys before = keys_.value();
  auto update = ActivatePreparedKey(before, plan.successor, plan.taint ? plan.replaced : "");
  if (update) {
    auto written = co_await Write(PlanOf(*std::move(update), before));
    if (!written.ok()) {
      co_return written;
    }
  }
  planned_.erase(kind);
  LogInfo("A signing key was rotated",
          {{"active", plan.successor}, {"replaced", plan.replaced}, {"tainted", plan.taint}});
  co_return Ok();
}

Task<Result<WallTime>> AuthorityState::RotateDueKeys() {
  if (std::exchange(rotating_, true)) {
    co_return clock_.Now();
  }
  const RestoreOnExit restore(rotating_);
  SharedSigningKeys before = keys_.value();
  auto advance = [options = options_.keys, before, now = clock_.Now()] {
    return AdvanceSigningKeys(options, before, now);
  };
  auto due = co_await RunOn(pool_, std::move(advance));
  if (!due.ok()) {
    co_return std::move(due).error();
  }
  if (keys_.value() != before) {
    co_return clock_.Now();  // as in PlanRotation
  }
  if (due->update && due->update->changes.empty()) {
    keys_.Set(due->update->keys);
  } else if (due->update) {
    const auto written = co_await Write(PlanOf(*std::move(due->update), before));
    if (!written.ok()) {
      co_return written.error();
    }
    LogInfo("Signing keys have changed", {{"bundle_sequence", bundle_sequence_}});
    if (const auto removed = RemoveStrayKeyFiles(options_.keys, *keys_.value()); !removed.ok()) {
      LogWarn("Files of old signing keys could not be removed", {{"error", removed.error()}});
    }
  }
  co_return due->next;
}

Task<void> AuthorityState::RotateOnSchedule() {
  while (true) {
    const auto next = co_await RotateDueKeys();
    std::chrono::nanoseconds wait = kRotationRetry;
    if (next.ok()) {
      wait = std::max<std::chrono::nanoseconds>(*next - clock_.Now(), std::chrono::seconds(1));
    } else {
      LogError("Signing keys could not be rotated", {{"error", next.error()}});
    }
    co_await SleepOnWallClock(wait);
  }
}

}  // namespace credence
