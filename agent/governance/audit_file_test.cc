#include "agent/governance/audit_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/governance/testing/log_folder.h"
#include "base/core/file.h"
#include "base/core/testing/file_size_limit.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;

class AuditFileTest : public testing::Test {
 protected:
  std::string Content() { return *ReadFile(path_, 1 << 20); }

  LogFolder folder_;
  std::string path_ = folder_ / "logs/audit.jsonl";
};

mode_t ModeOf(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

TEST_F(AuditFileTest, OnlyItsOwnerCanReadIt) {
  AuditFile file(path_);
  ASSERT_THAT(file.Open(), IsOk());
  EXPECT_EQ(ModeOf(path_), mode_t{0600});
  EXPECT_EQ(ModeOf(folder_ / "logs"), mode_t{0700});
}

TEST_F(AuditFileTest, AnOpenFileIsClosedToOthers) {
  std::filesystem::create_directory(folder_ / "logs");
  std::ofstream(path_) << "old\n";
  chmod(path_.c_str(), 0644);
  AuditFile file(path_);
  ASSERT_THAT(file.Open(), IsOk());
  EXPECT_EQ(ModeOf(path_), mode_t{0600});
}

TEST_F(AuditFileTest, ALinkInItsPlaceIsRefused) {
  std::filesystem::create_directory(folder_ / "logs");
  std::filesystem::create_symlink(folder_ / "elsewhere", path_);
  AuditFile file(path_);
  EXPECT_FALSE(file.Open().ok());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "elsewhere"));
}

TEST_F(AuditFileTest, AFolderInItsPlaceIsRefused) {
  std::filesystem::create_directories(path_);
  AuditFile file(path_);
  EXPECT_FALSE(file.Open().ok());
}

TEST_F(AuditFileTest, FollowsRotation) {
  AuditFile file(path_);
  ASSERT_THAT(file.Append("one\n"), IsOk());
  std::filesystem::rename(path_, path_ + ".1");
  ASSERT_THAT(file.Append("two\n"), IsOk());
  EXPECT_EQ(Content(), "two\n");
  std::filesystem::remove(path_);
  ASSERT_THAT(file.Append("three\n"), IsOk());
  EXPECT_EQ(Content(), "three\n");
}

TEST_F(AuditFileTest, EndsALineThatACrashCutShort) {
  std::filesystem::create_directory(folder_ / "logs");
  std::ofstream(path_) << "whole\nhal";
  AuditFile file(path_);
  ASSERT_THAT(file.Append("next\n"), IsOk());
  EXPECT_EQ(Content(), "whole\nhal\nnext\n");
}

TEST_F(AuditFileTest, AShortWriteLeavesNothingBehind) {
  AuditFile file(path_);
  ASSERT_THAT(file.Append("first line\n"), IsOk());
  {
    const FileSizeLimit limit(16);
    EXPECT_THAT(file.Append("a line that does not fit\n"),
                FailsWith(Code::kResourceExhausted, HasSubstr(path_)));
  }
  EXPECT_EQ(Content(), "first line\n");
  ASSERT_THAT(file.Append("later\n"), IsOk());
  EXPECT_EQ(Content(), "first line\nlater\n");
}

TEST_F(AuditFileTest, AShortWriteAfterATornLineLeavesItTorn) {
  std::filesystem::create_directory(folder_ / "logs");
  std::ofstream(path_) << "whole\nhal";
  AuditFile file(path_);
  ASSERT_THAT(file.Open(), IsOk());
  {
    const FileSizeLimit limit(16);
    EXPECT_FALSE(file.Append("a line that does not fit\n").ok());
  }
  EXPECT_EQ(Content(), "whole\nhal");
  ASSERT_THAT(file.Append("later\n"), IsOk());
  EXPECT_EQ(Content(), "whole\nhal\nlater\n");
}

TEST_F(AuditFileTest, AFolderThatCannotBeMadeIsNamed) {
  std::ofstream(folder_ / "logs") << "a file";
  AuditFile file(path_);
  EXPECT_FALSE(file.Append("x\n").ok());
}

}  // namespace
}  // namespace credence
