#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "base/h2/account.h"
#include "base/h2/request_head.h"
#include "base/h2/server_context.h"
#include "base/h2/stream.h"
#include "base/wire/flood_guard.h"

namespace credence::h2 {

/// The HTTP/2 side of one connection without its socket: bytes in, bytes out, calls in between.
/// Calls are started and handlers cancelled only between Receive() and Send(), never from inside
/// the library, so nothing re-enters it. Threads: core thread.
class Session {
 public:
  struct Peer {
    /// Tells the connections of one server apart.
    std::uint64_t connection = 0;
    /// Connections of one party (a uid, or an address) have the same.
    std::uint64_t party = 0;
    /// One of the two.
    std::shared_ptr<const Caller> caller;
    std::shared_ptr<const TlsPeer> tls_peer;
    std::shared_ptr<Account> account;
  };

  /// The largest piece that the library gives at once, rounded up.
  static constexpr std::size_t kLargestPiece = std::size_t{17} << 10;
  /// A DATA frame and a piece behind it.
  static constexpr std::size_t kLeastSendBuffer = 2 * kLargestPiece;

  /// `want_write` is called whenever there may be something to Send(); it must not call back at
  /// once.
  Session(ServerContext& server, Peer peer, std::function<void()> want_write);
  /// Close() has been called.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Takes bytes from the client. False: it broke the protocol or floods us; send what is there and
  /// close.
  [[nodiscard]] bool Receive(std::span<const std::uint8_t> bytes);
  /// Fills `out` (at least kLeastSendBuffer) with bytes for the client and returns how many; 0 when
  /// there are none now. nullopt: the session is broken, close.
  std::optional<std::size_t> Send(std::span<std::uint8_t> out);
  /// True when neither side has anything left to say.
  bool Done() const;
  /// Frames that wait to be sent.
  std::size_t Backlog() const;

  /// Says that no new call should come: first a notice, later (calls on their way have arrived) the
  /// last word.
  void AnnounceEnd();
  void RefuseNewCalls();
  /// Ends all calls of the kind with a status and cancels their handlers.
  void FinishCalls(Route::Kind kind, const Status& status);
  /// Ends all calls without an answer and cancels their handlers. Nothing may follow but the
  /// destructor.
  void Close();

  bool preface_done() const { return preface_done_; }
  /// When the header block began that is still arriving; nullopt if none is.
  std::optional<SteadyTime> header_block_since() const { return header_block_since_; }
  std::size_t open_calls() const { return streams_.size(); }

  /// For Stream.
  void StartAnswer(std::int32_t id);
  void AnswerTrailersOnly(std::int32_t id, const Status& status);
  void Resume(std::int32_t id);
  void Reset(std::int32_t id);
  void Consume(std::int32_t id, std::size_t bytes);
  /// The same for a stream that is closing: only the connection's window is left.
  void ConsumeClosed(std::size_t bytes);
  void OnMessageTaken() { flood_guard_.OnMessageTaken(); }

 private:
  struct Callbacks;
  struct DeleteSession {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  enum class Half { kOpen, kEnded };

  Stream* Find(std::int32_t id) const;
  void OnRequest(std::int32_t id, Half request);
  void Accept(std::int32_t id, RequestHead head, const Route& route, Half request);
  void Refuse(std::int32_t id, const Refusal& refusal);
  void OnStreamClosed(std::int32_t id);
  void CancelEndedHandlers();
  void CountAbuse();

  ServerContext& server_;
  Peer peer_;
  std::function<void()> want_write_;
  std::unique_ptr<nghttp2_session, DeleteSession> session_;
  FloodGuard flood_guard_;
  SteadyTime now_;
  bool preface_done_ = false;
  bool closed_ = false;
  bool abuse_counted_ = false;
  /// Something in the bytes of this Receive() reached us.
  bool useful_ = false;
  /// The request whose header block is arriving; a block is never interleaved with another.
  std::optional<RequestHead> head_;
  std::optional<SteadyTime> header_block_since_;
  std::unordered_map<std::int32_t, std::shared_ptr<Stream>> streams_;
  std::vector<std::shared_ptr<Stream>> started_;
  /// Closed while their handlers ran.
  std::vector<std::shared_ptr<Stream>> ended_;
  /// Where Send() puts bytes; set during Send() only.
  std::span<std::uint8_t> out_;
  std::size_t out_used_ = 0;
};

}  // namespace credence::h2
