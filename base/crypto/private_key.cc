#include "base/crypto/private_key.h"

#include <cstring>

#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/crypto/openssl.h"

namespace credence {
namespace {

/// Never asks anyone for a passphrase: an encrypted key fails.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) {
  return -1;
}

OpenSslPtr<BIO> SecureBio() {
  OpenSslPtr<BIO> bio(BIO_new(BIO_s_secmem()));
  CREDENCE_CHECK(bio != nullptr);
  return bio;
}

SecretBytes TakeContent(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  CREDENCE_CHECK(size > 0);
  return SecretBytes::CopyOf(std::string_view(data, static_cast<std::size_t>(size)));
}

/// Shares ownership of a key that is RSA or EC; other kinds have no use here.
Result<std::shared_ptr<EVP_PKEY>> Accept(OpenSslPtr<EVP_PKEY> key) {
  if (key == nullptr) {
    return OpenSslError(Code::kInvalidArgument, "not an unencrypted private key");
  }
  const int type = EVP_PKEY_get_base_id(key.get());
  if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC) {
    return Error(Code::kInvalidArgument, "the private key is neither an RSA nor an EC key");
  }
  return std::shared_ptr<EVP_PKEY>(std::move(key));
}

bool AddSubject(X509_REQ* request) {
  X509_NAME* subject = X509_REQ_get_subject_name(request);
  const auto add = [subject](const char* field, std::string_view value) {
    return X509_NAME_add_entry_by_txt(subject,
                                      field,
                                      MBSTRING_ASC,
                                      AsUnsigned(value),
                                      static_cast<int>(value.size()),
                                      -1,
                                      0) == 1;
  };
  return add("C", "US") && add("O", "SPIRE");
}

bool AddUriSan(X509_REQ* request, std::string_view uri) {
  OpenSslPtr<GENERAL_NAME> name(GENERAL_NAME_new());
  OpenSslPtr<ASN1_STRING> text(ASN1_IA5STRING_new());
  if (name == nullptr || text == nullptr ||
      ASN1_STRING_set(text.get(), uri.data(), static_cast<int>(uri.size())) != 1) {
    return false;
  }
  GENERAL_NAME_set0_value(name.get(), GEN_URI, text.release());
  OpenSslPtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  if (names == nullptr || sk_GENERAL_NAME_push(names.get(), name.get()) <= 0) {
    return false;
  }
  (void)name.release();
  OpenSslPtr<X509_EXTENSION> extension(X509V3_EXT_i2d(NID_subject_alt_name, 0, names.get()));
  OpenSslPtr<STACK_OF(X509_EXTENSION)> extensions(sk_X509_EXTENSION_new_null());
  if (extension == nullptr || extensions == nullptr ||
      sk_X509_EXTENSION_push(extensions.get(), extension.get()) <= 0) {
    return false;
  }
  (void)extension.release();
  return X509_REQ_add_extensions(request, extensions.get()) == 1;
}

/// SHA-384 goes with P-384, SHA-256 with everything else.
const EVP_MD* CsrDigest(const EVP_PKEY* key) {
  const bool is_p384 = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_bits(key) == 384;
  return is_p384 ? EVP_sha384() : EVP_sha256();
}

}  // namespace

Result<KeyType> ParseKeyType(std::string_view text) {
  if (text == "ec-p256") {
    return KeyType::kEcP256;
  }
  if (text == "ec-p384") {
    return KeyType::kEcP384;
  }
  if (text == "rsa-2048") {
    return KeyType::kRsa2048;
  }
  return Error(
      Code::kInvalidArgument,
      fmt::format("\"{}\" is not a key type: expected ec-p256, ec-p384 or rsa-2048", text));
}

Result<PrivateKey> PrivateKey::Generate(KeyType type) {
  OpenSslPtr<EVP_PKEY> key;
  switch (type) {
    case KeyType::kEcP256:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
      break;
    case KeyType::kEcP384:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
      break;
    case KeyType::kRsa2048:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}));
      break;
  }
  if (key == nullptr) {
    return OpenSslError(Code::kInternal, "generate a private key");
  }
  return PrivateKey(std::shared_ptr<EVP_PKEY>(std::move(key)));
}

Result<PrivateKey> PrivateKey::FromPkcs8(const SecretBytes& der) {
  const unsigned char* at = der.data();
  const unsigned char* end = at + der.size();
  OpenSslPtr<PKCS8_PRIV_KEY_INFO> info(
      der.empty() ? nullptr : d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(der.size())));
  if (info == nullptr || at != end) {
    return OpenSslError(Code::kInvalidArgument, "not a PKCS#8 private key");
  }
  auto key = Accept(OpenSslPtr<EVP_PKEY>(EVP_PKCS82PKEY(info.get())));
  if (!key.ok()) {
    return std::move(key).error();
  }
  return PrivateKey(*std::move(key));
}

Result<PrivateKey> PrivateKey::FromPem(const SecretBytes& pem) {
  const OpenSslPtr<BIO> bio = ReadOnlyBio(pem.Reveal());
  if (pem.empty() || bio == nullptr) {
    return Error(Code::kInvalidArgument,
                 "not an unencrypted private key: the text is empty or too long");
  }
  auto key = Accept(
      OpenSslPtr<EVP_PKEY>(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr)));
  if (!key.ok()) {
    return std::move(key).error();
  }
  // The decoder may leave reasons of formats it tried in vain.
  (void)TakeOpenSslReason();
  return PrivateKey(*std::move(key));
}

SecretBytes PrivateKey::ToPkcs8() const {
  const OpenSslPtr<BIO> bio = SecureBio();
  CREDENCE_CHECK(
      i2d_PKCS8PrivateKey_bio(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return TakeContent(bio.get());
}

SecretBytes PrivateKey::ToPkcs8Pem() const {
  const OpenSslPtr<BIO> bio = SecureBio();
  CREDENCE_CHECK(PEM_write_bio_PKCS8PrivateKey(
                     bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return TakeContent(bio.get());
}

std::string PrivateKey::PublicKey() const {
  std::string der = ToDer<const EVP_PKEY>(key_.get(), i2d_PUBKEY);
  CREDENCE_CHECK(!der.empty());
  return der;
}

Result<std::string> MakeCsr(const PrivateKey& key, std::string_view uri_san) {
  constexpr std::size_t kMaxUri = 2048;
  if (uri_san.size() > kMaxUri) {
    return Error(Code::kInvalidArgument,
                 "the URI of a certificate request is longer than 2048 bytes");
  }
  const OpenSslPtr<X509_REQ> request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !AddSubject(request.get()) || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      (!uri_san.empty() && !AddUriSan(request.get(), uri_san)) ||
      X509_REQ_sign(request.get(), key.get(), CsrDigest(key.get())) <= 0) {
    return OpenSslError(Code::kInternal, "make a certificate request");
  }
  std::string der = ToDer<const X509_REQ>(request.get(), i2d_X509_REQ);
  if (der.empty()) {
    return OpenSslError(Code::kInternal, "encode a certificate request");
  }
  return der;
}

}  // namespace credence
