#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/any_io_executor.hpp>

#include "base/core/clock.h"
#include "base/core/secret_bytes.h"
#include "base/h2/server.h"
#include "base/h2/server_call.h"
#include "base/h2/timer_queue.h"
#include "base/h2/turn_queue.h"

namespace credence::h2 {

class Stream;

/// How a path is served.
struct Route {
  enum class Kind { kUnary, kStream };
  Kind kind = Kind::kStream;
  Handler handler;
};

/// What the connections of one server share. It outlives them.
struct ServerContext {
  ServerContext(asio::any_io_executor core, ServerOptions bounds)
      : executor(core), options(bounds), timers(core), reads(std::move(core), kReadsPerTurn) {}

  /// Readable connections served before others get their turn.
  static constexpr int kReadsPerTurn = 16;

  asio::any_io_executor executor;
  ServerOptions options;
  SystemClock clock;
  TimerQueue timers;
  /// Reading goes round the users: who has a thousand connections ready does not delay who has one.
  TurnQueue reads;
  std::map<std::string, Route, std::less<>> routes;
  Server::Stats stats;
  /// Runs the handler of a new call soon, never inside this call.
  std::function<void(std::shared_ptr<Stream>)> start_call;

  /// Bytes between a socket and a session. One pair serves all connections, because each read and
  /// each write is over before the next begins; an idle connection then needs no buffer. They carry
  /// secrets: wiped after each use.
  SecretBytes read_buffer{std::size_t{16} << 10};
  SecretBytes write_buffer{std::size_t{64} << 10};
};

}  // namespace credence::h2
