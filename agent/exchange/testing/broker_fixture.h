#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "agent/exchange/broker.h"
#include "agent/exchange/testing/fakes.h"
#include "base/core/task_group.h"
#include "base/core/testing/run_task.h"

namespace credence {

/// A broker with one vendor "kv", granted to spiffe://example.org/web. Its clock moves when told
/// to; waits for vendors and between retries are real and short.
class BrokerFixture : public testing::Test {
 protected:
  BrokerFixture() {
    resources_.destinations.push_back(FakeDestinationResource("kv", kv_));
    resources_.grants.push_back(FakeGrant("web-to-kv", "spiffe://example.org/web", "kv"));
    options_.exchange.attempt_timeout = std::chrono::milliseconds(2000);
    options_.exchange.repeated_svid_wait = std::chrono::milliseconds(5);
    options_.exchange.retry.backoff = {.initial = std::chrono::milliseconds(5),
                                       .cap = std::chrono::milliseconds(20)};
    options_.exchange.retry.propagation_wait = std::chrono::milliseconds(10);
    options_.exchange_timeout = std::chrono::milliseconds(5000);
    options_.refresh_retry = {.initial = std::chrono::milliseconds(20),
                              .cap = std::chrono::milliseconds(100)};
  }
  ~BrokerFixture() override {
    if (broker_) {
      RunTask(io_, broker_->Stop());
    }
  }

  /// To be called once, after the fakes are set up.
  Broker& Make() {
    watch_.Set(std::make_shared<const Resources>(resources_));
    kv_->clock = time_;
    broker_ = std::make_unique<Broker>(io_.get_executor(), *time_, watch_, jwts_, audit_, options_);
    return *broker_;
  }
  void Reload() { watch_.Set(std::make_shared<const Resources>(resources_)); }

  CredentialQuery Query(std::chrono::milliseconds timeout = std::chrono::seconds(10)) const {
    CredentialQuery query;
    query.subject.pid = 42;
    query.subject.uid = 1000;
    query.identities.push_back({*SpiffeId::Parse("spiffe://example.org/web"), "entry-1"});
    query.destination = "kv";
    query.deadline = Deadline::After(timeout);
    return query;
  }
  BrokerAnswer Get(CredentialQuery query) { return RunTask(io_, broker_->Get(std::move(query))); }
  BrokerAnswer Get() { return Get(Query()); }

  static std::string SecretOf(const BrokerAnswer& answer) {
    return answer.issued ? std::string(answer.issued->credential->fields.at("token")->Reveal())
                         : "";
  }
  /// Runs until `happened`, or fails the test after ten seconds.
  void WaitUntil(const std::function<bool()>& happened) {
    const Deadline deadline = Deadline::After(std::chrono::seconds(10));
    while (!happened() && !deadline.Passed()) {
      Wait(std::chrono::milliseconds(1));
    }
    EXPECT_TRUE(happened());
  }
  void WaitFor(const TaskGroup& group) {
    WaitUntil([&group] { return group.empty(); });
  }
  /// Runs what is ready, such as upkeep after an exchange.
  void Settle() {
    io_.restart();
    io_.poll();
  }
  void Wait(std::chrono::milliseconds duration) { RunTask(io_, Sleep(duration)); }

  asio::io_context io_;
  FakeClock clock_{FromUnixSeconds(1'800'000'000)};
  /// The broker's clock.
  const Clock* time_ = &clock_;
  std::shared_ptr<FakeDestination> kv_ = std::make_shared<FakeDestination>();
  Resources resources_;
  Watch<SharedResources> watch_{io_.get_executor(), nullptr};
  FakeJwtSource jwts_{clock_};
  FakeAudit audit_;
  Broker::Options options_;
  std::unique_ptr<Broker> broker_;
};

}  // namespace credence
