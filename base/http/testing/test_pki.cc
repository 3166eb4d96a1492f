#include "base/http/testing/test_pki.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/core/check.h"

namespace credence {
namespace {

struct Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;

constexpr long kOneHour = 3600;

Key NewKey() {
  Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  CREDENCE_CHECK(key != nullptr);
  return key;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  CREDENCE_CHECK(extension != nullptr);
  CREDENCE_CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
}

Certificate NewCertificate(const std::string& common_name, EVP_PKEY* key, X509* issuer) {
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  static long serial = 1;
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kOneHour);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kOneHour);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const auto* text =
      static_cast<const unsigned char*>(static_cast<const void*>(common_name.data()));
  X509_NAME_add_entry_by_NID(
      subject, NID_commonName, MBSTRING_UTF8, text, static_cast<int>(common_name.size()), -1, 0);
  X509_set_issuer_name(certificate.get(),
                       issuer == nullptr ? subject : X509_get_subject_name(issuer));
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

std::string ToPem(X509* certificate) {
  const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  CREDENCE_CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
  std::string pem(BIO_pending(bio.get()) > 0 ? static_cast<std::size_t>(BIO_pending(bio.get())) : 0,
                  '\0');
  BIO_read(bio.get(), pem.data(), static_cast<int>(pem.size()));
  return pem;
}

}  // namespace

struct TestCa::Keys {
  Key key;
  Certificate certificate;
};

TestCa::TestCa(const std::string& common_name) : keys_(std::make_unique<Keys>()) {
  keys_->key = NewKey();
  keys_->certificate = NewCertificate(common_name, keys_->key.get(), nullptr);
  X509* certificate = keys_->certificate.get();
  AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  CREDENCE_CHECK(X509_sign(certificate, keys_->key.get(), EVP_sha256()) > 0);
  pem_ = ToPem(certificate);
}

TestCa::~TestCa() = default;

std::shared_ptr<boost::asio::ssl::context> TestCa::Issue(const std::string& alt_name) const {
  const Key key = NewKey();
  const Certificate leaf = NewCertificate("test server", key.get(), keys_->certificate.get());
  AddExtension(leaf.get(), keys_->certificate.get(), NID_subject_alt_name, alt_name);
  AddExtension(leaf.get(), keys_->certificate.get(), NID_ext_key_usage, "serverAuth");
  CREDENCE_CHECK(X509_sign(leaf.get(), keys_->key.get(), EVP_sha256()) > 0);
  auto context = std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
  CREDENCE_CHECK(SSL_CTX_use_certificate(context->native_handle(), leaf.get()) == 1);
  CREDENCE_CHECK(SSL_CTX_use_PrivateKey(context->native_handle(), key.get()) == 1);
  return context;
}

}  // namespace credence
