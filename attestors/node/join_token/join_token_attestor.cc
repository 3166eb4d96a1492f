#include "attestors/node/join_token/join_token_attestor.h"

#include <string>

namespace credence {
namespace {

class JoinTokenAttestation final : public NodeAttestation {
 public:
  explicit JoinTokenAttestation(SharedSecret token) : token_(std::move(token)) {}

  Task<Result<std::string>> Payload(Deadline /*deadline*/) override {
    if (token_ == nullptr || token_->empty()) {
      co_return Error(Code::kFailedPrecondition,
                      "nodeattestor(join_token): no join token is configured; make one with "
                      "'spire-server token "
                      "generate' and set join_token, join_token_file or -joinToken");
    }
    co_return std::string(token_->Reveal());
  }

  Task<Result<std::string>> Answer(std::string /*challenge*/, Deadline /*deadline*/) override {
    co_return Error(
        Code::kFailedPrecondition,
        "nodeattestor(join_token): the server sent a challenge, which a join token does not have");
  }

 private:
  const SharedSecret token_;
};

}  // namespace

std::unique_ptr<NodeAttestation> JoinTokenAttestor::Start() {
  return std::make_unique<JoinTokenAttestation>(token_);
}

}  // namespace credence
