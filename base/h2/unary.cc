#include "base/h2/unary.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/core/check.h"

namespace credence::h2 {
namespace {

Task<Status> ServeUnary(std::shared_ptr<const UnaryHandler> handler,
                        std::shared_ptr<ServerCall> call) {
  auto request = co_await call->Read();
  if (!request.ok()) {
    co_return Status::From(request.error());
  }
  if (!request->has_value()) {
    co_return Status{Code::kInvalidArgument, "the call has no request message", ""};
  }
  std::string message = **std::move(request);
  auto second = co_await call->Read();
  if (!second.ok()) {
    co_return Status::From(second.error());
  }
  if (second->has_value()) {
    co_return Status{Code::kUnimplemented, "the call has more than one request message", ""};
  }
  Task<UnaryReply> serving = (*handler)(call, std::move(message));
  UnaryReply reply = co_await std::move(serving);
  if (!reply.status.ok()) {
    co_return std::move(reply.status);
  }
  CREDENCE_CHECK(reply.message != nullptr);
  auto written = co_await call->Write(std::move(reply.message));
  co_return written.ok() ? Status::Ok() : Status::From(written.error());
}

}  // namespace

Handler MakeUnary(UnaryHandler handler) {
  auto shared = std::make_shared<const UnaryHandler>(std::move(handler));
  return [shared](std::shared_ptr<ServerCall> call) { return ServeUnary(shared, std::move(call)); };
}

}  // namespace credence::h2
