#include "base/crypto/signer.h"

#include <openssl/rsa.h>

#include "base/crypto/openssl.h"

namespace credence {
namespace {

/// A signing context for `key`, ready to be configured; nullptr if OpenSSL fails.
OpenSslPtr<EVP_PKEY_CTX> SigningContext(const PrivateKey& key) {
  OpenSslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key.get(), nullptr));
  if (context == nullptr || EVP_PKEY_sign_init(context.get()) != 1) {
    return nullptr;
  }
  return context;
}

/// "" if OpenSSL fails.
std::string Sign(EVP_PKEY_CTX* context, const Sha256Digest& digest) {
  std::size_t size = 0;
  if (EVP_PKEY_sign(context, nullptr, &size, digest.data(), digest.size()) != 1) {
    return "";
  }
  std::string signature(size, '\0');
  if (EVP_PKEY_sign(context, AsUnsigned(signature), &size, digest.data(), digest.size()) != 1) {
    return "";
  }
  signature.resize(size);
  return signature;
}

std::string Unsigned(const BIGNUM* number) {
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, AsUnsigned(bytes));
  return bytes;
}

}  // namespace

KeyAlgorithm AlgorithmOf(const PrivateKey& key) {
  return EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA ? KeyAlgorithm::kRsa : KeyAlgorithm::kEc;
}

Result<std::string> SignRsaPss(const PrivateKey& key, const Sha256Digest& digest) {
  if (AlgorithmOf(key) != KeyAlgorithm::kRsa) {
    return Error(Code::kInvalidArgument, "an RSA signature needs an RSA key");
  }
  const OpenSslPtr<EVP_PKEY_CTX> context = SigningContext(key);
  if (context == nullptr ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) != 1 ||
      EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) != 1 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), EVP_sha256()) != 1 ||
      EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_DIGEST) != 1) {
    return OpenSslError(Code::kInternal, "prepare an RSA signature");
  }
  std::string signature = Sign(context.get(), digest);
  if (signature.empty()) {
    return OpenSslError(Code::kInternal, "make an RSA signature");
  }
  return signature;
}

Result<EcdsaSignature> SignEcdsa(const PrivateKey& key, const Sha256Digest& digest) {
  if (AlgorithmOf(key) != KeyAlgorithm::kEc) {
    return Error(Code::kInvalidArgument, "an ECDSA signature needs an EC key");
  }
  const OpenSslPtr<EVP_PKEY_CTX> context = SigningContext(key);
  const std::string der = context == nullptr ? "" : Sign(context.get(), digest);
  const unsigned char* at = AsUnsigned(std::string_view(der));
  const OpenSslPtr<ECDSA_SIG> signature(
      der.empty() ? nullptr : d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (signature == nullptr) {
    return OpenSslError(Code::kInternal, "make an ECDSA signature");
  }
  return EcdsaSignature{Unsigned(ECDSA_SIG_get0_r(signature.get())),
                        Unsigned(ECDSA_SIG_get0_s(signature.get()))};
}

}  // namespace credence
