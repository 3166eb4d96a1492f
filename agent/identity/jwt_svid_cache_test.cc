#include "agent/identity/jwt_svid_cache.h"

#include <deque>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

/// A server that signs what it is asked for, counts, and fails when told to.
class JwtSvidCacheTest : public testing::Test {
 protected:
  JwtSvidCacheTest()
      : cache_(
            io_.get_executor(),
            clock_,
            [this](std::string entry_id, std::vector<std::string> audience, Deadline /*deadline*/) {
              return Sign(std::move(entry_id), std::move(audience));
            },
            {.max_size = 3, .max_per_entry = 2, .max_signing_per_entry = 2}) {}

  ~JwtSvidCacheTest() override { RunTask(io_, cache_.Stop()); }

  Task<Result<JwtSvid>> Sign(std::string entry_id, std::vector<std::string> audience) {
    ++signed_;
    co_await Sleep(hangs_ ? seconds(60) : std::chrono::milliseconds(5));
    if (failure_) {
      co_return *failure_;
    }
    JwtSvid svid{.id = SpiffeId::Parse("spiffe://example.org/" + path_.value_or(entry_id)).value(),
                 .audience = std::move(audience),
                 .issued_at = clock_.Now(),
                 .expires_at = clock_.Now() + minutes(5),
                 .key_id = "k1",
                 .algorithm = "RS256",
                 .issuer = "",
                 .jti = with_jti_ ? std::to_string(signed_) : "",
                 .token = std::make_shared<const SecretBytes>(SecretBytes::CopyOf("token"))};
    co_return svid;
  }

  static SharedEntry Entry(const std::string& id, bool has_jti = false) {
    return std::make_shared<const RegistrationEntry>(
        RegistrationEntry{.id = id,
                          .spiffe_id = SpiffeId::Parse("spiffe://example.org/" + id).value(),
                          .jwt_svid_has_jti = has_jti});
  }

  Result<SharedJwtSvid> Get(SharedEntry entry, std::vector<std::string> audience = {"aud"}) {
    return RunTask(io_,
                   cache_.Get(std::move(entry), std::move(audience), Deadline::After(seconds(5))));
  }

  /// Gives background tasks time for several signatures.
  void Settle() { RunTask(io_, Sleep(std::chrono::milliseconds(300))); }

  Task<int> CountSuccesses(int callers) {
    TaskGroup group(io_.get_executor());
    for (int i = 0; i < callers; ++i) {
      group.Spawn("caller", GetAndCount());
    }
    while (!group.empty()) {
      co_await Sleep(std::chrono::milliseconds(5));
    }
    co_return served_;
  }

  Task<void> GetAndCount() {
    const SharedEntry entry = Entry("a");
    const std::vector<std::string> audience{"aud"};
    const auto got = co_await cache_.Get(entry, audience, Deadline::After(seconds(5)));
    served_ += got.ok() ? 1 : 0;
  }

  Task<void> GetAudience(std::string id, std::string audience) {
    const SharedEntry entry = Entry(id);
    const std::vector<std::string> audiences{audience};
    (void)co_await cache_.Get(entry, audiences, Deadline::After(seconds(5)));
  }

  asio::io_context io_;
  FakeClock clock_{FromUnixSeconds(1'700'000'000)};
  int signed_ = 0;
  int served_ = 0;
  bool with_jti_ = false;
  bool hangs_ = false;
  /// What it signs for; the entry's id by default.
  std::optional<std::string> path_;
  std::optional<Error> failure_;
  JwtSvidCache cache_;
};

TEST_F(JwtSvidCacheTest, AnswersFromTheCacheWhileValid) {
  ASSERT_THAT(Get(Entry("a")), IsOk());
  ASSERT_THAT(Get(Entry("a")), IsOk());
  EXPECT_EQ(signed_, 1);
}

TEST_F(JwtSvidCacheTest, WA_31_TheWholeAudienceListIsTheKey) {
  ASSERT_THAT(Get(Entry("a"), {"x"}), IsOk());
  ASSERT_THAT(Get(Entry("a"), {"x", "y"}), IsOk());
  ASSERT_THAT(Get(Entry("b"), {"x"}), IsOk());
  EXPECT_EQ(signed_, 3);
}

TEST_F(JwtSvidCacheTest, ManyColdCallersShareOneSignature) {
  EXPECT_EQ(RunTask(io_, CountSuccesses(100)), 100);
  EXPECT_EQ(signed_, 1);
}

TEST_F(JwtSvidCacheTest, RenewsInTheBackgroundPastHalfOfLifeWhenInUse) {
  cache_.Start();
  const auto first = Get(Entry("a"));
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(Get(Entry("a")), IsOk());
  clock_.Advance(minutes(3));
  const auto old = Get(Entry("a"));
  ASSERT_THAT(old, IsOk());
  EXPECT_EQ(*old, *first) << "a valid token is answered without waiting";
  Settle();
  EXPECT_EQ(signed_, 2);
}

TEST_F(JwtSvidCacheTest, ServerAwayLeavesAValidTokenInService) {
  cache_.Start();
  ASSERT_THAT(Get(Entry("a")), IsOk());
  failure_ = Error(Code::kUnavailable, "server away");
  clock_.Advance(minutes(4));
  EXPECT_THAT(Get(Entry("a")), IsOk());
  Settle();
  EXPECT_THAT(Get(Entry("a")), IsOk());
  clock_.Advance(minutes(2));
  EXPECT_THAT(Get(Entry("a")), FailsWith(Code::kUnavailable, HasSubstr("server away")));
}

TEST_F(JwtSvidCacheTest, EntryWithJtiIsNeverCached) {
  ASSERT_THAT(Get(Entry("a", true)), IsOk());
  ASSERT_THAT(Get(Entry("a", true)), IsOk());
  EXPECT_EQ(signed_, 2);
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(JwtSvidCacheTest, TokenThatTurnsOutToHaveAJtiGoesToOneCallerOnly) {
  with_jti_ = true;
  EXPECT_EQ(RunTask(io_, CountSuccesses(5)), 5);
  EXPECT_EQ(signed_, 5);
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(JwtSvidCacheTest, LeastRecentlyUsedGoesFirst) {
  ASSERT_THAT(Get(Entry("a")), IsOk());
  ASSERT_THAT(Get(Entry("b")), IsOk());
  ASSERT_THAT(Get(Entry("c")), IsOk());
  ASSERT_THAT(Get(Entry("a")), IsOk());
  ASSERT_THAT(Get(Entry("d")), IsOk());
  EXPECT_EQ(cache_.size(), 3U);
  ASSERT_THAT(Get(Entry("a")), IsOk());
  EXPECT_EQ(signed_, 4) << "a was used after b, so b went";
  ASSERT_THAT(Get(Entry("b")), IsOk());
  EXPECT_EQ(signed_, 5);
}

TEST_F(JwtSvidCacheTest, AnEntryWithManyAudiencesMakesRoomAmongItsOwn) {
  ASSERT_THAT(Get(Entry("b")), IsOk());
  for (const char* audience : {"1", "2", "3", "4"}) {
    ASSERT_THAT(Get(Entry("a"), {audience}), IsOk());
  }
  ASSERT_THAT(Get(Entry("b")), IsOk());
  ASSERT_THAT(Get(Entry("a"), {"4"}), IsOk());
  EXPECT_EQ(signed_, 5);
  EXPECT_EQ(cache_.size(), 3U);
}

/// One request too many beside two that hang.
class BusyJwtSvidCacheTest : public JwtSvidCacheTest, public testing::WithParamInterface<bool> {};

TEST_P(BusyJwtSvidCacheTest, AnEntryAsksForSoManyAtATimeAndOthersGoOn) {
  hangs_ = true;
  TaskGroup group(io_.get_executor());
  for (const char* audience : {"1", "2"}) {
    group.Spawn("caller", GetAudience("a", audience));
  }
  RunTask(io_, Sleep(std::chrono::milliseconds(20)));
  hangs_ = false;
  EXPECT_THAT(Get(Entry("a", GetParam()), {"3"}),
              FailsWith(Code::kResourceExhausted, HasSubstr("registration entry a")));
  EXPECT_THAT(Get(Entry("b", GetParam())), IsOk());
  RunTask(io_, group.Stop());
  RunTask(io_, Sleep(std::chrono::milliseconds(20)));
  EXPECT_THAT(Get(Entry("a", GetParam()), {"3"}), IsOk());
}

INSTANTIATE_TEST_SUITE_P(JwtSvidCache, BusyJwtSvidCacheTest, testing::Bool());

TEST_F(JwtSvidCacheTest, PruneDropsTokensOfWithdrawnKeysAndEntries) {
  ASSERT_THAT(Get(Entry("a")), IsOk());
  const EntryMap both{{"a", *Entry("a")}, {"b", *Entry("b")}};
  const JwtAuthority own{.key_id = "k1", .public_key = ""};
  const JwtAuthority other{.key_id = "k2", .public_key = ""};
  cache_.Prune(both, {own});
  EXPECT_EQ(cache_.size(), 1U);
  cache_.Prune(both, {});
  EXPECT_EQ(cache_.size(), 1U) << "unknown keys drop nothing";
  cache_.Prune(both, {other});
  EXPECT_EQ(cache_.size(), 0U);
  ASSERT_THAT(Get(Entry("a")), IsOk());
  cache_.Prune({}, {own});
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(JwtSvidCacheTest, PruneDropsTokensOfATaintedKey) {
  ASSERT_THAT(Get(Entry("a")), IsOk());
  const JwtAuthority tainted{.key_id = "k1", .public_key = "", .tainted = true};
  cache_.Prune({{"a", *Entry("a")}}, {tainted});
  EXPECT_EQ(cache_.size(), 0U) << "also when there is no other key";
  ASSERT_THAT(Get(Entry("a")), IsOk());
  EXPECT_EQ(signed_, 2);
}

TEST_F(JwtSvidCacheTest, WaitingEndsAtTheDeadline) {
  const auto late =
      RunTask(io_, cache_.Get(Entry("a"), {"aud"}, Deadline::After(std::chrono::milliseconds(1))));
  EXPECT_THAT(late, FailsWithCode(Code::kDeadlineExceeded));
}

TEST_F(JwtSvidCacheTest, StopsTwiceInTheMiddleOfASignature) {
  cache_.Start();
  const auto late =
      RunTask(io_, cache_.Get(Entry("a"), {"aud"}, Deadline::After(std::chrono::milliseconds(1))));
  EXPECT_FALSE(late.ok());
  RunTask(io_, cache_.Stop());
  RunTask(io_, cache_.Stop());
}

TEST_F(JwtSvidCacheTest, AnEntryForAnotherIdentityFindsNoTokenOfTheOldOne) {
  ASSERT_THAT(Get(Entry("a")), IsOk());
  RegistrationEntry changed = *Entry("a");
  changed.spiffe_id = SpiffeId::Parse("spiffe://example.org/renamed").value();
  const auto renamed = std::make_shared<const RegistrationEntry>(changed);
  EXPECT_THAT(Get(renamed), FailsWith(Code::kUnavailable, HasSubstr("another SPIFFE ID")));
  path_ = "renamed";
  const auto got = Get(renamed);
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ((*got)->id, changed.spiffe_id);
  EXPECT_EQ(signed_, 3);
  EXPECT_EQ(cache_.size(), 2U);
  cache_.Prune({{"a", changed}}, {});
  EXPECT_EQ(cache_.size(), 1U);
}

TEST_F(JwtSvidCacheTest, ATokenAboutToEndIsReplacedBeforeItIsHandedOut) {
  const auto first = Get(Entry("a"));
  ASSERT_THAT(first, IsOk());
  clock_.Advance(minutes(5) - seconds(3));
  const auto second = Get(Entry("a"));
  ASSERT_THAT(second, IsOk());
  EXPECT_NE(*second, *first);
}

TEST_F(JwtSvidCacheTest, ATokenAboutToEndIsHandedOutWhereThereIsNoOther) {
  const auto first = Get(Entry("a"));
  ASSERT_THAT(first, IsOk());
  clock_.Advance(minutes(5) - seconds(3));
  failure_ = Error(Code::kUnavailable, "server away");
  EXPECT_THAT(Get(Entry("a")), IsOkAndHolds(*first));
  EXPECT_THAT(Get(Entry("a")), IsOkAndHolds(*first));
  EXPECT_EQ(signed_, 2) << "the server is not asked by every caller";
  clock_.Advance(seconds(6));
  EXPECT_THAT(Get(Entry("a")), FailsWith(Code::kUnavailable, HasSubstr("server away")));
}

TEST_F(JwtSvidCacheTest, ARequestThatNobodyWaitsForIsGivenUp) {
  hangs_ = true;
  for (int i = 0; i < 20; ++i) {
    const auto late = RunTask(io_,
                              cache_.Get(Entry("a"),
                                         {"audience " + std::to_string(i)},
                                         Deadline::After(std::chrono::milliseconds(1))));
    EXPECT_THAT(late, FailsWithCode(Code::kDeadlineExceeded));
  }
  Settle();
  EXPECT_EQ(cache_.signing(), 0U);
  hangs_ = false;
  EXPECT_THAT(Get(Entry("a"), {"audience 0"}), IsOk());
}

}  // namespace
}  // namespace credence
