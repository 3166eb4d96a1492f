#include "tests/testkit/spiffe_ca.h"

#include <fmt/format.h>
#include <openssl/x509v3.h>

#include "base/core/check.h"
#include "base/crypto/certificate.h"
#include "base/crypto/certificate_issuing.h"

namespace credence::testkit {
namespace {

PrivateKey NewKey() {
  auto key = PrivateKey::Generate(KeyType::kEcP256);
  CREDENCE_CHECK(key.ok());
  return *std::move(key);
}

/// `issuer` (may be `certificate`) is what key identifiers are taken from.
void AddExtension(X509* certificate, int nid, const std::string& value, X509* issuer = nullptr) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const OpenSslPtr<X509_EXTENSION> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  CREDENCE_CHECK(extension != nullptr);
  CREDENCE_CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
}

void AddName(X509_NAME* name, const char* key, std::string_view value) {
  CREDENCE_CHECK(
      X509_NAME_add_entry_by_txt(
          name, key, MBSTRING_UTF8, AsUnsigned(value), static_cast<int>(value.size()), -1, 0) == 1);
}

std::string ToDer(X509* certificate) {
  std::string der(static_cast<std::size_t>(i2d_X509(certificate, nullptr)), '\0');
  auto* end = AsUnsigned(der);
  i2d_X509(certificate, &end);
  return der;
}

/// Version, random serial number, subject, times and key.
OpenSslPtr<X509> NewCertificate(EVP_PKEY* key,
                                std::string_view common_name,
                                std::chrono::seconds starts,
                                std::chrono::seconds ends) {
  OpenSslPtr<X509> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  const OpenSslPtr<BIGNUM> serial(BN_new());
  BN_rand(serial.get(), 120, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY);
  BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get()));
  auto* subject = X509_get_subject_name(certificate.get());
  AddName(subject, "C", "US");
  AddName(subject, "O", "SPIRE");
  if (!common_name.empty()) {
    AddName(subject, "CN", common_name);
  }
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), starts.count());
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), ends.count());
  CREDENCE_CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  return certificate;
}

std::string MakeAuthority(const PrivateKey& key, std::string_view trust_domain) {
  const auto certificate = NewCertificate(
      key.get(), "test authority", std::chrono::seconds(-60), std::chrono::hours(24));
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  AddExtension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(
      certificate.get(), NID_subject_alt_name, fmt::format("URI:spiffe://{}", trust_domain));
  AddExtension(certificate.get(), NID_subject_key_identifier, "hash");
  CREDENCE_CHECK(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
  return ToDer(certificate.get());
}

}  // namespace

SpiffeCa::SpiffeCa(std::string_view trust_domain)
    : key_(NewKey()), certificate_(MakeAuthority(key_, trust_domain)) {}

std::string SpiffeCa::CertificatePem() const {
  return CertificateToPem(certificate_);
}

std::string SpiffeCa::Sign(std::string_view public_key, const LeafOptions& options) const {
  const auto key = ParsePublicKey(public_key);
  const auto authority = ParseCertificate(certificate_);
  CREDENCE_CHECK(key.ok() && authority.ok());
  const auto leaf = NewCertificate(key->get(), "", options.starts, options.ends);
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(authority->get()));
  AddExtension(
      leaf.get(), NID_basic_constraints, options.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  AddExtension(leaf.get(), NID_key_usage, "critical,digitalSignature,keyEncipherment,keyAgreement");
  AddExtension(leaf.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  // As SPIRE's: authorities share one subject, and only the key identifier tells which of them
  // signed.
  AddExtension(leaf.get(), NID_authority_key_identifier, "keyid:always", authority->get());
  std::string names;
  for (const auto& uri : options.uris) {
    names += (names.empty() ? "URI:" : ",URI:") + uri;
  }
  if (!names.empty()) {
    AddExtension(leaf.get(), NID_subject_alt_name, names);
  }
  CREDENCE_CHECK(X509_sign(leaf.get(), key_.get(), EVP_sha256()) > 0);
  return ToDer(leaf.get());
}

IssuedIdentity SpiffeCa::Issue(const LeafOptions& options) const {
  auto key = NewKey();
  std::vector<std::string> certificates;
  certificates.push_back(Sign(key.PublicKey(), options));
  return IssuedIdentity{std::move(certificates), std::move(key)};
}

std::string PublicKeyOfCsr(std::string_view csr) {
  auto request = ParseCertificateRequest(csr);
  return request.ok() ? std::move(request->public_key) : "";
}

}  // namespace credence::testkit
