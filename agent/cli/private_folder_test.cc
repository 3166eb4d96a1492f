#include "agent/cli/private_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <gmock/gmock.h>

#include "base/core/check.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/unique_fd.h"

namespace credence {
namespace {

mode_t ModeOf(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST(PrivateFolderTest, IsOursAloneAndGoesWithAllItHolds) {
  std::string path;
  {
    const auto folder = PrivateFolder::Create();
    ASSERT_THAT(folder, IsOk());
    path = folder->path();
    EXPECT_EQ(ModeOf(path), 0700U);
    ASSERT_THAT(folder->Write("claude/credentials/credence.json", "secret", 0600), IsOk());
    EXPECT_EQ(ModeOf(path + "/claude"), 0700U);
    EXPECT_EQ(ModeOf(path + "/claude/credentials/credence.json"), 0600U);
    EXPECT_THAT(ReadFile(path + "/claude/credentials/credence.json", 100), IsOkAndHolds("secret"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PrivateFolderTest, ReplacesAFileInOneStep) {
  const auto folder = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  ASSERT_THAT(folder->Write("a", "old", 0600), IsOk());
  std::ifstream reader(folder->path() + "/a");
  ASSERT_THAT(folder->Write("a", "new content", 0644), IsOk());
  std::string seen;
  std::getline(reader, seen);
  EXPECT_EQ(seen, "old") << "a reader that had it open keeps the old file";
  EXPECT_THAT(ReadFile(folder->path() + "/a", 100), IsOkAndHolds("new content"));
  EXPECT_EQ(ModeOf(folder->path() + "/a"), 0644U);
}

TEST(PrivateFolderTest, RefusesPathsThatLeadOutside) {
  const auto folder = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  for (const char* path : {"", ".", "a/", "/etc/x", "../x", "a/../../x"}) {
    EXPECT_THAT(folder->Write(path, "x", 0600), FailsWithCode(Code::kInvalidArgument)) << path;
  }
}

TEST(PrivateFolderTest, WritesNothingOnceSomethingElseStandsInItsPlace) {
  const auto folder = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  const std::string path = folder->path();
  ASSERT_THAT(folder->Write("a", "secret", 0600), IsOk());
  std::filesystem::remove_all(path);
  EXPECT_THAT(folder->Write("a", "secret", 0600),
              FailsWith(Code::kFailedPrecondition, testing::HasSubstr(path)));
  // A folder, and a link to one, that another user may have made.
  std::filesystem::create_directory(path);
  EXPECT_THAT(folder->Write("a", "secret", 0600), FailsWithCode(Code::kFailedPrecondition));
  EXPECT_TRUE(std::filesystem::is_empty(path));
  std::filesystem::rename(path, path + ".theirs");
  std::filesystem::create_symlink(path + ".theirs", path);
  EXPECT_THAT(folder->Write("a", "secret", 0600), FailsWithCode(Code::kFailedPrecondition));
  EXPECT_TRUE(std::filesystem::is_empty(path + ".theirs"));
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".theirs");
}

TEST(PrivateFolderTest, RemovesNothingThatStandsInItsPlace) {
  std::string path;
  {
    const auto folder = PrivateFolder::Create();
    ASSERT_THAT(folder, IsOk());
    path = folder->path();
    std::filesystem::remove_all(path);
    std::filesystem::create_directory(path);
  }
  EXPECT_TRUE(std::filesystem::is_directory(path));
  std::filesystem::remove(path);
}

TEST(PrivateFolderTest, FollowsNoLinkInsideIt) {
  const auto folder = PrivateFolder::Create();
  const auto other = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  ASSERT_THAT(other, IsOk());
  std::filesystem::create_symlink(other->path(), folder->path() + "/link");
  EXPECT_FALSE(folder->Write("link/a", "secret", 0600).ok());
  EXPECT_TRUE(std::filesystem::is_empty(other->path()));
}

/// While it lives, folders are made in `path()`.
class OwnRuntimeFolder {
 public:
  OwnRuntimeFolder() : path_(testing::TempDir() + "runtime.XXXXXX") {
    CREDENCE_CHECK(mkdtemp(path_.data()) != nullptr);
    if (const char* before = getenv("XDG_RUNTIME_DIR")) {  // NOLINT(concurrency-mt-unsafe): a test
      before_ = before;
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): a test
    setenv("XDG_RUNTIME_DIR", path_.c_str(), 1);
  }
  ~OwnRuntimeFolder() {
    if (before_) {
      // NOLINTNEXTLINE(concurrency-mt-unsafe): a test
      setenv("XDG_RUNTIME_DIR", before_->c_str(), 1);
    } else {
      unsetenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe): a test
    }
    std::filesystem::remove_all(path_);
  }
  OwnRuntimeFolder(const OwnRuntimeFolder&) = delete;
  OwnRuntimeFolder& operator=(const OwnRuntimeFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string Make(const std::string& name, mode_t mode = 0700) const {
    std::string path = *this / name;
    std::filesystem::create_directory(path);
    std::ofstream(path + "/token") << "secret";
    CREDENCE_CHECK(chmod(path.c_str(), mode) == 0);
    MakeOld(path);
    return path;
  }
  static void MakeOld(const std::string& path) {
    const auto then = std::filesystem::file_time_type::clock::now() - std::chrono::minutes(2);
    std::filesystem::last_write_time(path, then);
  }

 private:
  std::string path_;
  std::optional<std::string> before_;
};

TEST(PrivateFolderTest, RemovesWhatKilledProcessesLeft) {
  const OwnRuntimeFolder runtime;
  const auto living = PrivateFolder::Create();
  ASSERT_THAT(living, IsOk());
  ASSERT_EQ(living->path().find(runtime / "credence-exec-"), 0U);
  OwnRuntimeFolder::MakeOld(living->path());
  const std::string left = runtime.Make("credence-exec-abCD12");
  const std::string young = runtime.Make("credence-exec-young0");
  std::filesystem::last_write_time(young, std::filesystem::file_time_type::clock::now());
  const std::string open = runtime.Make("credence-exec-open00", 0755);
  const std::string other = runtime.Make("credence-exec-longer0");
  const std::string outside = runtime.Make("outside");
  std::filesystem::create_symlink(outside, runtime / "credence-exec-linked");
  const auto folder = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  EXPECT_FALSE(std::filesystem::exists(left));
  for (const std::string& kept : {living->path(), young, open, other, outside}) {
    EXPECT_TRUE(std::filesystem::exists(kept)) << kept;
  }
  EXPECT_TRUE(std::filesystem::exists(outside + "/token"));
  EXPECT_THAT(living->Write("a", "secret", 0600), IsOk());
}

TEST(PrivateFolderTest, LeavesTheFoldersOfOtherUsersAlone) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can make a folder of another user";
  }
  const OwnRuntimeFolder runtime;
  const std::string theirs = runtime.Make("credence-exec-theirs");
  ASSERT_EQ(chown(theirs.c_str(), 65534, 65534), 0);
  ASSERT_THAT(PrivateFolder::Create(), IsOk());
  EXPECT_TRUE(std::filesystem::exists(theirs));
}

TEST(PrivateFolderTest, IsLockedAgainstTheCleanerOfOldFiles) {
  const auto folder = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  const UniqueFd cleaner(open(folder->path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(cleaner.valid());
  EXPECT_NE(flock(cleaner.get(), LOCK_EX | LOCK_NB), 0);
}

}  // namespace
}  // namespace credence
