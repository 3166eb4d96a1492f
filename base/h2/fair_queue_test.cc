#include "base/h2/fair_queue.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace credence::h2 {
namespace {

std::vector<std::string> Drain(FairQueue<std::string>& queue) {
  std::vector<std::string> order;
  while (auto item = queue.Pop()) {
    order.push_back(*item);
  }
  return order;
}

TEST(FairQueueTest, KeepsTheOrderOfOneMember) {
  FairQueue<std::string> queue;
  for (const char* item : {"a", "b", "c"}) {
    queue.Push(1, 1, item);
  }
  EXPECT_EQ(queue.size(), 3U);
  EXPECT_THAT(Drain(queue), testing::ElementsAre("a", "b", "c"));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(FairQueueTest, AGroupThatQueuesAThousandDelaysAnotherByOne) {
  FairQueue<std::string> queue;
  for (int i = 0; i < 1000; ++i) {
    queue.Push(0, static_cast<std::uint64_t>(i % 50), "flood");
  }
  EXPECT_EQ(queue.Pop(), "flood");
  queue.Push(1000, 7, "good");
  EXPECT_EQ(queue.Pop(), "good");
}

TEST(FairQueueTest, MembersOfAGroupTakeTurns) {
  FairQueue<std::string> queue;
  for (const char* item : {"a1", "a2", "a3"}) {
    queue.Push(5, 1, item);
  }
  queue.Push(5, 2, "b1");
  queue.Push(6, 1, "c1");
  queue.Push(6, 1, "c2");
  EXPECT_THAT(Drain(queue), testing::ElementsAre("a1", "c1", "b1", "c2", "a2", "a3"));
}

}  // namespace
}  // namespace credence::h2
