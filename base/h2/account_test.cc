#include "base/h2/account.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace credence::h2 {
namespace {

class AccountTest : public testing::Test {
 protected:
  std::shared_ptr<Account> total_ = std::make_shared<Account>(
      Account::Amount{.connections = 3, .calls = 5, .bytes = 100}, nullptr);
  std::shared_ptr<Account> alice_ =
      std::make_shared<Account>(Account::Amount{.connections = 2, .calls = 4, .bytes = 80}, total_);
  std::shared_ptr<Account> bob_ =
      std::make_shared<Account>(Account::Amount{.connections = 2, .calls = 4, .bytes = 80}, total_);
};

TEST_F(AccountTest, StopsAtItsOwnBound) {
  Holding holding(alice_);
  EXPECT_TRUE(holding.Take({.calls = 4}));
  EXPECT_FALSE(holding.Take({.calls = 1}));
  EXPECT_EQ(total_->used().calls, 4U);
}

TEST_F(AccountTest, StopsAtTheBoundOfItsParentAndTakesNothingThen) {
  Holding alice(alice_);
  Holding bob(bob_);
  ASSERT_TRUE(alice.Take({.bytes = 60}));
  EXPECT_FALSE(bob.Take({.calls = 1, .bytes = 41}));
  EXPECT_EQ(bob_->used().bytes, 0U);
  EXPECT_EQ(bob_->used().calls, 0U);
  EXPECT_TRUE(bob.Take({.calls = 1, .bytes = 40}));
  EXPECT_EQ(total_->used().bytes, 100U);
}

TEST_F(AccountTest, HoldingGivesAllBackWhenItGoes) {
  {
    Holding holding(alice_);
    ASSERT_TRUE(holding.Take({.connections = 1, .calls = 2, .bytes = 10}));
    holding.GiveBackBytes(4);
    EXPECT_EQ(total_->used().bytes, 6U);
    const Holding moved = std::move(holding);
    EXPECT_EQ(total_->used().calls, 2U);
  }
  EXPECT_EQ(total_->used().connections, 0U);
  EXPECT_EQ(total_->used().calls, 0U);
  EXPECT_EQ(total_->used().bytes, 0U);
  EXPECT_EQ(alice_->used().bytes, 0U);
}

TEST_F(AccountTest, HugeAmountsDoNotWrapAround) {
  Holding holding(alice_);
  ASSERT_TRUE(holding.Take({.bytes = 1}));
  EXPECT_FALSE(holding.Take({.bytes = static_cast<std::size_t>(-1)}));
}

constexpr Account::Amount kThousand{.connections = 1'000};

/// Takes all that it gets, one by one.
std::size_t TakeAll(Account& account) {
  while (account.Take({.connections = 1})) {
  }
  return account.used().connections;
}

TEST(AccountShareTest, WhoeverHasNothingFindsSomethingAfterOthersHaveTakenAllTheyCan) {
  const auto total = std::make_shared<Account>(kThousand, nullptr);
  std::vector<Account> greedy(200, Account(kThousand, total, Account::Share::kLeavesSome));
  EXPECT_EQ(TakeAll(greedy[0]), 562U);
  EXPECT_EQ(TakeAll(greedy[1]), 141U);
  for (Account& next : greedy) {
    EXPECT_GE(TakeAll(next), 1U);
  }
  Account late(kThousand, total, Account::Share::kLeavesSome);
  EXPECT_EQ(TakeAll(late), 1U);
}

TEST(AccountShareTest, ManyThatTakeInTurnGetTheSame) {
  const auto total = std::make_shared<Account>(kThousand, nullptr);
  std::vector<Account> greedy(10, Account(kThousand, total, Account::Share::kLeavesSome));
  for (int round = 0; round < 1'000; ++round) {
    for (Account& next : greedy) {
      (void)next.Take({.connections = 1});
    }
  }
  EXPECT_EQ(greedy.front().used().connections, 73U);
  EXPECT_GE(greedy.back().used().connections, 72U);
}

TEST(AccountShareTest, TheLastOneIsForWhoHasNothing) {
  const auto total = std::make_shared<Account>(Account::Amount{.connections = 1}, nullptr);
  Account one({.connections = 2}, total, Account::Share::kLeavesSome);
  EXPECT_TRUE(one.Take({.connections = 1}));
  EXPECT_FALSE(one.Take({.connections = 1}));
}

TEST(AccountShareTest, WhatIsNotAskedForDoesNotCount) {
  const auto total =
      std::make_shared<Account>(Account::Amount{.connections = 10, .calls = 4}, nullptr);
  Account one({.connections = 10, .calls = 4}, total, Account::Share::kLeavesSome);
  ASSERT_TRUE(one.Take({.calls = 2}));
  ASSERT_TRUE(total->Take({.calls = 2}));
  EXPECT_TRUE(one.Take({.connections = 1}));
}

TEST(HoldingTest, OfNoAccountTakesNothing) {
  EXPECT_FALSE(Holding().Take({.calls = 1}));
}

}  // namespace
}  // namespace credence::h2
