#include "plugins/destinations/declarative/text_template.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

NamedValues SomeValues() {
  NamedValues values;
  values["plain"].text = "a b/c\"\\";
  values["path"] = NamedValue{ValueType::kPath, "team/jwt", nullptr};
  values["number"] = NamedValue{ValueType::kInteger, "42", nullptr};
  values["flag"] = NamedValue{ValueType::kBoolean, "true", nullptr};
  values["token"] = NamedValue{
      ValueType::kToken, "", std::make_shared<const SecretBytes>(SecretBytes::CopyOf("s3cret"))};
  return values;
}

std::string Rendered(const std::string& text, Escape escape) {
  return RenderPlain(ParseTemplate(text).value(), SomeValues(), escape);
}

TEST(TextTemplateTest, FillsInValues) {
  EXPECT_EQ(Rendered("x {{token}} y", Escape::kNone), "x s3cret y");
  EXPECT_EQ(Rendered("{{absent|fallback}}", Escape::kNone), "fallback");
  EXPECT_EQ(Rendered("{{plain|fallback}}", Escape::kNone), "a b/c\"\\");
  EXPECT_EQ(Rendered("", Escape::kNone), "");
}

TEST(TextTemplateTest, ValuesCannotLeaveTheirSegmentOfAUrl) {
  EXPECT_EQ(Rendered("/v1/{{plain}}?a=b", Escape::kUrlPath), "/v1/a%20b%2Fc%22%5C?a=b");
  EXPECT_EQ(Rendered("/v1/{{path}}/login", Escape::kUrlPath), "/v1/team/jwt/login");
}

TEST(TextTemplateTest, OptionalValueMakesTheTextVanish) {
  EXPECT_TRUE(Vanishes(ParseTemplate("x {{absent?}}").value(), SomeValues()));
  EXPECT_FALSE(Vanishes(ParseTemplate("x {{plain?}}").value(), SomeValues()));
}

TEST(TextTemplateTest, BracesHaveToPair) {
  for (const std::string text :
       {"{{", "{{a", "a}}", "{{}}", "{{A}}", "{{a b}}", "{{?}}", "{{a??}}", "{{1a}}"}) {
    EXPECT_THAT(ParseTemplate(text), FailsWithCode(Code::kInvalidArgument)) << text;
  }
}

JsonTemplate JsonText(const std::string& text) {
  JsonTemplate json;
  json.kind = JsonTemplate::Kind::kText;
  json.text = ParseTemplate(text).value();
  return json;
}

TEST(TextTemplateTest, JsonKeepsTypesEscapesAndDropsWhatIsAbsent) {
  JsonTemplate object;
  object.kind = JsonTemplate::Kind::kObject;
  object.members.push_back({"gone", JsonText("{{absent?}}")});
  object.members.push_back({"n", JsonText("{{number}}")});
  object.members.push_back({"f", JsonText("{{flag}}")});
  object.members.push_back({"t", JsonText("n{{number}}")});
  object.members.push_back({"p\"", JsonText("{{plain}}")});
  JsonTemplate list;
  list.kind = JsonTemplate::Kind::kArray;
  list.items.push_back(JsonText("{{absent?}}"));
  list.items.push_back(JsonText("{{token}}"));
  object.members.push_back({"l", std::move(list)});

  SecretBuffer out;
  RenderJson(object, SomeValues(), out);

  EXPECT_EQ(out.Reveal(), R"({"n":42,"f":true,"t":"n42","p\"":"a b/c\"\\","l":["s3cret"]})");
}

}  // namespace
}  // namespace credence
