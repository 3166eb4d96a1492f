#include "agent/config/resources.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config/testing/fake_adapter.h"
#include "plugins/destinations/builtin_adapters.h"

namespace credence {
namespace {

using std::chrono_literals::operator""min;
using testing::ElementsAre;
using testing::IsEmpty;

const AdapterList& Adapters() {
  static const FakeAdapter vault("openbao");
  static const FakeAdapter claude("anthropic");
  static const AdapterList adapters = {&vault, &claude};
  return adapters;
}

constexpr std::string_view kGood = R"(# Who may read the secrets of the demo.
apiVersion: credence/v1
kind: Destination
metadata: {name: kv, owner: platform, sensitivity: high}
spec:
  adapter: openbao
  settings:
    address: https://bao.example.org:8200
    role: 17
  max_ttl: 10m
---
apiVersion: credence/v1
kind: Grant
metadata:
  name: kv-reader
  owner: team-search
  expires: 2027-03-01
spec:
  subject:
    spiffe_id: spiffe://example.org/web
    selectors: ["unix:uid:1000", unix:user:web]
    assurance: pinned
  destination: kv
  max_ttl: 5m
  deliver: [api]
---
apiVersion: credence/v1
kind: Grant
metadata: {name: any}
spec: {subject: {spiffe_id: "spiffe://example.org/any"}, destination: notes}
---
apiVersion: credence/v1
kind: Destination
metadata: {name: notes}
spec: {adapter: openbao, settings: {address: https://notes.example.org}}
---
)";

std::string Destination(const std::string& metadata, const std::string& spec) {
  return fmt::format(
      "apiVersion: credence/v1\nkind: Destination\nmetadata: {}\nspec: {}\n", metadata, spec);
}

std::string Grant(const std::string& metadata, const std::string& spec) {
  return fmt::format(
      "apiVersion: credence/v1\nkind: Grant\nmetadata: {}\nspec: {}\n", metadata, spec);
}

std::vector<std::string> MistakesOf(const std::string& yaml) {
  const ResourcesOutcome outcome = ParseResources(yaml, "kv.yaml", Adapters());
  EXPECT_EQ(outcome.resources != nullptr, outcome.mistakes.empty());
  std::vector<std::string> lines;
  for (const ConfigMistake& mistake : outcome.mistakes) {
    lines.push_back(mistake.ToString());
  }
  return lines;
}

TEST(ResourcesTest, EveryFieldArrives) {
  const ResourcesOutcome outcome = ParseResources(kGood, "kv.yaml", Adapters());
  ASSERT_THAT(outcome.mistakes, IsEmpty());
  ASSERT_EQ(outcome.resources->destinations.size(), 2U);
  const DestinationResource& kv = outcome.resources->destinations[0];
  EXPECT_EQ(kv.name, "kv");
  EXPECT_EQ(kv.owner, "platform");
  EXPECT_EQ(kv.sensitivity, Sensitivity::kHigh);
  EXPECT_EQ(kv.adapter, "openbao");
  EXPECT_EQ(kv.settings, (Settings{{"address", "https://bao.example.org:8200"}, {"role", "17"}}));
  EXPECT_EQ(kv.max_ttl, 10min);
  EXPECT_EQ(kv.origin.file, "kv.yaml");
  EXPECT_EQ(kv.origin.line, 2);
  EXPECT_NE(kv.target, nullptr);
  ASSERT_EQ(outcome.resources->grants.size(), 2U);
  EXPECT_EQ(outcome.resources->grants[0].name, "any");
  const GrantResource& grant = outcome.resources->grants[1];
  EXPECT_EQ(grant.name, "kv-reader");
  EXPECT_EQ(grant.owner, "team-search");
  EXPECT_EQ(FormatRfc3339(grant.expires.value()), "2027-03-01T00:00:00Z");
  EXPECT_EQ(grant.spiffe_id.text(), "spiffe://example.org/web");
  EXPECT_THAT(grant.selectors.items(),
              ElementsAre(Selector{"unix", "uid:1000"}, Selector{"unix", "user:web"}));
  EXPECT_EQ(grant.assurance, Assurance::kPinned);
  EXPECT_EQ(grant.destination, "kv");
  EXPECT_EQ(grant.max_ttl, 5min);
  EXPECT_THAT(grant.deliver, ElementsAre(DeliveryForm::kApi));
  EXPECT_EQ(grant.origin.line, 12);
}

TEST(ResourcesTest, DefaultsOfAGrant) {
  const ResourcesOutcome outcome = ParseResources(kGood, "kv.yaml", Adapters());
  ASSERT_THAT(outcome.mistakes, IsEmpty());
  const GrantResource& any = outcome.resources->grants[0];
  EXPECT_FALSE(any.expires.has_value());
  EXPECT_TRUE(any.selectors.empty());
  EXPECT_EQ(any.assurance, Assurance::kOpenedByPid);
  EXPECT_FALSE(any.max_ttl.has_value());
  EXPECT_THAT(any.deliver, ElementsAre(DeliveryForm::kApi));
}

TEST(ResourcesTest, FindsADestinationByName) {
  const ResourcesOutcome outcome = ParseResources(kGood, "kv.yaml", Adapters());
  EXPECT_EQ(outcome.resources->FindDestination("kv"), &outcome.resources->destinations[0]);
  EXPECT_EQ(outcome.resources->FindDestination("k"), nullptr);
  EXPECT_EQ(outcome.resources->FindDestination("kw"), nullptr);
  EXPECT_EQ(Resources().FindDestination("kv"), nullptr);
}

TEST(ResourcesTest, AGrantByNameAloneIsTooBroadForAHighSensitivity) {
  const auto with = [](const std::string& sensitivity, const std::string& subject) {
    return Grant("{name: g}", "{destination: kv,\n subject: " + subject + "}") + "---\n" +
           Destination("{name: kv, sensitivity: " + sensitivity + "}",
                       "{adapter: openbao, settings: {address: https://x}}");
  };
  const std::string bound = "{spiffe_id: 'spiffe://a/b', selectors: ['unix:uid:1']}";
  const std::string unbound = "{spiffe_id: 'spiffe://a/b'}";
  const std::string empty = "{spiffe_id: 'spiffe://a/b', selectors: []}";
  const std::string expected =
      "Grant g: spec.subject.selectors: is missing: expected at least one selector, such as "
      "\"unix:uid:1000\", because Destination \"kv\" has metadata.sensitivity high";
  EXPECT_THAT(MistakesOf(with("high", bound)), IsEmpty());
  EXPECT_THAT(MistakesOf(with("normal", unbound)), IsEmpty());
  EXPECT_THAT(MistakesOf(with("low", unbound)), IsEmpty());
  EXPECT_THAT(MistakesOf(with("high", unbound)), ElementsAre("kv.yaml:5:11: " + expected));
  EXPECT_THAT(MistakesOf(with("high", empty)), ElementsAre("kv.yaml:5:39: " + expected));
}

TEST(ResourcesTest, AFileWithoutAnythingIsAMistake) {
  for (const std::string_view nothing : {"", " ", "\n\n", "\r\n\t\n"}) {
    EXPECT_THAT(MistakesOf(std::string(nothing)),
                ElementsAre("kv.yaml: has no resource: expected at least one document, or a "
                            "comment if none is meant"));
  }
}

TEST(ResourcesTest, NothingThatIsMeantIsAnEmptySet) {
  EXPECT_THAT(MistakesOf("# nothing\n---\n---\n"), IsEmpty());
}

TEST(ResourcesTest, AllMistakesOfAllDocumentsAreReportedAtOnce) {
  const std::string yaml = R"(apiVersion: credence/v1
kind: Destination
metadata: {name: kv, sensitivity: secret}
spec: {adapter: openba, settings: {address: https://x}, max_ttl: 9s}
---
apiVersion: credence/v2
kind: Grant
metadata: {name: kv-reader, expires: tomorrow}
spec:
  subject: {spiffe_id: example.org/web, selector: [a], selectors: [plain], assurance: pined}
  destination: kw
  deliver: [proxy]
---
kind: Gront
---
apiVersion: credence/v1
metadata: {name: nameless}
)";
  EXPECT_THAT(
      MistakesOf(yaml),
      ElementsAre(
          "kv.yaml:3:35: Destination kv: metadata.sensitivity: expected low, normal or high, found "
          "\"secret\"",
          "kv.yaml:4:17: Destination kv: spec.adapter: there is no adapter \"openba\": expected "
          "openbao or anthropic; "
          "did you mean \"openbao\"?",
          "kv.yaml:4:66: Destination kv: spec.max_ttl: expected at least 10s, found 9s",
          "kv.yaml:6:13: Grant kv-reader: apiVersion: expected credence/v1, found \"credence/v2\"",
          "kv.yaml:8:38: Grant kv-reader: metadata.expires: expected a date 2027-03-01 or a time "
          "2027-03-01T12:00:00Z, found \"tomorrow\"",
          testing::StartsWith("kv.yaml:10:24: Grant kv-reader: spec.subject.spiffe_id: "),
          "kv.yaml:10:41: Grant kv-reader: spec.subject.selector: unknown key; did you mean "
          "\"selectors\"?",
          testing::StartsWith("kv.yaml:10:68: Grant kv-reader: spec.subject.selectors: "),
          "kv.yaml:10:87: Grant kv-reader: spec.subject.assurance: expected pinned or "
          "opened_by_pid, found \"pined\"",
          "kv.yaml:11:16: Grant kv-reader: spec.destination: there is no Destination \"kw\"; did "
          "you mean \"kv\"?",
          "kv.yaml:12:13: Grant kv-reader: spec.deliver: \"proxy\" is not a form of delivery: "
          "expected api",
          "kv.yaml:14:7: kind: expected Destination or Grant, found \"Gront\"; did you mean "
          "\"Grant\"?",
          "kv.yaml:16:1: kind: is missing: expected Destination or Grant"));
}

TEST(ResourcesTest, WhatAnAdapterRefusesStandsAtTheSetting) {
  const std::string spec = "{adapter: openbao, settings: {\n  address: http://x,\n  rule: a}}";
  EXPECT_THAT(
      MistakesOf(Destination("{name: kv}", spec)),
      ElementsAre("kv.yaml:5:3: Destination kv: spec.settings: address: expected an https URL",
                  "kv.yaml:6:3: Destination kv: spec.settings: rule: unknown setting"));
  EXPECT_THAT(
      MistakesOf(Destination("{name: kv}", "{adapter: openbao,\n settings: {}}")),
      ElementsAre(
          "kv.yaml:5:2: Destination kv: spec.settings: address is missing: expected an https URL"));
  EXPECT_THAT(
      MistakesOf(Destination("{name: kv}", "{adapter: openbao}")),
      ElementsAre(
          "kv.yaml:4:7: Destination kv: spec.settings: address is missing: expected an https URL"));
}

TEST(ResourcesTest, WhatABuiltInAdapterRefusesStandsAtTheSetting) {
  HttpClient client;
  const SystemClock clock;
  const auto builtins = BuiltinAdapters(client, clock);
  AdapterList adapters;
  for (const auto& adapter : builtins) {
    adapters.push_back(adapter.get());
  }
  const std::string yaml =
      Destination("{name: kv}",
                  "{adapter: openbao, settings: {\n  address: http://x,\n  rule: a,\n  role: b}}");
  const ResourcesOutcome outcome = ParseResources(yaml, "kv.yaml", adapters);
  std::vector<std::string> lines;
  for (const ConfigMistake& mistake : outcome.mistakes) {
    lines.push_back(mistake.ToString());
  }
  EXPECT_THAT(
      lines,
      ElementsAre(
          testing::StartsWith(
              "kv.yaml:4:26: Destination kv: spec.settings: audience: is missing; expected one of"),
          testing::StartsWith("kv.yaml:5:3: Destination kv: spec.settings: address: expected the "
                              "server's https URL"),
          testing::StartsWith("kv.yaml:6:3: Destination kv: spec.settings: rule: unknown setting; "
                              "known: address,")));
}

TEST(ResourcesTest, NamesAreUniqueAndBothPlacesAreNamed) {
  const std::string good =
      Destination("{name: kv}", "{adapter: openbao, settings: {address: https://x}}");
  EXPECT_THAT(MistakesOf(good + "---\n" + good),
              ElementsAre("kv.yaml:8:18: Destination kv: metadata.name: this name is taken by the "
                          "one at kv.yaml:1"));
}

TEST(ResourcesTest, ADestinationWithMistakesIsStillThereForGrants) {
  const std::string yaml =
      Destination("{name: kv}", "{adapter: openbao}") + "---\n" +
      Grant("{name: g}", "{subject: {spiffe_id: 'spiffe://a/b'}, destination: kv}");
  EXPECT_EQ(MistakesOf(yaml).size(), 1U);
}

struct ResourceRejectCase {
  std::string name;
  std::string yaml;
  std::string mistake;
};

void PrintTo(const ResourceRejectCase& c, std::ostream* out) {
  *out << c.name;
}

class ResourceRejectTest : public testing::TestWithParam<ResourceRejectCase> {};

TEST_P(ResourceRejectTest, SaysWhereAndWhat) {
  EXPECT_THAT(MistakesOf(GetParam().yaml), ElementsAre(GetParam().mistake));
}

std::string NamedDestination(const std::string& name) {
  return Destination("{name: " + name + "}", "{adapter: openbao, settings: {address: https://x}}");
}

const std::string kNameRule =
    "kv.yaml:3:18: Destination: metadata.name: expected up to 63 lower-case letters, digits and "
    "inner dashes, found ";

INSTANTIATE_TEST_SUITE_P(
    Table,
    ResourceRejectTest,
    testing::Values(
        ResourceRejectCase{
            "Anchor",
            "a: &x 1\nb: 2",
            "kv.yaml:1:4: anchors (&name) are not allowed: write the value out where it is needed"},
        ResourceRejectCase{
            "AnchorOnAMap",
            "a: &x {b: 1}\n",
            "kv.yaml:1:4: anchors (&name) are not allowed: write the value out where it is needed"},
        ResourceRejectCase{
            "Alias",
            "a: &x 1\nb: *x",
            "kv.yaml:1:4: anchors (&name) are not allowed: write the value out where it is needed"},
        ResourceRejectCase{"Tag", "a: !!binary aGk=", "kv.yaml:1:4: tags (!name) are not allowed"},
        ResourceRejectCase{"MapAsKey", "? {a: 1}\n: 2", "kv.yaml:1:3: a key must be a text"},
        ResourceRejectCase{"NotYaml",
                           "a: [1, 2\nb: 3",
                           "kv.yaml:2:2: this is not YAML: end of sequence flow not found"},
        ResourceRejectCase{
            "TabIndent",
            "a:\n\tb: 1",
            "kv.yaml:2:3: this is not YAML: illegal map value (a tab cannot indent: use blanks)"},
        ResourceRejectCase{"NotUtf8", "a: \"\xff\"", "kv.yaml:1:5: a byte that is not UTF-8 text"},
        ResourceRejectCase{"List",
                           "- a\n",
                           "kv.yaml:1:1: expected a resource: apiVersion, kind, metadata and spec"},
        ResourceRejectCase{"Scalar",
                           "hello\n",
                           "kv.yaml:1:1: expected a resource: apiVersion, kind, metadata and spec"},
        ResourceRejectCase{
            "RepeatedKey",
            "kind: Grant\nkind: Grant\n"
            "apiVersion: credence/v1\nmetadata: {name: g}\nspec: {subject: {spiffe_id: "
            "'spiffe://a/b'}, "
            "destination: kv}\n---\n" +
                NamedDestination("kv"),
            "kv.yaml:2:1: Grant g: kind: is set twice: the first is at line 1"},
        ResourceRejectCase{
            "RepeatedSetting",
            Destination("{name: kv}",
                        "{adapter: openbao, settings: {address: https://x,\n address: https://y}}"),
            "kv.yaml:5:2: Destination kv: spec.settings.address: is set twice: the first is at "
            "line 4"},
        ResourceRejectCase{
            "SettingOfAnotherKind",
            Destination("{name: kv}",
                        "{adapter: openbao, settings: {address: https://x, role: [a]}}"),
            "kv.yaml:4:63: Destination kv: spec.settings.role: expected a text, a number, true or "
            "false; found a "
            "list"},
        ResourceRejectCase{"UnknownTopKey",
                           NamedDestination("kv") + "status: {}\n",
                           "kv.yaml:5:1: Destination kv: status: unknown key"},
        ResourceRejectCase{"MergeKey",
                           NamedDestination("kv") + "<<: {}\n",
                           "kv.yaml:5:1: Destination kv: <<: unknown key"},
        ResourceRejectCase{
            "NoName",
            Destination("{}", "{adapter: openbao, settings: {address: https://x}}"),
            "kv.yaml:3:11: Destination: metadata.name: is missing: expected a name such as "
            "kv-reader"},
        ResourceRejectCase{
            "NumberAsName",
            NamedDestination("12"),
            "kv.yaml:3:18: Destination 12: metadata.name: expected a text, found 12"},
        ResourceRejectCase{
            "BooleanAsName",
            NamedDestination("true"),
            "kv.yaml:3:18: Destination true: metadata.name: expected a text, found true"},
        ResourceRejectCase{"UpperCaseName", NamedDestination("Kv"), kNameRule + "\"Kv\""},
        ResourceRejectCase{"DashFirst", NamedDestination("'-kv'"), kNameRule + "\"-kv\""},
        ResourceRejectCase{"DashLast", NamedDestination("kv-"), kNameRule + "\"kv-\""},
        ResourceRejectCase{"LongName",
                           NamedDestination(std::string(64, 'a')),
                           kNameRule + "\"" + std::string(60, 'a') + "...\""},
        ResourceRejectCase{
            "NumberAsDuration",
            Destination("{name: kv}",
                        "{max_ttl: 300, adapter: openbao, settings: {address: https://x}}"),
            "kv.yaml:4:17: Destination kv: spec.max_ttl: expected a duration such as \"30s\", "
            "\"10m\" or \"24h\", "
            "found 300"},
        ResourceRejectCase{
            "EmptyDuration",
            Destination("{name: kv}",
                        "{max_ttl: '', adapter: openbao, settings: {address: https://x}}"),
            "kv.yaml:4:17: Destination kv: spec.max_ttl: expected a duration such as \"30s\", "
            "\"10m\" or \"24h\", found \"\""},
        ResourceRejectCase{
            "EmptyDurationOfAGrant",
            Grant("{name: g}",
                  "{destination: kv, subject: {spiffe_id: 'spiffe://a/b'}, max_ttl: ''}") +
                "---\n" + NamedDestination("kv"),
            "kv.yaml:4:72: Grant g: spec.max_ttl: expected a duration such as \"30s\", \"10m\" or "
            "\"24h\", found \"\""},
        ResourceRejectCase{
            "EmptyExpiry",
            Grant("{name: g, expires: ''}",
                  "{destination: kv, subject: {spiffe_id: 'spiffe://a/b'}}") +
                "---\n" + NamedDestination("kv"),
            "kv.yaml:3:30: Grant g: metadata.expires: expected a date 2027-03-01 or a time "
            "2027-03-01T12:00:00Z, found \"\""},
        ResourceRejectCase{
            "EmptyAssurance",
            Grant("{name: g}",
                  "{destination: kv, subject: {spiffe_id: 'spiffe://a/b', assurance: ''}}") +
                "---\n" + NamedDestination("kv"),
            "kv.yaml:4:73: Grant g: spec.subject.assurance: expected pinned or opened_by_pid, "
            "found "
            "\"\""},
        ResourceRejectCase{
            "EmptySensitivity",
            Destination("{name: kv, sensitivity: ''}",
                        "{adapter: openbao, settings: {address: https://x}}"),
            "kv.yaml:3:35: Destination kv: metadata.sensitivity: expected low, normal or high, "
            "found \"\""},
        ResourceRejectCase{
            "NoSpec",
            "apiVersion: credence/v1\nkind: Grant\nmetadata: {name: g}\n",
            "kv.yaml:1:1: Grant g: spec: is missing: expected subject and destination"},
        ResourceRejectCase{"SpecOfAnotherKind",
                           Grant("{name: g}", "[]"),
                           "kv.yaml:4:7: Grant g: spec: expected a block, found a list"},
        ResourceRejectCase{
            "ListForABlock",
            Grant("{name: g}", "{destination: kv, subject: [{spiffe_id: 'spiffe://a/b'}]}") +
                "---\n" + NamedDestination("kv"),
            "kv.yaml:4:34: Grant g: spec.subject: expected a block, found a list"},
        ResourceRejectCase{
            "NoSpiffeId",
            Grant("{name: g}", "{destination: kv, subject: {}}") + "---\n" + NamedDestination("kv"),
            "kv.yaml:4:34: Grant g: spec.subject.spiffe_id: is missing: expected the SPIFFE ID of "
            "the workload"},
        ResourceRejectCase{
            "NoDelivery",
            Grant("{name: g}",
                  "{destination: kv, subject: {spiffe_id: 'spiffe://a/b'}, deliver: []}") +
                "---\n" + NamedDestination("kv"),
            "kv.yaml:4:72: Grant g: spec.deliver: expected at least one form of delivery: api"},
        ResourceRejectCase{"ExpiryOnADestination",
                           Destination("{name: kv, expires: 2027-01-01}",
                                       "{adapter: openbao, settings: {address: https://x}}"),
                           "kv.yaml:3:22: Destination kv: metadata.expires: unknown key"}),
    [](const auto& tested) { return tested.param.name; });

TEST(ResourceBoundsTest, DepthIsBounded) {
  const auto nested = [](int levels) {
    return std::string(static_cast<std::size_t>(levels), '[') +
           std::string(static_cast<std::size_t>(levels), ']');
  };
  EXPECT_THAT(MistakesOf(nested(100)),
              ElementsAre("kv.yaml:1:1: expected a resource: apiVersion, kind, metadata and spec"));
  EXPECT_THAT(MistakesOf(nested(101)), ElementsAre("kv.yaml:1:101: more than 100 levels"));
  EXPECT_EQ(MistakesOf(nested(100'000)).size(), 1U);
}

TEST(ResourceBoundsTest, SizeAndValuesAreBounded) {
  EXPECT_THAT(MistakesOf(std::string((1 << 20) + 1, ' ')),
              ElementsAre("kv.yaml: the file has 1048577 bytes: expected at most 1048576"));
  std::string many = "[";
  for (int i = 0; i < 100'001; ++i) {
    many += "a,";
  }
  const auto mistakes = MistakesOf(many + "]");
  ASSERT_EQ(mistakes.size(), 1U);
  EXPECT_THAT(mistakes[0], testing::HasSubstr("more than 100000 values"));
}

TEST(ResourceBoundsTest, MistakesAndSettingsAreBounded) {
  std::string unknown = "kind: Grant\n";
  std::string settings;
  for (int i = 0; i < 300; ++i) {
    unknown += fmt::format("k{}: 1\n", i);
    settings += fmt::format("k{}: 1,", i);
  }
  const auto mistakes = MistakesOf(unknown);
  ASSERT_EQ(mistakes.size(), 201U);
  EXPECT_EQ(mistakes.back(), "kv.yaml: 103 more mistakes");
  EXPECT_THAT(
      MistakesOf(Destination("{name: kv}", "{adapter: openbao, settings: {" + settings + "}}")),
      testing::Contains(
          "kv.yaml:4:36: Destination kv: spec.settings: expected at most 200 settings"));
}

}  // namespace
}  // namespace credence
