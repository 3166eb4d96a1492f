#include "agent/app/agent.h"

#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/config/testing/temporary_folder.h"
#include "base/core/deadline.h"
#include "base/core/testing/run_task.h"
#include "base/h2/testing/client.h"
#include "base/process/testing/child_process.h"
#include "base/process/testing/older_kernel.h"

#include "credence/credential/v1/credential.pb.h"

namespace {

/// Opened by the first look-up of a user, which then never ends; null for look-ups that find
/// nobody.
const credence::Gate* lookup_hangs = nullptr;

}  // namespace

/// Stands in for the C library's, and so for a directory service that does not answer.
extern "C" int getpwuid_r(
    uid_t /*uid*/, passwd* /*record*/, char* /*buffer*/, size_t /*size*/, passwd** result) {
  if (lookup_hangs != nullptr) {
    lookup_hangs->Open();
    while (true) {
      pause();
    }
  }
  *result = nullptr;
  return 0;
}

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const h2::TestClient::Fields kHeader{{"workload.spiffe.io", "true"}};

int ExitCodeOf(const Result<void>& outcome) {
  return outcome.ok() ? 0 : 1;
}

/// An agent in a process of its own. Its server is not there: it serves the socket and waits.
class AgentTest : public testing::Test {
 protected:
  ~AgentTest() override { lookup_hangs = nullptr; }

  /// Runs in the child.
  int RunAgent() const {
    const std::string text = fmt::format(
        "agent {{ trust_domain = \"example.org\" server_address = \"127.0.0.1\" server_port = 1\n"
        " socket_path = \"{}\" data_dir = \"{}\" insecure_bootstrap = true join_token = \"t\" }}\n"
        "plugins {{ NodeAttestor \"join_token\" {{ plugin_data {{}} }}\n"
        " KeyManager \"memory\" {{ plugin_data {{}} }}\n"
        " WorkloadAttestor \"unix\" {{ plugin_data {{}} }} }}\n",
        socket_,
        folder_ / "data");
    auto parsed = ParseAgentConfig(text, "agent.conf", {}, false);
    CREDENCE_CHECK(parsed.config.has_value());
    Agent agent(*std::move(parsed.config), {}, ExitCodeOf);
    return ExitCodeOf(agent.Run());
  }

  void AwaitSocket() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CREDENCE_CHECK(socket_.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, socket_.data(), socket_.size());
    const auto* any = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(Until([&] { return connect(probe.get(), any, sizeof address) == 0; }));
  }

  static bool Until(const std::function<bool()>& done) {
    const Deadline end = Deadline::After(seconds(30));
    while (!done()) {
      if (end.Passed()) {
        return false;
      }
      RunTask(Sleep(milliseconds(2)));
    }
    return true;
  }

  /// Opens a call as a workload does.
  static std::int32_t Call(h2::TestClient& client, const std::string& path) {
    const std::int32_t id =
        client.Call(path, h2::FrameMessage(""), h2::TestClient::Half::kEnded, kHeader);
    client.Pump();
    return id;
  }

  /// What a call with an empty message ends with.
  h2::TestClient::Answer Ask(const std::string& path, const h2::TestClient::Fields& metadata) {
    h2::TestClient client(socket_);
    const std::int32_t id =
        client.Call(path, h2::FrameMessage(""), h2::TestClient::Half::kEnded, metadata);
    EXPECT_TRUE(Until([&] {
      client.Pump();
      return client.answer(id).closed;
    }));
    return client.answer(id);
  }

  std::string AssuranceInStatus() {
    const auto answer = Ask("/credence.credential.v1.CredentialAPI/GetStatus", kHeader);
    const auto messages = answer.Messages();
    credential::v1::GetStatusResponse status;
    EXPECT_TRUE(messages.size() == 1 && status.ParseFromString(messages[0]));
    return status.assurance();
  }

  TemporaryFolder folder_;
  std::string socket_ = folder_ / "api.sock";
};

TEST_F(AgentTest, SigtermEndsItWithinTwoSecondsWhileALookupHangs) {
  const Gate lookup;
  lookup_hangs = &lookup;
  ChildProcess agent([this] { return RunAgent(); });
  AwaitSocket();
  h2::TestClient client(socket_);
  Call(client, "/SpiffeWorkloadAPI/FetchX509SVID");
  lookup.Await();
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(kill(agent.pid(), SIGTERM), 0);
  const int status = agent.Reap();
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // Two seconds, and one for a busy machine.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(3));
}

TEST_F(AgentTest, SigtermEndsItAtOnceWhenNothingHangs) {
  ChildProcess agent([this] { return RunAgent(); });
  AwaitSocket();
  ASSERT_EQ(kill(agent.pid(), SIGTERM), 0);
  EXPECT_EQ(agent.Reap(), 0);
}

TEST_F(AgentTest, StatusSaysWhatAssuranceTheKernelOffers) {
  ChildProcess agent([this] { return RunAgent(); });
  AwaitSocket();
  EXPECT_EQ(AssuranceInStatus(), KernelHasPeerPidfd() ? "pinned" : "opened_by_pid");
}

TEST_F(AgentTest, StatusOnAnOlderKernelSaysThatCallersAreOpenedByPid) {
  ChildProcess agent([this] { return BecomeOlderKernel() ? RunAgent() : 1; });
  AwaitSocket();
  EXPECT_EQ(AssuranceInStatus(), "opened_by_pid");
}

TEST_F(AgentTest, HealthAndReflectionAnswerWithoutTheSecurityHeader) {
  ChildProcess agent([this] { return RunAgent(); });
  AwaitSocket();
  for (const char* const method :
       {"/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    const auto answer = Ask(method, {});
    EXPECT_EQ(answer.grpc_status(), "0") << method;
    EXPECT_EQ(answer.Messages().size(), 1U) << method;
  }
}

}  // namespace
}  // namespace credence
