#include "base/h2/stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/system/system_error.hpp>

#include "base/core/check.h"
#include "base/h2/session.h"

namespace credence::h2 {
namespace {

/// Waits until `condition` is cancelled as a timer, which is how it is signalled.
Task<void> WaitFor(asio::steady_timer& condition) {
  boost::system::error_code woken;
  co_await condition.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  // A signal and the cancellation of this task look alike here; the state of the task tells them
  // apart.
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

std::array<std::uint8_t, kMessagePrefixBytes> PrefixOf(const SecretBytes& message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  return {0,
          static_cast<std::uint8_t>(size >> 24U),
          static_cast<std::uint8_t>(size >> 16U),
          static_cast<std::uint8_t>(size >> 8U),
          static_cast<std::uint8_t>(size)};
}

Error Ended() {
  return Error(Code::kCancelled, "the call has ended");
}

Deadline DeadlineOf(const RequestHead& head, const Route& route, const ServerContext& server) {
  if (head.timeout()) {
    return Deadline::At(server.clock.SteadyNow() + *head.timeout());
  }
  if (route.kind == Route::Kind::kUnary) {
    return Deadline::At(server.clock.SteadyNow() + server.options.unary_timeout);
  }
  return Deadline::At(SteadyTime::max());
}

}  // namespace

Stream::Stream(Session& session,
               ServerContext& server,
               Origin origin,
               RequestHead head,
               const Route& route,
               Holding holding)
    : session_(&session),
      server_(server),
      origin_(std::move(origin)),
      head_(std::move(head)),
      route_(route),
      holding_(std::move(holding)),
      deadline_(DeadlineOf(head_, route, server)),
      request_(head_.compression(), server.options.max_message_bytes),
      readable_(server.executor, SteadyTime::max()),
      writable_(server.executor, SteadyTime::max()) {
  if (deadline_.time() != SteadyTime::max()) {
    SetDeadline(deadline_.time());
  }
}

void Stream::SetDeadline(SteadyTime when) {
  if (!deadline_entry_) {
    deadline_entry_.emplace(server_.timers);
  }
  deadline_entry_->Set(when, [this] { OnDeadline(); });
}

Task<Result<std::optional<std::string>>> Stream::Read() {
  // The route goes with the server, which this call may outlive.
  if (session_ != nullptr && route_.kind == Route::Kind::kStream) {
    holding_.GiveBackBytes(std::exchange(taken_, 0));
  }
  for (;;) {
    if (session_ == nullptr) {
      co_return Ended();
    }
    if (request_failure_) {
      co_return *request_failure_;
    }
    if (request_.HasMessage()) {
      co_return TakeMessage();
    }
    if (request_ended_ && request_.size() > 0) {
      co_return Error(Code::kInvalidArgument, "request ends inside a message");
    }
    if (request_ended_) {
      co_return std::optional<std::string>();
    }
    co_await WaitFor(readable_);
  }
}

Result<std::optional<std::string>> Stream::TakeMessage() {
  const std::size_t before = request_.size();
  auto message = request_.Take();
  if (!message.ok()) {
    Fail(message.error());
    return *request_failure_;
  }
  const std::size_t received = before - request_.size();
  taken_ += received;
  if (message->size() > received) {
    const std::size_t growth = message->size() - received;
    if (!holding_.Take({.bytes = growth})) {
      Fail(Error(Code::kResourceExhausted, "too many request bytes of this user are waiting"));
      return *request_failure_;
    }
    taken_ += growth;
  }
  session_->OnMessageTaken();
  ReleaseWindow();
  return std::optional<std::string>(*std::move(message));
}

void Stream::OnData(std::string_view bytes) {
  unconsumed_ += bytes.size();
  if (!request_failure_ && !finished_) {
    if (!holding_.Take({.bytes = bytes.size()})) {
      Fail(Error(Code::kResourceExhausted, "too many request bytes of this user are waiting"));
    } else if (auto appended = request_.Append(bytes); !appended.ok()) {
      Fail(appended.error());
    } else if (request_.HasMessage()) {
      readable_.cancel();
    }
  }
  ReleaseWindow();
}

void Stream::Fail(const Error& error) {
  request_failure_ = error;
  readable_.cancel();
}

void Stream::ReleaseWindow() {
  // A client may send on while its first message is incomplete or nobody will look at it any more.
  const bool wanted = request_failure_ || finished_ || !request_.HasMessage();
  if (wanted && unconsumed_ > 0 && session_ != nullptr) {
    session_->Consume(origin_.id, std::exchange(unconsumed_, 0));
  }
}

void Stream::OnRequestEnd() {
  request_ended_ = true;
  readable_.cancel();
}

std::size_t Stream::CostOf(const SecretBytes& message) const {
  return std::min(kMessagePrefixBytes + message.size(), server_.options.max_unsent_bytes);
}

Task<Result<void>> Stream::Write(SharedSecret message) {
  CREDENCE_CHECK(message != nullptr);
  if (session_ == nullptr || finished_) {
    co_return Ended();
  }
  if (!holding_.Take({.unread = CostOf(*message)})) {
    co_return Error(Code::kResourceExhausted, "too many bytes of answers to this user are unread");
  }
  unsent_ += kMessagePrefixBytes + message->size();
  answer_.push_back(std::move(message));
  if (answer_started_) {
    session_->Resume(origin_.id);
  } else {
    answer_started_ = true;
    session_->StartAnswer(origin_.id);
  }
  while (session_ != nullptr && unsent_ > server_.options.max_unsent_bytes) {
    co_await WaitFor(writable_);
  }
  if (session_ == nullptr) {
    co_return Ended();
  }
  co_return Ok();
}

void Stream::AskToReconnect() {
  if (session_ != nullptr) {
    session_->RefuseNewCalls();
  }
}

std::size_t Stream::Sendable(std::size_t most) const {
  return std::min(most, unsent_);
}

void Stream::Send(std::span<std::uint8_t> out) {
  CREDENCE_CHECK(out.size() <= unsent_);
  unsent_ -= out.size();
  while (!out.empty()) {
    const SecretBytes& message = *answer_.front();
    const auto prefix = PrefixOf(message);
    const bool in_prefix = sent_of_first_ < prefix.size();
    const std::span<const std::uint8_t> part =
        in_prefix ? std::span(prefix).subspan(sent_of_first_)
                  : message.bytes().subspan(sent_of_first_ - prefix.size());
    const std::size_t count = std::min(part.size(), out.size());
    if (count > 0) {
      std::memcpy(out.data(), part.data(), count);
    }
    out = out.subspan(count);
    sent_of_first_ += count;
    if (sent_of_first_ == prefix.size() + message.size()) {
      holding_.GiveBackUnread(CostOf(message));
      answer_.pop_front();
      sent_of_first_ = 0;
    }
  }
  if (unsent_ <= server_.options.max_unsent_bytes) {
    writable_.cancel();
  }
}

void Stream::Finish(Status status) {
  if (session_ == nullptr || finished_) {
    return;
  }
  finished_ = true;
  status_ = std::move(status);
  ReleaseWindow();
  // What is left of the answer must be read within this, or it is dropped.
  SetDeadline(server_.clock.SteadyNow() + server_.options.unary_timeout);
  if (answer_started_) {
    session_->Resume(origin_.id);
  } else {
    session_->AnswerTrailersOnly(origin_.id, status_);
  }
}

void Stream::OnHandlerEnd(std::optional<Status> status) {
  cancel_ = nullptr;
  // An exception that is no cancellation has been logged by the task group.
  Finish(status ? *std::move(status) : Status{Code::kInternal, "the call could not be served", ""});
}

void Stream::OnDeadline() {
  const auto self = shared_from_this();
  if (answer_started_ || finished_) {
    session_->Reset(origin_.id);
  } else {
    Finish(Status{Code::kDeadlineExceeded, "the deadline of the call has passed", ""});
  }
  CancelHandler();
}

void Stream::CancelHandler() {
  if (cancel_ != nullptr) {
    std::exchange(cancel_, nullptr)->emit(asio::cancellation_type::terminal);
  }
}

void Stream::Detach() {
  // Nobody reads the rest; the other calls of the connection need the window.
  session_->ConsumeClosed(std::exchange(unconsumed_, 0));
  session_ = nullptr;
  deadline_entry_.reset();
  for (const SharedSecret& message : answer_) {
    holding_.GiveBackUnread(CostOf(*message));
  }
  answer_.clear();
  readable_.cancel();
  writable_.cancel();
}

}  // namespace credence::h2
