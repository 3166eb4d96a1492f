#include "base/rpc/foreign_text.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace credence {
namespace {

using std::string_view_literals::operator""sv;

TEST(ForeignTextTest, KeepsWhatIsUtf8) {
  for (const std::string_view text : {""sv,
                                      "no grant fits: a b~"sv,
                                      "\xc2\xa0\xc3\xa4\xdf\xbf"sv,
                                      "\xe0\xa0\x80\xe2\x82\xac\xed\x9f\xbf\xee\x80\x80"sv,
                                      "\xf0\x90\x80\x80\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"sv}) {
    EXPECT_EQ(ForeignText(text), text);
  }
}

TEST(ForeignTextTest, PutsAQuestionMarkForEachOtherByte) {
  const struct {
    std::string_view text;
    std::string_view shown;
  } rows[] = {
      {"\x1b[2J\xff"sv, "?[2J?"},
      {"a\0b\nc\td\x7f"sv, "a?b?c?d?"},
      // A terminal takes the one character U+009B for ESC [.
      {"\xc2\x9b\x32J"sv, "??2J"},
      {"\xc0\x80\xc1\xbf\xe0\x9f\xbf\xf0\x8f\xbf\xbf"sv, "???????????"},
      {"\xed\xa0\x80\xf4\x90\x80\x80\xf5\x80\x80\x80"sv, "???????????"},
      {"\x80\xbf"sv, "??"},
      // Cut, and broken in the middle.
      {"\xc3"sv, "?"},
      {"\xe2\x82"sv, "??"},
      {"\xf0\x9f\x98"sv, "???"},
      {"\xe2\x82z\xc3\xa4"sv, "??z\xc3\xa4"},
      {"\xc3\x1b"sv, "??"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(ForeignText(row.text), row.shown);
  }
}

}  // namespace
}  // namespace credence
