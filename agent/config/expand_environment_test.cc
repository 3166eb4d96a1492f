#include "agent/config/expand_environment.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "agent/config/hcl/parser.h"

namespace credence {
namespace {

ExpandedText Expand(std::string_view text) {
  static const std::map<std::string, std::string, std::less<>> kVariables = {
      {"NAME", "value"}, {"A_1", "one"}, {"EMPTY", ""}, {"DOLLAR", "$NAME"}, {"1", "first"}};
  return ExpandEnvironment(text, [](std::string_view name) {
    const auto found = kVariables.find(name);
    return found == kVariables.end() ? std::string() : found->second;
  });
}

struct ExpandCase {
  std::string name;
  std::string text;
  std::string expected;
};

void PrintTo(const ExpandCase& c, std::ostream* out) {
  *out << c.name;
}

class ExpandEnvironmentTest : public testing::TestWithParam<ExpandCase> {};

TEST_P(ExpandEnvironmentTest, Replaces) {
  const ExpandedText expanded = Expand(GetParam().text);
  EXPECT_FALSE(expanded.error.has_value());
  EXPECT_EQ(expanded.text, GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    ExpandEnvironmentTest,
    testing::Values(
        ExpandCase{"Nothing", "a = 1", "a = 1"},
        ExpandCase{"Bare", "a = \"$NAME/x\"", "a = \"value/x\""},
        ExpandCase{"Braced", "x${NAME}y", "xvaluey"},
        ExpandCase{"DigitsAndUnderscore", "$A_1-$A_1", "one-one"},
        ExpandCase{"AtTheEnd", "$NAME", "value"},
        ExpandCase{"NotSet", "[$NOT_SET][${NOT_SET}][$EMPTY]", "[][][]"},
        ExpandCase{"LoneDollar", "5$ $\"$", "5$ $\"$"},
        ExpandCase{"Escaped", "$$NAME ${$}{NAME} $$$NAME $$$$", "$NAME ${NAME} $value $$"},
        ExpandCase{"DigitIsANameByItself", "$1abc $12 ${1}2 [${12}]", "firstabc first2 first2 []"},
        ExpandCase{"SpecialNames", "[$*$#$@$!$?$-][${-}]", "[][]"},
        ExpandCase{"OnceOnly", "$DOLLAR", "$NAME"}),
    [](const auto& tested) { return tested.param.name; });

TEST(ExpandEnvironmentErrorTest, OpenBraceIsAMistakeWithItsPlace) {
  const ExpandedText expanded = Expand("a\nb ${NAME");
  ASSERT_TRUE(expanded.error.has_value());
  EXPECT_EQ(expanded.error->at, (Position{2, 3}));
  EXPECT_EQ(expanded.error->message, "expected a variable's name and } after ${");
  EXPECT_TRUE(Expand("${}").error.has_value());
  EXPECT_TRUE(Expand("${a-b}").error.has_value());
}

TEST(ExpandEnvironmentErrorTest, ResultIsBounded) {
  const std::string big(hcl::kMaxBytes, 'x');
  const auto lookup = [&](std::string_view) { return big; };
  EXPECT_FALSE(ExpandEnvironment("$A", lookup).error.has_value());
  EXPECT_EQ(ExpandEnvironment("$A$A$A$A", lookup).error->message,
            "the file is longer than 1 MiB once the environment is put in");
}

}  // namespace
}  // namespace credence
