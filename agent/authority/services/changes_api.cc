#include "agent/authority/services/changes_api.h"

#include <utility>
#include <variant>

#include "base/h2/message_codec.h"

#include "credence/authority/v1/changes.pb.h"

namespace credence {

void ChangesApi::RegisterForAgents(h2::Server& server) {
  server.Handle("/credence.authority.v1.Changes/Watch",
                [this](std::shared_ptr<h2::ServerCall> call) { return Watch(std::move(call)); });
}

Task<h2::Status> ChangesApi::Watch(std::shared_ptr<h2::ServerCall> call) {
  auto who = co_await access_.RequireAgent(call);
  if (auto* refusal = std::get_if<h2::Status>(&who)) {
    co_return std::move(*refusal);
  }
  const std::string agent_id = std::get<ApiCaller>(who).id;
  while (true) {
    const auto agent = state_.tables().agents.find(agent_id);
    if (agent == state_.tables().agents.end() || agent->second.banned()) {
      co_return h2::Status{
          Code::kPermissionDenied, "the agent was banned or evicted meanwhile", ""};
    }
    const std::uint64_t seen = state_.changes().version();
    authority::v1::WatchResponse response;
    response.set_change(seen);
    auto message = h2::Serialize(response);
    if (!message.ok()) {
      co_return h2::Status::From(message.error());
    }
    const auto written = co_await call->Write(*std::move(message));
    if (!written.ok()) {
      co_return h2::Status::From(written.error());
    }
    co_await state_.changes().Changed(seen);
  }
}

}  // namespace credence
