#include "agent/exchange/spent_svids.h"

#include <string>

#include <gtest/gtest.h>

namespace credence {
namespace {

JwtSvid Svid(const std::string& token, const std::string& jti = "") {
  JwtSvid svid{.id = *SpiffeId::Parse("spiffe://example.org/w")};
  svid.jti = jti;
  svid.token = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(token));
  return svid;
}

TEST(SpentSvidsTest, TheSameBytesAreSpentOnce) {
  SpentSvids spent(10);
  EXPECT_TRUE(spent.Spend(Svid("a")));
  EXPECT_FALSE(spent.Spend(Svid("a")));
  EXPECT_TRUE(spent.Spend(Svid("b")));
}

TEST(SpentSvidsTest, TheSameJtiIsSpentOnceWhateverTheBytes) {
  SpentSvids spent(10);
  EXPECT_TRUE(spent.Spend(Svid("a", "one")));
  EXPECT_FALSE(spent.Spend(Svid("b", "one")));
  EXPECT_TRUE(spent.Spend(Svid("b", "two")));
}

TEST(SpentSvidsTest, MemoryIsBounded) {
  SpentSvids spent(2);
  EXPECT_TRUE(spent.Spend(Svid("a")));
  EXPECT_TRUE(spent.Spend(Svid("b")));
  EXPECT_TRUE(spent.Spend(Svid("c")));
  EXPECT_FALSE(spent.Spend(Svid("c")));
  EXPECT_TRUE(spent.Spend(Svid("a")));
}

}  // namespace
}  // namespace credence
