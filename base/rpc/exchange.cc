#include "base/rpc/exchange.h"

#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/system/system_error.hpp>

namespace credence {

RpcExchange::RpcExchange(SharedRpcChannel channel,
                         std::string path,
                         Deadline deadline,
                         RpcMetadata metadata)
    : channel_(std::move(channel)),
      path_(std::move(path)),
      deadline_(deadline),
      metadata_(std::move(metadata)),
      stream_(std::make_shared<ClientStream>()),
      changed_(channel_->executor()) {
  stream_->on_change = [this] { changed_.cancel(); };
}

RpcExchange::~RpcExchange() {
  stream_->on_change = nullptr;
  if (connection_) {
    connection_->Cancel(id_);
  }
}

void RpcExchange::Fail(Error error) {
  stream_->End(RpcVerdict{std::move(error), ""});
  if (connection_) {
    connection_->Cancel(id_);
  }
}

Task<void> RpcExchange::Changed() {
  changed_.expires_at(deadline_.time());
  boost::system::error_code woken;
  co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  // Cancellation of this task and a change look alike here; the state of the task tells them apart.
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
  if (deadline_.Passed() && !over()) {
    Fail(Error(Code::kDeadlineExceeded, "deadline reached"));
  }
}

Task<bool> RpcExchange::Start() {
  if (deadline_.Passed()) {
    Fail(Error(Code::kDeadlineExceeded, "deadline reached before the call"));
  }
  if (over()) {
    co_return false;
  }
  auto connected = co_await channel_->Connect(deadline_);
  if (!connected.ok()) {
    stream_->End(RpcVerdict{std::move(connected).error(), ""});
    co_return false;
  }
  if (over()) {
    co_return false;  // cancelled meanwhile
  }
  auto id = (*connected)->Open(path_, deadline_.Remaining(), metadata_, stream_);
  if (!id.ok()) {
    stream_->End(RpcVerdict{std::move(id).error(), ""});
    co_return false;
  }
  connection_ = *std::move(connected);
  id_ = *id;
  co_return !over();
}

void RpcExchange::EndRequests() {
  stream_->EndRequests();
  if (connection_) {
    connection_->Resume(id_);
  }
}

Task<bool> RpcExchange::Send() {
  if (connection_) {
    connection_->Resume(id_);
  }
  while (!over() && !stream_->all_sent()) {
    co_await Changed();
  }
  co_return !over();
}

Task<std::optional<std::string>> RpcExchange::Read() {
  for (;;) {
    auto message = stream_->Take();
    if (message) {
      if (connection_) {
        connection_->OnTaken(id_);
      }
      co_return message;
    }
    if (over()) {
      break;
    }
    co_await Changed();
  }
  if (connection_) {
    // A message that broke the rules is the client's verdict; the server may not know.
    connection_->Cancel(id_);
  }
  co_return std::nullopt;
}

Task<RpcVerdict> RpcExchange::Finish() {
  stream_->Discard();
  if (connection_) {
    connection_->Release(id_);
  }
  while (!over()) {
    co_await Changed();
  }
  co_return *stream_->verdict();
}

}  // namespace credence
