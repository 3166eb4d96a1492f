#include "base/h2/listen_socket.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/check.h"
#include "base/core/testing/result_matchers.h"
#include "base/h2/testing/client.h"

namespace credence::h2 {
namespace {

using testing::HasSubstr;

class ListenSocketTest : public testing::Test {
 protected:
  ListenSocketTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "h2-listen-XXXXXX").string();
    CREDENCE_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    path_ = folder_ + "/run/public/api.sock";
  }
  ~ListenSocketTest() override { std::filesystem::remove_all(folder_); }

  static mode_t ModeOf(const std::string& path) {
    struct stat found{};
    CREDENCE_CHECK(stat(path.c_str(), &found) == 0);
    return found.st_mode & 07777;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(ListenSocketTest, MakesFolderAndSocketWithTheirModesUnderAnyUmask) {
  const mode_t before = umask(0027);
  const auto listening = ListenSocket::Bind(path_, 0777);
  umask(before);
  ASSERT_THAT(listening, IsOk());
  EXPECT_EQ(ModeOf(path_), 0777U);
  EXPECT_EQ(ModeOf(folder_ + "/run/public"), 0755U);
  EXPECT_EQ(fcntl(listening->fd(), F_GETFD), FD_CLOEXEC);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".lock"));
  const TestClient client(path_);
}

TEST_F(ListenSocketTest, ReplacesTheSocketOfAnAgentThatIsGone) {
  std::filesystem::create_directories(folder_ + "/run/public");
  {
    // What an agent leaves behind that was killed: a socket file, and nobody listening.
    auto killed = ListenSocket::Bind(path_, 0700);
    ASSERT_THAT(killed, IsOk());
    std::filesystem::create_hard_link(path_, path_ + ".kept");
  }
  std::filesystem::rename(path_ + ".kept", path_);
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  EXPECT_THAT(ListenSocket::Bind(path_, 0777), IsOk());
}

TEST_F(ListenSocketTest, SecondAgentIsToldAndTheFirstUnharmed) {
  const auto first = ListenSocket::Bind(path_, 0777);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(ListenSocket::Bind(path_, 0777),
              FailsWith(Code::kAlreadyExists, HasSubstr("another agent is serving on " + path_)));
  const TestClient client(path_);
}

TEST_F(ListenSocketTest, FileOfAnotherKindIsKept) {
  std::filesystem::create_directories(folder_ + "/run/public");
  std::ofstream(path_) << "precious";
  EXPECT_THAT(ListenSocket::Bind(path_, 0777),
              FailsWith(Code::kInvalidArgument, HasSubstr("is not a socket")));
  EXPECT_TRUE(std::filesystem::is_regular_file(path_));
}

TEST_F(ListenSocketTest, SymbolicLinkIsNotFollowed) {
  std::filesystem::create_directories(folder_ + "/run/public");
  std::filesystem::create_symlink("/dev/null", path_);
  EXPECT_THAT(ListenSocket::Bind(path_, 0777), FailsWithCode(Code::kInvalidArgument));
}

TEST_F(ListenSocketTest, FolderThatOthersCanWriteIsRefused) {
  std::filesystem::create_directories(folder_ + "/run/public");
  ASSERT_EQ(chmod((folder_ + "/run").c_str(), 0777), 0);
  EXPECT_THAT(ListenSocket::Bind(path_, 0777),
              FailsWith(Code::kFailedPrecondition, HasSubstr("/run can be written by everybody")));
  ASSERT_EQ(chmod((folder_ + "/run").c_str(), 01777), 0);
  EXPECT_THAT(ListenSocket::Bind(path_, 0777), IsOk());
}

TEST_F(ListenSocketTest, FolderOfSomebodyElseIsRefusedAndNothingIsMadeInIt) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root to give a folder away";
  }
  std::filesystem::create_directories(folder_ + "/run");
  ASSERT_EQ(chown((folder_ + "/run").c_str(), 12345, 12345), 0);
  EXPECT_THAT(ListenSocket::Bind(path_, 0777),
              FailsWith(Code::kFailedPrecondition, HasSubstr("/run belongs to uid 12345")));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/run"));
}

TEST_F(ListenSocketTest, PathThatDoesNotFitIsRefused) {
  EXPECT_THAT(ListenSocket::Bind(folder_ + "/" + std::string(108, 'x'), 0777),
              FailsWith(Code::kInvalidArgument, HasSubstr("107 bytes")));
  EXPECT_THAT(ListenSocket::Bind("", 0777), FailsWithCode(Code::kInvalidArgument));
}

TEST_F(ListenSocketTest, RemovesItsFileAndNobodyElses) {
  {
    const auto listening = ListenSocket::Bind(path_, 0777);
    ASSERT_THAT(listening, IsOk());
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  std::optional<Result<ListenSocket>> first = ListenSocket::Bind(path_, 0777);
  ASSERT_THAT(*first, IsOk());
  std::filesystem::rename(path_, path_ + ".old");
  const auto second = ListenSocket::Bind(path_, 0777);
  ASSERT_THAT(second, IsOk());
  first.reset();
  EXPECT_TRUE(std::filesystem::is_socket(path_));
}

}  // namespace
}  // namespace credence::h2
