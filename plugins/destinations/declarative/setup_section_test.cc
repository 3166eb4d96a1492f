#include "plugins/destinations/declarative/setup_section.h"

#include <string>

#include <gmock/gmock.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kHead = R"(adapter: small
settings:
  url: {type: base_url, default: "https://a.example"}
  ca: {type: ca_file}
  team: {type: string, required: true}
  rule: {type: string, required: true, pattern: "r_[a-z]+", expected: a rule}
svid: {audience: ["{{url}}"], algorithms: [RS256, ES256], issuer_required: true}
steps:
  - post: /token
    json: {jwt: "{{svid}}", rule: "{{rule}}"}
    success: [200]
    extract:
      token: {json: /token, type: token}
      ttl: {json: /ttl, type: seconds}
classify: []
expiry: {from: ttl}
credential: {fields: [token], primary: token}
deliver: {env: {TOKEN: "{{token}}"}}
)";

Result<AdapterFile> WithSetup(std::string_view setup) {
  return ParseAdapterFile(std::string(kHead) + std::string(setup), "f.yaml");
}

SetupFacts FactsOf(const std::string& issuer) {
  return SetupFacts{.destination = "kv",
                    .subject = "spiffe://example.org/web",
                    .trust_domain = "example.org",
                    .issuer = issuer,
                    .jwks = R"({"keys":[{"kid":"it's"}]})",
                    .jwk_array = R"([{"kid":"it's"}])",
                    .keys_pem = "line1\nline2"};
}

TEST(SetupSectionTest, FillsTextAndQuotesForAShell) {
  const auto file = WithSetup(R"(setup:
  - text: "{{team}} trusts {{issuer}} in {{trust_domain}}"
  - text: ""
  - shell: vendor trust {{subject}} --team={{team}} --keys={{jwks?}} --pem={{keys_pem?}}
)");
  ASSERT_THAT(file, IsOk());
  const auto text = MakeSetupText(*file, {{"team", "a b"}}, FactsOf("https://issuer.example"));
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(text->audience, ElementsAre("https://a.example"));
  EXPECT_THAT(text->lines,
              ElementsAre("a b trusts https://issuer.example in example.org",
                          "",
                          "vendor trust spiffe://example.org/web --team='a b' "
                          R"(--keys='{"keys":[{"kid":"it'\''s"}]}' --pem='line1)"
                          "\nline2'"));
}

TEST(SetupSectionTest, AFactThatIsNotKnownTakesItsLineAway) {
  const auto file = WithSetup(R"(setup:
  - text: "fetch {{fetched_issuer?}}"
  - text: "from afar {{public_issuer?}}"
  - text: "keys {{jwk_array?}}"
)");
  ASSERT_THAT(file, IsOk());
  const auto lines = [&](const SetupFacts& facts) {
    return MakeSetupText(*file, {}, facts).value().lines;
  };
  EXPECT_THAT(
      lines(FactsOf("https://i.example")),
      ElementsAre(
          "fetch https://i.example", "from afar https://i.example", R"(keys [{"kid":"it's"}])"));
  SetupFacts local = FactsOf("http://127.0.0.1:8088");
  local.jwk_array = "";
  EXPECT_THAT(lines(local), ElementsAre("fetch http://127.0.0.1:8088"));
  EXPECT_THAT(lines(FactsOf("my-issuer")), ElementsAre(R"(keys [{"kid":"it's"}])"));
}

TEST(SetupSectionTest, OnlyWhatIsNamedHasToBeKnown) {
  const auto file = WithSetup("setup:\n  - text: \"{{team}}\"\n");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(MakeSetupText(*file, {{"rule", "wrong"}}, FactsOf("i")),
              FailsWith(Code::kInvalidArgument, HasSubstr("team: is missing")));
  EXPECT_THAT(MakeSetupText(*file, {{"team", "t"}, {"rule", "wrong"}}, FactsOf("i")), IsOk());
}

TEST(SetupSectionTest, SettingsAreDescribedForWhoAsks) {
  const auto file = WithSetup("setup:\n  - text: \"{{team}}\"\n");
  ASSERT_THAT(file, IsOk());
  const auto settings = DescribeSettings(*file);
  ASSERT_EQ(settings.size(), 4U);
  EXPECT_EQ(settings[0].name, "url");
  EXPECT_FALSE(settings[0].required);
  EXPECT_TRUE(settings[0].in_setup) << "the audience names it";
  EXPECT_EQ(settings[0].default_value, "https://a.example");
  EXPECT_TRUE(settings[1].rare);
  EXPECT_TRUE(settings[2].required && settings[2].in_setup);
  EXPECT_TRUE(settings[3].required && !settings[3].in_setup);
  EXPECT_EQ(settings[3].expected, "a rule");
}

TEST(SetupSectionTest, WhatAnSvidHasToBeIsRead) {
  const auto file = WithSetup("");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->svid_algorithms, ElementsAre("RS256", "ES256"));
  EXPECT_TRUE(file->svid_issuer_required);
  EXPECT_THAT(
      ParseAdapterFile(std::string(kHead).replace(kHead.find("ES256"), 5, "HS256"), "f.yaml"),
      FailsWith(Code::kInvalidArgument, HasSubstr("expected an algorithm of JWT-SVIDs")));
}

struct SetupRejectCase {
  std::string name;
  std::string setup;
  std::string message;
};

class SetupRejectTest : public testing::TestWithParam<SetupRejectCase> {};

TEST_P(SetupRejectTest, IsRefused) {
  EXPECT_THAT(WithSetup(GetParam().setup),
              FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().message)));
}

std::string ManyLines() {
  std::string lines = "setup:\n";
  for (int i = 0; i < 101; ++i) {
    lines += "  - text: a\n";
  }
  return lines;
}

INSTANTIATE_TEST_SUITE_P(
    All,
    SetupRejectTest,
    testing::Values(
        SetupRejectCase{"NoList", "setup: {text: a}\n", "expected a list"},
        SetupRejectCase{"NoLine", "setup: []\n", "expected 1 to 100 lines"},
        SetupRejectCase{"ManyLines", ManyLines(), "expected 1 to 100 lines"},
        SetupRejectCase{"PlainText", "setup: [a]\n", "expected keys with values"},
        SetupRejectCase{"UnknownKey", "setup: [{html: a}]\n", "unknown key html"},
        SetupRejectCase{"Both", "setup: [{text: a, shell: b}]\n", "exactly one of text and shell"},
        SetupRejectCase{"Neither", "setup: [{}]\n", "exactly one of text and shell"},
        SetupRejectCase{"UnknownName", "setup: [{text: \"{{nope}}\"}]\n", "the name nope"},
        SetupRejectCase{"Svid", "setup: [{text: \"{{svid}}\"}]\n", "the name svid"},
        SetupRejectCase{"Token", "setup: [{shell: \"{{token}}\"}]\n", "the name token"},
        SetupRejectCase{"OptionalFact", "setup: [{text: \"{{jwks}}\"}]\n", "jwks is optional"},
        SetupRejectCase{"OptionalSetting", "setup: [{text: \"{{ca}}\"}]\n", "ca is optional"},
        SetupRejectCase{"TwoLines", "setup: [{shell: \"a\\nb\"}]\n", "control characters"}),
    [](const auto& tested) { return tested.param.name; });

TEST(SetupSectionTest, ASettingMayNotHaveTheNameOfAFact) {
  std::string text(kHead);
  text.replace(text.find("team:"), 5, "issuer:");
  EXPECT_THAT(ParseAdapterFile(text + "setup: [{text: a}]\n", "f.yaml"),
              FailsWith(Code::kInvalidArgument, HasSubstr("issuer is a setting")));
  EXPECT_THAT(ParseAdapterFile(text, "f.yaml"), IsOk());
}

}  // namespace
}  // namespace credence
