#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>

#include "base/core/task.h"

namespace credence {

/// What a scripted server does with one connection.
struct ScriptedAnswer {
  enum class Ending { kClose, kReset, kHang };

  /// Sent as they are, `repeat` times.
  std::string bytes;
  std::size_t repeat = 1;
  /// Waits this long before each byte; 0 sends all at once.
  std::chrono::milliseconds byte_delay{0};
  Ending ending = Ending::kClose;
  /// False: does not wait for a request.
  bool read_request = true;
};

/// A whole answer with Content-Length.
std::string HttpAnswer(int status, const std::string& body, const std::string& extra_headers = "");

/// A server on 127.0.0.1 that runs on the test's io_context and follows a script, one answer for
/// each connection; with an empty script it closes connections unanswered. Records what it
/// received.
class ScriptedServer {
 public:
  /// Plain when `tls` is null.
  explicit ScriptedServer(asio::io_context& io, std::shared_ptr<asio::ssl::context> tls = nullptr);

  void Enqueue(ScriptedAnswer answer);
  void Enqueue(std::string bytes);

  /// "http://127.0.0.1:PORT" or "https://localhost:PORT".
  std::string Url() const;
  std::uint16_t port() const;
  /// Whole requests: head and body.
  const std::vector<std::string>& requests() const;
  std::size_t connections() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace credence
