#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include <boost/asio/ip/tcp.hpp>

#include "base/core/task.h"
#include "base/http/server.h"
#include "base/http/server_message.h"

namespace credence {

/// What goes back for one request.
struct ServerAnswer {
  std::string head;
  /// Null: the answer is its head.
  std::shared_ptr<const std::string> body;
  /// The connection is closed after it.
  bool last = false;
};

/// What the connections of one server share; outlives them.
struct ConversationContext {
  HttpServerOptions options;
  /// The answer to a request; `last` when the connection has had enough of them.
  std::function<ServerAnswer(const ServerRequest& request, bool last)> answer;
  /// Sockets on which nothing is under way: cancelling what waits there ends their connections.
  std::list<asio::ip::tcp::socket*> idle;
  /// Set: no connection waits for another request.
  bool stopping = false;
};

/// Speaks with one client within the bounds of `context` until it, the client or time ends it, and
/// closes the socket.
Task<void> ServeHttpConnection(ConversationContext& context, asio::ip::tcp::socket socket);

}  // namespace credence
