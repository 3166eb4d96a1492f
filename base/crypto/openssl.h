#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/core/result.h"

/// What every user of OpenSSL here needs: owners for its objects and a way to say why a call
/// failed. Only .cc files and headers that hand out OpenSSL's own objects include this.
namespace credence {

/// Frees an object of OpenSSL with the function made for its type.
struct OpenSslDeleter {
  void operator()(ASN1_STRING* object) const { ASN1_STRING_free(object); }
  void operator()(BIGNUM* object) const { BN_clear_free(object); }
  void operator()(BIO* object) const { BIO_free_all(object); }
  void operator()(ECDSA_SIG* object) const { ECDSA_SIG_free(object); }
  void operator()(EVP_ENCODE_CTX* object) const { EVP_ENCODE_CTX_free(object); }
  void operator()(EVP_MD_CTX* object) const { EVP_MD_CTX_free(object); }
  void operator()(EVP_PKEY* object) const { EVP_PKEY_free(object); }
  void operator()(EVP_PKEY_CTX* object) const { EVP_PKEY_CTX_free(object); }
  void operator()(GENERAL_NAME* object) const { GENERAL_NAME_free(object); }
  void operator()(GENERAL_NAMES* object) const { GENERAL_NAMES_free(object); }
  void operator()(PKCS8_PRIV_KEY_INFO* object) const { PKCS8_PRIV_KEY_INFO_free(object); }
  void operator()(STACK_OF(X509) * object) const { sk_X509_pop_free(object, X509_free); }
  void operator()(STACK_OF(X509_EXTENSION) * object) const {
    sk_X509_EXTENSION_pop_free(object, X509_EXTENSION_free);
  }
  void operator()(X509* object) const { X509_free(object); }
  void operator()(X509_EXTENSION* object) const { X509_EXTENSION_free(object); }
  void operator()(X509_REQ* object) const { X509_REQ_free(object); }
  void operator()(X509_STORE* object) const { X509_STORE_free(object); }
  void operator()(X509_STORE_CTX* object) const { X509_STORE_CTX_free(object); }
};

template <class T>
using OpenSslPtr = std::unique_ptr<T, OpenSslDeleter>;

/// The newest reason on this thread's OpenSSL error queue in lower-case words ("" when there is
/// none); empties the queue. Never holds input or key bytes.
std::string TakeOpenSslReason();

/// "what: reason" with `code`; empties the queue.
Error OpenSslError(Code code, std::string_view what);

/// Bytes as OpenSSL wants them.
inline const unsigned char* AsUnsigned(std::string_view bytes) {
  return static_cast<const unsigned char*>(static_cast<const void*>(bytes.data()));
}
inline unsigned char* AsUnsigned(std::string& bytes) {
  return static_cast<unsigned char*>(static_cast<void*>(bytes.data()));
}

/// A reading BIO over `bytes`, which it does not copy. nullptr when too long or out of memory.
OpenSslPtr<BIO> ReadOnlyBio(std::string_view bytes);

/// What an i2d function writes for `object`; "" if it fails.
template <class T>
std::string ToDer(T* object, int (*encode)(T*, unsigned char**)) {
  const int size = encode(object, nullptr);
  if (size <= 0) {
    return "";
  }
  std::string der(static_cast<std::size_t>(size), '\0');
  unsigned char* out = AsUnsigned(der);
  return encode(object, &out) == size ? der : "";
}

}  // namespace credence
