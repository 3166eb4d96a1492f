#include "agent/cli/agent_connection.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <vector>

#include <gmock/gmock.h>

#include "base/core/check.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr uid_t kSomebody = 12345;

class AgentConnectionTest : public testing::Test {
 protected:
  AgentConnectionTest() {
    std::string pattern = testing::TempDir() + "agent_connection.XXXXXX";
    CREDENCE_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    CREDENCE_CHECK(mkdir((folder_ + "/public").c_str(), 0755) == 0);
    path_ = folder_ + "/public/api.sock";
    listener_ = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    CREDENCE_CHECK(
        bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  ~AgentConnectionTest() override { std::filesystem::remove_all(folder_); }

  void Listen() { CREDENCE_CHECK(listen(listener_.get(), 1) == 0); }

  std::string folder_;
  std::string path_;
  UniqueFd listener_;
};

class AgentConnectionAsRootTest : public AgentConnectionTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root to act as another user";
    }
  }
};

TEST_F(AgentConnectionTest, ConnectsToAnAgentOfOurOwn) {
  Listen();
  EXPECT_THAT(ConnectToAgent(path_, seconds(1)), IsOk());
}

TEST_F(AgentConnectionTest, SaysWhereNoAgentAnswersAndWhy) {
  EXPECT_THAT(ConnectToAgent(path_, seconds(1)),
              FailsWith(Code::kUnavailable,
                        AllOf(HasSubstr("no agent answers on " + path_), HasSubstr("refused"))));
  EXPECT_THAT(ConnectToAgent(folder_ + "/none", seconds(1)),
              FailsWith(Code::kUnavailable, HasSubstr("no such file")));
  EXPECT_THAT(ConnectToAgent(folder_ + "/" + std::string(108, 'x'), seconds(1)),
              FailsWith(Code::kInvalidArgument, HasSubstr("107 bytes")));
}

TEST_F(AgentConnectionTest, AFullQueueIsWaitedForNoLongerThanAsked) {
  CREDENCE_CHECK(listen(listener_.get(), 0) == 0);
  std::vector<UniqueFd> waiting;
  std::optional<Error> refused;
  while (!refused) {
    auto connected = ConnectToAgent(path_, std::chrono::milliseconds(100));
    if (connected.ok()) {
      waiting.push_back(*std::move(connected));
    } else {
      refused = connected.error();
    }
  }
  EXPECT_EQ(refused->code(), Code::kUnavailable);
}

TEST_F(AgentConnectionTest, AFolderThatOthersCanWriteIsNotTrusted) {
  Listen();
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  EXPECT_THAT(ConnectToAgent(path_, seconds(1)),
              FailsWith(Code::kPermissionDenied, HasSubstr("can be written by everybody")));
  ASSERT_EQ(chmod(folder_.c_str(), 01777), 0);
  EXPECT_THAT(ConnectToAgent(path_, seconds(1)), IsOk());
}

TEST_F(AgentConnectionAsRootTest, WhatSomebodyElseMadeInATemporaryFolderIsNotTrusted) {
  Listen();
  ASSERT_EQ(chmod(folder_.c_str(), 01777), 0);
  ASSERT_EQ(chown((folder_ + "/public").c_str(), kSomebody, kSomebody), 0);
  EXPECT_THAT(ConnectToAgent(path_, seconds(1)),
              FailsWith(Code::kPermissionDenied, HasSubstr("public belongs to uid 12345")));
  ASSERT_EQ(chown((folder_ + "/public").c_str(), 0, 0), 0);
  ASSERT_EQ(chown(path_.c_str(), kSomebody, kSomebody), 0);
  EXPECT_THAT(ConnectToAgent(path_, seconds(1)),
              FailsWith(Code::kPermissionDenied, HasSubstr("api.sock belongs to uid 12345")));
}

TEST_F(AgentConnectionAsRootTest, ASocketThatSomebodyElseServesIsNotTrusted) {
  ASSERT_EQ(seteuid(kSomebody), 0);
  Listen();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_THAT(ConnectToAgent(path_, seconds(1)),
              FailsWith(Code::kPermissionDenied, HasSubstr("uid 12345 serves on " + path_)));
}

TEST_F(AgentConnectionAsRootTest, AnotherUserTrustsAnAgentOfRoot) {
  Listen();
  ASSERT_EQ(chmod(folder_.c_str(), 0711), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0777), 0);
  ASSERT_EQ(seteuid(kSomebody), 0);
  const auto connected = ConnectToAgent(path_, seconds(1));
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_THAT(connected, IsOk());
}

}  // namespace
}  // namespace credence
