#include "agent/authority/services/control_api.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/h2/message_codec.h"

#include "credence/authority/v1/control.pb.h"

namespace credence {
namespace {

using authority::v1::KeyStatus;
using authority::v1::SigningKeyRecord;
using h2::ParseRequest;
using h2::Serialize;
namespace api = authority::v1;

KeyStatus StatusOf(const SigningKeyRecord& record, const AuthorityState& state) {
  KeyStatus status;
  status.set_id(record.id());
  status.set_kind(record.kind());
  status.set_state(record.state());
  status.set_created_at(record.created_at());
  status.set_not_after(record.not_after());
  status.set_tainted(record.tainted());
  const auto planned = state.planned_rotations().find(record.kind());
  if (planned != state.planned_rotations().end() && planned->second.successor == record.id()) {
    status.set_activates_at(ToUnixSeconds(planned->second.at));
  }
  return status;
}

}  // namespace

void ControlApi::Register(h2::Server& private_server) {
  private_server.HandleUnary("/credence.authority.v1.Control/GetState",
                             [this](auto call, std::string request) {
                               return GetState(std::move(call), std::move(request));
                             });
  private_server.HandleUnary("/credence.authority.v1.Control/ListFileEntries",
                             [this](auto call, std::string request) {
                               return ListFileEntries(std::move(call), std::move(request));
                             });
  private_server.HandleUnary("/credence.authority.v1.Control/RotateKey",
                             [this](auto call, std::string request) {
                               return RotateKey(std::move(call), std::move(request));
                             });
}

Task<h2::UnaryReply> ControlApi::GetState(std::shared_ptr<h2::ServerCall> /*call*/,
                                          std::string request) {
  api::GetStateRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const AuthorityTables& tables = state_.tables();
  api::GetStateResponse response;
  response.set_trust_domain(state_.trust_domain().name());
  response.set_bundle_sequence(state_.bundle_sequence());
  for (const SigningKey& key : state_.keys().value()->keys) {
    *response.add_keys() = StatusOf(key.record, state_);
  }
  response.set_entries(static_cast<std::int64_t>(tables.entries.all().size()));
  response.set_agents(static_cast<std::int64_t>(tables.agents.size()));
  response.set_banned_agents(
      std::count_if(tables.agents.begin(), tables.agents.end(), [](const auto& agent) {
        return agent.second.banned();
      }));
  response.set_file_entries(static_cast<std::int64_t>(tables.file_entries.size()));
  const EntryFiles::Status& files = files_.status().value();
  response.mutable_file_mistakes()->Assign(files.mistakes.begin(), files.mistakes.end());
  response.set_files_read_at(files.loaded_at ? ToUnixSeconds(*files.loaded_at) : 0);
  co_return Serialize(response);
}

Task<h2::UnaryReply> ControlApi::ListFileEntries(std::shared_ptr<h2::ServerCall> /*call*/,
                                                 std::string request) {
  api::ListFileEntriesRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  std::map<std::string, std::vector<std::string>> by_file;
  for (const auto& [id, file] : state_.tables().file_entries) {
    by_file[file].push_back(id);
  }
  api::ListFileEntriesResponse response;
  for (const auto& [file, ids] : by_file) {
    auto& added = *response.add_files();
    added.set_file(file);
    added.mutable_entry_ids()->Assign(ids.begin(), ids.end());
  }
  co_return Serialize(response);
}

Task<h2::UnaryReply> ControlApi::RotateKey(std::shared_ptr<h2::ServerCall> /*call*/,
                                           std::string request) {
  api::RotateKeyRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const SigningKeyRecord::Kind kind = message.kind();
  if (kind != SigningKeyRecord::X509 && kind != SigningKeyRecord::JWT) {
    co_return Error(Code::kInvalidArgument, "kind: X509 or JWT");
  }
  api::RotateKeyResponse response;
  if (message.now()) {
    response.set_replaced_id(state_.keys().value()->Active(kind).record.id());
    const auto rotated = co_await state_.RotateKey(kind, message.taint());
    if (!rotated.ok()) {
      co_return rotated.error();
    }
    *response.mutable_key() = StatusOf(state_.keys().value()->Active(kind).record, state_);
    co_return Serialize(response);
  }
  const auto plan = co_await state_.PlanRotation(kind, message.taint());
  if (!plan.ok()) {
    co_return plan.error();
  }
  response.set_replaced_id(plan->replaced);
  for (const SigningKey& key : state_.keys().value()->keys) {
    if (key.record.id() == plan->successor) {
      *response.mutable_key() = StatusOf(key.record, state_);
    }
  }
  response.mutable_key()->set_activates_at(ToUnixSeconds(plan->at));
  co_return Serialize(response);
}

}  // namespace credence
