#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/rpc/answer_head.h"
#include "base/wire/message_buffer.h"

namespace credence {

/// Longest message taken from a server.
inline constexpr std::size_t kMaxAnswerBytes = std::size_t{16} << 20;

/// One call between the coroutine that makes it and the session that carries it: what is to be
/// sent, what has arrived, how it ended. Neither side's code runs inside the other's: a change is
/// only noted. Threads: core thread.
class ClientStream {
 public:
  ClientStream() : incoming_(h2::Compression::kNone, kMaxAnswerBytes) {}
  ~ClientStream();
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  // For the caller.

  /// Called when anything changes; must not call back at once. Empty: nobody cares any more.
  std::function<void()> on_change;
  /// Appends framed messages.
  void Queue(std::string_view framed) { outgoing_ += framed; }
  bool all_sent() const { return sent_ == outgoing_.size(); }
  /// No request follows what is queued.
  void EndRequests() { requests_end_ = true; }
  /// What arrives from now on is of no interest.
  void Discard() { discarding_ = true; }
  /// The next message; nullopt if none is complete. A message that breaks the rules is the end.
  std::optional<std::string> Take();
  const std::optional<RpcVerdict>& verdict() const { return verdict_; }
  /// Decides the call; a later verdict does not count.
  void End(RpcVerdict verdict);

  // For the session.

  AnswerHead& head() { return head_; }
  void OnData(std::string_view bytes);
  /// Bytes that the server may send anew: it is kept waiting while a whole message waits here.
  std::size_t TakeReleased();
  /// Copies what is to be sent and returns how much.
  std::size_t Fill(std::span<std::uint8_t> out);
  /// Everything is sent and nothing follows.
  bool RequestsEnded() const { return requests_end_ && all_sent(); }

 private:
  void Changed();

  AnswerHead head_;
  h2::MessageBuffer incoming_;
  std::string outgoing_;
  std::size_t sent_ = 0;
  std::size_t unreleased_ = 0;
  bool requests_end_ = false;
  bool discarding_ = false;
  std::optional<RpcVerdict> verdict_;
};

}  // namespace credence
