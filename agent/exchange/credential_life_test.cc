#include "agent/exchange/credential_life.h"

#include <gtest/gtest.h>

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const WallTime kIssued = FromUnixSeconds(1'800'000'000);

CredentialLife Life(seconds life) {
  return {kIssued, kIssued + life};
}

TEST(CredentialLifeTest, MarginIsATenthAndAtMostHalfAMinute) {
  EXPECT_EQ(Life(seconds(60)).Margin(), seconds(6));
  EXPECT_EQ(Life(seconds(300)).Margin(), seconds(30));
  EXPECT_EQ(Life(seconds(3600)).Margin(), seconds(30));
  EXPECT_EQ(Life(seconds(-5)).Margin(), seconds(0));
}

TEST(CredentialLifeTest, TheShorterOfVendorAndGrantCounts) {
  Credential credential;
  credential.issued_at = kIssued;
  credential.expires_at = kIssued + minutes(60);
  EXPECT_EQ(LimitedExpiry(credential, std::nullopt), kIssued + minutes(60));
  EXPECT_EQ(LimitedExpiry(credential, minutes(5)), kIssued + minutes(5));
  EXPECT_EQ(LimitedExpiry(credential, minutes(90)), kIssued + minutes(60));
}

TEST(CredentialLifeTest, RefreshesTwoThirdsInWithSpread) {
  const CredentialLife life = Life(seconds(3630));
  EXPECT_EQ(life.ServedUntil(), kIssued + seconds(3600));
  EXPECT_EQ(life.RefreshAt(0), kIssued + seconds(2400));
  EXPECT_EQ(life.RefreshAt(-1), kIssued + seconds(2040));
  EXPECT_EQ(life.RefreshAt(1), kIssued + seconds(2760));
  EXPECT_LT(life.RefreshAt(1), life.ServedUntil());
}

struct ServesCase {
  std::string name;
  seconds life;
  seconds age;
  seconds min_ttl;
  bool serves;
};

class ServesTest : public testing::TestWithParam<ServesCase> {};

TEST_P(ServesTest, Decides) {
  const ServesCase& c = GetParam();
  EXPECT_EQ(Life(c.life).Serves(kIssued + c.age, c.min_ttl), c.serves);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    ServesTest,
    testing::Values(
        ServesCase{"Fresh", seconds(600), seconds(0), seconds(0), true},
        ServesCase{"JustBeforeTheMargin", seconds(600), seconds(569), seconds(0), true},
        ServesCase{"InTheMargin", seconds(600), seconds(570), seconds(0), false},
        ServesCase{"FromAClockASecondAhead", seconds(600), seconds(-1), seconds(0), true},
        ServesCase{"FromTheFuture", seconds(600), seconds(-2), seconds(0), false},
        ServesCase{"Expired", seconds(600), seconds(700), seconds(0), false},
        ServesCase{"EnoughLeft", seconds(600), seconds(100), seconds(500), true},
        ServesCase{"TooLittleLeft", seconds(600), seconds(200), seconds(470), false},
        ServesCase{"NoFreshOneWouldHaveSoMuch", seconds(600), seconds(10), seconds(3600), true},
        ServesCase{"AnAbsurdWish", seconds(600), seconds(10), seconds::max(), true},
        ServesCase{"ANegativeWish", seconds(600), seconds(500), seconds::min(), true},
        ServesCase{"AFreshOneWouldHaveMore", seconds(600), seconds(121), seconds(3600), false},
        ServesCase{"NoLifeAtAll", seconds(0), seconds(0), seconds(0), false}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace credence
