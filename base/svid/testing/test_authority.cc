#include "base/svid/testing/test_authority.h"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/core/check.h"
#include "base/crypto/digest.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

void AddExtension(X509* certificate,
                  X509* issuer,
                  const std::string& name,
                  const std::string& value) {
  if (value.empty()) {
    return;
  }
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  const OpenSslPtr<X509_EXTENSION> extension(
      X509V3_EXT_nconf(nullptr, &context, name.c_str(), value.c_str()));
  CREDENCE_CHECK(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

void SetName(X509_NAME* name, const CertificateSpec& spec) {
  if (!spec.empty_subject) {
    CREDENCE_CHECK(X509_NAME_add_entry_by_txt(name,
                                              "CN",
                                              MBSTRING_UTF8,
                                              AsUnsigned(std::string_view(spec.common_name)),
                                              static_cast<int>(spec.common_name.size()),
                                              -1,
                                              0) == 1);
  }
}

/// `issuer` is nullptr for a self-signed certificate.
std::string Make(const PrivateKey& subject_key,
                 const CertificateSpec& spec,
                 const PrivateKey& issuer_key,
                 X509* issuer) {
  const OpenSslPtr<X509> made(X509_new());
  CREDENCE_CHECK(made != nullptr && X509_set_version(made.get(), X509_VERSION_3) == 1);
  static std::int64_t serial = 1000;
  ASN1_INTEGER_set_int64(X509_get_serialNumber(made.get()), ++serial);
  SetName(X509_get_subject_name(made.get()), spec);
  X509* signer = issuer == nullptr ? made.get() : issuer;
  CREDENCE_CHECK(X509_set_issuer_name(made.get(), X509_get_subject_name(signer)) == 1);
  ASN1_TIME_set(X509_getm_notBefore(made.get()), ToUnixSeconds(spec.not_before));
  ASN1_TIME_set(X509_getm_notAfter(made.get()), ToUnixSeconds(spec.not_after));
  CREDENCE_CHECK(X509_set_pubkey(made.get(), subject_key.get()) == 1);
  AddExtension(made.get(), signer, "basicConstraints", spec.basic_constraints);
  AddExtension(made.get(), signer, "keyUsage", spec.key_usage);
  AddExtension(made.get(), signer, "extendedKeyUsage", spec.extended_key_usage);
  AddExtension(made.get(), signer, "subjectKeyIdentifier", "hash");
  AddExtension(made.get(), signer, "authorityKeyIdentifier", issuer == nullptr ? "" : "keyid");
  AddExtension(made.get(), signer, "subjectAltName", spec.subject_alt_name);
  AddExtension(made.get(), signer, "nameConstraints", spec.name_constraints);
  for (const auto& [name, value] : spec.others) {
    AddExtension(made.get(), signer, name, value);
  }
  CREDENCE_CHECK(X509_sign(made.get(), issuer_key.get(), EVP_get_digestbyname(spec.digest)) > 0);
  return ToDer<const X509>(made.get(), i2d_X509);
}

OpenSslPtr<X509> Parse(const std::string& der) {
  const unsigned char* at = AsUnsigned(std::string_view(der));
  OpenSslPtr<X509> certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  CREDENCE_CHECK(certificate != nullptr);
  return certificate;
}

PrivateKey Generated(KeyType type) {
  auto key = PrivateKey::Generate(type);
  CREDENCE_CHECK(key.ok());
  return *std::move(key);
}

PrivateKey Adopt(EVP_PKEY* raw) {
  const OpenSslPtr<EVP_PKEY> key(raw);
  const OpenSslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  CREDENCE_CHECK(key != nullptr && PEM_write_bio_PKCS8PrivateKey(
                                       bio.get(), raw, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* data = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &data));
  auto adopted = PrivateKey::FromPem(SecretBytes::CopyOf(std::string_view(data, size)));
  CREDENCE_CHECK(adopted.ok());
  return *std::move(adopted);
}

/// DER of an ECDSA signature to r and s side by side, each `bytes` long.
std::string RawEcdsa(const std::string& der, int bytes) {
  const unsigned char* at = AsUnsigned(std::string_view(der));
  const OpenSslPtr<ECDSA_SIG> pair(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  CREDENCE_CHECK(pair != nullptr);
  std::string raw(2 * static_cast<std::size_t>(bytes), '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), AsUnsigned(raw), bytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), AsUnsigned(raw) + bytes, bytes);
  return raw;
}

}  // namespace

CertificateSpec CertificateSpec::Leaf(std::string_view uri) {
  CertificateSpec spec;
  spec.common_name = "workload";
  spec.subject_alt_name = fmt::format("URI:{}", uri);
  return spec;
}

CertificateSpec CertificateSpec::Ca(std::string_view name, std::string_view uri) {
  CertificateSpec spec;
  spec.common_name = name;
  spec.basic_constraints = "critical,CA:TRUE";
  spec.key_usage = "critical,keyCertSign,cRLSign";
  spec.extended_key_usage = "";
  spec.subject_alt_name = uri.empty() ? "" : fmt::format("URI:{}", uri);
  return spec;
}

TestAuthority TestAuthority::Root(CertificateSpec spec) {
  PrivateKey key = Generated(KeyType::kEcP256);
  std::string certificate = Make(key, spec, key, nullptr);
  return TestAuthority(std::move(key), std::move(certificate));
}

std::string TestAuthority::Issue(const PrivateKey& key, const CertificateSpec& spec) const {
  const OpenSslPtr<X509> issuer = Parse(certificate_);
  return Make(key, spec, key_, issuer.get());
}

TestAuthority TestAuthority::Sub(const CertificateSpec& spec) const {
  PrivateKey key = Generated(KeyType::kEcP256);
  std::string certificate = Issue(key, spec);
  return TestAuthority(std::move(key), std::move(certificate));
}

const PrivateKey& TestKey(KeyType type) {
  static const PrivateKey p256 = Generated(KeyType::kEcP256);
  static const PrivateKey p384 = Generated(KeyType::kEcP384);
  static const PrivateKey rsa = Generated(KeyType::kRsa2048);
  switch (type) {
    case KeyType::kEcP256:
      return p256;
    case KeyType::kEcP384:
      return p384;
    case KeyType::kRsa2048:
      return rsa;
  }
  return p256;
}

const PrivateKey& TestKeyP521() {
  static const PrivateKey key = Adopt(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-521"));
  return key;
}

PrivateKey MakeTestRsaKey(int bits) {
  return Adopt(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(bits)));
}

std::string SignTestJws(const PrivateKey& key,
                        std::string_view algorithm,
                        std::string_view header,
                        std::string_view payload) {
  const std::string text = Base64UrlEncode(header) + "." + Base64UrlEncode(payload);
  const std::string digest = fmt::format("SHA{}", algorithm.substr(2));
  const OpenSslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  CREDENCE_CHECK(
      EVP_DigestSignInit_ex(
          context.get(), &key_context, digest.c_str(), nullptr, nullptr, key.get(), nullptr) == 1);
  if (algorithm.starts_with("PS")) {
    CREDENCE_CHECK(EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1 &&
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) == 1);
  }
  std::string signature(1024, '\0');
  std::size_t size = signature.size();
  CREDENCE_CHECK(EVP_DigestSign(context.get(),
                                AsUnsigned(signature),
                                &size,
                                AsUnsigned(std::string_view(text)),
                                text.size()) == 1);
  signature.resize(size);
  if (algorithm.starts_with("ES")) {
    signature = RawEcdsa(signature, (EVP_PKEY_get_bits(key.get()) + 7) / 8);
  }
  return text + "." + Base64UrlEncode(signature);
}

}  // namespace credence
