#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/core/secret_bytes.h"
#include "base/core/task.h"
#include "base/core/task_group.h"
#include "base/core/unique_fd.h"
#include "base/h2/account.h"
#include "base/h2/session.h"
#include "base/h2/timer_queue.h"
#include "base/wire/transport.h"

namespace credence::h2 {

/// A session and its socket. It is shared by the tasks that wait for the socket; Close() is final
/// and may come from anywhere but the session's own callbacks. Threads: core thread.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  /// `transport` reads and writes `socket`. `tasks` runs the waiting; `on_closed` is called once.
  /// Both are borrowed until then.
  Connection(ServerContext& server,
             TaskGroup& tasks,
             UniqueFd socket,
             std::unique_ptr<Transport> transport,
             Session::Peer peer,
             Holding holding,
             std::function<void(Connection&)> on_closed);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Starts to serve. Call once, when held by a shared_ptr.
  void Start();
  /// Sends what the socket takes at once, then Close().
  void FlushAndClose();
  /// Cuts the connection: calls end, their handlers are cancelled.
  void Close();

  std::uint64_t number() const { return number_; }
  Session& session() { return session_; }

 private:
  static Task<void> ReadUntilClosed(std::shared_ptr<Connection> self);
  static Task<void> WriteWhenReady(std::shared_ptr<Connection> self);
  void ReadOnce();
  /// The client does not read, so it is not read from: no more answers pile up, and it does not
  /// look alive.
  bool Clogged() const;
  void FlushSoon();
  /// Once what is ready to run now, and what that makes ready, has run `turns` times.
  void FlushAfter(int turns);
  void PostFlush(int turns);
  void Flush();
  bool WritePending();
  /// What the socket took of `bytes`; closes on errors.
  std::size_t Write(std::span<const std::uint8_t> bytes);
  void AwaitWritable();
  /// To be called before and after everything that may begin or end a call.
  void NoteOpenCalls();
  void OnTimer();
  void SetTimer(std::chrono::milliseconds wait);
  /// When the header block that is arriving has to be complete; nullopt if none is.
  std::optional<SteadyTime> HeaderBlockDue() const;
  /// Keeps what the socket did not take, at its user's expense; closes if that is too much.
  void KeepPending(std::span<const std::uint8_t> bytes);

  ServerContext& server_;
  TaskGroup& tasks_;
  std::uint64_t number_;
  std::uint64_t party_;
  Holding holding_;
  std::function<void(Connection&)> on_closed_;
  asio::posix::stream_descriptor socket_;
  std::unique_ptr<Transport> transport_;
  Session session_;
  TimerQueue::Entry timer_;
  /// When bytes last came or went.
  SteadyTime last_active_;
  /// When there last was a call.
  SteadyTime last_call_;
  /// Bytes that the socket did not take yet.
  SecretBytes pending_;
  std::size_t pending_sent_ = 0;
  bool open_ = true;
  bool reading_ = false;
  bool flush_posted_ = false;
  bool awaiting_writable_ = false;
  bool preface_seen_ = false;
  bool ending_ = false;
};

}  // namespace credence::h2
