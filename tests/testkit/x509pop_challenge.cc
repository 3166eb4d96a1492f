#include "tests/testkit/x509pop_challenge.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <openssl/rsa.h>

#include "base/core/check.h"
#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/crypto/openssl.h"

namespace credence::testkit {
namespace {

namespace json = boost::json;

std::string Decoded(const json::object& object, std::string_view key) {
  const auto* text = object.if_contains(key);
  if (text == nullptr || !text->is_string()) {
    return "";
  }
  auto bytes = Base64Decode(std::string_view(text->get_string().data(), text->get_string().size()));
  return bytes.ok() ? *bytes : "";
}

bool VerifyRsa(EVP_PKEY* key, const Sha256Digest& digest, const std::string& signature) {
  const OpenSslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key, nullptr));
  return EVP_PKEY_verify_init(context.get()) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_AUTO) == 1 &&
         EVP_PKEY_verify(context.get(),
                         AsUnsigned(signature),
                         signature.size(),
                         digest.data(),
                         digest.size()) == 1;
}

bool VerifyEc(EVP_PKEY* key,
              const Sha256Digest& digest,
              const std::string& r,
              const std::string& s) {
  const OpenSslPtr<ECDSA_SIG> signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(),
                 BN_bin2bn(AsUnsigned(r), static_cast<int>(r.size()), nullptr),
                 BN_bin2bn(AsUnsigned(s), static_cast<int>(s.size()), nullptr));
  std::string der(static_cast<std::size_t>(i2d_ECDSA_SIG(signature.get(), nullptr)), '\0');
  auto* end = AsUnsigned(der);
  i2d_ECDSA_SIG(signature.get(), &end);
  const OpenSslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key, nullptr));
  return EVP_PKEY_verify_init(context.get()) == 1 &&
         EVP_PKEY_verify(
             context.get(), AsUnsigned(der), der.size(), digest.data(), digest.size()) == 1;
}

OpenSslPtr<EVP_PKEY> KeyOf(const std::string& certificate) {
  auto parsed = ParseCertificate(certificate);
  CREDENCE_CHECK(parsed.ok());
  return OpenSslPtr<EVP_PKEY>(X509_get_pubkey(parsed->get()));
}

}  // namespace

X509PopChallenge::X509PopChallenge(std::string_view certificate_pem) : nonce_(RandomBytes(32)) {
  auto certificates = CertificatesFromPem(certificate_pem);
  CREDENCE_CHECK(certificates.ok());
  certificate_ = certificates->front();
  rsa_ = EVP_PKEY_is_a(KeyOf(certificate_).get(), "RSA") == 1;
}

bool X509PopChallenge::PayloadFits(std::string_view payload) const {
  boost::system::error_code failed;
  const auto value = json::parse(payload, failed);
  const auto* object = failed ? nullptr : value.if_object();
  const auto* list = object == nullptr ? nullptr : object->if_contains("certificates");
  if (list == nullptr || !list->is_array() || list->get_array().empty()) {
    return false;
  }
  const auto* first = list->get_array().front().if_string();
  return first != nullptr && std::string_view(*first) == Base64Encode(certificate_);
}

std::string X509PopChallenge::Text() const {
  const json::object nonce{{"nonce", Base64Encode(nonce_)}};
  json::object challenge;
  challenge[rsa_ ? "rsa_signature" : "ecdsa_signature"] = nonce;
  challenge[rsa_ ? "ecdsa_signature" : "rsa_signature"] = nullptr;
  return json::serialize(challenge);
}

bool X509PopChallenge::AnswerFits(std::string_view answer) const {
  boost::system::error_code failed;
  const auto value = json::parse(answer, failed);
  const auto* object = failed ? nullptr : value.if_object();
  const auto* part =
      object == nullptr ? nullptr : object->if_contains(rsa_ ? "rsa_signature" : "ecdsa_signature");
  if (part == nullptr || !part->is_object()) {
    return false;
  }
  const auto& signature = part->get_object();
  const auto client_nonce = Decoded(signature, "nonce");
  if (client_nonce.size() != 32) {
    return false;
  }
  const auto digest = Sha256(nonce_ + client_nonce);
  const auto key = KeyOf(certificate_);
  return rsa_ ? VerifyRsa(key.get(), digest, Decoded(signature, "signature"))
              : VerifyEc(key.get(), digest, Decoded(signature, "r"), Decoded(signature, "s"));
}

}  // namespace credence::testkit
