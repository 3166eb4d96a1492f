#include "agent/cli/find_socket.h"

#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class FindSocketTest : public testing::Test {
 protected:
  ~FindSocketTest() override {
    Set("CREDENCE_SOCKET", "");
    Set("SPIFFE_ENDPOINT_SOCKET", "");
  }

  static void Set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }
  static Result<std::string> FromEndpoint(const std::string& uri) {
    Set("SPIFFE_ENDPOINT_SOCKET", uri);
    return FindSocket("");
  }
};

TEST_F(FindSocketTest, WE_9_AnExplicitAddressWinsAndTheVariableComesNext) {
  struct Row {
    const char* flag;
    const char* own;
    const char* endpoint;
    const char* path;
  };
  constexpr Row kRows[] = {
      {"/flag", "/own", "unix:///endpoint", "/flag"},
      {"/flag", "", "http://never/looked/at", "/flag"},
      {"", "/own", "unix:///endpoint", "/own"},
      {"", "", "unix:///endpoint", "/endpoint"},
      {"", "", "", kDefaultSocket},
      {"relative.sock", "", "", "relative.sock"},
      {"unix:///flag", "", "", "/flag"},
      {"", "unix:/own", "", "/own"},
  };
  for (const Row& row : kRows) {
    Set("CREDENCE_SOCKET", row.own);
    Set("SPIFFE_ENDPOINT_SOCKET", row.endpoint);
    EXPECT_THAT(FindSocket(row.flag), IsOkAndHolds(std::string(row.path)))
        << row.flag << " " << row.own << " " << row.endpoint;
  }
}

TEST_F(FindSocketTest, WE_10_TheVariableIsAUri) {
  for (const char* uri : {"/run/agent/api.sock", "http://127.0.0.1:8000", "run/agent.sock", "x"}) {
    EXPECT_THAT(FromEndpoint(uri),
                FailsWith(Code::kInvalidArgument,
                          AllOf(HasSubstr("SPIFFE_ENDPOINT_SOCKET"), HasSubstr(uri))));
  }
}

TEST_F(FindSocketTest, WE_11_AUnixAddressIsAnAbsolutePathAndNothingElse) {
  EXPECT_THAT(FromEndpoint("unix:///run/agent/api.sock"),
              IsOkAndHolds(std::string("/run/agent/api.sock")));
  EXPECT_THAT(FromEndpoint("unix:/run/agent/api.sock"),
              IsOkAndHolds(std::string("/run/agent/api.sock")));
  for (const char* uri : {"unix://run/agent/api.sock",
                          "unix:relative.sock",
                          "unix:///a?x=1",
                          "unix:///a#f",
                          "unix://",
                          "unix:",
                          "unix:////a"}) {
    EXPECT_THAT(FromEndpoint(uri),
                FailsWith(Code::kInvalidArgument, HasSubstr("unix:///absolute/path")))
        << uri;
  }
}

TEST_F(FindSocketTest, WE_12_ATcpAddressIsRefusedAsTheAgentServesNone) {
  for (const char* uri : {"tcp://127.0.0.1:8000", "tcp://[::1]:8000", "tcp://localhost:8000"}) {
    EXPECT_THAT(FromEndpoint(uri), FailsWithCode(Code::kInvalidArgument)) << uri;
    EXPECT_THAT(FindSocket(uri), FailsWith(Code::kInvalidArgument, HasSubstr("--socket"))) << uri;
  }
}

class FindAuthoritySocketTest : public testing::Test {
 protected:
  FindAuthoritySocketTest() {
    for (const char* name : kNames) {
      const char* value = getenv(name);  // NOLINT(concurrency-mt-unsafe): a test has one thread.
      before_.emplace_back(value == nullptr ? "" : value);
      setenv(name, "", 1);
    }
  }
  ~FindAuthoritySocketTest() override {
    for (std::size_t i = 0; i < before_.size(); ++i) {
      setenv(kNames[i], before_[i].c_str(), 1);
    }
  }

  static constexpr const char* kNames[] = {
      "CREDENCE_AUTHORITY_SOCKET", "SPIRE_SERVER_PRIVATE_SOCKET", "XDG_RUNTIME_DIR", "HOME"};
  static constexpr uid_t kUser = 1000;

 private:
  std::vector<std::string> before_;
};

TEST_F(FindAuthoritySocketTest, TheFlagWinsThenOurVariableThenThatOfSpire) {
  setenv("HOME", "/home/u", 1);
  EXPECT_EQ(*FindAuthoritySocket(""), *DefaultAuthoritySocket(geteuid()));
  setenv("SPIRE_SERVER_PRIVATE_SOCKET", "/spire", 1);
  EXPECT_THAT(FindAuthoritySocket(""), IsOkAndHolds(std::string("/spire")));
  setenv("CREDENCE_AUTHORITY_SOCKET", "unix:///own", 1);
  EXPECT_THAT(FindAuthoritySocket(""), IsOkAndHolds(std::string("/own")));
  EXPECT_THAT(FindAuthoritySocket("/flag"), IsOkAndHolds(std::string("/flag")));
  EXPECT_THAT(FindAuthoritySocket("unix:///flag"), IsOkAndHolds(std::string("/flag")));
}

TEST_F(FindAuthoritySocketTest, ATcpAddressIsRefusedWithWhereItWasGiven) {
  EXPECT_THAT(FindAuthoritySocket("tcp://127.0.0.1:1"),
              FailsWith(Code::kInvalidArgument, HasSubstr("-socketPath")));
  setenv("CREDENCE_AUTHORITY_SOCKET", "tcp://127.0.0.1:1", 1);
  EXPECT_THAT(FindAuthoritySocket(""),
              FailsWith(Code::kInvalidArgument, HasSubstr("CREDENCE_AUTHORITY_SOCKET")));
}

TEST_F(FindAuthoritySocketTest, TheDefaultIsInThePlaceForTheUsersSockets) {
  setenv("HOME", "/home/u", 1);
  EXPECT_EQ(*DefaultAuthoritySocket(0), "/run/credence/authority/api.sock");
  EXPECT_EQ(*DefaultAuthoritySocket(kUser), "/home/u/.local/state/credence/run/authority/api.sock");
  setenv("XDG_RUNTIME_DIR", "relative", 1);
  EXPECT_EQ(*DefaultAuthoritySocket(kUser), "/home/u/.local/state/credence/run/authority/api.sock");
  setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
  EXPECT_EQ(*DefaultAuthoritySocket(kUser), "/run/user/1000/credence/authority/api.sock");
}

TEST_F(FindAuthoritySocketTest, WithoutAHomeTheSocketHasToBeNamed) {
  EXPECT_THAT(DefaultAuthoritySocket(kUser),
              FailsWith(Code::kFailedPrecondition, HasSubstr("-socketPath")));
  EXPECT_EQ(*DefaultAuthoritySocket(0), "/run/credence/authority/api.sock");
}

}  // namespace
}  // namespace credence
