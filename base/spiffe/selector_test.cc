#include "base/spiffe/selector.h"

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Selector S(std::string_view text) {
  return *Selector::Parse(text);
}

TEST(SelectorTest, SplitsAtTheFirstColon) {
  const auto selector = Selector::Parse("docker:label:a:b");
  ASSERT_THAT(selector, IsOk());
  EXPECT_EQ(selector->type, "docker");
  EXPECT_EQ(selector->value, "label:a:b");
  EXPECT_EQ(selector->ToString(), "docker:label:a:b");
}

TEST(SelectorTest, NeedsTypeAndValue) {
  EXPECT_THAT(Selector::Parse("unix"), FailsWith(Code::kInvalidArgument, HasSubstr("type:value")));
  for (const char* bad : {"", ":", "unix:", ":uid:0"}) {
    EXPECT_THAT(Selector::Parse(bad), FailsWithCode(Code::kInvalidArgument)) << bad;
  }
}

TEST(SelectorTest, PartsFollowTheSameRules) {
  EXPECT_THAT(Selector::FromParts("unix", "uid:0"), IsOkAndHolds(S("unix:uid:0")));
  EXPECT_THAT(Selector::FromParts("unix:uid", "0"),
              FailsWith(Code::kInvalidArgument, HasSubstr("colon")));
  EXPECT_THAT(Selector::FromParts("", "0"), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(Selector::FromParts("unix", ""), FailsWithCode(Code::kInvalidArgument));
}

TEST(SelectorSetTest, IsSortedWithoutRepeats) {
  const SelectorSet set({S("b:1"), S("a:2"), S("b:1"), S("a:1")});
  EXPECT_THAT(set.items(), ElementsAre(S("a:1"), S("a:2"), S("b:1")));
  EXPECT_EQ(set, SelectorSet({S("a:2"), S("a:1"), S("b:1")}));
}

TEST(SelectorSetTest, TypeAndValueAreComparedApart) {
  // As texts, "a:b:c" would be one and the same.
  EXPECT_NE((Selector{"a", "b:c"}), (Selector{"a:b", "c"}));
  EXPECT_FALSE(SelectorSet({Selector{"a", "b:c"}}).Contains(Selector{"a:b", "c"}));
}

TEST(SelectorSetTest, IncludesSubsetsOnly) {
  const SelectorSet set({S("a:1"), S("b:1"), S("c:1")});
  EXPECT_TRUE(set.Includes(SelectorSet({S("a:1"), S("c:1")})));
  EXPECT_TRUE(set.Includes(set));
  EXPECT_TRUE(set.Includes(SelectorSet()));
  EXPECT_FALSE(set.Includes(SelectorSet({S("a:1"), S("a:2")})));
  EXPECT_FALSE(SelectorSet().Includes(set));
}

TEST(SelectorSetTest, ListsWhatIsMissing) {
  const SelectorSet set({S("a:1"), S("b:1")});
  EXPECT_THAT(set.Missing(SelectorSet({S("c:1"), S("a:1"), S("b:2")})),
              ElementsAre(S("b:2"), S("c:1")));
  EXPECT_THAT(set.Missing(SelectorSet({S("a:1")})), IsEmpty());
}

TEST(SelectorSetTest, ContainsIsExact) {
  const SelectorSet set({S("unix:uid:1000")});
  EXPECT_TRUE(set.Contains(S("unix:uid:1000")));
  EXPECT_FALSE(set.Contains(S("unix:uid:100")));
  EXPECT_FALSE(set.Contains(S("unix:UID:1000")));
}

}  // namespace
}  // namespace credence
