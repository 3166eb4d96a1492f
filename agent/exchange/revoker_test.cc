#include "agent/exchange/revoker.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/exchange/testing/fakes.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class RevokerTest : public testing::Test {
 protected:
  RevokerTest() {
    vendor_->clock = &clock_;
    options_.grace = milliseconds(0);
    options_.attempt_timeout = milliseconds(5'000);
    options_.retry = {.initial = milliseconds(1), .cap = milliseconds(1)};
  }

  /// Revokes one credential to the end.
  void Run() {
    Revoker revoker(clock_, audit_, options_, [this](const ExchangeOrder& order) {
      ++asked_;
      asked_at_ = std::chrono::steady_clock::now();
      EXPECT_EQ(order.identity.id.text(), "spiffe://example.org/web");
      return granted_;
    });
    ExchangeOrder order{.identity = {*SpiffeId::Parse("spiffe://example.org/web"), "entry-1"}};
    order.destination = "kv";
    order.target = vendor_;
    std::vector<Revocation> revocations;
    revocations.push_back(
        Revocation{.order = std::move(order), .credential = vendor_->NewCredential().credential});
    RunTask(io_, revoker.Run(std::move(revocations)));
  }

  asio::io_context io_;
  FakeClock clock_{FromUnixSeconds(1'800'000'000)};
  std::shared_ptr<FakeDestination> vendor_ = std::make_shared<FakeDestination>();
  FakeAudit audit_;
  Revoker::Options options_;
  bool granted_ = false;
  int asked_ = 0;
  SteadyTime asked_at_{};
};

TEST_F(RevokerTest, WhatIsGrantedAgainAfterTheGraceIsLeftAlone) {
  granted_ = true;
  Run();
  EXPECT_EQ(asked_, 1);
  EXPECT_THAT(vendor_->revoked, IsEmpty());
  EXPECT_THAT(audit_.events, IsEmpty());
}

TEST_F(RevokerTest, TheResourcesAreAskedWhenTheGraceIsOver) {
  options_.grace = milliseconds(30);
  const SteadyTime start = std::chrono::steady_clock::now();
  Run();
  EXPECT_GE(asked_at_ - start, milliseconds(30));
  EXPECT_THAT(vendor_->revoked, SizeIs(1));
}

TEST_F(RevokerTest, TheResourcesAreAskedBeforeEachAttempt) {
  vendor_->revoke_answers.assign(2, Error(Code::kUnavailable, "away"));
  Run();
  EXPECT_EQ(asked_, 3);
  EXPECT_THAT(vendor_->revoked, SizeIs(3));
}

TEST_F(RevokerTest, WhatIsGrantedAgainIsNotTriedAgain) {
  vendor_->revoke_answers.assign(100, Error(Code::kUnavailable, "away"));
  audit_.on_write = [this] { granted_ = true; };
  Run();
  EXPECT_THAT(vendor_->revoked, SizeIs(1));
  EXPECT_THAT(audit_.events, SizeIs(1));
}

TEST_F(RevokerTest, WhatHasExpiredIsLeftAlone) {
  vendor_->life = milliseconds(0);
  Run();
  EXPECT_THAT(vendor_->revoked, IsEmpty());
  EXPECT_THAT(audit_.events, IsEmpty());
}

TEST_F(RevokerTest, ARefusalAfterAnUnknownOutcomeIsNotCalledUsable) {
  for (const Code lost : {Code::kUnavailable, Code::kDeadlineExceeded, Code::kDataLoss}) {
    for (const Code refused : {Code::kPermissionDenied, Code::kUnauthenticated}) {
      audit_.events.clear();
      vendor_->next_revoke_answer = 0;
      vendor_->revoke_answers = {Error(lost, "no answer"), Error(refused, "it says no")};
      Run();
      ASSERT_THAT(audit_.events, SizeIs(2));
      const AuditEvent& event = audit_.events[1];
      EXPECT_EQ(event.result, AuditResult::kFailed);
      EXPECT_THAT(event.reason,
                  HasSubstr("refused after an attempt whose outcome is unknown; it may have ended "
                            "already, at the latest it ends at 2027-01-15T08:10:00Z: it says no"));
      EXPECT_THAT(event.reason, Not(HasSubstr("stays usable")));
      EXPECT_TRUE(event.expires_at);
    }
  }
}

TEST_F(RevokerTest, AnUnknownOutcomeIsNotForgottenByLaterAttempts) {
  vendor_->revoke_answers = {Error(Code::kUnavailable, "no answer"),
                             Error(Code::kResourceExhausted, "too fast"),
                             Error(Code::kPermissionDenied, "it says no")};
  Run();
  ASSERT_THAT(audit_.events, SizeIs(3));
  EXPECT_THAT(audit_.events[2].reason, HasSubstr("it may have ended already"));
}

TEST_F(RevokerTest, ARefusalWithoutAnUnknownOutcomeEndsNothing) {
  vendor_->revoke_answers = {Error(Code::kResourceExhausted, "too fast"),
                             Error(Code::kPermissionDenied, "it says no")};
  Run();
  ASSERT_THAT(audit_.events, SizeIs(2));
  EXPECT_THAT(audit_.events[1].reason, HasSubstr("not revoked: it says no; it stays usable until"));
}

}  // namespace
}  // namespace credence
