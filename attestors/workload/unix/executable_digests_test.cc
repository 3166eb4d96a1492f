#include "attestors/workload/unix/executable_digests.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestors/support/testing/child_process.h"
#include "base/core/file.h"
#include "base/core/task_group.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class ExecutableDigestsTest : public testing::Test {
 protected:
  ExecutableDigestsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "digests-XXXXXX").string();
    CREDENCE_CHECK(mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~ExecutableDigestsTest() override {
    pool_.join();
    std::filesystem::remove_all(folder_);
  }

  /// A program of its own, so that tests may do with it what they like.
  std::string CopySleep(const std::string& name) {
    const std::string path = folder_ + "/" + name;
    std::filesystem::copy_file("/bin/sleep", path);
    return path;
  }

  std::shared_ptr<const PinnedProcess> Pin(const ChildProcess& child) {
    auto process = PinnedProcess::Open(child.AsCaller());
    CREDENCE_CHECK(process.ok());
    return std::make_shared<const PinnedProcess>(*std::move(process));
  }

  Result<Sha256Digest> Get(ExecutableDigests& digests,
                           std::shared_ptr<const PinnedProcess> process,
                           milliseconds timeout = seconds(10)) {
    return RunTask(io_, digests.Get(std::move(process), Deadline::After(timeout)));
  }

  Sha256Digest DigestOf(const std::string& path) {
    const auto content = ReadFile(path, 10 << 20);
    CREDENCE_CHECK(content.ok());
    return Sha256(*content);
  }

  asio::io_context io_;
  asio::thread_pool pool_{2};
  std::string folder_;
};

TEST_F(ExecutableDigestsTest, HashesWhatRunsNotWhatStandsAtThePath) {
  ExecutableDigests digests(io_.get_executor(), pool_, {});
  const std::string path = CopySleep("worker");
  const Sha256Digest expected = DigestOf(path);
  const ChildProcess child(path);
  std::filesystem::remove(path);
  std::ofstream(path) << "something else";
  EXPECT_THAT(Get(digests, Pin(child)), IsOkAndHolds(expected));
}

TEST_F(ExecutableDigestsTest, AnUnchangedFileIsHashedOnce) {
  ExecutableDigests digests(io_.get_executor(), pool_, {});
  const ChildProcess child(CopySleep("worker"));
  ASSERT_THAT(Get(digests, Pin(child)), IsOk());
  EXPECT_EQ(digests.size(), 1U);
  // The pool is busy for ever: only a remembered digest can answer.
  std::promise<void> open;
  const auto opened = open.get_future().share();
  asio::post(pool_, [opened] { opened.wait(); });
  asio::post(pool_, [opened] { opened.wait(); });
  EXPECT_THAT(Get(digests, Pin(child), milliseconds(50)), IsOk());
  open.set_value();
}

TEST_F(ExecutableDigestsTest, AChangedFileIsHashedAgain) {
  ExecutableDigests digests(io_.get_executor(), pool_, {});
  const std::string path = CopySleep("worker");
  ASSERT_THAT(Get(digests, Pin(ChildProcess(path))), IsOk());
  std::ofstream(path, std::ios::app) << "more";
  const Sha256Digest expected = DigestOf(path);
  const ChildProcess child(path);
  EXPECT_THAT(Get(digests, Pin(child)), IsOkAndHolds(expected));
  EXPECT_EQ(digests.size(), 2U);
}

TEST_F(ExecutableDigestsTest, AFileOverTheLimitIsRefused) {
  ExecutableDigests digests(io_.get_executor(), pool_, {.max_bytes = 1000});
  const ChildProcess child(CopySleep("worker"));
  EXPECT_THAT(Get(digests, Pin(child)),
              FailsWith(Code::kOutOfRange, HasSubstr("workload_size_limit 1000")));
}

TEST_F(ExecutableDigestsTest, OnlyTheLatestAreRemembered) {
  ExecutableDigests digests(io_.get_executor(), pool_, {.max_entries = 2});
  for (const char* name : {"a", "b", "c"}) {
    const ChildProcess child(CopySleep(name));
    ASSERT_THAT(Get(digests, Pin(child)), IsOk());
  }
  EXPECT_EQ(digests.size(), 2U);
}

TEST_F(ExecutableDigestsTest, AHugeFileCostsTheDeadlineAndThenStops) {
  ExecutableDigests digests(io_.get_executor(), pool_, {.gate = {.running = 1}});
  const std::string path = CopySleep("huge");
  // Sparse, so that it costs no disk; hashing all of it would take most of an hour.
  ASSERT_EQ(truncate(path.c_str(), off_t{2} << 40), 0);
  const ChildProcess huge(path);
  EXPECT_THAT(Get(digests, Pin(huge), milliseconds(50)), FailsWithCode(Code::kDeadlineExceeded));
  const ChildProcess small(CopySleep("small"));
  EXPECT_THAT(Get(digests, Pin(small)), IsOk());
}

TEST_F(ExecutableDigestsTest, WaitersShareOneHash) {
  ExecutableDigests digests(io_.get_executor(), pool_, {.gate = {.running = 1, .waiting = 1}});
  const ChildProcess child(CopySleep("worker"));
  TaskGroup group(io_.get_executor());
  int answered = 0;
  for (int i = 0; i < 100; ++i) {
    group.Spawn("get",
                [](ExecutableDigests& all,
                   std::shared_ptr<const PinnedProcess> process,
                   int& count) -> Task<void> {
                  const auto digest =
                      co_await all.Get(std::move(process), Deadline::After(seconds(10)));
                  EXPECT_THAT(digest, IsOk());
                  ++count;
                }(digests, Pin(child), answered));
  }
  io_.run_for(seconds(10));
  EXPECT_EQ(answered, 100);
}

}  // namespace
}  // namespace credence
