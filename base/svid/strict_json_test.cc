#include "base/svid/strict_json.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;

struct Case {
  std::string name;
  std::string text;
  std::string refusal;
};

class StrictJsonTest : public testing::TestWithParam<Case> {};

TEST_P(StrictJsonTest, Refuses) {
  EXPECT_THAT(ParseStrictJsonObject(GetParam().text, 4096),
              FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().refusal)));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    StrictJsonTest,
    testing::Values(
        Case{"TDB_14_RepeatedName", R"({"a":1,"a":1})", "repeats"},
        Case{"TDB_14_RepeatedNameBelow", R"({"x":[{"a":1,"b":2,"a":3}]})", "repeats"},
        Case{"TDB_14_RepeatedNameAfterAnObject", R"({"a":{"b":1},"a":2})", "repeats"},
        Case{"TDB_14_RepeatedNameEscaped", R"({"ab":1,"a\u0062":2})", "repeats"},
        Case{"RepeatedEmptyName", R"({"":1,"":2})", "repeats"},
        Case{"Empty", "", "JSON"},
        Case{"Half", R"({"a":)", "JSON"},
        Case{"Trailing", R"({"a":1}x)", "JSON"},
        Case{"TwoValues", R"({} {})", "JSON"},
        Case{"NoObject", "[1]", "not a JSON object"},
        Case{"Comment", "{/**/}", "JSON"},
        Case{"TrailingComma", R"({"a":1,})", "JSON"},
        Case{"SingleQuotes", "{'a':1}", "JSON"},
        Case{"InvalidUtf8", "{\"a\":\"\xff\"}", "JSON"},
        Case{"OverlongUtf8", "{\"a\":\"\xc0\xaf\"}", "JSON"},
        Case{"InvalidUtf8InAName", "{\"\xff\":1}", "JSON"},
        Case{"LoneSurrogate", R"({"a":"\ud800"})", "JSON"},
        Case{"ControlByte", "{\"a\":\"\n\"}", "JSON"},
        Case{"HugeNumber", R"({"a":1e999})", "JSON"},
        Case{"TooLong", "{\"a\":\"" + std::string(5000, 'x') + "\"}", "longer than"},
        Case{"TooDeep", "{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}", "JSON"}),
    [](const auto& test) { return test.param.name; });

TEST(StrictJsonObjectTest, KeepsMembersInOrderAndIntegersExact) {
  const auto object = ParseStrictJsonObject(
      " {\"b\":9223372036854775807,\"a\":18446744073709551615,\"c\":-1} ", 4096);
  ASSERT_THAT(object, IsOk());
  EXPECT_EQ(object->begin()->key(), "b");
  EXPECT_EQ(object->at("b").as_int64(), INT64_MAX);
  EXPECT_EQ(object->at("a").as_uint64(), UINT64_MAX);
}

TEST(StrictJsonObjectTest, EqualNamesInDifferentObjectsAreFine) {
  EXPECT_THAT(ParseStrictJsonObject(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]})", 4096), IsOk());
}

TEST(StrictJsonObjectTest, LongNamesAndStringsAreKeptWhole) {
  const std::string long_text(3000, 'n');
  const auto object =
      ParseStrictJsonObject("{\"" + long_text + "\":\"" + "\\n" + long_text + "\"}", 8000);
  ASSERT_THAT(object, IsOk());
  EXPECT_EQ(object->begin()->key(), long_text);
  EXPECT_EQ(object->begin()->value().as_string(), "\n" + long_text);
}

TEST(StrictJsonObjectTest, FindStringWantsAString) {
  const auto object = ParseStrictJsonObject(R"({"s":"x","n":1})", 4096);
  ASSERT_THAT(object, IsOk());
  ASSERT_NE(FindString(*object, "s"), nullptr);
  EXPECT_EQ(*FindString(*object, "s"), "x");
  EXPECT_EQ(FindString(*object, "n"), nullptr);
  EXPECT_EQ(FindString(*object, "absent"), nullptr);
}

}  // namespace
}  // namespace credence
