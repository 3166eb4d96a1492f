#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "base/core/secret_bytes.h"
#include "plugins/contract/node_attestor.h"

namespace credence {

/// Shows a token that an operator made at the server. The server takes a token once, so this node
/// cannot attest again with it. Source: SPIRE's join_token attestor: the payload is the token's
/// bytes, there is no challenge.
class JoinTokenAttestor final : public NodeAttestor {
 public:
  /// `token` may be null or empty (none was configured); every attestation then fails and says so.
  explicit JoinTokenAttestor(SharedSecret token) : token_(std::move(token)) {}

  std::string_view name() const override { return "join_token"; }
  std::unique_ptr<NodeAttestation> Start() override;

 private:
  const SharedSecret token_;
};

}  // namespace credence
