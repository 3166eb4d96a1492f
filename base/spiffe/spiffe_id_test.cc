#include "base/spiffe/spiffe_id.h"

#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;

struct Refused {
  std::string name;
  std::string text;
  std::string rule;
};

class RefusedSpiffeIdTest : public testing::TestWithParam<Refused> {};

TEST_P(RefusedSpiffeIdTest, IsRefusedWithItsRule) {
  EXPECT_THAT(SpiffeId::Parse(GetParam().text),
              FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().rule)));
}

INSTANTIATE_TEST_SUITE_P(
    Authority,
    RefusedSpiffeIdTest,
    testing::Values(Refused{"ID_1_Http", "http://td/a", "must start with spiffe://"},
                    Refused{"ID_1_Spiffes", "spiffes://td/a", "must start with spiffe://"},
                    Refused{"ID_1_NoScheme", "td/a", "must start with spiffe://"},
                    Refused{"ID_1_OneSlash", "spiffe:/td/a", "must start with spiffe://"},
                    Refused{"ID_1_Empty", "", "must start with spiffe://"},
                    Refused{"ID_1_LeadingSpace", " spiffe://td/a", "must start with spiffe://"},
                    Refused{"ID_2_Nothing", "spiffe://", "trust domain is empty"},
                    Refused{"ID_2_OnlyPath", "spiffe:///a", "trust domain is empty"},
                    Refused{"ID_5_User", "spiffe://u@td/a", "user information"},
                    Refused{"ID_5_EmptyUser", "spiffe://@td/a", "user information"},
                    Refused{"ID_6_Port", "spiffe://td:80/a", "a port"},
                    Refused{"ID_6_EmptyPort", "spiffe://td:/a", "a port"},
                    Refused{"ID_7_UpperCase", "spiffe://TD.example/a", "lower case"},
                    Refused{"ID_9_PercentEncoding", "spiffe://t%64/a", "percent-encoding"},
                    Refused{"ID_10_Ipv6", "spiffe://[::1]/a", "may hold only"},
                    Refused{"ID_19_UpperCaseScheme", "SPIFFE://td/a", "must start with spiffe://"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Path,
    RefusedSpiffeIdTest,
    testing::Values(Refused{"ID_3_Query", "spiffe://td/a?x=1", "query"},
                    Refused{"ID_3_BareQuery", "spiffe://td/a?", "query"},
                    Refused{"ID_3_QueryOnTheDomain", "spiffe://td?x", "may hold only"},
                    Refused{"ID_4_Fragment", "spiffe://td/a#f", "fragment"},
                    Refused{"ID_4_BareFragment", "spiffe://td/a#", "fragment"},
                    Refused{"ID_4_FragmentOnTheDomain", "spiffe://td#f", "may hold only"},
                    Refused{"ID_11_PercentEncoding", "spiffe://td/%41", "percent-encoding"},
                    Refused{"ID_12_EmptySegment", "spiffe://td/a//b", "empty segment"},
                    Refused{"ID_12_Dot", "spiffe://td/a/./b", "'.'"},
                    Refused{"ID_12_TwoDots", "spiffe://td/a/../b", "'..'"},
                    Refused{"ID_12_TwoDotsLast", "spiffe://td/a/..", "'..'"},
                    Refused{"ID_13_OnlySlash", "spiffe://td/", "ends in '/'"},
                    Refused{"ID_13_TrailingSlash", "spiffe://td/a/", "ends in '/'"},
                    Refused{"ID_14_Utf8",
                            "spiffe://td/gr\xc3\xbc\xc3\x9f"
                            "e",
                            "may hold only"}),
    [](const auto& test) { return test.param.name; });

class AcceptedSpiffeIdTest : public testing::TestWithParam<const char*> {};

TEST_P(AcceptedSpiffeIdTest, IsKeptAsWritten) {
  const auto id = SpiffeId::Parse(GetParam());
  ASSERT_THAT(id, IsOk());
  EXPECT_EQ(id->text(), GetParam());
  EXPECT_EQ(id->trust_domain().IdString() + std::string(id->path()), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Table,
                         AcceptedSpiffeIdTest,
                         testing::Values("spiffe://td",
                                         "spiffe://td/a",
                                         "spiffe://1.2.3.4/a",
                                         "spiffe://a-b_c.d/A-Z_0.9",
                                         "spiffe://-/-",
                                         "spiffe://td/...",
                                         "spiffe://td/.a",
                                         "spiffe://td/a../..b"));

std::string WithByte(std::string_view before, int byte, std::string_view after) {
  return std::string(before) + static_cast<char>(byte) + std::string(after);
}

TEST(SpiffeIdTest, ID_8_OnlyTheAllowedBytesMakeATrustDomain) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
  for (int byte = 0; byte < 256; ++byte) {
    const bool allowed = kAllowed.find(static_cast<char>(byte)) != std::string_view::npos;
    EXPECT_EQ(TrustDomain::Parse(WithByte("t", byte, "d")).ok(), allowed) << byte;
    // A slash ends the trust domain of an ID.
    EXPECT_EQ(SpiffeId::Parse(WithByte("spiffe://t", byte, "d/a")).ok(), allowed || byte == '/')
        << byte;
  }
}

TEST(SpiffeIdTest, ID_14_OnlyTheAllowedBytesMakeAPath) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_/";
  for (int byte = 0; byte < 256; ++byte) {
    const bool allowed = kAllowed.find(static_cast<char>(byte)) != std::string_view::npos;
    EXPECT_EQ(SpiffeId::Parse(WithByte("spiffe://td/p", byte, "q")).ok(), allowed) << byte;
  }
}

TEST(SpiffeIdTest, ID_15_ADeepPathIsKept) {
  std::string text = "spiffe://td";
  for (int i = 0; i < 500; ++i) {
    text += "/x";
  }
  const auto id = SpiffeId::Parse(text);
  ASSERT_THAT(id, IsOk());
  EXPECT_EQ(id->path().size(), 1000U);
}

TEST(SpiffeIdTest, ID_16_ID_17_IdsHaveAtMost2048Bytes) {
  const std::string longest = "spiffe://td/" + std::string(2048 - 12, 'a');
  ASSERT_EQ(longest.size(), SpiffeId::kMaxBytes);
  EXPECT_THAT(SpiffeId::Parse(longest), IsOk());
  EXPECT_THAT(SpiffeId::Parse(longest + "a"), FailsWith(Code::kInvalidArgument, HasSubstr("2048")));
  EXPECT_THAT(SpiffeId::FromParts("td", "/" + std::string(2048 - 12, 'a')), IsOk());
  EXPECT_THAT(SpiffeId::FromParts("td", "/" + std::string(2048 - 11, 'a')),
              FailsWithCode(Code::kInvalidArgument));
}

TEST(SpiffeIdTest, ID_18_TrustDomainsHaveAtMost255Bytes) {
  EXPECT_THAT(TrustDomain::Parse(std::string(255, 'a')), IsOk());
  EXPECT_THAT(TrustDomain::Parse(std::string(256, 'a')),
              FailsWith(Code::kInvalidArgument, HasSubstr("255")));
  EXPECT_THAT(SpiffeId::Parse("spiffe://" + std::string(255, 'a') + "/p"), IsOk());
  EXPECT_THAT(SpiffeId::Parse("spiffe://" + std::string(256, 'a') + "/p"),
              FailsWith(Code::kInvalidArgument, HasSubstr("255")));
}

TEST(SpiffeIdTest, ID_19_PathsCompareByteForByte) {
  EXPECT_NE(*SpiffeId::Parse("spiffe://td/A"), *SpiffeId::Parse("spiffe://td/a"));
  EXPECT_EQ(*SpiffeId::Parse("spiffe://td/a"), *SpiffeId::Parse("spiffe://td/a"));
  EXPECT_LT(*SpiffeId::Parse("spiffe://td/A"), *SpiffeId::Parse("spiffe://td/a"));
}

TEST(SpiffeIdTest, KnowsItsTrustDomain) {
  const SpiffeId id = *SpiffeId::Parse("spiffe://td/a");
  EXPECT_TRUE(id.MemberOf(*TrustDomain::Parse("td")));
  EXPECT_FALSE(id.MemberOf(*TrustDomain::Parse("td2")));
  EXPECT_EQ(id.trust_domain().name(), "td");
  EXPECT_EQ(SpiffeId::Parse("spiffe://td")->path(), "");
}

TEST(SpiffeIdTest, PartsFollowTheSameRules) {
  EXPECT_THAT(SpiffeId::FromParts("td", "/a/b"), IsOkAndHolds(*SpiffeId::Parse("spiffe://td/a/b")));
  EXPECT_THAT(SpiffeId::FromParts("td", ""), IsOkAndHolds(*SpiffeId::Parse("spiffe://td")));
  for (const auto& [domain, path] :
       std::vector<std::pair<std::string, std::string>>{{"td", "a"},
                                                        {"td", "/"},
                                                        {"td", "/a/"},
                                                        {"", "/a"},
                                                        {"td/x", "/a"},
                                                        {"td/", ""},
                                                        {"TD", "/a"}}) {
    // "td/x" would move a border: the part before the slash is another trust domain.
    const auto id = SpiffeId::FromParts(domain, path);
    EXPECT_THAT(id, FailsWithCode(Code::kInvalidArgument)) << domain << " " << path;
  }
}

TEST(SpiffeIdTest, AMessageQuotesForeignTextCutAndClean) {
  const auto refused = SpiffeId::Parse("x\n\x1b[31m\"" + std::string(5000, 'y'));
  ASSERT_THAT(refused, FailsWithCode(Code::kInvalidArgument));
  EXPECT_LT(refused.error().message().size(), 200U);
  EXPECT_THAT(refused.error().message(), HasSubstr("x??[31m?yyy"));
}

}  // namespace
}  // namespace credence
