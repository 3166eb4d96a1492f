#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/generic/stream_protocol.hpp>

#include "base/core/deadline.h"
#include "base/core/latch.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/rpc/client_session.h"
#include "base/wire/transport.h"

namespace credence {

/// A session and its socket. It waits for the socket only, never for time: without calls it costs
/// no wake-up. Its channel and its calls share it; it closes when the last of them lets go, when
/// the server ends it, or by Close(). Threads: core thread.
class RpcConnection final : public std::enable_shared_from_this<RpcConnection> {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  struct Names {
    /// For messages: where this connection leads.
    std::string address;
    /// For the server, in each call.
    std::string scheme;
    std::string authority;
  };

  /// `transport` reads and writes `socket`, which is connected and does not block.
  RpcConnection(Socket socket, std::unique_ptr<h2::Transport> transport, const Names& names);
  ~RpcConnection();
  RpcConnection(const RpcConnection&) = delete;
  RpcConnection& operator=(const RpcConnection&) = delete;

  /// Begins to work. Call once, when held by a shared_ptr.
  void Start();
  /// Waits for the server's first frame: then it has accepted us.
  /// Errors: kUnavailable saying why the connection ended before; kDeadlineExceeded.
  Task<Result<void>> Opened(Deadline deadline);
  /// New calls may begin here.
  bool TakesCalls() const;
  /// Ends the connection; its calls fail with `error`.
  void Close(Error error);

  /// As ClientSession's, and sends what there is to send.
  Result<std::int32_t> Open(const std::string& path,
                            std::chrono::nanoseconds timeout,
                            const RpcMetadata& metadata,
                            std::shared_ptr<ClientStream> stream);
  void Resume(std::int32_t id);
  void OnTaken(std::int32_t id);
  void Release(std::int32_t id);
  void Cancel(std::int32_t id);

 private:
  void AwaitReadable();
  void AwaitWritable();
  void OnReadable();
  /// False: nothing to read now, or closed.
  bool ReadOnce();
  void Flush();
  /// Lets go of the socket; `why` is what the other side did.
  void Lose(const std::string& why);

  std::string address_;
  Socket socket_;
  std::unique_ptr<h2::Transport> transport_;
  ClientSession session_;
  /// Bytes that the socket did not take yet, and how many of them it has.
  std::string pending_;
  std::size_t pending_sent_ = 0;
  bool working_ = false;
  bool awaiting_writable_ = false;
  /// Shared with those who wait, because this object may go first.
  std::shared_ptr<Latch> opened_or_closed_ = std::make_shared<Latch>();
  std::optional<Error> closed_;
};

}  // namespace credence
