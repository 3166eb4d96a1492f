#include "attestors/node/x509pop/x509pop_attestor.h"

#include <optional>
#include <vector>

#include <fmt/format.h>

#include "attestors/node/x509pop/challenge.h"
#include "base/core/file.h"
#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/crypto/private_key.h"

namespace credence {
namespace {

constexpr std::size_t kMaxKeyBytes = std::size_t{64} << 10;
constexpr std::size_t kNonceBytes = 32;

struct Evidence {
  std::vector<std::string> certificates;
  PrivateKey key;
};

Error Unusable(std::string_view what, const std::string& path, const std::string& reason) {
  // ReadFile and ReadCertificateFile name the path themselves.
  const bool named = reason.find(path) != std::string::npos;
  return Error(Code::kFailedPrecondition,
               named ? fmt::format("nodeattestor(x509pop): {}: {}", what, reason)
                     : fmt::format("nodeattestor(x509pop): {}: {}: {}", what, path, reason));
}

Result<PrivateKey> ReadKey(const std::string& path) {
  auto content = ReadSecretFile(path, kMaxKeyBytes);
  if (!content.ok()) {
    return Unusable("private_key_path", path, content.error().message());
  }
  auto key = PrivateKey::FromPem(*content);
  if (!key.ok()) {
    return Unusable("private_key_path", path, key.error().message());
  }
  return key;
}

/// Adds the certificates of one file.
Result<void> AddCertificates(std::string_view setting,
                             const std::string& path,
                             std::vector<std::string>& chain) {
  auto certificates = ReadCertificateFile(path);
  if (!certificates.ok()) {
    return Unusable(setting, path, certificates.error().message());
  }
  for (auto& certificate : *certificates) {
    chain.push_back(std::move(certificate));
  }
  return Ok();
}

Result<Evidence> ReadEvidence(const X509PopFiles& files) {
  auto key = ReadKey(files.private_key_path);
  if (!key.ok()) {
    return std::move(key).error();
  }
  std::vector<std::string> chain;
  if (auto added = AddCertificates("certificate_path", files.certificate_path, chain);
      !added.ok()) {
    return std::move(added).error();
  }
  if (!files.intermediates_path.empty()) {
    if (auto added = AddCertificates("intermediates_path", files.intermediates_path, chain);
        !added.ok()) {
      return std::move(added).error();
    }
  }
  const auto public_key = PublicKeyOf(chain.front());
  if (!public_key.ok() || *public_key != key->PublicKey()) {
    return Unusable("certificate_path",
                    files.certificate_path,
                    fmt::format("is not the certificate of the key in {}", files.private_key_path));
  }
  return Evidence{std::move(chain), *std::move(key)};
}

class X509PopAttestation final : public NodeAttestation {
 public:
  X509PopAttestation(X509PopFiles files, asio::thread_pool& pool)
      : files_(std::move(files)), pool_(pool) {}

  Task<Result<std::string>> Payload(Deadline /*deadline*/) override {
    auto read = [files = files_] { return ReadEvidence(files); };
    auto evidence = co_await RunOn(pool_, read);
    if (!evidence.ok()) {
      co_return std::move(evidence).error();
    }
    key_ = std::move(evidence->key);
    co_return X509PopPayload(evidence->certificates);
  }

  Task<Result<std::string>> Answer(std::string challenge, Deadline /*deadline*/) override {
    // One challenge for one payload: a server that asks for more signatures gets none.
    if (!key_.has_value()) {
      co_return Error(Code::kFailedPrecondition, "nodeattestor(x509pop): a challenge out of turn");
    }
    auto sign = [key = *std::exchange(key_, std::nullopt), text = std::move(challenge)] {
      return AnswerX509PopChallenge(text, RandomBytes(kNonceBytes), key);
    };
    auto answer = co_await RunOn(pool_, sign);
    if (!answer.ok()) {
      co_return std::move(answer).error().Wrap("nodeattestor(x509pop)");
    }
    co_return answer;
  }

 private:
  const X509PopFiles files_;
  asio::thread_pool& pool_;
  std::optional<PrivateKey> key_;
};

}  // namespace

std::unique_ptr<NodeAttestation> X509PopAttestor::Start() {
  return std::make_unique<X509PopAttestation>(files_, pool_);
}

}  // namespace credence
