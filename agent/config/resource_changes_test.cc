#include "agent/config/resource_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace credence {
namespace {

using testing::ElementsAre;

DestinationResource Named(const std::string& name, const std::string& owner = "") {
  DestinationResource resource;
  resource.name = name;
  resource.owner = owner;
  return resource;
}

TEST(ResourceChangesTest, TellsAddedRemovedAndChanged) {
  Resources before;
  before.destinations = {Named("a"), Named("b"), Named("c")};
  Resources after;
  after.destinations = {Named("b", "new owner"), Named("c"), Named("d")};
  const ResourceChanges changes = CompareResources(before, after);
  EXPECT_THAT(changes.removed, ElementsAre("Destination a"));
  EXPECT_THAT(changes.changed, ElementsAre("Destination b"));
  EXPECT_THAT(changes.added, ElementsAre("Destination d"));
}

TEST(ResourceChangesTest, OriginsDoNotCount) {
  Resources before;
  before.destinations = {Named("a")};
  Resources after = before;
  after.destinations[0].origin = {"other.yaml", 7};
  EXPECT_TRUE(CompareResources(before, after).empty());
}

TEST(ResourceChangesTest, LongListsAreCut) {
  EXPECT_EQ(ListOfNames({"a", "b"}), "a, b");
  EXPECT_THAT(ListOfNames(std::vector<std::string>(25, "x")), testing::EndsWith("x and 5 more"));
}

}  // namespace
}  // namespace credence
