#include "base/h2/server.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

#include "base/core/backoff.h"
#include "base/core/check.h"
#include "base/core/file.h"
#include "base/core/log.h"
#include "base/core/task_group.h"
#include "base/h2/connection.h"
#include "base/h2/fair_queue.h"
#include "base/h2/handler_run.h"
#include "base/h2/listen_socket.h"
#include "base/h2/listen_tcp.h"
#include "base/h2/server_context.h"
#include "base/h2/unary.h"

namespace credence::h2 {
namespace {

/// Connections taken, and calls started, before others get their turn.
constexpr int kAcceptsPerTurn = 32;
constexpr int kCallStartsPerTurn = 16;
/// Descriptors kept for everything else in this process.
constexpr std::size_t kReservedDescriptors = 256;
/// The socket, and the caller's pidfd and /proc folder.
constexpr std::size_t kDescriptorsPerConnection = 3;
/// An unread answer may take this much of the kernel's memory (which counts about double).
constexpr int kSendBufferBytes = 32 << 10;
/// Between the notice of GOAWAY and its last word.
constexpr std::chrono::milliseconds kGoawayPause{20};

/// The soft limit of descriptors, raised to the hard one.
std::size_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 1024;
  }
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0) {
    return raised.rlim_cur;
  }
  return limit.rlim_cur;
}

}  // namespace

class Server::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::any_io_executor executor, ServerOptions options);

  void AddRoute(std::string path, Route route);
  Task<Status> Serve(std::shared_ptr<ServerCall> call);
  Result<void> Listen(const std::string& socket_path, mode_t mode);
  Result<std::uint16_t> ListenTls(const std::string& address,
                                  std::uint16_t port,
                                  TlsContextSource context);
  Task<void> Stop(Deadline deadline);
  Stats stats() const;

 private:
  enum class Accepted { kAll, kOutOfDescriptors };

  void StartAccepting(int listening);
  Task<void> AcceptUntilStopped();
  Accepted AcceptSome();
  void ServeLocal(UniqueFd socket);
  void ServeTls(UniqueFd socket);
  /// `peer` has all but its number and account.
  void Serve(UniqueFd socket, std::unique_ptr<Transport> transport, Session::Peer peer);
  std::shared_ptr<Account> AccountOf(std::uint64_t party);
  void QueueCall(std::shared_ptr<Stream> stream);
  void StartCallsSoon();
  void StartCalls();
  std::vector<std::shared_ptr<Connection>> Connections() const;
  Task<void> AwaitConnectionsClosed();

  ServerContext context_;
  std::shared_ptr<Account> total_;
  std::unordered_map<std::uint64_t, std::weak_ptr<Account>> accounts_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  std::uint64_t next_connection_ = 1;
  FairQueue<std::shared_ptr<Stream>> waiting_calls_;
  std::optional<ListenSocket> listening_;
  UniqueFd tcp_;
  TlsContextSource tls_context_;
  std::optional<asio::posix::stream_descriptor> acceptor_;
  asio::steady_timer all_closed_;
  TaskGroup calls_;
  TaskGroup tasks_;
};

Server::Core::Core(asio::any_io_executor executor, ServerOptions options)
    : context_(executor, options),
      all_closed_(executor, SteadyTime::max()),
      calls_(executor),
      tasks_(executor) {
  context_.start_call = [this](std::shared_ptr<Stream> stream) { QueueCall(std::move(stream)); };
}

void Server::Core::AddRoute(std::string path, Route route) {
  CREDENCE_CHECK(!acceptor_);
  const bool added = context_.routes.emplace(std::move(path), std::move(route)).second;
  CREDENCE_CHECK(added);
}

Task<Status> Server::Core::Serve(std::shared_ptr<ServerCall> call) {
  const auto route = context_.routes.find(call->path());
  if (route == context_.routes.end()) {
    co_return Status{Code::kUnimplemented, "unknown method " + std::string(call->path()), ""};
  }
  Task<Status> serving = route->second.handler(std::move(call));
  Status status = co_await std::move(serving);
  co_return status;
}

Result<void> Server::Core::Listen(const std::string& socket_path, mode_t mode) {
  CREDENCE_CHECK(!acceptor_);
  auto bound = ListenSocket::Bind(socket_path, mode);
  if (!bound.ok()) {
    return std::move(bound).error();
  }
  listening_.emplace(*std::move(bound));
  StartAccepting(listening_->fd());
  return Ok();
}

Result<std::uint16_t> Server::Core::ListenTls(const std::string& address,
                                              std::uint16_t port,
                                              TlsContextSource context) {
  CREDENCE_CHECK(!acceptor_);
  auto bound = ListenTcp(address, port);
  if (!bound.ok()) {
    return std::move(bound).error();
  }
  tcp_ = std::move(bound->fd);
  tls_context_ = std::move(context);
  StartAccepting(tcp_.get());
  return bound->port;
}

void Server::Core::StartAccepting(int listening) {
  const auto& options = context_.options;
  const std::size_t descriptors = RaiseDescriptorLimit();
  const std::size_t affordable =
      descriptors > kReservedDescriptors
          ? (descriptors - kReservedDescriptors) / kDescriptorsPerConnection
          : 1;
  const std::size_t most = std::min(options.max_connections, affordable);
  total_ = std::make_shared<Account>(
      Account::Amount{
          most, options.max_streams, options.max_request_bytes, options.max_unread_bytes},
      nullptr);
  acceptor_.emplace(context_.executor, listening);
  tasks_.Spawn("h2 timers", context_.timers.Run());
  tasks_.Spawn("h2 accept", AcceptUntilStopped());
}

Task<void> Server::Core::AcceptUntilStopped() {
  Backoff backoff({.initial = std::chrono::milliseconds(10),
                   .cap = std::chrono::milliseconds(1000),
                   .factor = 2});
  bool complained = false;
  while (acceptor_) {
    boost::system::error_code failed;
    co_await acceptor_->async_wait(asio::posix::stream_descriptor::wait_read,
                                   asio::redirect_error(asio::use_awaitable, failed));
    if (failed) {
      co_return;
    }
    if (AcceptSome() == Accepted::kAll) {
      backoff.Reset();
      complained = false;
      continue;
    }
    // The callers wait in the socket's queue meanwhile.
    if (!std::exchange(complained, true)) {
      LogWarn("Out of file descriptors, new connections wait",
              {{"connections", connections_.size()}});
    }
    co_await Sleep(backoff.Next());
  }
}

Server::Core::Accepted Server::Core::AcceptSome() {
  for (int i = 0; i < kAcceptsPerTurn && acceptor_; ++i) {
    UniqueFd socket(
        accept4(acceptor_->native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.valid()) {
      if (tls_context_) {
        ServeTls(std::move(socket));
      } else {
        ServeLocal(std::move(socket));
      }
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return Accepted::kOutOfDescriptors;
    }
    if (errno != ECONNABORTED && errno != EINTR) {
      break;
    }
  }
  return Accepted::kAll;
}

void Server::Core::ServeLocal(UniqueFd socket) {
  auto caller = IdentifyCaller(socket.get());
  if (!caller.ok()) {
    ++context_.stats.callers_unknown;
    LogDebug("Caller could not be identified", {{"error", caller.error()}});
    return;
  }
  Session::Peer peer;
  peer.party = caller->uid;
  peer.caller = std::make_shared<const Caller>(*std::move(caller));
  const int fd = socket.get();
  Serve(std::move(socket), MakePlainTransport(fd), std::move(peer));
}

void Server::Core::ServeTls(UniqueFd socket) {
  const TcpClient client = ClientOf(socket.get());
  const auto tls_peer = std::make_shared<TlsPeer>();
  tls_peer->address = client.address;
  TlsServerContext context = tls_context_();
  auto note_chain = [tls_peer](ssl_st* connection) {
    tls_peer->chain = PeerCertificates(connection);
    return Ok();
  };
  auto transport =
      context ? MakeTlsServerTransport(socket.get(), std::move(context), std::move(note_chain))
              : nullptr;
  if (!transport) {
    ++context_.stats.connections_refused;
    return;
  }
  Session::Peer peer;
  peer.party = client.party;
  peer.tls_peer = tls_peer;
  Serve(std::move(socket), std::move(transport), std::move(peer));
}

void Server::Core::Serve(UniqueFd socket,
                         std::unique_ptr<Transport> transport,
                         Session::Peer peer) {
  const auto account = AccountOf(peer.party);
  Holding holding(account);
  if (!holding.Take({.connections = 1})) {
    ++context_.stats.connections_refused;
    LogDebug("Connection refused: too many are open", {{"party", peer.party}});
    return;
  }
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
  const std::uint64_t number = next_connection_++;
  const auto& options = context_.options;
  const Account::Amount bounds{0,
                               options.max_streams_per_connection,
                               options.max_request_bytes_per_uid,
                               options.max_unread_bytes_per_uid};
  peer.connection = number;
  peer.account = std::make_shared<Account>(bounds, account);
  const auto connection = std::make_shared<Connection>(context_,
                                                       tasks_,
                                                       std::move(socket),
                                                       std::move(transport),
                                                       std::move(peer),
                                                       std::move(holding),
                                                       [this](Connection& closed) {
                                                         connections_.erase(closed.number());
                                                         if (connections_.empty()) {
                                                           all_closed_.cancel();
                                                         }
                                                       });
  connections_.emplace(number, connection);
  ++context_.stats.accepted;
  connection->Start();
}

std::shared_ptr<Account> Server::Core::AccountOf(std::uint64_t party) {
  std::weak_ptr<Account>& known = accounts_[party];
  auto account = known.lock();
  if (!account) {
    const auto& options = context_.options;
    account = std::make_shared<Account>(Account::Amount{options.max_connections_per_uid,
                                                        options.max_streams_per_uid,
                                                        options.max_request_bytes_per_uid,
                                                        options.max_unread_bytes_per_uid},
                                        total_,
                                        Account::Share::kLeavesSome);
    known = account;
    if (accounts_.size() > 2 * connections_.size() + 64) {
      std::erase_if(accounts_, [](const auto& entry) { return entry.second.expired(); });
    }
  }
  return account;
}

void Server::Core::QueueCall(std::shared_ptr<Stream> stream) {
  const std::uint64_t party = stream->origin().party;
  const std::uint64_t connection = stream->origin().connection;
  const bool idle = waiting_calls_.empty();
  waiting_calls_.Push(party, connection, std::move(stream));
  if (idle) {
    StartCallsSoon();
  }
}

void Server::Core::StartCallsSoon() {
  asio::post(context_.executor, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->StartCalls();
    }
  });
}

void Server::Core::StartCalls() {
  for (int i = 0; i < kCallStartsPerTurn; ++i) {
    const auto next = waiting_calls_.Pop();
    if (!next) {
      return;
    }
    const auto& stream = *next;
    if (stream->open()) {
      ++context_.stats.calls_started;
      SpawnHandler(calls_, stream);
    }
  }
  if (!waiting_calls_.empty()) {
    StartCallsSoon();
  }
}

std::vector<std::shared_ptr<Connection>> Server::Core::Connections() const {
  std::vector<std::shared_ptr<Connection>> connections;
  connections.reserve(connections_.size());
  for (const auto& [number, connection] : connections_) {
    connections.push_back(connection);
  }
  return connections;
}

Task<void> Server::Core::AwaitConnectionsClosed() {
  while (!connections_.empty()) {
    boost::system::error_code woken;
    co_await all_closed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return;
    }
  }
}

Task<void> Server::Core::Stop(Deadline deadline) {
  if (acceptor_) {
    acceptor_->release();
    acceptor_.reset();
    listening_.reset();
    tcp_ = UniqueFd();
  }
  const Status stopping{Code::kUnavailable, "the agent is shutting down", ""};
  for (const auto& connection : Connections()) {
    connection->session().AnnounceEnd();
    connection->session().FinishCalls(Route::Kind::kStream, stopping);
  }
  if (!connections_.empty()) {
    co_await SleepUntil(Deadline::After(kGoawayPause).Earlier(deadline));
  }
  for (const auto& connection : Connections()) {
    connection->session().RefuseNewCalls();
  }
  {
    using boost::asio::experimental::awaitable_operators::operator||;
    co_await (AwaitConnectionsClosed() || SleepUntil(deadline));
  }
  for (const auto& connection : Connections()) {
    connection->session().FinishCalls(Route::Kind::kUnary, stopping);
    connection->FlushAndClose();
  }
  while (waiting_calls_.Pop()) {
  }
  co_await calls_.Stop();
  co_await tasks_.Stop();
}

Server::Stats Server::Core::stats() const {
  Stats now = context_.stats;
  now.connections = connections_.size();
  now.calls = calls_.size();
  return now;
}

Server::Server(asio::any_io_executor executor, ServerOptions options)
    : core_(std::make_shared<Core>(std::move(executor), options)) {}

Server::~Server() = default;

void Server::Handle(std::string path, Handler handler) {
  core_->AddRoute(std::move(path), Route{Route::Kind::kStream, std::move(handler)});
}

void Server::HandleUnary(std::string path, UnaryHandler handler) {
  core_->AddRoute(std::move(path), Route{Route::Kind::kUnary, MakeUnary(std::move(handler))});
}

Task<Status> Server::Serve(std::shared_ptr<ServerCall> call) {
  return core_->Serve(std::move(call));
}

Result<void> Server::Listen(const std::string& socket_path, mode_t mode) {
  return core_->Listen(socket_path, mode);
}

Result<std::uint16_t> Server::ListenTls(const std::string& address,
                                        std::uint16_t port,
                                        TlsContextSource context) {
  return core_->ListenTls(address, port, std::move(context));
}

Task<void> Server::Stop(Deadline deadline) {
  return core_->Stop(deadline);
}

Server::Stats Server::stats() const {
  return core_->stats();
}

}  // namespace credence::h2
