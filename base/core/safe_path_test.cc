#include "base/core/safe_path.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;

constexpr uid_t kSomebody = 12345;

class SafePathTest : public testing::Test {
 protected:
  SafePathTest() {
    std::string pattern = testing::TempDir() + "safe_path_test.XXXXXX";
    CREDENCE_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~SafePathTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string Folder(const std::string& name, mode_t mode = 0755) const {
    CREDENCE_CHECK(mkdir(Path(name).c_str(), 0755) == 0);
    CREDENCE_CHECK(chmod(Path(name).c_str(), mode) == 0);
    return Path(name);
  }
  std::string File(const std::string& name, mode_t mode = 0644) const {
    std::ofstream(Path(name)) << "content";
    CREDENCE_CHECK(chmod(Path(name).c_str(), mode) == 0);
    return Path(name);
  }
  std::string Link(const std::string& name, const std::string& target) const {
    std::filesystem::create_symlink(target, Path(name));
    return Path(name);
  }
  static void GiveAway(const std::string& path) {
    CREDENCE_CHECK(lchown(path.c_str(), kSomebody, kSomebody) == 0);
  }

  std::string folder_;
};

/// Tests that give files away.
class SafePathAsRootTest : public SafePathTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root to give a file away";
    }
  }
};

TEST_F(SafePathTest, WhatOnlyWeCanWriteIsSafe) {
  Folder("a");
  EXPECT_THAT(CheckNotChangeable(File("a/f")), IsOk());
  EXPECT_THAT(CheckNotReplaceable(Path("a/f")), IsOk());
  EXPECT_THAT(CheckNotChangeable(Path("a")), IsOk());
  EXPECT_THAT(CheckNotChangeable("/"), IsOk());
  EXPECT_THAT(CheckNotChangeable(Path("a/../a/./f")), IsOk());
}

TEST_F(SafePathTest, AFolderThatAllCanWriteIsNot) {
  Folder("open", 0777);
  File("open/f");
  EXPECT_THAT(CheckNotReplaceable(Path("open/f")),
              FailsWith(Code::kPermissionDenied, HasSubstr("open can be written by everybody")));
  EXPECT_THAT(CheckNotReplaceable(Path("open")), FailsWithCode(Code::kPermissionDenied));
}

TEST_F(SafePathTest, StickyIsEnoughOnTheWayAndNotAtAnEndThatCounts) {
  Folder("tmp", 01777);
  File("tmp/f");
  EXPECT_THAT(CheckNotChangeable(Path("tmp/f")), IsOk());
  EXPECT_THAT(CheckNotReplaceable(Path("tmp")), IsOk());
  EXPECT_THAT(CheckNotChangeable(Path("tmp")), FailsWithCode(Code::kPermissionDenied));
  EXPECT_THAT(CheckNotChangeable(Path("tmp/../tmp")), FailsWithCode(Code::kPermissionDenied));
}

TEST_F(SafePathTest, TheModeOfASocketSaysWhoMayConnectOnly) {
  const std::string path = Path("s");
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  close(fd);
  ASSERT_EQ(chmod(path.c_str(), 0777), 0);
  EXPECT_THAT(CheckNotReplaceable(path), IsOk());
}

TEST_F(SafePathTest, AFileThatOthersCanWriteIsChangeableOnly) {
  File("f", 0666);
  EXPECT_THAT(CheckNotReplaceable(Path("f")), IsOk());
  EXPECT_THAT(CheckNotChangeable(Path("f")), FailsWithCode(Code::kPermissionDenied));
}

TEST_F(SafePathTest, EveryFolderThatALinkLeadsThroughIsLookedAt) {
  Folder("safe");
  File("safe/f");
  Folder("open");
  // first -> open/second -> safe/f: whoever can write `open` chooses what `first` is.
  Link("open/second", "../safe/f");
  Link("first", Path("open/second"));
  EXPECT_THAT(CheckNotChangeable(Path("first")), IsOk());
  ASSERT_EQ(chmod(Path("open").c_str(), 0777), 0);
  EXPECT_THAT(CheckNotChangeable(Path("first")),
              FailsWith(Code::kPermissionDenied, HasSubstr("open can be written")));
}

TEST_F(SafePathTest, LinksInACircleEnd) {
  Link("a", "b");
  Link("b", "a");
  EXPECT_THAT(CheckNotReplaceable(Path("a")), FailsWithCode(Code::kInternal));
}

TEST_F(SafePathTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(CheckNotReplaceable(Path("none/f")),
              FailsWith(Code::kNotFound, HasSubstr("open " + Path("none") + ": no such file")));
  EXPECT_THAT(CheckNotReplaceable(""), FailsWithCode(Code::kNotFound));
  File("f");
  EXPECT_THAT(CheckNotReplaceable(Path("f/g")), FailsWithCode(Code::kNotFound));
}

TEST_F(SafePathAsRootTest, WhatSomebodyElsePutIntoATemporaryFolderIsNotSafe) {
  Folder("tmp", 01777);
  Folder("tmp/agent");
  Folder("tmp/agent/public");
  File("tmp/agent/public/f");
  EXPECT_THAT(CheckNotReplaceable(Path("tmp/agent/public/f")), IsOk());
  GiveAway(Path("tmp/agent"));
  EXPECT_THAT(CheckNotReplaceable(Path("tmp/agent/public/f")),
              FailsWith(Code::kPermissionDenied, HasSubstr("tmp/agent belongs to uid 12345")));
}

TEST_F(SafePathAsRootTest, ALinkOfSomebodyElseIsNotSafeWhereverItLeads) {
  Folder("tmp", 01777);
  Folder("safe");
  Link("tmp/agent", Path("safe"));
  EXPECT_THAT(CheckNotReplaceable(Path("tmp/agent")), IsOk());
  GiveAway(Path("tmp/agent"));
  EXPECT_THAT(CheckNotReplaceable(Path("tmp/agent")),
              FailsWith(Code::kPermissionDenied, HasSubstr("tmp/agent belongs to uid 12345")));
}

TEST_F(SafePathAsRootTest, AGroupThatIsNotOursIsSomebodyElse) {
  File("f", 0664);
  ASSERT_EQ(chown(Path("f").c_str(), 0, kSomebody), 0);
  EXPECT_THAT(CheckNotChangeable(Path("f")),
              FailsWith(Code::kPermissionDenied, HasSubstr("written by group 12345")));
}

TEST_F(SafePathTest, MakesTheFoldersThatAreMissing) {
  Folder("tmp", 01777);
  EXPECT_THAT(MakeSafeFolders(Path("tmp/a/b"), 0750), IsOk());
  EXPECT_THAT(MakeSafeFolders(Path("tmp/a/b"), 0700), IsOk());
  struct stat info{};
  ASSERT_EQ(stat(Path("tmp/a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0750U);
  File("f");
  EXPECT_THAT(MakeSafeFolders(Path("f"), 0755),
              FailsWith(Code::kInvalidArgument, HasSubstr("not a folder")));
}

TEST_F(SafePathAsRootTest, MakesNothingInAFolderOfSomebodyElse) {
  Folder("tmp", 01777);
  GiveAway(Folder("tmp/agent"));
  EXPECT_THAT(MakeSafeFolders(Path("tmp/agent/public"), 0755),
              FailsWithCode(Code::kPermissionDenied));
  EXPECT_FALSE(std::filesystem::exists(Path("tmp/agent/public")));
}

}  // namespace
}  // namespace credence
