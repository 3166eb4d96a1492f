#include "base/core/file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "base/core/testing/file_size_limit.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::Eq;
using testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string pattern = testing::TempDir() + "/file_test.XXXXXX";
    CREDENCE_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  static mode_t ModeOf(const std::string& path) {
    struct stat info{};
    return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
  }

  std::string folder_;
};

TEST_F(FileTest, ReadsBackWhatWasWritten) {
  const std::string content("a\0b\n", 4);
  ASSERT_THAT(WriteFileAtomically(Path("f"), content, 0600), IsOk());
  EXPECT_THAT(ReadFile(Path("f"), 4), IsOkAndHolds(content));
  const auto secret = ReadSecretFile(Path("f"), 4);
  ASSERT_THAT(secret, IsOk());
  EXPECT_EQ(secret->Reveal(), content);
}

TEST_F(FileTest, AnEmptyFileIsEmpty) {
  ASSERT_THAT(WriteFileAtomically(Path("f"), "", 0600), IsOk());
  EXPECT_THAT(ReadFile(Path("f"), 0), IsOkAndHolds(Eq("")));
  const auto secret = ReadSecretFile(Path("f"), 0);
  ASSERT_THAT(secret, IsOk());
  EXPECT_TRUE(secret->empty());
}

TEST_F(FileTest, AFileAboveTheLimitIsNotRead) {
  ASSERT_THAT(WriteFileAtomically(Path("f"), "12345", 0600), IsOk());
  EXPECT_THAT(ReadFile(Path("f"), 4), FailsWith(Code::kOutOfRange, HasSubstr(Path("f"))));
  EXPECT_THAT(ReadSecretFile(Path("f"), 4), FailsWithCode(Code::kOutOfRange));
}

TEST_F(FileTest, OnlyRegularFilesAreRead) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(ReadFile(Path("fifo"), 10), FailsWith(Code::kInvalidArgument, HasSubstr("regular")));
  EXPECT_THAT(ReadFile(folder_, 10), FailsWith(Code::kInvalidArgument, HasSubstr("regular")));
  EXPECT_THAT(ReadFile("/dev/zero", 10), FailsWith(Code::kInvalidArgument, HasSubstr("regular")));
  EXPECT_THAT(ReadFile(Path("none"), 10), FailsWith(Code::kNotFound, HasSubstr(Path("none"))));
}

TEST_F(FileTest, TheModeIsAsAskedWhateverTheUmask) {
  const mode_t before = umask(0077);
  EXPECT_THAT(WriteFileAtomically(Path("f"), "x", 0644), IsOk());
  umask(before);
  EXPECT_EQ(ModeOf(Path("f")), 0644U);
}

TEST_F(FileTest, ReplacingLeavesNoTemporaryBehind) {
  ASSERT_THAT(WriteFileAtomically(Path("f"), "old", 0600), IsOk());
  ASSERT_THAT(WriteFileAtomically(Path("f.tmp"), "left by a crash", 0600), IsOk());
  ASSERT_THAT(WriteFileAtomically(Path("f"), "new", 0640), IsOk());
  EXPECT_THAT(ReadFile(Path("f"), 10), IsOkAndHolds(Eq("new")));
  EXPECT_EQ(ModeOf(Path("f")), 0640U);
  EXPECT_FALSE(std::filesystem::exists(Path("f.tmp")));
}

TEST_F(FileTest, ATemporaryThatIsALinkIsNotFollowed) {
  ASSERT_THAT(WriteFileAtomically(Path("victim"), "precious", 0600), IsOk());
  std::filesystem::create_symlink(Path("victim"), Path("f.tmp"));
  ASSERT_THAT(WriteFileAtomically(Path("f"), "new", 0600), IsOk());
  EXPECT_THAT(ReadFile(Path("victim"), 10), IsOkAndHolds(Eq("precious")));
}

TEST_F(FileTest, AFailedWriteKeepsTheOldStateAndCleansUp) {
  EXPECT_THAT(WriteFileAtomically(Path("none/f"), "x", 0600), FailsWithCode(Code::kNotFound));
  ASSERT_THAT(MakeDirectories(Path("d/e"), 0755), IsOk());
  EXPECT_FALSE(WriteFileAtomically(Path("d"), "x", 0600).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("d.tmp")));
  EXPECT_TRUE(std::filesystem::is_directory(Path("d/e")));
}

TEST_F(FileTest, AFullDiskKeepsTheOldFileAndLeavesNothingElse) {
  ASSERT_THAT(WriteFileAtomically(Path("f"), "old", 0600), IsOk());
  {
    const FileSizeLimit full(3);
    EXPECT_THAT(WriteFileAtomically(Path("f"), "newer", 0600),
                FailsWith(Code::kResourceExhausted, HasSubstr(Path("f"))));
    EXPECT_THAT(WriteFileAtomically(Path("g"), "newer", 0600),
                FailsWithCode(Code::kResourceExhausted));
  }
  EXPECT_THAT(ReadFile(Path("f"), 10), IsOkAndHolds(Eq("old")));
  EXPECT_FALSE(std::filesystem::exists(Path("f.tmp")));
  EXPECT_FALSE(std::filesystem::exists(Path("g")));
  EXPECT_THAT(WriteFileAtomically(Path("f"), "newer", 0600), IsOk());
}

TEST_F(FileTest, MakesFoldersAndAcceptsThoseThatExist) {
  EXPECT_THAT(MakeDirectories(Path("a/b/c"), 0750), IsOk());
  EXPECT_THAT(MakeDirectories(Path("a/b/c"), 0700), IsOk());
  EXPECT_EQ(ModeOf(Path("a/b/c")), 0750U);
  EXPECT_THAT(MakeDirectories("/", 0755), IsOk());
}

TEST_F(FileTest, AFileInTheWayOfAFolderIsAnError) {
  ASSERT_THAT(WriteFileAtomically(Path("f"), "x", 0600), IsOk());
  EXPECT_THAT(MakeDirectories(Path("f"), 0755),
              FailsWith(Code::kInvalidArgument, HasSubstr("not a folder")));
  EXPECT_FALSE(MakeDirectories(Path("f/g"), 0755).ok());
}

TEST(ErrnoTest, HasTextAndCode) {
  EXPECT_EQ(ErrnoText(EACCES), "permission denied");
  EXPECT_EQ(CodeFromErrno(ENOENT), Code::kNotFound);
  EXPECT_EQ(CodeFromErrno(EPERM), Code::kPermissionDenied);
  EXPECT_EQ(CodeFromErrno(EMFILE), Code::kResourceExhausted);
  EXPECT_EQ(CodeFromErrno(EEXIST), Code::kAlreadyExists);
  EXPECT_EQ(CodeFromErrno(EIO), Code::kInternal);
}

TEST(WriteAllTest, ReportsABrokenDescriptor) {
  EXPECT_FALSE(WriteAll(-1, "x").ok());
}

}  // namespace
}  // namespace credence
