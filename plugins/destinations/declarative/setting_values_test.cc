#include "plugins/destinations/declarative/setting_values.h"

#include <string>

#include <gtest/gtest.h>
#include <re2/re2.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<SettingSpec> Specs() {
  std::vector<SettingSpec> specs(5);
  specs[0].name = "url";
  specs[0].type = SettingType::kBaseUrl;
  specs[0].default_value = "https://a.example";
  specs[1].name = "id";
  specs[1].required = true;
  specs[1].pattern = std::make_shared<const re2::RE2>("id_[a-z]+");
  specs[1].expected = "an id, id_...";
  specs[2].name = "mount";
  specs[2].type = SettingType::kUrlPath;
  specs[3].name = "count";
  specs[3].type = SettingType::kInteger;
  specs[3].min = 1;
  specs[3].max = 9;
  specs[4].name = "ca";
  specs[4].type = SettingType::kCaFile;
  return specs;
}

TEST(SettingValuesTest, FillsDefaultsAndTypes) {
  const auto checked = CheckValues(
      Specs(), {{"id", "id_x"}, {"mount", "a/b"}, {"count", "3"}, {"ca", "/ca.pem"}}, "setting");
  ASSERT_THAT(checked, IsOk());
  EXPECT_EQ(checked->base_url->host, "a.example");
  EXPECT_EQ(checked->ca_file, "/ca.pem");
  EXPECT_EQ(checked->values.at("count").type, ValueType::kInteger);
  EXPECT_EQ(checked->values.at("mount").type, ValueType::kPath);
}

TEST(SettingValuesTest, BaseUrlLosesItsLastSlash) {
  const auto checked =
      CheckValues(Specs(), {{"id", "id_x"}, {"url", "https://b.example/prefix/"}}, "setting");
  ASSERT_THAT(checked, IsOk());
  EXPECT_EQ(checked->values.at("url").text, "https://b.example/prefix");
  EXPECT_EQ(checked->base_url->target, "/prefix");
}

TEST(SettingValuesTest, ReportsAllMistakesAtOnce) {
  const auto checked = CheckValues(
      Specs(), {{"url", "http://a.example"}, {"count", "10"}, {"mont", "x"}}, "setting");
  EXPECT_THAT(
      checked,
      FailsWith(Code::kInvalidArgument,
                AllOf(StartsWith("url: expected an https URL"),
                      HasSubstr("plain http"),
                      HasSubstr("\nid: is missing; expected an id, id_..."),
                      HasSubstr("\ncount: expected"),
                      HasSubstr("\nmont: unknown setting; known: url, id, mount, count, ca"))));
}

struct SettingRejectCase {
  std::string name;
  std::string setting;
  std::string value;
};

class SettingRejectTest : public testing::TestWithParam<SettingRejectCase> {};

TEST_P(SettingRejectTest, IsRefused) {
  Settings settings = {{"id", "id_x"}};
  settings[GetParam().setting] = GetParam().value;
  EXPECT_THAT(CheckValues(Specs(), settings, "setting"),
              FailsWith(Code::kInvalidArgument, StartsWith(GetParam().setting + ": ")));
}

INSTANTIATE_TEST_SUITE_P(All,
                         SettingRejectTest,
                         testing::Values(SettingRejectCase{"PatternIsForAll", "id", "xid_a"},
                                         SettingRejectCase{"Empty", "id", ""},
                                         SettingRejectCase{"LineBreak", "ca", "/a\nb"},
                                         SettingRejectCase{
                                             "Long", "ca", "/" + std::string(2000, 'x')},
                                         SettingRejectCase{"PathUp", "mount", "a/../b"},
                                         SettingRejectCase{"PathEmptySegment", "mount", "a//b"},
                                         SettingRejectCase{"PathLeadingSlash", "mount", "/a"},
                                         SettingRejectCase{"PathQuery", "mount", "a?b"},
                                         SettingRejectCase{"PathEncoded", "mount", "a%2fb"},
                                         SettingRejectCase{"Number", "count", "1x"},
                                         SettingRejectCase{"RelativeCa", "ca", "ca.pem"},
                                         SettingRejectCase{"UrlQuery", "url", "https://a/?x=1"},
                                         SettingRejectCase{"UrlUser", "url", "https://u@a/"},
                                         SettingRejectCase{"UrlFragment", "url", "https://a/#x"}),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace credence
