#include "agent/config/hcl/parser.h"

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace credence::hcl {
namespace {

/// A tree in one line, so that two of them can be compared: {a: "x", b: [1, true]}.
std::string Show(const Value& value) {
  std::string out;
  switch (value.kind) {
    case ValueKind::kNull:
      return "null";
    case ValueKind::kBool:
    case ValueKind::kNumber:
      return value.text;
    case ValueKind::kString:
      return fmt::format("\"{}\"", value.text);
    case ValueKind::kList:
      for (const Value& item : value.items) {
        out += (out.empty() ? "" : ", ") + Show(item);
      }
      return "[" + out + "]";
    case ValueKind::kObject:
      for (const Entry& entry : value.entries) {
        out += (out.empty() ? "" : ", ") + entry.key + ": " + Show(entry.value);
      }
      return "{" + out + "}";
  }
  return "?";
}

std::string Outcome(std::string_view text) {
  const Document document = Parse(text);
  if (document.error) {
    return fmt::format(
        "{}:{}: {}", document.error->at.line, document.error->at.column, document.error->message);
  }
  return Show(document.root);
}

struct Case {
  std::string name;
  std::string text;
  std::string expected;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class HclAcceptTest : public testing::TestWithParam<Case> {};

TEST_P(HclAcceptTest, Reads) {
  EXPECT_EQ(Outcome(GetParam().text), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    HclAcceptTest,
    testing::Values(
        Case{"Empty", "", "{}"},
        Case{"OnlyComments", "# a\n// b\n/* c\n d */\n", "{}"},
        Case{"CommentAtTheEndWithoutNewline", "a = 1 # end", "{a: 1}"},
        Case{"CommentBetweenTokens", "a /* x */ = /* y */ 1", "{a: 1}"},
        Case{"Texts", R"(a = "x" b = "")", R"({a: "x", b: ""})"},
        Case{"Escapes", R"(a = "q\" b\\ n\n t\t")", "{a: \"q\" b\\ n\n t\t\"}"},
        Case{
            "UnicodeEscapes", R"(a = "\u00e9\u20ac\U0001F600")", "{a: \"\u00e9\u20ac\U0001F600\"}"},
        Case{"InterpolationIsPlainText", R"(a = "${env("HOME")}/x")", R"({a: "${env("HOME")}/x"})"},
        Case{"DollarIsPlainText", R"(a = "5$ $x")", R"({a: "5$ $x"})"},
        Case{"HashInText", R"(a = "#no // comment")", R"({a: "#no // comment"})"},
        Case{"Numbers",
             "a = 1\nb = -2\nc = 3.5\nd = 0x1F\ne = 1e3",
             "{a: 1, b: -2, c: 3.5, d: 0x1F, e: 1e3}"},
        Case{"Booleans", "a = true\nb = false", "{a: true, b: false}"},
        Case{"Lists", "a = [\"x\", 1, [true]]\nb = []", "{a: [\"x\", 1, [true]], b: []}"},
        Case{"TrailingComma", "a = [\n 1, # one\n 2,\n]", "{a: [1, 2]}"},
        Case{"ListOfObjects", "a = [{b = 1}, {b = 2}]", "{a: [{b: 1}, {b: 2}]}"},
        Case{"Block", "a {\n b = 1\n}", "{a: {b: 1}}"},
        Case{"BlockWithAssignment", "a = {\n b = 1\n}", "{a: {b: 1}}"},
        Case{"EmptyBlock", "a {}", "{a: {}}"},
        Case{"LabelledBlock",
             "NodeAttestor \"x509pop\" {\n plugin_data { }\n}",
             "{NodeAttestor: {x509pop: {plugin_data: {}}}}"},
        Case{"TwoLabels", "a \"b\" c { d = 1 }", "{a: {b: {c: {d: 1}}}}"},
        Case{"RepeatedBlocks", "a \"x\" {}\na \"y\" {}", "{a: {x: {}}, a: {y: {}}}"},
        Case{"QuotedKeys", "\"a b\" = 1", "{a b: 1}"},
        Case{"KeysWithDashAndPoint", "a-b.c = 1", "{a-b.c: 1}"},
        Case{"OneLine", "a { b = 1 c = \"x\" }", "{a: {b: 1, c: \"x\"}}"},
        Case{"CommasBetweenEntries", "a = { b = 1, c = 2, }", "{a: {b: 1, c: 2}}"},
        Case{"WindowsLines", "a = 1\r\nb = 2\r\n", "{a: 1, b: 2}"},
        Case{"ByteOrderMark",
             "\xEF\xBB\xBF"
             "a = 1",
             "{a: 1}"},
        Case{"Heredoc", "a = <<EOT\nx\n  \"y\"\nEOT\nb = 1", "{a: \"x\n  \"y\"\n\", b: 1}"},
        Case{"EmptyHeredoc", "a = <<EOT\nEOT\n", "{a: \"\"}"},
        Case{"IndentedHeredoc", "a = <<-EOT\n    x\n      y\n    EOT\n", "{a: \"x\n  y\n\"}"},
        Case{"IndentedHeredocWithAShortLine",
             "a = <<-EOT\n  x\n      y\n    EOT\n",
             "{a: \"  x\n      y\n\"}"},
        Case{"HeredocInList", "a = [<<EOT\nx\nEOT\n, 1]", "{a: [\"x\n\", 1]}"},
        Case{"Json",
             R"({"a": {"b": [1, "x", true]}, "c": -1.5e3})",
             R"({a: {b: [1, "x", true]}, c: -1.5e3})"},
        Case{"JsonEscapes", R"({"a": "\/\u00e9\ud83d\ude00"})", "{a: \"/\u00e9\U0001F600\"}"},
        Case{"JsonKeepsInterpolation", R"({"a": "${x"})", R"({a: "${x"})"},
        Case{"EmptyJson", " \n{}\n", "{}"}),
    [](const auto& tested) { return tested.param.name; });

class HclRejectTest : public testing::TestWithParam<Case> {};

TEST_P(HclRejectTest, SaysWhereAndWhat) {
  EXPECT_EQ(Outcome(GetParam().text), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    HclRejectTest,
    testing::Values(
        Case{"OpenText",
             "a = \"x\nb = 1",
             "1:5: this text is not closed: expected \" on the same line"},
        Case{"OpenInterpolation",
             "a = \"${x\"",
             "1:6: this ${ is not closed: expected } on the same line"},
        Case{"OpenComment", "a = 1\n /* x", "2:2: this comment is not closed: expected */"},
        Case{"OpenHeredoc",
             "a = <<EOT\nx\n",
             "1:5: this << text is not closed: expected its word alone on a line"},
        Case{"HeredocWithoutWord",
             "a = <<\nx\n",
             "1:5: expected << and a word such as EOT, alone at the end of the line"},
        Case{"OpenBlock", "a {\n b = 1\n", "3:1: expected \"}\" for the block opened at 1:3"},
        Case{"StrayBrace", "a = 1\n}", "2:1: expected a key, found \"}\""},
        Case{"NoValue", "a =\n}", "2:1: expected a value, found \"}\""},
        Case{"NoAssignment", "a 1", "1:3: expected \"=\" or \"{\" after the key, found a number"},
        Case{"YamlStyle", "a: 1", "1:2: expected \"=\" or \"{\" after the key, found \":\""},
        Case{"LabelWithAssignment",
             "a \"b\" = 1",
             "1:7: expected \"{\" after a key and its labels, found \"=\""},
        Case{"BareWord", "a = DEBUG", "1:5: expected a value: a text needs double quotes"},
        Case{
            "BareDuration",
            "a = 24h",
            "1:7: a number ends here: put a text such as \"24h\" or \"10.0.0.1\" in double quotes"},
        Case{
            "BareAddress",
            "a = 10.0.0.1",
            "1:9: a number ends here: put a text such as \"24h\" or \"10.0.0.1\" in double quotes"},
        Case{"SingleQuotes", "a = 'x'", "1:5: a text needs double quotes"},
        Case{"UnknownEscape",
             R"(a = "\q")",
             "1:6: unknown escape: expected \\n, \\t, \\r, \\b, \\f, \\\", \\\\ or \\u with four "
             "hexadecimal digits"},
        Case{"ShortUnicodeEscape",
             R"(a = "\u12")",
             "1:6: expected 4 hexadecimal digits of a Unicode character"},
        Case{"Surrogate",
             R"(a = "\ud800")",
             "1:6: expected 4 hexadecimal digits of a Unicode character"},
        Case{"NulEscape",
             R"(a = "\u0000")",
             "1:6: expected 4 hexadecimal digits of a Unicode character"},
        Case{"MissingComma", "a = [1 2]", "1:8: expected \"]\" or \",\" in a list, found a number"},
        Case{"OpenList", "a = [1,\n", "2:1: expected a value, found the end of the file"},
        Case{"HexWithoutDigits", "a = 0x", "1:5: a hexadecimal number needs digits after 0x"},
        Case{"ControlCharacter", "a = \x01", "1:5: a control character cannot stand here"},
        Case{"OddCharacter", "a = @", "1:5: '@' cannot stand here"},
        Case{"NotUtf8", "a = \"\u00e9\"\nb = \"\u00e9\xff\"", "2:7: a byte that is not UTF-8 text"},
        Case{"Nul", std::string("a = 1\0", 6), "1:6: a byte that is not UTF-8 text"},
        Case{"ColumnsCountCharacters", "\"\u00e9\u20ac\" = @", "1:8: '@' cannot stand here"},
        Case{"JsonTrailingComma", R"({"a": 1,})", "1:9: expected a text as a key, found \"}\""},
        Case{
            "JsonListTrailingComma", R"({"a": [1,]})", "1:10: a JSON list has no comma at its end"},
        Case{"JsonNull", R"({"a": null})", "1:7: null is no value here: leave the key out"},
        Case{"JsonComment", "{\n# x\n}", "2:1: a JSON file has no comments"},
        Case{"JsonBareKey", "{a: 1}", "1:2: expected a text as a key, found a word"},
        Case{"JsonAfterTheEnd",
             "{} {}",
             "1:4: expected the end of the file after the object, found \"{\""},
        Case{"JsonLeadingZero", R"({"a": 01})", "1:7: a JSON number has no leading zero"},
        Case{"JsonOpen",
             R"({"a": {)",
             "1:8: expected \"}\" or \",\" in an object, found the end of the file"}),
    [](const auto& tested) { return tested.param.name; });

TEST(HclBoundsTest, SixtyFourLevelsAreTheMost) {
  std::string blocks;
  std::string lists;
  for (int i = 0; i < kMaxDepth - 1; ++i) {
    blocks += "a {";
    lists += "[";
  }
  const std::string closed_blocks(kMaxDepth - 1, '}');
  EXPECT_FALSE(Parse(blocks + closed_blocks).error.has_value());
  EXPECT_EQ(Parse(blocks + "a {}" + closed_blocks).error->message,
            "more than 64 levels of blocks and lists");
  EXPECT_EQ(Parse("a = [" + lists).error->message, "more than 64 levels of blocks and lists");
}

TEST(HclBoundsTest, ManyLevelsEndQuickly) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) {
    text += "a {";
  }
  EXPECT_EQ(Parse(text).error->message, "more than 64 levels of blocks and lists");
  EXPECT_EQ(Parse(std::string(1000, '{')).error->message, "expected a text as a key, found \"{\"");
}

TEST(HclBoundsTest, OneMebibyteIsTheMost) {
  EXPECT_FALSE(Parse(std::string(kMaxBytes, ' ')).error.has_value());
  EXPECT_EQ(Parse(std::string(kMaxBytes + 1, ' ')).error->message,
            "the file has 1048577 bytes: expected at most 1048576");
}

TEST(HclBoundsTest, TenThousandSettingsAreTheMost) {
  const auto repeat = [](std::string_view part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) {
      text += part;
    }
    return text;
  };
  EXPECT_FALSE(Parse(repeat("a=1\n", kMaxValues)).error.has_value());
  EXPECT_EQ(Parse(repeat("a=1\n", kMaxValues + 1)).error->message, "more than 10000 settings");
  EXPECT_EQ(Parse("a=[" + repeat("1,", kMaxValues + 1) + "]").error->message,
            "more than 10000 settings");
  EXPECT_EQ(Parse("{\"a\":[" + repeat("1,", kMaxValues + 1) + "1]}").error->message,
            "more than 10000 settings");
}

TEST(HclPositionTest, KeysAndValuesKnowTheirPlace) {
  const Document document = Parse("a = 1\nb \"c\" {\n  d = [true, \"x\"]\n}");
  ASSERT_FALSE(document.error.has_value());
  const Entry& b = document.root.entries.at(1);
  EXPECT_EQ(b.at, (Position{2, 1}));
  const Entry& c = b.value.entries.at(0);
  EXPECT_EQ(c.at, (Position{2, 3}));
  const Entry& d = c.value.entries.at(0);
  EXPECT_EQ(d.at, (Position{3, 3}));
  EXPECT_EQ(d.value.at, (Position{3, 7}));
  EXPECT_EQ(d.value.items.at(1).at, (Position{3, 14}));
}

}  // namespace
}  // namespace credence::hcl
