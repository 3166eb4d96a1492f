#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/h2/account.h"
#include "base/h2/request_head.h"
#include "base/h2/server_call.h"
#include "base/h2/server_context.h"
#include "base/wire/message_buffer.h"

namespace credence::h2 {

class Session;

/// A call between its HTTP/2 stream and its handler. The stream may end first: then Detach() cuts
/// the way to the session and what the handler still does stays here. The handler may end first:
/// then the answer it left is sent. Threads: core thread.
class Stream final : public ServerCall, public std::enable_shared_from_this<Stream> {
 public:
  struct Origin {
    std::int32_t id = 0;
    /// Tells the connections of one server apart.
    std::uint64_t connection = 0;
    /// Connections of one party have the same.
    std::uint64_t party = 0;
    std::shared_ptr<const Caller> caller;
    std::shared_ptr<const TlsPeer> tls_peer;
  };

  /// `session` is borrowed until Detach(); `holding` already has this call and its headers.
  Stream(Session& session,
         ServerContext& server,
         Origin origin,
         RequestHead head,
         const Route& route,
         Holding holding);

  const std::shared_ptr<const Caller>& caller() const override { return origin_.caller; }
  std::shared_ptr<const TlsPeer> tls_peer() const override { return origin_.tls_peer; }
  std::string_view path() const override { return head_.path(); }
  std::vector<std::string_view> Metadata(std::string_view key) const override {
    return head_.Metadata(key);
  }
  Deadline deadline() const override { return deadline_; }
  Task<Result<std::optional<std::string>>> Read() override;
  Task<Result<void>> Write(SharedSecret message) override;
  void AskToReconnect() override;

  /// For the session, while it parses or sends: none of these ends a stream or runs a handler's
  /// code.
  void OnData(std::string_view bytes);
  void OnRequestEnd();
  /// How much of the answer could go into a DATA frame now, at most `most`.
  std::size_t Sendable(std::size_t most) const;
  /// True if nothing follows the next `bytes` of the answer but the trailers.
  bool EndsAfter(std::size_t bytes) const { return finished_ && bytes == unsent_; }
  /// Copies the next out.size() bytes of the answer.
  void Send(std::span<std::uint8_t> out);
  const Status& status() const { return status_; }
  void Detach();

  /// For whoever runs the handler.
  bool open() const { return session_ != nullptr; }
  const Origin& origin() const { return origin_; }
  const Route& route() const { return route_; }
  /// The handler runs and ends by `cancel`, which lives until OnHandlerEnd().
  void OnHandlerStart(asio::cancellation_signal& cancel) { cancel_ = &cancel; }
  /// nullopt: it ended by an exception.
  void OnHandlerEnd(std::optional<Status> status);

  /// Ends the call for its client, once.
  void Finish(Status status);
  /// Cancels a running handler; may run its code. Not inside the session's callbacks.
  void CancelHandler();

 private:
  Result<std::optional<std::string>> TakeMessage();
  /// What a message counts while it waits. Large ones are mostly shared by many calls.
  std::size_t CostOf(const SecretBytes& message) const;
  void ReleaseWindow();
  void Fail(const Error& error);
  void OnDeadline();
  void SetDeadline(SteadyTime when);

  Session* session_;
  ServerContext& server_;
  Origin origin_;
  RequestHead head_;
  const Route& route_;
  Holding holding_;
  Deadline deadline_;
  std::optional<TimerQueue::Entry> deadline_entry_;
  asio::cancellation_signal* cancel_ = nullptr;

  MessageBuffer request_;
  std::optional<Error> request_failure_;
  bool request_ended_ = false;
  /// Received and not yet given back to the client's flow-control window.
  std::size_t unconsumed_ = 0;
  /// Bytes of the message that the handler works on: held until it asks for the next, or to the end
  /// of a unary call.
  std::size_t taken_ = 0;
  asio::steady_timer readable_;

  std::list<SharedSecret> answer_;
  /// Of the first message with its prefix, already sent.
  std::size_t sent_of_first_ = 0;
  std::size_t unsent_ = 0;
  bool answer_started_ = false;
  bool finished_ = false;
  Status status_;
  asio::steady_timer writable_;
};

}  // namespace credence::h2
