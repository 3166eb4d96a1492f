#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/rpc/client_stream.h"
#include "base/wire/flood_guard.h"

namespace credence {

/// Headers to send: lower-case name and printable value.
using RpcMetadata = std::vector<std::pair<std::string, std::string>>;

/// The client's side of one HTTP/2 connection without its socket: bytes in, bytes out, calls in
/// between. A server may make it hold, for each call, one message and a window (1 MiB); frames that
/// only keep it busy end it. Calls above the number that the server allows at once wait for their
/// turn. Threads: core thread.
class ClientSession {
 public:
  /// `scheme` and `authority` are named in each call.
  ClientSession(std::string scheme, std::string authority);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  /// Takes bytes from the server. An error is the end of the connection: send what is there.
  Result<void> Receive(std::span<const std::uint8_t> bytes);
  /// Appends what is to be sent to `out` until that holds about `enough`.
  Result<void> Send(std::string& out, std::size_t enough);
  /// Neither side has anything left to say.
  bool Done() const;
  /// Why, as far as the two sides said.
  const std::string& why_done() const { return why_done_; }

  /// The server's first frame has come.
  bool opened() const { return opened_; }
  /// New calls may begin.
  bool TakesCalls() const;

  /// Begins a call, which the session holds until it has ended. Errors: kUnavailable.
  Result<std::int32_t> Open(const std::string& path,
                            std::chrono::nanoseconds timeout,
                            const RpcMetadata& metadata,
                            std::shared_ptr<ClientStream> stream);
  /// There is more to send.
  void Resume(std::int32_t id);
  /// A message was taken.
  void OnTaken(std::int32_t id);
  /// What has arrived may be thrown away.
  void Release(std::int32_t id);
  /// Ends a call early, if it has not ended.
  void Cancel(std::int32_t id);
  /// The connection is gone: so are all calls.
  void Fail(const Error& error);

 private:
  struct Callbacks;
  struct DeleteSession {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };

  std::shared_ptr<ClientStream> Find(std::int32_t id) const;
  /// The call has its verdict: lets go of it, and has the server stop if it has not.
  void Settle(std::int32_t id, RpcVerdict verdict, bool server_ended);
  void Forget(std::int32_t id);

  std::string scheme_;
  std::string authority_;
  std::unique_ptr<nghttp2_session, DeleteSession> session_;
  SystemClock clock_;
  h2::FloodGuard flood_guard_;
  SteadyTime now_;
  bool opened_ = false;
  bool leaving_ = false;
  bool flooded_ = false;
  /// Calls that ended before the server let them begin.
  int stranded_ = 0;
  /// Something in the bytes of this Receive() reached us.
  bool useful_ = false;
  std::string why_done_;
  std::unordered_map<std::int32_t, std::shared_ptr<ClientStream>> streams_;
};

}  // namespace credence
