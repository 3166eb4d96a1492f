#include "agent/exchange/circuit.h"

#include <gtest/gtest.h>

namespace credence {
namespace {

using std::chrono::seconds;

class CircuitTest : public testing::Test {
 protected:
  void Open() {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(circuit_.Allow(now_));
      circuit_.Failed(now_);
    }
    EXPECT_TRUE(circuit_.open());
  }

  Circuit circuit_{{.threshold = 3, .wait = seconds(5), .max_wait = seconds(8)}};
  SteadyTime now_{seconds(1000)};
};

TEST_F(CircuitTest, OpensAfterFailuresInARow) {
  circuit_.Failed(now_);
  circuit_.Failed(now_);
  circuit_.Succeeded();
  circuit_.Failed(now_);
  circuit_.Failed(now_);
  EXPECT_TRUE(circuit_.Allow(now_));
  circuit_.Failed(now_);
  EXPECT_FALSE(circuit_.Allow(now_));
}

TEST_F(CircuitTest, OneTrialAtATimeAfterTheWait) {
  Open();
  EXPECT_FALSE(circuit_.Allow(now_ + seconds(4)));
  EXPECT_TRUE(circuit_.Allow(now_ + seconds(5)));
  EXPECT_FALSE(circuit_.Allow(now_ + seconds(5)));
}

TEST_F(CircuitTest, ASuccessfulTrialClosesIt) {
  Open();
  ASSERT_TRUE(circuit_.Allow(now_ + seconds(5)));
  circuit_.Succeeded();
  EXPECT_FALSE(circuit_.open());
  EXPECT_TRUE(circuit_.Allow(now_ + seconds(5)));
}

TEST_F(CircuitTest, AFailedTrialDoublesTheWaitUpToTheCap) {
  Open();
  SteadyTime at = now_ + seconds(5);
  ASSERT_TRUE(circuit_.Allow(at));
  circuit_.Failed(at);
  EXPECT_FALSE(circuit_.Allow(at + seconds(7)));
  at += seconds(8);
  EXPECT_TRUE(circuit_.Allow(at));
}

TEST_F(CircuitTest, LateFailuresDoNotProlongIt) {
  Open();
  circuit_.Failed(now_ + seconds(4));
  EXPECT_TRUE(circuit_.Allow(now_ + seconds(5)));
}

TEST_F(CircuitTest, AnUndecidedTrialMayBeRepeated) {
  Open();
  ASSERT_TRUE(circuit_.Allow(now_ + seconds(5)));
  circuit_.Undecided();
  EXPECT_TRUE(circuit_.Allow(now_ + seconds(5)));
}

}  // namespace
}  // namespace credence
