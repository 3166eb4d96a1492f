#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "base/core/deadline.h"
#include "base/core/task.h"
#include "base/rpc/answer_head.h"
#include "base/rpc/channel.h"
#include "base/rpc/client_session.h"

namespace credence {

/// One call as bytes: framed requests out, messages in, a verdict. One operation at a time; each of
/// them ends at the deadline, which is also told to the server. Destroying it ends the call.
/// Threads: core thread.
class RpcExchange {
 public:
  RpcExchange(SharedRpcChannel channel, std::string path, Deadline deadline, RpcMetadata metadata);
  ~RpcExchange();
  RpcExchange(const RpcExchange&) = delete;
  RpcExchange& operator=(const RpcExchange&) = delete;

  /// Begins the call with what is queued. False: it could not be made; Finish tells why.
  Task<bool> Start();
  /// Appends a framed request.
  void Queue(std::string_view framed) { stream_->Queue(framed); }
  /// No request follows.
  void EndRequests();
  /// Sends what is queued; ends when the server's window has taken it. False: the call has ended.
  Task<bool> Send();
  /// The next message; nullopt: the call has ended.
  Task<std::optional<std::string>> Read();
  void Cancel() { Fail(Error(Code::kCancelled, "the call was cancelled")); }
  /// Ends the call with a verdict of ours.
  void Fail(Error error);
  /// Waits for the verdict and drops what still arrives.
  Task<RpcVerdict> Finish();

 private:
  /// Waits until something changes or, ending the call, until the deadline.
  Task<void> Changed();
  bool over() const { return stream_->verdict().has_value(); }

  SharedRpcChannel channel_;
  std::string path_;
  Deadline deadline_;
  RpcMetadata metadata_;
  std::shared_ptr<ClientStream> stream_;
  std::shared_ptr<RpcConnection> connection_;
  std::int32_t id_ = 0;
  asio::steady_timer changed_;
};

}  // namespace credence
