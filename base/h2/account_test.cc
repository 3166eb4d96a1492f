#include "base/h2/account.h"

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

TEST(HoldingTest, OfNoAccountTakesNothing) {
  EXPECT_FALSE(Holding().Take({.calls = 1}));
}

}  // namespace
}  // namespace credence::h2
