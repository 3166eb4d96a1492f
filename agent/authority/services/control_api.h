#pragma once

#include <memory>
#include <string>

#include "agent/authority/services/authority_state.h"
#include "agent/authority/services/entry_files.h"
#include "base/h2/server.h"

namespace credence {

/// credence.authority.v1.Control: what only our own operators ask. Its calls check no caller, so it
/// belongs on the private socket alone. Threads: core thread.
class ControlApi {
 public:
  ControlApi(AuthorityState& state, EntryFiles& files) : state_(state), files_(files) {}

  void Register(h2::Server& private_server);

 private:
  Task<h2::UnaryReply> GetState(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> ListFileEntries(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> RotateKey(std::shared_ptr<h2::ServerCall> call, std::string request);

  AuthorityState& state_;
  EntryFiles& files_;
};

}  // namespace credence
