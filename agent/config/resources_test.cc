#include "agent/config/resources.h"

#include <sys/stat.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace credence {
namespace {

TEST(ResourcesTest, Compiles) { EXPECT_TRUE(ParseResources("", "x", {}).mistakes.empty()); }

}  // namespace
}  // namespace credence
