#include "attestors/support/account_names.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/task_group.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Pointee;

constexpr AccountId User(id_t id) {
  return {AccountId::Kind::kUser, id};
}
constexpr AccountId Group(id_t id) {
  return {AccountId::Kind::kGroup, id};
}

/// Users below 100 are called u<id>, groups g<id>; 13 is a broken record. Holds lookups while
/// closed.
class FakeAccounts final : public AccountDatabase {
 public:
  Result<std::optional<std::string>> UserName(uid_t uid) const override { return Answer("u", uid); }
  Result<std::optional<std::string>> GroupName(gid_t gid) const override {
    return Answer("g", gid);
  }

  int calls() const { return calls_; }
  void HoldUntil(std::shared_future<void> open) { open_ = std::move(open); }

 private:
  Result<std::optional<std::string>> Answer(const std::string& prefix, id_t id) const {
    ++calls_;
    if (open_.valid()) {
      open_.wait();
    }
    if (id == 13) {
      return Error(Code::kUnavailable, "directory away");
    }
    return id < 100 ? std::optional<std::string>(prefix + std::to_string(id)) : std::nullopt;
  }

  mutable std::atomic<int> calls_ = 0;
  std::shared_future<void> open_;
};

class AccountNamesTest : public testing::Test {
 protected:
  ~AccountNamesTest() override { pool_.join(); }

  Result<void> Load(std::vector<AccountId> ids, milliseconds timeout = seconds(10)) {
    return RunTask(io_, names_.Load(std::move(ids), 0, Deadline::After(timeout)));
  }

  asio::io_context io_;
  asio::thread_pool pool_{2};
  FakeClock clock_{FromUnixSeconds(1'800'000'000)};
  FakeAccounts accounts_;
  AccountNames names_{io_.get_executor(), pool_, accounts_, clock_, {.max_entries = 8}};
};

TEST_F(AccountNamesTest, LooksUpUsersAndGroups) {
  ASSERT_THAT(Load({User(1), Group(1), Group(500)}), IsOk());
  EXPECT_THAT(names_.Name(User(1)), Pointee(std::string("u1")));
  EXPECT_THAT(names_.Name(Group(1)), Pointee(std::string("g1")));
  EXPECT_EQ(names_.Name(Group(500)), nullptr);
  EXPECT_TRUE(names_.Unknown({User(1), Group(1), Group(500)}).empty());
}

TEST_F(AccountNamesTest, RemembersForTenSeconds) {
  ASSERT_THAT(Load({User(1), User(500)}), IsOk());
  clock_.Advance(seconds(9));
  ASSERT_THAT(Load({User(1), User(500)}), IsOk());
  EXPECT_EQ(accounts_.calls(), 2);
  clock_.Advance(seconds(2));
  ASSERT_THAT(Load({User(1), User(500)}), IsOk());
  EXPECT_EQ(accounts_.calls(), 4);
}

TEST_F(AccountNamesTest, AFailedLookupIsTriedAgainSoon) {
  ASSERT_THAT(Load({User(13)}), IsOk());
  EXPECT_EQ(names_.Name(User(13)), nullptr);
  ASSERT_THAT(Load({User(13)}), IsOk());
  EXPECT_EQ(accounts_.calls(), 1);
  clock_.Advance(milliseconds(1001));
  ASSERT_THAT(Load({User(13)}), IsOk());
  EXPECT_EQ(accounts_.calls(), 2);
}

TEST_F(AccountNamesTest, ManyWaitersShareOneLookup) {
  TaskGroup group(io_.get_executor());
  for (int i = 0; i < 50; ++i) {
    group.Spawn("load", [](AccountNames& names) -> Task<void> {
      const std::vector<AccountId> ids(1, User(7));
      const auto loaded = co_await names.Load(ids, 0, Deadline::After(seconds(10)));
      EXPECT_THAT(loaded, IsOk());
      EXPECT_THAT(names.Name(User(7)), Pointee(std::string("u7")));
    }(names_));
  }
  io_.run_for(seconds(10));
  EXPECT_TRUE(group.empty());
  EXPECT_EQ(accounts_.calls(), 1);
}

TEST_F(AccountNamesTest, AHangingDirectoryCostsTheDeadlineOnly) {
  std::promise<void> open;
  accounts_.HoldUntil(open.get_future().share());
  EXPECT_THAT(Load({User(1)}, milliseconds(20)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_THAT(Load({User(1)}, milliseconds(20)), FailsWithCode(Code::kDeadlineExceeded));
  open.set_value();
  ASSERT_THAT(Load({User(1)}), IsOk());
  EXPECT_EQ(accounts_.calls(), 1);
}

TEST_F(AccountNamesTest, MemoryIsBounded) {
  for (id_t id = 20; id < 60; ++id) {
    ASSERT_THAT(Load({User(id)}), IsOk());
  }
  std::vector<AccountId> all;
  for (id_t id = 20; id < 60; ++id) {
    all.push_back(User(id));
  }
  EXPECT_GE(names_.Unknown(all).size(), 32U);
}

TEST(SystemAccountsTest, KnowsRootAndNotAnUnusedId) {
  const SystemAccounts accounts;
  EXPECT_THAT(accounts.UserName(0), IsOkAndHolds(testing::Optional(std::string("root"))));
  EXPECT_THAT(accounts.GroupName(0), IsOkAndHolds(testing::Optional(std::string("root"))));
  EXPECT_THAT(accounts.UserName(4'000'000'001U), IsOkAndHolds(testing::Eq(std::nullopt)));
}

}  // namespace
}  // namespace credence
