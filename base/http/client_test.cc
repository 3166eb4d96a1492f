#include "base/http/client.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/http/testing/scripted_server.h"
#include "base/http/testing/test_pki.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using Ending = ScriptedAnswer::Ending;

class ClientTest : public testing::Test {
 protected:
  ClientTest()
      : ca_file_(testing::TempDir() + "client_test_ca_" + std::to_string(getpid()) + ".pem") {
    EXPECT_THAT(WriteFileAtomically(ca_file_, ca_.pem(), 0644), IsOk());
  }
  ~ClientTest() override { unlink(ca_file_.c_str()); }

  HttpRequest Post(const std::string& url) {
    HttpRequest request;
    request.method = HttpMethod::kPost;
    request.url = ParseHttpUrl(url).value();
    request.body = SecretBytes::CopyOf("{\"a\":1}");
    request.ca_file = ca_file_;
    return request;
  }

  HttpOutcome Send(HttpRequest request, milliseconds timeout = milliseconds(5000)) {
    return RunTask(io_, client_.Send(std::move(request), Deadline::After(timeout)));
  }

  HttpOutcome SendTo(ScriptedServer& server, milliseconds timeout = milliseconds(5000)) {
    return Send(Post(server.Url() + "/v1"), timeout);
  }

  TestCa ca_{"test root"};
  std::string ca_file_;
  asio::io_context io_;
  HttpClient client_;
};

TEST_F(ClientTest, TalksPlainHttpToLoopback) {
  ScriptedServer server(io_);
  server.Enqueue(HttpAnswer(200, "yes"));

  const HttpOutcome outcome = SendTo(server);

  ASSERT_THAT(outcome.response, IsOk());
  EXPECT_EQ(outcome.response->status, 200);
  EXPECT_EQ(outcome.response->body.Reveal(), "yes");
  EXPECT_EQ(outcome.fate, RequestFate::kSent);
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_THAT(server.requests()[0], HasSubstr("\r\n\r\n{\"a\":1}"));
}

TEST_F(ClientTest, TalksTls) {
  ScriptedServer server(io_, ca_.Issue("DNS:localhost"));
  server.Enqueue(HttpAnswer(201, std::string(300'000, 'x')));
  const HttpOutcome outcome = SendTo(server);
  ASSERT_THAT(outcome.response, IsOk());
  EXPECT_EQ(outcome.response->status, 201);
  EXPECT_EQ(outcome.response->body.size(), 300'000U);
}

TEST_F(ClientTest, TlsNamesCanBeAddresses) {
  ScriptedServer server(io_, ca_.Issue("IP:127.0.0.1"));
  server.Enqueue(HttpAnswer(200, ""));
  const HttpOutcome outcome = Send(Post("https://127.0.0.1:" + std::to_string(server.port())));
  EXPECT_THAT(outcome.response, IsOk());
}

TEST_F(ClientTest, WrongNameInCertificateIsRefusedBeforeAnythingIsSent) {
  ScriptedServer server(io_, ca_.Issue("DNS:other.example"));
  server.Enqueue(HttpAnswer(200, ""));
  const HttpOutcome outcome = SendTo(server);
  EXPECT_THAT(outcome.response, FailsWith(Code::kUnavailable, HasSubstr("mismatch")));
  EXPECT_EQ(outcome.fate, RequestFate::kNotSent);
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(ClientTest, UntrustedAuthorityIsRefused) {
  const TestCa other("other root");
  ScriptedServer server(io_, other.Issue("DNS:localhost"));
  server.Enqueue(HttpAnswer(200, ""));
  server.Enqueue(HttpAnswer(200, ""));
  const HttpOutcome pinned = SendTo(server);
  EXPECT_THAT(pinned.response, FailsWith(Code::kUnavailable, HasSubstr("TLS with localhost")));
  EXPECT_EQ(pinned.fate, RequestFate::kNotSent);

  HttpRequest request = Post(server.Url());
  request.ca_file.clear();
  const HttpOutcome system = Send(std::move(request));
  EXPECT_THAT(system.response, FailsWith(Code::kUnavailable, HasSubstr("TLS with localhost")));
}

TEST_F(ClientTest, OldTlsIsRefused) {
  auto context = ca_.Issue("DNS:localhost");
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context->native_handle(), TLS1_1_VERSION);
  ScriptedServer server(io_, context);
  server.Enqueue(HttpAnswer(200, ""));
  EXPECT_THAT(SendTo(server).response, FailsWithCode(Code::kUnavailable));
}

TEST_F(ClientTest, BadCaFileIsNamed) {
  HttpRequest request = Post("https://localhost:1");
  request.ca_file = "/nonexistent/ca.pem";
  EXPECT_THAT(Send(std::move(request)).response,
              FailsWith(Code::kInvalidArgument, HasSubstr("/nonexistent/ca.pem")));

  ASSERT_THAT(WriteFileAtomically(ca_file_, "not PEM", 0644), IsOk());
  EXPECT_THAT(Send(Post("https://localhost:1")).response,
              FailsWith(Code::kInvalidArgument, HasSubstr("no usable certificate")));
}

TEST_F(ClientTest, MendedOrChangedCaFileCountsForTheNextRequest) {
  const TestCa other("other root");
  ScriptedServer server(io_, ca_.Issue("DNS:localhost"));
  const auto send_with = [&](const std::string& pem) {
    EXPECT_THAT(WriteFileAtomically(ca_file_, pem, 0644), IsOk());
    server.Enqueue(HttpAnswer(200, ""));
    return SendTo(server).response;
  };
  EXPECT_THAT(send_with("not PEM"), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(send_with(ca_.pem()), IsOk());
  EXPECT_THAT(send_with(other.pem()), FailsWithCode(Code::kUnavailable));
  EXPECT_THAT(send_with(ca_.pem()), IsOk());
}

TEST_F(ClientTest, RequestsShareTheRootsThatWereRead) {
  ScriptedServer server(io_, ca_.Issue("DNS:localhost"));
  const auto send = [&](PeerVerifier verify_peer) {
    server.Enqueue(HttpAnswer(200, ""));
    HttpRequest request = Post(server.Url());
    // Those of the system: the file of this test is too young to be relied upon.
    request.ca_file.clear();
    request.verify_peer = std::move(verify_peer);
    return Send(std::move(request)).response;
  };
  EXPECT_THAT(send([](const std::vector<std::string>&) { return Ok(); }), IsOk());
  EXPECT_EQ(client_.roots().readings(), 0U);
  EXPECT_THAT(send(nullptr), FailsWithCode(Code::kUnavailable));
  EXPECT_THAT(send(nullptr), FailsWithCode(Code::kUnavailable));
  EXPECT_EQ(client_.roots().readings(), 1U);
}

TEST_F(ClientTest, PlainServerOnTlsPortIsATlsFailure) {
  ScriptedServer server(io_);
  ScriptedAnswer answer;
  answer.bytes = HttpAnswer(400, "plain");
  answer.read_request = false;
  server.Enqueue(std::move(answer));
  const HttpOutcome outcome = Send(Post("https://localhost:" + std::to_string(server.port())));
  EXPECT_THAT(outcome.response, FailsWithCode(Code::kUnavailable));
  EXPECT_EQ(outcome.fate, RequestFate::kNotSent);
}

TEST_F(ClientTest, RefusedConnectionIsUnavailable) {
  std::uint16_t port = 0;
  {
    asio::io_context other;
    port = ScriptedServer(other).port();
  }
  const HttpOutcome outcome = Send(Post("http://127.0.0.1:" + std::to_string(port)));
  EXPECT_THAT(outcome.response, FailsWith(Code::kUnavailable, HasSubstr("cannot connect")));
  EXPECT_EQ(outcome.fate, RequestFate::kNotSent);
}

TEST_F(ClientTest, UnknownHostIsUnavailable) {
  const HttpOutcome outcome = Send(Post("https://does-not-exist.invalid/"), milliseconds(15'000));
  EXPECT_FALSE(outcome.response.ok());
  EXPECT_EQ(outcome.fate, RequestFate::kNotSent);
}

TEST_F(ClientTest, HangAfterRequestEndsAtTheDeadlineWithOutcomeUnknown) {
  ScriptedServer server(io_);
  ScriptedAnswer answer;
  answer.ending = Ending::kHang;
  server.Enqueue(std::move(answer));
  const auto start = std::chrono::steady_clock::now();
  const HttpOutcome outcome = SendTo(server, milliseconds(100));
  EXPECT_THAT(outcome.response, FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(outcome.fate, RequestFate::kSent);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

TEST_F(ClientTest, HangInHandshakeEndsAtTheDeadlineWithNothingSent) {
  ScriptedServer server(io_);
  ScriptedAnswer answer;
  answer.ending = Ending::kHang;
  answer.read_request = false;
  server.Enqueue(std::move(answer));
  const HttpOutcome outcome =
      Send(Post("https://localhost:" + std::to_string(server.port())), milliseconds(100));
  EXPECT_FALSE(outcome.response.ok());
  EXPECT_EQ(outcome.fate, RequestFate::kNotSent);
}

TEST_F(ClientTest, TricklingServerDoesNotStretchTheDeadline) {
  ScriptedServer server(io_);
  ScriptedAnswer answer;
  answer.bytes = HttpAnswer(200, std::string(10'000, 'x'));
  answer.byte_delay = milliseconds(5);
  server.Enqueue(std::move(answer));
  EXPECT_THAT(SendTo(server, milliseconds(150)).response, FailsWithCode(Code::kDeadlineExceeded));
}

TEST_F(ClientTest, SlowAnswerWithinTheDeadlineIsFine) {
  ScriptedServer server(io_);
  ScriptedAnswer answer;
  answer.bytes = HttpAnswer(200, "slow");
  answer.byte_delay = milliseconds(1);
  server.Enqueue(std::move(answer));
  EXPECT_THAT(SendTo(server).response, IsOk());
}

TEST_F(ClientTest, ResetAfterTheRequestIsOutcomeUnknown) {
  for (const bool with_part : {false, true}) {
    ScriptedServer server(io_);
    ScriptedAnswer answer;
    answer.bytes = with_part ? "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc" : "";
    answer.ending = Ending::kReset;
    server.Enqueue(std::move(answer));
    const HttpOutcome outcome = SendTo(server);
    EXPECT_THAT(outcome.response, FailsWithCode(Code::kUnavailable));
    EXPECT_EQ(outcome.fate, RequestFate::kSent);
  }
}

TEST_F(ClientTest, TruncatedBodyIsDataLoss) {
  const std::string truncated = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
  ScriptedServer plain(io_);
  plain.Enqueue(truncated);
  EXPECT_THAT(SendTo(plain).response, FailsWithCode(Code::kDataLoss));
  ScriptedServer tls(io_, ca_.Issue("DNS:localhost"));
  tls.Enqueue(truncated);
  EXPECT_THAT(SendTo(tls).response, FailsWithCode(Code::kDataLoss));
}

TEST_F(ClientTest, TlsBodyWithoutLengthNeedsTheClosingAlert) {
  ScriptedServer server(io_, ca_.Issue("DNS:localhost"));
  server.Enqueue("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}");
  EXPECT_THAT(SendTo(server).response, FailsWithCode(Code::kDataLoss));
}

TEST_F(ClientTest, TenMegabytesAreCutShort) {
  ScriptedServer server(io_);
  ScriptedAnswer answer;
  answer.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n" + std::string(100'000, 'x');
  answer.repeat = 100;
  server.Enqueue(std::move(answer));
  EXPECT_THAT(SendTo(server).response, FailsWithCode(Code::kOutOfRange));
}

TEST_F(ClientTest, HeaderBombIsCutShort) {
  ScriptedServer server(io_);
  ScriptedAnswer answer;
  answer.bytes = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 100'000; ++i) {
    answer.bytes += "X-A: b\r\n";
  }
  server.Enqueue(std::move(answer));
  EXPECT_THAT(SendTo(server).response, FailsWithCode(Code::kOutOfRange));
}

TEST_F(ClientTest, GarbageIsDataLoss) {
  ScriptedServer server(io_);
  server.Enqueue(std::string("\0\1\2 SSH-2.0-nonsense\r\n\r\n", 24));
  EXPECT_THAT(SendTo(server).response, FailsWithCode(Code::kDataLoss));
}

TEST_F(ClientTest, ClosedWithoutAnswerIsUnavailable) {
  ScriptedServer server(io_);
  server.Enqueue(std::string());
  const HttpOutcome outcome = SendTo(server);
  EXPECT_THAT(outcome.response, FailsWithCode(Code::kUnavailable));
  EXPECT_EQ(outcome.fate, RequestFate::kSent);
}

TEST_F(ClientTest, RedirectsAreAnswersAndNotFollowed) {
  ScriptedServer target(io_);
  ScriptedServer server(io_);
  server.Enqueue(HttpAnswer(307, "", "Location: " + target.Url() + "/steal\r\n"));
  const HttpOutcome outcome = SendTo(server);
  ASSERT_THAT(outcome.response, IsOk());
  EXPECT_EQ(outcome.response->status, 307);
  EXPECT_EQ(target.connections(), 0U);
}

Task<int> CancelledRequest(HttpClient& client, HttpRequest request) {
  const Deadline late = Deadline::After(std::chrono::minutes(1));
  auto outcome = co_await client.Send(std::move(request), late);
  co_return outcome.response.ok() ? 1 : 2;
}

TEST_F(ClientTest, CancellationIsPrompt) {
  using boost::asio::experimental::awaitable_operators::operator||;
  ScriptedServer server(io_);
  ScriptedAnswer answer;
  answer.ending = Ending::kHang;
  server.Enqueue(std::move(answer));
  const auto first =
      RunTask(io_,
              CancelledRequest(client_, Post(server.Url())) || Sleep(milliseconds(50)),
              std::chrono::seconds(5));
  EXPECT_EQ(first.index(), 1U);
}

}  // namespace
}  // namespace credence
