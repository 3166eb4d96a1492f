#include "base/rpc/channel.h"

#include <sys/un.h>

#include <charconv>
#include <exception>
#include <utility>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include "base/rpc/spiffe_verifier.h"

namespace credence {
namespace {

/// The callers wait between tries; a server that is back is to be found by one of their next.
constexpr Backoff::Options kRedial{.initial = std::chrono::milliseconds(200),
                                   .cap = std::chrono::milliseconds(5000)};

struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;
};

Result<HostAndPort> SplitAddress(const std::string& address) {
  const Error malformed(Code::kInvalidArgument, fmt::format("'{}' is no host:port", address));
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return malformed;
  }
  HostAndPort parts{address.substr(0, colon), 0};
  const char* end = address.data() + address.size();
  const auto read = std::from_chars(address.data() + colon + 1, end, parts.port);
  if (read.ec != std::errc() || read.ptr != end || parts.port == 0) {
    return malformed;
  }
  const bool bracketed = parts.host.front() == '[' && parts.host.back() == ']';
  if (bracketed) {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  }
  if (parts.host.empty() || (!bracketed && parts.host.find(':') != std::string::npos)) {
    return malformed;
  }
  return parts;
}

}  // namespace

RpcChannel::RpcChannel(asio::any_io_executor executor, asio::thread_pool& pool, DialPlan plan)
    : executor_(std::move(executor)),
      pool_(pool),
      plan_(std::make_shared<const DialPlan>(std::move(plan))),
      backoff_(kRedial) {}

RpcChannel::~RpcChannel() {
  if (cancel_dial_) {
    cancel_dial_->emit(asio::cancellation_type::terminal);
  }
}

Task<Result<std::shared_ptr<RpcConnection>>> RpcChannel::Connect(Deadline deadline) {
  const auto self = shared_from_this();
  if (connection_ && connection_->TakesCalls()) {
    co_return connection_;
  }
  connection_.reset();
  if (!dial_ && !closed_ && (!failure_ || clock_.SteadyNow() >= retry_at_)) {
    StartDial();
  }
  if (const auto dial = dial_) {
    const bool over = co_await dial->Wait(deadline);
    if (!over) {
      co_return Error(Code::kDeadlineExceeded,
                      fmt::format("deadline reached while connecting to {}", plan_->names.address));
    }
  }
  if (connection_ && connection_->TakesCalls()) {
    co_return connection_;
  }
  if (failure_) {
    co_return *failure_;
  }
  co_return Error(Code::kUnavailable,
                  fmt::format("connection to {} was lost at once", plan_->names.address));
}

void RpcChannel::StartDial() {
  dial_ = std::make_shared<Latch>();
  cancel_dial_ = std::make_shared<asio::cancellation_signal>();
  // The dial may outlive the channel, which then does not hear of it.
  auto over = [weak = weak_from_this(), signal = cancel_dial_](std::exception_ptr thrown,
                                                               Dialled dialled) {
    if (const auto self = weak.lock()) {
      self->OnDialled(thrown ? Dialled() : std::move(dialled));
    }
  };
  asio::co_spawn(executor_,
                 Dial(plan_, pool_),
                 asio::bind_cancellation_slot(cancel_dial_->slot(), std::move(over)));
}

void RpcChannel::OnDialled(Dialled dialled) {
  cancel_dial_.reset();
  if (closed_) {
    return;
  }
  if (dialled.ok()) {
    connection_ = *std::move(dialled);
    failure_.reset();
    backoff_.Reset();
  } else {
    failure_ = std::move(dialled).error();
    retry_at_ = clock_.SteadyNow() + backoff_.Next();
  }
  std::exchange(dial_, nullptr)->Set();
}

void RpcChannel::Close() {
  closed_ = true;
  failure_ =
      Error(Code::kUnavailable, fmt::format("the channel to {} is closed", plan_->names.address));
  if (const auto connection = std::exchange(connection_, nullptr)) {
    connection->Close(*failure_);
  }
  if (const auto cancel = std::exchange(cancel_dial_, nullptr)) {
    cancel->emit(asio::cancellation_type::terminal);
  }
  if (const auto dial = std::exchange(dial_, nullptr)) {
    dial->Set();
  }
}

SharedRpcChannel RpcClient::MakeChannel(DialPlan plan) {
  channels_.remove_if([](const auto& channel) { return channel.expired(); });
  auto channel = std::make_shared<RpcChannel>(executor_, pool_, std::move(plan));
  channels_.push_back(channel);
  return channel;
}

void RpcClient::Close() {
  for (const auto& weak : std::exchange(channels_, {})) {
    if (const auto channel = weak.lock()) {
      channel->Close();
    }
  }
}

Result<SharedRpcChannel> MakeTlsChannel(RpcClient& client, TlsTarget target) {
  const auto* trust = std::get_if<TrustAuthorities>(&target.trust);
  if (trust != nullptr && trust->x509_authorities.empty()) {
    return Error(Code::kInvalidArgument, "no X.509 authorities to trust the server by");
  }
  if (target.identity.has_value() && target.identity->certificates.empty()) {
    return Error(Code::kInvalidArgument, "an identity without certificates");
  }
  auto parts = SplitAddress(target.address);
  if (!parts.ok()) {
    return std::move(parts).error();
  }
  DialPlan plan{{target.address, "https", target.address}, parts->host, parts->port, "", nullptr};
  TlsClientOptions tls;
  if (target.identity.has_value()) {
    tls.identity =
        TlsClientOptions::Identity{std::move(target.identity->certificates), target.identity->key};
  }
  tls.accepts_server = [id = target.server_id,
                        rules = std::move(target.trust),
                        complaint = plan.complaint](const std::vector<std::string>& chain) {
    const auto checked = CheckServerCertificate(chain, id, rules);
    *complaint = checked.ok() ? "" : checked.error().message();
    return checked.ok();
  };
  auto context = MakeHttp2ClientContext(std::move(tls));
  if (!context.ok()) {
    return std::move(context).error();
  }
  plan.tls = *std::move(context);
  return client.MakeChannel(std::move(plan));
}

Result<SharedRpcChannel> MakeUnixChannel(RpcClient& client, const std::string& path) {
  if (path.empty() || path.front() != '/') {
    return Error(Code::kInvalidArgument, "a socket needs an absolute path, not '" + path + "'");
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Error(Code::kInvalidArgument, "the path of a socket is too long: " + path);
  }
  DialPlan plan{{path, "http", "localhost"}, "", 0, path, nullptr};
  return client.MakeChannel(std::move(plan));
}

}  // namespace credence
