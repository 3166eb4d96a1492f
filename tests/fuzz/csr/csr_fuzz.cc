#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/check.h"
#include "base/crypto/certificate.h"
#include "base/crypto/certificate_issuing.h"

namespace credence {
namespace {

const PrivateKey& IssuerKey() {
  static const PrivateKey key = *PrivateKey::Generate(KeyType::kEcP256);
  return key;
}

const CertificateIssuer& Issuer() {
  static const CertificateIssuer issuer = [] {
    CertificateContent content;
    content.common_name = "fuzz";
    content.not_after = FromUnixSeconds(2'000'000'000);
    content.is_ca = true;
    const auto made = IssueCertificate(content, IssuerKey().PublicKey(), IssuerKey(), "");
    CREDENCE_CHECK(made.ok());
    return *CertificateIssuer::Create(IssuerKey(), *made);
  }();
  return issuer;
}

/// A key whose request is taken is one that a certificate can be made for.
void IssueFor(const CertificateRequest& request) {
  CertificateContent content;
  content.uri = "spiffe://example.org/web";
  content.not_after = FromUnixSeconds(2'000'000'000);
  const auto issued = Issuer().Issue(content, request.public_key);
  CREDENCE_CHECK(issued.ok());
  CREDENCE_CHECK(PublicKeyOf(issued->der).ok());
  const auto facts = FactsOfCertificate(issued->der);
  CREDENCE_CHECK(facts.ok() && facts->serial == issued->serial);
}

}  // namespace
}  // namespace credence

/// A PKCS#10 request; the same bytes as a public key, and as a certificate.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  if (const auto request = credence::ParseCertificateRequest(text); request.ok()) {
    credence::IssueFor(*request);
  }
  if (const auto issued = credence::Issuer().Issue({}, text); issued.ok()) {
    CREDENCE_CHECK(credence::PublicKeyOf(issued->der).ok());
  }
  credence::FactsOfCertificate(text).IgnoreBecause(
      "either outcome is fine; it must only not crash");
  return 0;
}
