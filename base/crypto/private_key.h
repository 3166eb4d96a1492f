#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/core/secret_bytes.h"

struct evp_pkey_st;

namespace credence {

enum class KeyType { kEcP256, kEcP384, kRsa2048 };

/// "ec-p256", "ec-p384", "rsa-2048": SPIRE's configuration words.
Result<KeyType> ParseKeyType(std::string_view text);

/// A private key held by OpenSSL. Cheap to copy (shared, immutable). Signing and making one block
/// for 30 us to 100 ms (RSA): run them on a pool. Threads: any.
class PrivateKey {
 public:
  static Result<PrivateKey> Generate(KeyType type);
  /// From PKCS#8 DER. Errors: kInvalidArgument.
  static Result<PrivateKey> FromPkcs8(const SecretBytes& der);
  /// From PEM: PKCS#8, or traditional EC or RSA; not encrypted. Errors: kInvalidArgument.
  static Result<PrivateKey> FromPem(const SecretBytes& pem);

  SecretBytes ToPkcs8() const;
  SecretBytes ToPkcs8Pem() const;
  /// DER SubjectPublicKeyInfo.
  std::string PublicKey() const;

  evp_pkey_st* get() const { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

/// PKCS#10 DER signed by `key` with SHA-256 (SHA-384 for P-384), subject C=US, O=SPIRE, and
/// `uri_san` as the one URI SAN unless it is empty. Source: RFC 2986; what a SPIRE server reads of
/// it is the key.
Result<std::string> MakeCsr(const PrivateKey& key, std::string_view uri_san);

}  // namespace credence
