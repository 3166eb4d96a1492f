#include "attestors/node/x509pop/challenge.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "base/crypto/digest.h"
#include "base/crypto/signer.h"

namespace credence {
namespace {

namespace json = boost::json;

constexpr std::size_t kNonceBytes = 32;
constexpr std::size_t kMaxChallengeBytes = 4096;

Error Unexpected(std::string_view what) {
  return Error(Code::kFailedPrecondition, fmt::format("challenge: {}", what));
}

std::string_view MemberName(KeyAlgorithm algorithm) {
  return algorithm == KeyAlgorithm::kRsa ? "rsa_signature" : "ecdsa_signature";
}

/// The server's nonce, from the member that fits our key.
Result<std::string> ReadNonce(std::string_view challenge, KeyAlgorithm algorithm) {
  if (challenge.size() > kMaxChallengeBytes) {
    return Unexpected("too long");
  }
  boost::system::error_code failed;
  const auto document = json::parse(challenge, failed);
  const auto* object = failed ? nullptr : document.if_object();
  if (object == nullptr) {
    return Unexpected("not a JSON object");
  }
  const auto* member = object->if_contains(MemberName(algorithm));
  const auto* part = member == nullptr ? nullptr : member->if_object();
  const auto* nonce = part == nullptr ? nullptr : part->if_contains("nonce");
  if (nonce == nullptr || !nonce->is_string()) {
    return Unexpected(fmt::format("no {} for our kind of key", MemberName(algorithm)));
  }
  auto bytes = Base64Decode(std::string_view(nonce->get_string()));
  // The server must not choose what we sign beyond these 32 bytes.
  if (!bytes.ok() || bytes->size() != kNonceBytes) {
    return Unexpected("the nonce is not 32 bytes in base64");
  }
  return bytes;
}

Result<json::object> Sign(const PrivateKey& key, const Sha256Digest& digest) {
  json::object signature;
  if (AlgorithmOf(key) == KeyAlgorithm::kRsa) {
    auto signed_bytes = SignRsaPss(key, digest);
    if (!signed_bytes.ok()) {
      return std::move(signed_bytes).error();
    }
    signature["signature"] = Base64Encode(*signed_bytes);
    return signature;
  }
  auto numbers = SignEcdsa(key, digest);
  if (!numbers.ok()) {
    return std::move(numbers).error();
  }
  signature["r"] = Base64Encode(numbers->r);
  signature["s"] = Base64Encode(numbers->s);
  return signature;
}

}  // namespace

std::string X509PopPayload(const std::vector<std::string>& certificates) {
  json::array list;
  for (const auto& certificate : certificates) {
    list.emplace_back(Base64Encode(certificate));
  }
  json::object payload;
  payload["certificates"] = std::move(list);
  return json::serialize(payload);
}

Result<std::string> AnswerX509PopChallenge(std::string_view challenge,
                                           std::string_view client_nonce,
                                           const PrivateKey& key) {
  const auto algorithm = AlgorithmOf(key);
  auto server_nonce = ReadNonce(challenge, algorithm);
  if (!server_nonce.ok()) {
    return std::move(server_nonce).error();
  }
  auto signature = Sign(key, Sha256(*server_nonce + std::string(client_nonce)));
  if (!signature.ok()) {
    return std::move(signature).error();
  }
  (*signature)["nonce"] = Base64Encode(client_nonce);
  json::object answer;
  answer["rsa_signature"] = nullptr;
  answer["ecdsa_signature"] = nullptr;
  answer[MemberName(algorithm)] = *std::move(signature);
  return json::serialize(answer);
}

}  // namespace credence
