#include "plugins/destinations/declarative/yaml_tree.h"

#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;

TEST(YamlTreeTest, KeepsOrderPlacesAndQuotes) {
  const auto root = ParseYaml("b: 1\na:\n  - \"2\"\n  - {c: }\n");
  ASSERT_THAT(root, IsOk());
  ASSERT_EQ(root->entries.size(), 2U);
  EXPECT_EQ(root->entries[0].key.text, "b");
  EXPECT_FALSE(root->entries[0].value.quoted);
  const YamlNode& list = root->entries[1].value;
  ASSERT_EQ(list.items.size(), 2U);
  EXPECT_TRUE(list.items[0].quoted);
  EXPECT_EQ(list.items[0].line, 3);
  EXPECT_EQ(list.items[0].column, 5);
  EXPECT_EQ(list.items[1].entries[0].value.kind, YamlNode::Kind::kNull);
}

struct YamlRejectCase {
  std::string name;
  std::string text;
  std::string message;
};

class YamlRejectTest : public testing::TestWithParam<YamlRejectCase> {};

TEST_P(YamlRejectTest, IsRefusedWithPlace) {
  EXPECT_THAT(ParseYaml(GetParam().text),
              FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    All,
    YamlRejectTest,
    testing::Values(YamlRejectCase{"Empty", "", "empty"},
                    YamlRejectCase{"RepeatedKey", "a: 1\nb: 2\na: 3\n", "3:1: this key"},
                    YamlRejectCase{"Alias", "a: &x 1\nb: *x\n", "1:4: anchors"},
                    YamlRejectCase{"Tag", "a: !!int 1\n", "1:4: tags"},
                    YamlRejectCase{"MapAsKey", "? {a: b}\n: 1\n", "plain text"},
                    YamlRejectCase{"NullAsKey", "~: 1\n", "plain text"},
                    YamlRejectCase{"TwoDocuments", "a: 1\n---\nb: 2\n", "one YAML document"},
                    YamlRejectCase{"Syntax", "a: [1\nb: 2\n", "2:"},
                    YamlRejectCase{"Deep", std::string(100, '['), "1:"},
                    YamlRejectCase{
                        "DeepAndClosed", std::string(30, '[') + std::string(30, ']'), "nested"},
                    YamlRejectCase{"Long", std::string(300'000, 'x'), "longer"}),
    [](const auto& param) { return param.param.name; });

TEST(YamlTreeTest, TooManyValuesAreRefused) {
  std::string text = "[";
  for (int i = 0; i < 20'000; ++i) {
    text += "1,";
  }
  EXPECT_THAT(ParseYaml(text + "1]"), FailsWith(Code::kInvalidArgument, HasSubstr("more than")));
}

}  // namespace
}  // namespace credence
