#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "plugins/destinations/declarative/adapter_file.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::string_view kSmallest = R"(adapter: small
settings:
  url: {type: base_url, default: "https://a.example"}
  note: {type: string}
svid: {audience: ["aud"]}
steps:
  - post: /token
    json: {jwt: "{{svid}}", note: "{{note?}}"}
    success: [200]
    extract:
      token: {json: /token, type: token}
      ttl: {json: /ttl, type: seconds}
classify: []
expiry: {from: ttl}
credential: {fields: [token], primary: token}
deliver: {env: {TOKEN: "{{token}}"}}
)";

std::string Replaced(std::string_view from, std::string_view to) {
  std::string text(kSmallest);
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(AdapterParserTest, ReadsTheSmallestFile) {
  const auto file = ParseAdapterFile(kSmallest, "small.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->name, "small");
  ASSERT_EQ(file->steps.size(), 1U);
  EXPECT_EQ(file->steps[0].success, std::vector<int>{200});
  EXPECT_EQ(file->max_svid_bytes, 16384U);
  EXPECT_FALSE(file->renew.has_value());
}

TEST(AdapterParserTest, ReportsEveryMistakeWithItsPlace) {
  std::string text = Replaced("type: string", "type: strung");
  text += "extra: 1\n";
  EXPECT_THAT(ParseAdapterFile(text, "f.yaml"),
              FailsWith(Code::kInvalidArgument,
                        AllOf(HasSubstr("f.yaml:4:16: expected string"),
                              HasSubstr("f.yaml:17:1: unknown key extra"))));
}

struct RejectCase {
  std::string name;
  std::string from;
  std::string to;
  std::string message;
};

class AdapterRejectTest : public testing::TestWithParam<RejectCase> {};

TEST_P(AdapterRejectTest, IsRefused) {
  EXPECT_THAT(ParseAdapterFile(Replaced(GetParam().from, GetParam().to), "f.yaml"),
              FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    All,
    AdapterRejectTest,
    testing::Values(
        RejectCase{"AdapterMissing", "adapter: small\n", "", "key adapter is missing"},
        RejectCase{
            "NoBaseUrl", "type: base_url", "type: string", "exactly one setting of type base_url"},
        RejectCase{"TwoBaseUrls",
                   "{type: string}",
                   "{type: base_url}",
                   "exactly one setting of type base_url"},
        RejectCase{"ParameterAsBaseUrl",
                   "svid:",
                   "params: {u: {type: base_url}}\nsvid:",
                   "may not decide"},
        RejectCase{"ParameterNamedLikeSetting",
                   "svid:",
                   "params: {note: {type: string}}\nsvid:",
                   "note is a setting and"},
        RejectCase{"HostInPath", "/token\n", "https://evil.example/token\n", "starts with /"},
        RejectCase{"TemplateAsHost", "/token\n", "\"{{url}}/token\"\n", "starts with /"},
        RejectCase{"SvidInPath", "/token\n", "/token/{{svid}}\n", "svid is a secret"},
        RejectCase{"OptionalUsedAsRequired", "{{note?}}", "{{note}}", "note is optional"},
        RejectCase{"UnknownName", "{{note?}}", "{{nope?}}", "nothing here has the name nope"},
        RejectCase{"BrokenTemplate", "{{note?}}", "{{note", "without"},
        RejectCase{"NoSuccess", "    success: [200]\n", "", "key success is missing"},
        RejectCase{"RedirectAsSuccess", "[200]", "[302]", "from 200 to 299"},
        RejectCase{"TwoSources",
                   "{json: /ttl, type",
                   "{json: /ttl, header: x, type",
                   "exactly one of json and header"},
        RejectCase{"BadPointer", "json: /ttl", "json: ttl", "JSON pointer"},
        RejectCase{"ExpiryOfWrongType", "from: ttl", "from: token", "another type"},
        RejectCase{"ExpiryUnknown", "from: ttl", "from: other", "no step extracts"},
        RejectCase{
            "ExpiryOptional", "type: seconds", "type: seconds, optional: true", "always expires"},
        RejectCase{"PrimaryNotAField", "primary: token", "primary: ttl", "one of the fields"},
        RejectCase{"SvidInDelivery", "{{token}}", "{{svid}}", "nothing here has the name svid"},
        RejectCase{"EnvironmentName", "TOKEN:", "token=:", "environment variable"},
        RejectCase{"UnknownClass",
                   "classify: []",
                   "classify: [{status: [400], class: NOPE}]",
                   "unknown class"},
        RejectCase{"StatusOutOfRange",
                   "classify: []",
                   "classify: [{status: [99], class: BAD_TOKEN}]",
                   "from 100 to 599"},
        RejectCase{"FileLeavesFolder",
                   "{env: {TOKEN: \"{{token}}\"}}",
                   "{files: [{path: ../x, mode: \"0600\", text: a}]}",
                   "relative path"},
        RejectCase{"SecretInReadableFile",
                   "{env: {TOKEN: \"{{token}}\"}}",
                   "{files: [{path: x, mode: \"0644\", text: \"{{token}}\"}]}",
                   "token is a secret"},
        RejectCase{"FileMode",
                   "{env: {TOKEN: \"{{token}}\"}}",
                   "{files: [{path: x, mode: \"0666\", text: a}]}",
                   "0600, 0400 or 0644"},
        RejectCase{
            "BadPattern", "{type: string}", "{type: string, pattern: \"[\"}", "regular expression"},
        RejectCase{"ExplodingPattern",
                   "{type: string}",
                   "{type: string, pattern: \"(a+)+b\"}",
                   "no repeated groups"},
        RejectCase{"RequiredWithDefault",
                   "{type: string}",
                   "{type: string, required: true, default: x}",
                   "no default"},
        RejectCase{"RenewWithoutExpiry",
                   "classify: []",
                   "classify: []\nrenew: {post: /r, success: [200]}",
                   "has to extract ttl"},
        RejectCase{"SvidInRenew",
                   "classify: []",
                   "classify: []\nrevoke: {post: /r, headers: {X: \"{{svid}}\"}, success: [204]}",
                   "nothing here has the name svid"},
        RejectCase{"SecondStepWithSvid",
                   "classify: []",
                   "  - {post: /again, json: {jwt: \"{{svid}}\"}, success: [200]}\nclassify: []",
                   "nothing here has the name svid"}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace credence
