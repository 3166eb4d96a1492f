#include "agent/app/last_resort.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "base/core/task.h"

namespace credence {
namespace {

using std::chrono::milliseconds;

int BlockForEver() {
  while (true) {
    pause();
  }
}

Task<void> AwaitPool(asio::thread_pool& pool) {
  co_await RunOn(pool, BlockForEver);
}

/// Never returns by itself: what blocks on the pool keeps run() going.
void RunWithABlockedPool(int exit_code) {
  asio::io_context io;
  asio::thread_pool pool(1);
  asio::co_spawn(io, AwaitPool(pool), [](std::exception_ptr) {});
  EndProcessAfter(milliseconds(50), exit_code);
  io.run();
}

TEST(LastResortDeathTest, EndsAProcessWhosePoolIsBlockedWithTheCodeItWasGiven) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(RunWithABlockedPool(0), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(RunWithABlockedPool(4), testing::ExitedWithCode(4), "");
}

}  // namespace
}  // namespace credence
