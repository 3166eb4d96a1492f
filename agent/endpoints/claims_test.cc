#include "agent/endpoints/claims.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace credence {
namespace {

boost::json::object Parse(const char* text) {
  return boost::json::parse(text).as_object();
}

TEST(ClaimsTest, JWT_17_NestedAndUnicodeClaimsSurvive) {
  const auto claims =
      ToStruct(Parse(R"({"a":1,"b":-2.5,"c":"\u00e9","d":[true,null,{"e":"f"}],"g":{"h":[]}})"));
  EXPECT_EQ(claims.fields().at("a").number_value(), 1);
  EXPECT_EQ(claims.fields().at("b").number_value(), -2.5);
  EXPECT_EQ(claims.fields().at("c").string_value(), "\u00e9");
  const auto& list = claims.fields().at("d").list_value();
  ASSERT_EQ(list.values_size(), 3);
  EXPECT_TRUE(list.values(0).bool_value());
  EXPECT_TRUE(list.values(1).has_null_value());
  EXPECT_EQ(list.values(2).struct_value().fields().at("e").string_value(), "f");
  EXPECT_TRUE(claims.fields().at("g").struct_value().fields().at("h").has_list_value());
}

TEST(ClaimsTest, ID_25_ForeignTokensShowStandardAndAllowedClaimsOnly) {
  auto claims = Parse(R"({"sub":"s","aud":["a"],"exp":1,"iat":2,"role":"admin","team":"x"})");
  KeepClaims(claims, {"team"});
  EXPECT_EQ(claims, Parse(R"({"sub":"s","aud":["a"],"exp":1,"team":"x"})"));
}

}  // namespace
}  // namespace credence
