#include "agent/endpoints/health_api.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "agent/endpoints/call_support.h"

#include "grpc/health/v1/health.pb.h"

namespace credence {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

HealthCheckResponse::ServingStatus StatusOf(const IdentityStore& store) {
  return store.synced() ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

Result<SharedSecret> ToMessage(HealthCheckResponse::ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  return Serialize(response);
}

}  // namespace

void HealthApi::Register(h2::Server& server) {
  server.HandleUnary("/grpc.health.v1.Health/Check", [this](auto call, std::string request) {
    return Check(std::move(call), std::move(request));
  });
  server.Handle("/grpc.health.v1.Health/Watch",
                [this](auto call) { return Watch(std::move(call)); });
}

Task<h2::UnaryReply> HealthApi::Check(std::shared_ptr<h2::ServerCall> /*call*/, std::string bytes) {
  HealthCheckRequest request;
  if (auto parsed = ParseRequest(bytes, request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (!request.service().empty()) {
    co_return Error(Code::kNotFound, "this agent's health is that of the service with no name");
  }
  co_return ToMessage(StatusOf(store_));
}

Task<h2::Status> HealthApi::Watch(std::shared_ptr<h2::ServerCall> call) {
  auto bytes = co_await call->Read();
  if (!bytes.ok()) {
    co_return h2::Status::From(bytes.error());
  }
  HealthCheckRequest request;
  if (auto parsed = ParseRequest(bytes->value_or(""), request); !parsed.ok()) {
    co_return h2::Status::From(parsed.error());
  }
  std::optional<HealthCheckResponse::ServingStatus> sent;
  while (true) {
    const std::uint64_t seen = store_.changes().version();
    const auto status =
        request.service().empty() ? StatusOf(store_) : HealthCheckResponse::SERVICE_UNKNOWN;
    if (status != sent) {
      sent = status;
      auto message = ToMessage(status);
      if (!message.ok()) {
        co_return h2::Status::From(message.error());
      }
      const auto written = co_await call->Write(*message);
      if (!written.ok()) {
        co_return h2::Status::From(written.error());
      }
    }
    co_await store_.changes().Changed(seen);
  }
}

}  // namespace credence
