#include "base/http/server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "base/core/file.h"
#include "base/core/log.h"
#include "base/core/task_group.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/core/unique_fd.h"
#include "base/http/client.h"
#include "base/http/testing/test_pki.h"

namespace credence {
namespace {

using asio::ip::tcp;
using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kGetKeys = "GET /keys HTTP/1.1\r\nHost: a\r\n\r\n";

/// More than the kernel keeps for a socket.
constexpr std::size_t kLargeBytes = std::size_t{16} << 20;

/// Sends `bytes` and collects what comes until the server closes.
Task<std::string> SayAndListen(std::shared_ptr<tcp::socket> socket, std::string bytes) {
  boost::system::error_code failed;
  co_await asio::async_write(
      *socket, asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, failed));
  std::string answer;
  std::string piece(4096, '\0');
  while (!failed) {
    const std::size_t size = co_await socket->async_read_some(
        asio::buffer(piece), asio::redirect_error(asio::use_awaitable, failed));
    answer.append(piece, 0, size);
  }
  co_return answer;
}

/// The same until `wanted` bytes have come.
Task<std::string> SayAndHear(std::shared_ptr<tcp::socket> socket,
                             std::string bytes,
                             std::size_t wanted) {
  co_await asio::async_write(*socket, asio::buffer(bytes), asio::use_awaitable);
  std::string answer;
  std::string piece(4096, '\0');
  while (answer.size() < wanted) {
    const std::size_t size =
        co_await socket->async_read_some(asio::buffer(piece), asio::use_awaitable);
    answer.append(piece, 0, size);
  }
  co_return answer;
}

class HttpServerTest : public testing::Test {
 protected:
  ~HttpServerTest() override {
    if (server_) {
      RunTask(io_, server_->Stop(Deadline::After(milliseconds(0))));
    }
  }

  HttpServer& Start(HttpServerOptions options = {}) {
    server_.emplace(io_.get_executor(), clock_, std::move(options));
    EXPECT_THAT(server_->Handle("/keys", [this] { return Keys(); }), IsOk());
    EXPECT_THAT(server_->Handle("/away",
                                []() -> Result<HttpDocument> {
                                  return Error(Code::kUnavailable, "no bundle: secret reason");
                                }),
                IsOk());
    EXPECT_THAT(server_->Handle("/broken",
                                []() -> Result<HttpDocument> {
                                  return Error(Code::kInternal, "secret reason");
                                }),
                IsOk());
    auto port = server_->Listen("127.0.0.1", 0);
    EXPECT_THAT(port, IsOk());
    port_ = *port;
    return *server_;
  }

  Result<HttpDocument> Keys() const {
    return HttpDocument{"application/json", keys_, std::chrono::seconds(60)};
  }

  std::shared_ptr<tcp::socket> Connect(const std::string& from = "127.0.0.1") {
    auto socket = std::make_shared<tcp::socket>(io_);
    socket->open(tcp::v4());
    socket->bind(tcp::endpoint(asio::ip::make_address(from), 0));
    socket->connect(tcp::endpoint(asio::ip::address_v4::loopback(), port_));
    return socket;
  }

  std::string Say(std::string_view bytes) {
    return RunTask(io_, SayAndListen(Connect(), std::string(bytes)));
  }

  /// One answer to GET /keys on a connection that stays.
  std::string GetKeys(const std::shared_ptr<tcp::socket>& socket) {
    return RunTask(io_, SayAndHear(socket, std::string(kGetKeys), answer_bytes_));
  }

  bool RunUntilConnectionsAre(std::size_t count) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    io_.restart();
    while (server_->stats().connections != count && std::chrono::steady_clock::now() < end) {
      io_.run_one_for(milliseconds(10));
    }
    return server_->stats().connections == count;
  }

  asio::io_context io_;
  FakeClock clock_{FromUnixSeconds(784'111'777)};
  std::shared_ptr<const std::string> keys_ = std::make_shared<const std::string>("{\"keys\":[]}");
  /// Of the whole answer to kGetKeys.
  std::size_t answer_bytes_ = 178;
  std::optional<HttpServer> server_;
  std::uint16_t port_ = 0;
};

TEST_F(HttpServerTest, AnswersGet) {
  Start();
  const std::string answer = Say("GET /keys?a=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer,
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Content-Type: application/json\r\nContent-Length: 11\r\n"
            "Cache-Control: public, max-age=60\r\nConnection: close\r\n\r\n{\"keys\":[]}");
  EXPECT_EQ(server_->stats().requests, 1U);
}

TEST_F(HttpServerTest, AnswersHeadWithoutTheBody) {
  Start();
  const std::string answer = Say("HEAD /keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 11\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, RefusalsTellNothingAboutTheInside) {
  Start();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404 Not Found"},
      {"GET /keys/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404 Not Found"},
      {"GET /away HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "503 Service Unavailable"},
      {"GET /broken HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "500 Internal Server Error"},
      {"DELETE /keys HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed"},
      {"GET /keys HTTP/1.1\r\n\r\n", "400 Bad Request"},
      {"GET /keys HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x'),
       "431 Request Header Fields Too Large"},
      {"\x16\x03\x01 hello", "400 Bad Request"},
  };
  for (const auto& [request, status] : cases) {
    const std::string answer = Say(request);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + status + "\r\n")) << request;
    EXPECT_THAT(answer, EndsWith("\r\n\r\n" + status + "\n")) << request;
    EXPECT_THAT(answer, Not(HasSubstr("secret"))) << request;
    EXPECT_THAT(answer, Not(HasSubstr("Server:"))) << request;
  }
  EXPECT_TRUE(RunUntilConnectionsAre(0));
}

TEST_F(HttpServerTest, AnswersSeveralRequestsOnOneConnectionInOrder) {
  Start();
  const std::string answer =
      Say(fmt::format("{}HEAD /keys HTTP/1.1\r\nHost: a\r\n\r\n"
                      "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                      kGetKeys));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("{\"keys\":[]}HTTP/1.1 200"));
  EXPECT_THAT(answer, EndsWith("404 Not Found\n"));
  EXPECT_EQ(server_->stats().accepted, 1U);
  EXPECT_EQ(server_->stats().requests, 3U);
}

TEST_F(HttpServerTest, ServesTheDocumentOfTheMoment) {
  Start();
  const auto client = Connect();
  EXPECT_THAT(GetKeys(client), EndsWith("{\"keys\":[]}"));
  keys_ = std::make_shared<const std::string>("{\"keys\":{}}");
  EXPECT_THAT(GetKeys(client), EndsWith("{\"keys\":{}}"));
}

TEST_F(HttpServerTest, ClosesAfterTheLastRequestThatAConnectionMayMake) {
  Start({.max_requests_per_connection = 2});
  const std::string answer = Say(fmt::format("{0}{0}{0}", kGetKeys));
  EXPECT_EQ(server_->stats().requests, 2U);
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
}

TEST_F(HttpServerTest, LargeDocumentReachesASlowReader) {
  keys_ = std::make_shared<const std::string>(std::string(kLargeBytes, 'k'));
  Start();
  const std::string answer = Say("GET /keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_GT(answer.size(), kLargeBytes);
  EXPECT_THAT(answer.substr(answer.size() - 10), "kkkkkkkkkk");
}

TEST_F(HttpServerTest, ReaderThatTakesNothingIsCutOff) {
  keys_ = std::make_shared<const std::string>(std::string(kLargeBytes, 'k'));
  Start({.write_timeout = milliseconds(100)});
  const auto client = Connect();
  asio::write(*client, asio::buffer(kGetKeys));
  EXPECT_TRUE(RunUntilConnectionsAre(1));
  EXPECT_TRUE(RunUntilConnectionsAre(0));
}

TEST_F(HttpServerTest, SlowRequestsAreCutOffAndHoldNobodyUp) {
  Start({.request_timeout = milliseconds(150)});
  const auto silent = Connect();
  const auto half = Connect();
  asio::write(*half, asio::buffer(kGetKeys.substr(0, 20)));
  EXPECT_TRUE(RunUntilConnectionsAre(2));
  EXPECT_THAT(GetKeys(Connect()), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(RunUntilConnectionsAre(0));
}

TEST_F(HttpServerTest, IdleConnectionsAreClosed) {
  Start({.idle_timeout = milliseconds(50)});
  const auto client = Connect();
  EXPECT_THAT(GetKeys(client), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(server_->stats().connections, 1U);
  EXPECT_EQ(RunTask(io_, SayAndListen(client, "")), "");
  EXPECT_EQ(server_->stats().connections, 0U);
}

TEST_F(HttpServerTest, CapOfOneAddressLeavesOtherAddressesAlone) {
  Start({.max_connections_per_address = 2});
  const auto first = Connect();
  const auto second = Connect();
  EXPECT_TRUE(RunUntilConnectionsAre(2));
  EXPECT_EQ(Say(kGetKeys), "");
  EXPECT_EQ(server_->stats().connections_refused, 1U);
  EXPECT_THAT(GetKeys(Connect("127.0.0.2")), StartsWith("HTTP/1.1 200"));
  first->close();
  EXPECT_TRUE(RunUntilConnectionsAre(1));
  EXPECT_THAT(GetKeys(Connect()), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, CapOfAllConnectionsHolds) {
  Start({.max_connections = 1});
  const auto first = Connect();
  EXPECT_TRUE(RunUntilConnectionsAre(1));
  EXPECT_EQ(RunTask(io_, SayAndListen(Connect("127.0.0.2"), "")), "");
  EXPECT_THAT(GetKeys(first), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, OutOfDescriptorsNewConnectionsWaitAndOldOnesGoOn) {
  Start();
  const auto old = Connect();
  EXPECT_TRUE(RunUntilConnectionsAre(1));
  const auto late = Connect();
  // UBSan looks at the vtable of each class once, through a pipe, which it could not make later.
  LogWarn("Descriptors run out now");
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit low{0, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const std::string answer = GetKeys(old);
  const auto waiting = server_->stats();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(waiting.accepted, 1U);
  EXPECT_THAT(GetKeys(late), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, ListensOnLiteralAddressesOnly) {
  HttpServer& server = Start();
  for (const char* address : {"localhost", "", "127.0.0.1:80", "[::1]", "1.2.3"}) {
    EXPECT_THAT(server.Listen(address, 0), FailsWith(Code::kInvalidArgument, HasSubstr(address)));
  }
  EXPECT_THAT(server.Listen("127.0.0.1", port_),
              FailsWith(Code::kAlreadyExists, HasSubstr(fmt::format("127.0.0.1:{}", port_))));
  EXPECT_THAT(server.Listen("192.0.2.1", 0), FailsWith(Code::kInternal, HasSubstr("192.0.2.1:0")));
}

TEST_F(HttpServerTest, ListensOnSeveralAddresses) {
  HttpServer& server = Start();
  const auto other = server.Listen("127.0.0.3", 0);
  ASSERT_THAT(other, IsOk());
  tcp::socket client(io_);
  client.connect(tcp::endpoint(asio::ip::make_address("127.0.0.3"), *other));
  EXPECT_TRUE(RunUntilConnectionsAre(1));
}

TEST_F(HttpServerTest, PathsAreCheckedAndTakenOnce) {
  HttpServer& server = Start();
  for (const char* path : {"", "keys", "/a b", "/a?b", "/a#b", "/\xC3\xA9", "/a\r\n"}) {
    EXPECT_THAT(server.Handle(path, [this] { return Keys(); }),
                FailsWithCode(Code::kInvalidArgument))
        << path;
  }
  EXPECT_THAT(server.Handle("/keys", [this] { return Keys(); }),
              FailsWith(Code::kAlreadyExists, HasSubstr("/keys")));
}

TEST_F(HttpServerTest, StopClosesIdleConnectionsAtOnceAndMayBeCalledTwice) {
  Start();
  const auto silent = Connect();
  const auto used = Connect();
  GetKeys(used);
  EXPECT_TRUE(RunUntilConnectionsAre(2));
  const auto before = std::chrono::steady_clock::now();
  RunTask(io_, server_->Stop(Deadline::After(std::chrono::seconds(10))));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  EXPECT_EQ(server_->stats().connections, 0U);
  EXPECT_EQ(RunTask(io_, SayAndListen(used, "")), "");
  RunTask(io_, server_->Stop(Deadline::After(std::chrono::seconds(10))));
  tcp::socket late(io_);
  boost::system::error_code failed;
  late.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port_), failed);
  EXPECT_EQ(failed, asio::error::connection_refused);
}

Task<void> StoreAnswer(std::shared_ptr<tcp::socket> socket,
                       std::string bytes,
                       std::string* answer) {
  *answer = co_await SayAndListen(std::move(socket), std::move(bytes));
}

TEST_F(HttpServerTest, StopLetsARequestUnderWayBeAnswered) {
  Start();
  const auto client = Connect();
  asio::write(*client, asio::buffer(kGetKeys.substr(0, 10)));
  EXPECT_TRUE(RunUntilConnectionsAre(1));
  io_.restart();
  io_.run_for(milliseconds(50));
  TaskGroup stopping(io_.get_executor());
  stopping.Spawn("stop", server_->Stop(Deadline::After(std::chrono::seconds(10))));
  io_.restart();
  io_.run_for(milliseconds(50));
  EXPECT_EQ(server_->stats().connections, 1U);
  std::string answer;
  RunTask(io_, StoreAnswer(client, std::string(kGetKeys.substr(10)), &answer));
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Connection: close")));
  io_.restart();
  io_.run_for(milliseconds(1500));
  EXPECT_TRUE(stopping.empty());
}

TEST_F(HttpServerTest, StopCutsAtItsDeadline) {
  Start();
  const auto client = Connect();
  asio::write(*client, asio::buffer(kGetKeys.substr(0, 10)));
  EXPECT_TRUE(RunUntilConnectionsAre(1));
  io_.restart();
  io_.run_for(milliseconds(50));
  RunTask(io_, server_->Stop(Deadline::After(milliseconds(50))));
  EXPECT_EQ(server_->stats().connections, 0U);
}

class HttpsServerTest : public HttpServerTest {
 protected:
  HttpsServerTest()
      : ca_file_(testing::TempDir() + "server_test_ca_" + std::to_string(getpid()) + ".pem") {
    EXPECT_THAT(WriteFileAtomically(ca_file_, ca_.pem(), 0644), IsOk());
    Certify(ca_);
  }
  ~HttpsServerTest() override { unlink(ca_file_.c_str()); }

  /// From now on the server shows a certificate of `ca`.
  void Certify(const TestCa& ca) {
    const auto issued = ca.Issue("DNS:localhost");
    context_ = TlsServerContext(issued, issued->native_handle());
  }

  HttpServer& StartTls(HttpServerOptions options = {}) {
    options.tls = [this] { return context_; };
    return Start(std::move(options));
  }

  Result<HttpResponse> Get(const std::string& path = "/keys") {
    HttpRequest request;
    request.url = ParseHttpUrl(fmt::format("https://localhost:{}{}", port_, path)).value();
    request.ca_file = ca_file_;
    const Deadline deadline = Deadline::After(std::chrono::seconds(5));
    auto outcome = RunTask(io_, client_.Send(std::move(request), deadline));
    return std::move(outcome.response);
  }

  TestCa ca_{"test root"};
  std::string ca_file_;
  TlsServerContext context_;
  HttpClient client_;
};

TEST_F(HttpsServerTest, AnswersOverTls) {
  StartTls();
  const auto response = Get();
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body.Reveal(), "{\"keys\":[]}");
  EXPECT_EQ(response->FindHeader("content-type"), "application/json");
  EXPECT_TRUE(RunUntilConnectionsAre(0));
}

TEST_F(HttpsServerTest, NewConnectionsGetTheNewCertificate) {
  StartTls();
  ASSERT_THAT(Get(), IsOk());
  const TestCa other("other root");
  Certify(other);
  EXPECT_THAT(Get(), FailsWithCode(Code::kUnavailable));
  Certify(ca_);
  EXPECT_THAT(Get(), IsOk());
}

TEST_F(HttpsServerTest, WithoutACertificateConnectionsAreClosed) {
  StartTls();
  context_ = nullptr;
  EXPECT_THAT(Get(), FailsWithCode(Code::kUnavailable));
  EXPECT_TRUE(RunUntilConnectionsAre(0));
}

TEST_F(HttpsServerTest, HandshakesThatNeverEndAreCutOffAndHoldNobodyUp) {
  StartTls({.request_timeout = milliseconds(300)});
  const auto silent = Connect();
  const auto garbage = Connect();
  asio::write(*garbage, asio::buffer(std::string("\x16\x03\x01\x7f\xff half a hello")));
  const auto plain = Connect();
  asio::write(*plain, asio::buffer(kGetKeys));
  EXPECT_THAT(Get(), IsOk());
  EXPECT_TRUE(RunUntilConnectionsAre(0));
}

TEST_F(HttpsServerTest, StopEndsIdleTlsConnections) {
  StartTls();
  const auto silent = Connect();
  EXPECT_TRUE(RunUntilConnectionsAre(1));
  RunTask(io_, server_->Stop(Deadline::After(milliseconds(50))));
  EXPECT_EQ(server_->stats().connections, 0U);
}

TEST_F(HttpsServerTest, AVerifierReplacesRootsAndHost) {
  StartTls();
  std::vector<std::vector<std::string>> seen;
  for (const bool trusted : {true, false}) {
    HttpRequest request;
    request.url = ParseHttpUrl(fmt::format("https://127.0.0.1:{}/keys", port_)).value();
    request.verify_peer = [&seen, trusted](const std::vector<std::string>& chain) {
      seen.push_back(chain);
      return trusted ? Ok() : Result<void>(Error(Code::kUnauthenticated, "not this one"));
    };
    const Deadline deadline = Deadline::After(std::chrono::seconds(5));
    const auto outcome = RunTask(io_, client_.Send(std::move(request), deadline));
    if (trusted) {
      ASSERT_THAT(outcome.response, IsOk());
      EXPECT_EQ(outcome.response->status, 200);
    } else {
      EXPECT_THAT(outcome.response, FailsWith(Code::kUnavailable, HasSubstr("not this one")));
      EXPECT_EQ(outcome.fate, RequestFate::kNotSent);
    }
  }
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].size(), 1U);
  EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(HttpServerTest, AVerifierIsNotAskedAboutPlainHttp) {
  Start();
  HttpClient client;
  HttpRequest request;
  request.url = ParseHttpUrl(fmt::format("http://127.0.0.1:{}/keys", port_)).value();
  request.verify_peer = [](const std::vector<std::string>&) { return Ok(); };
  const Deadline deadline = Deadline::After(std::chrono::seconds(5));
  const auto outcome = RunTask(io_, client.Send(std::move(request), deadline));
  EXPECT_THAT(outcome.response, FailsWithCode(Code::kInvalidArgument));
  EXPECT_EQ(server_->stats().accepted, 0U);
}

}  // namespace
}  // namespace credence
