#include "agent/cli/find_socket.h"

#include <stdlib.h>

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

}  // namespace
}  // namespace credence
