#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "base/h2/server.h"
#include "base/h2/testing/client.h"

namespace credence::h2 {

SharedSecret ShareText(std::string_view text);

/// A server with a few handlers on a socket in a private folder, and clients on the same thread.
///   /t/Echo: unary, "stop:..." fails with kFailedPrecondition and that text.  /t/Stuck: unary,
///   never answers. /t/Stale: unary, fails and asks to reconnect. /t/Chat: answers each message
///   with itself.  /t/Flow: sends 64 KiB messages for ever. /t/Hold: sends "held" and waits for
///   ever.
class ServerTest : public ::testing::Test {
 public:
  ~ServerTest() override;

 protected:
  ServerTest();

  /// Starts the server, on first use with these options.
  Server& Start(ServerOptions options = {});
  void StopServer(std::chrono::milliseconds within = std::chrono::milliseconds(2000));
  TestClient& Connect(TestClient::Windows windows = TestClient::Windows::kAutomatic);

  /// Pumps server and clients until `reached`, at most ten seconds. False: it was not reached.
  bool RunUntil(const std::function<bool()>& reached);
  void RunFor(std::chrono::milliseconds time);
  /// Runs until the call is over and returns its grpc-status ("" if it was reset).
  std::string StatusOf(TestClient& client, std::int32_t id);
  /// A fresh client's unary call works within a second.
  bool ServesOthers();

  const std::string& socket_path() const { return socket_path_; }

  asio::io_context io_;
  std::string folder_;
  std::string socket_path_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<TestClient>> clients_;
  /// How many handlers of /t/Stuck and /t/Hold were cancelled.
  int cancelled_ = 0;
  /// How many handlers of /t/Stuck have begun.
  int stuck_ = 0;
  /// Messages that /t/Flow has written.
  int flow_written_ = 0;
};

}  // namespace credence::h2
