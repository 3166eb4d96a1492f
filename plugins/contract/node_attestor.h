#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"

namespace credence {

/// One node attestation: the evidence, then answers to what the server asks.
class NodeAttestation {
 public:
  virtual ~NodeAttestation() = default;

  /// The payload of the first message, never empty. Errors: kFailedPrecondition when the evidence
  /// is not there.
  virtual Task<Result<std::string>> Payload(Deadline deadline) = 0;
  /// The answer to one challenge. Errors: kFailedPrecondition for a challenge this kind does not
  /// expect.
  virtual Task<Result<std::string>> Answer(std::string challenge, Deadline deadline) = 0;
};

/// Proves to a SPIRE server which node this is.
class NodeAttestor {
 public:
  virtual ~NodeAttestor() = default;

  /// The attestor's name at the server: "join_token", "x509pop".
  virtual std::string_view name() const = 0;
  /// A fresh attestation; re-reads files that may have been rotated.
  virtual std::unique_ptr<NodeAttestation> Start() = 0;
};

}  // namespace credence
