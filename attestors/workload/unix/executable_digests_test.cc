#include "attestors/workload/unix/executable_digests.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestors/support/testing/child_process.h"
#include "base/core/clock.h"
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
  /// Ahead, so that the files that a test makes are old.
  FakeClock clock_{SystemClock().Now() + std::chrono::hours(1)};
  std::string folder_;
};

TEST_F(ExecutableDigestsTest, HashesWhatRunsNotWhatStandsAtThePath) {
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {});
  const std::string path = CopySleep("worker");
  const Sha256Digest expected = DigestOf(path);
  const ChildProcess child(path);
  std::filesystem::remove(path);
  std::ofstream(path) << "something else";
  EXPECT_THAT(Get(digests, Pin(child)), IsOkAndHolds(expected));
}

TEST_F(ExecutableDigestsTest, AnUnchangedFileIsHashedOnce) {
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {});
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
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {});
  const std::string path = CopySleep("worker");
  ASSERT_THAT(Get(digests, Pin(ChildProcess(path))), IsOk());
  std::ofstream(path, std::ios::app) << "more";
  const Sha256Digest expected = DigestOf(path);
  const ChildProcess child(path);
  EXPECT_THAT(Get(digests, Pin(child)), IsOkAndHolds(expected));
  EXPECT_EQ(digests.size(), 2U);
}

TEST_F(ExecutableDigestsTest, NewLinksWhileItIsHashedDoNotMatter) {
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {});
  const std::string path = CopySleep("worker");
  std::filesystem::resize_file(path, std::size_t{4} << 20);
  const Sha256Digest expected = DigestOf(path);
  const ChildProcess child(path);
  std::atomic<bool> enough = false;
  asio::thread_pool linker(1);
  asio::post(linker, [&] {
    while (!enough) {
      std::filesystem::create_hard_link(path, path + ".link");
      std::filesystem::remove(path + ".link");
    }
  });
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Get(digests, Pin(child)), IsOkAndHolds(expected));
  }
  enough = true;
  linker.join();
}

TEST_F(ExecutableDigestsTest, AFileThatHasJustChangedIsNotRemembered) {
  FakeClock now(SystemClock().Now());
  ExecutableDigests digests(io_.get_executor(), pool_, now, {});
  const ChildProcess child(CopySleep("worker"));
  ASSERT_THAT(Get(digests, Pin(child)), IsOk());
  EXPECT_EQ(digests.size(), 0U);
  now.Advance(seconds(60));
  ASSERT_THAT(Get(digests, Pin(child)), IsOk());
  EXPECT_EQ(digests.size(), 1U);
}

/// A program on the kernel's tmpfs, writable for this process, whatever is mounted in this machine.
class MemoryProgram {
 public:
  explicit MemoryProgram(const std::string& original) : fd_(memfd_create("worker", 0)) {
    const auto content = ReadFile(original, 10 << 20);
    CREDENCE_CHECK(fd_.valid() && content.ok());
    size_ = content->size();
    CREDENCE_CHECK(write(fd_.get(), content->data(), size_) == static_cast<ssize_t>(size_));
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }
  int fd() const { return fd_.get(); }

  /// Changes the last byte, in the section headers that no program needs, so that tmpfs does not
  /// notice: a page that was read first is written without a fault.
  void ChangeUnnoticed() const {
    void* mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    CREDENCE_CHECK(mapped != MAP_FAILED);
    volatile unsigned char* last = static_cast<unsigned char*>(mapped) + size_ - 1;
    const unsigned char before = *last;
    *last = static_cast<unsigned char>(before ^ 1U);
    munmap(mapped, size_);
  }

 private:
  UniqueFd fd_;
  std::size_t size_ = 0;
};

TEST_F(ExecutableDigestsTest, AWriteThatTmpfsDoesNotNoticeIsHashedAgain) {
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {});
  const MemoryProgram program("/bin/sleep");
  const Sha256Digest before = DigestOf(program.path());
  EXPECT_THAT(Get(digests, Pin(ChildProcess(program.path()))), IsOkAndHolds(before));
  program.ChangeUnnoticed();
  const Sha256Digest after = DigestOf(program.path());
  ASSERT_NE(before, after);
  EXPECT_THAT(Get(digests, Pin(ChildProcess(program.path()))), IsOkAndHolds(after));
}

TEST_F(ExecutableDigestsTest, OnTmpfsOnlyWhatRootAloneMayWriteIsRemembered) {
  ASSERT_EQ(geteuid(), 0U) << "this test gives a file away and needs root";
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {});
  const MemoryProgram program("/bin/sleep");
  struct Case {
    uid_t owner;
    mode_t mode;
    std::size_t remembered;
  };
  for (const Case& one :
       {Case{2001, 0755, 0}, Case{0, 0775, 0}, Case{0, 0757, 0}, Case{0, 0755, 1}}) {
    ASSERT_EQ(fchown(program.fd(), one.owner, 0), 0);
    ASSERT_EQ(fchmod(program.fd(), one.mode), 0);
    ASSERT_THAT(Get(digests, Pin(ChildProcess(program.path()))), IsOk());
    EXPECT_EQ(digests.size(), one.remembered) << one.owner << " " << one.mode;
  }
}

TEST_F(ExecutableDigestsTest, AFileOverTheLimitIsRefused) {
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {.max_bytes = 1000});
  const ChildProcess child(CopySleep("worker"));
  EXPECT_THAT(Get(digests, Pin(child)),
              FailsWith(Code::kOutOfRange, HasSubstr("workload_size_limit 1000")));
}

TEST_F(ExecutableDigestsTest, OnlyTheLatestAreRemembered) {
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {.max_entries = 2});
  for (const char* name : {"a", "b", "c"}) {
    const ChildProcess child(CopySleep(name));
    ASSERT_THAT(Get(digests, Pin(child)), IsOk());
  }
  EXPECT_EQ(digests.size(), 2U);
}

TEST_F(ExecutableDigestsTest, AHugeFileCostsTheDeadlineAndThenStops) {
  ExecutableDigests digests(io_.get_executor(), pool_, clock_, {.gate = {.running = 1}});
  const std::string path = CopySleep("huge");
  // Sparse, so that it costs no disk; hashing all of it would take most of an hour.
  ASSERT_EQ(truncate(path.c_str(), off_t{2} << 40), 0);
  const ChildProcess huge(path);
  EXPECT_THAT(Get(digests, Pin(huge), milliseconds(50)), FailsWithCode(Code::kDeadlineExceeded));
  const ChildProcess small(CopySleep("small"));
  EXPECT_THAT(Get(digests, Pin(small)), IsOk());
}

TEST_F(ExecutableDigestsTest, FilesThatUsersMadeDoNotHoldUpThoseOfRoot) {
  ASSERT_EQ(geteuid(), 0U) << "needs root to become other users";
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  asio::thread_pool pool(3);
  ExecutableDigests digests(io_.get_executor(), pool, clock_, {});
  TaskGroup group(io_.get_executor());
  std::vector<std::unique_ptr<ChildProcess>> greedy;
  for (const uid_t uid : {2001U, 2002U}) {
    const std::string path = CopySleep(std::to_string(uid));
    ASSERT_EQ(chown(path.c_str(), uid, uid), 0);
    ASSERT_EQ(truncate(path.c_str(), off_t{2} << 40), 0);
    greedy.push_back(
        std::make_unique<ChildProcess>(path, ChildUser{.uid = uid, .gid = uid, .groups = {}}));
    group.Spawn(
        "get",
        [](ExecutableDigests& all, std::shared_ptr<const PinnedProcess> process) -> Task<void> {
          (void)co_await all.Get(std::move(process), Deadline::After(seconds(60)));
        }(digests, Pin(*greedy.back())));
  }
  RunTask(io_, Sleep(milliseconds(50)));
  const ChildProcess small(CopySleep("small"));
  EXPECT_THAT(Get(digests, Pin(small)), IsOk());
  RunTask(io_, group.Stop());
  pool.join();
}

TEST_F(ExecutableDigestsTest, WaitersShareOneHash) {
  ExecutableDigests digests(
      io_.get_executor(),
      pool_,
      clock_,
      {.gate = {.running = 1, .waiting = 1}, .root_gate = {.running = 1, .waiting = 1}});
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
