#pragma once

#include <string>

#include "base/core/result.h"
#include "base/crypto/digest.h"
#include "base/crypto/private_key.h"

/// Signatures over a digest that the caller has already computed, as proof of possession of a key
/// asks for them. They block for 30 us to 5 ms: run them on a pool. Threads: any.
namespace credence {

enum class KeyAlgorithm { kRsa, kEc };

KeyAlgorithm AlgorithmOf(const PrivateKey& key);

/// RSASSA-PSS with `digest` as the already computed SHA-256 hash, MGF1 with SHA-256 and a salt of
/// 32 bytes. As long as the modulus. Errors: kInvalidArgument if `key` is no RSA key; kInternal.
/// Source: RFC 8017 section 8.1.
Result<std::string> SignRsaPss(const PrivateKey& key, const Sha256Digest& digest);

/// The two numbers of an ECDSA signature, unsigned and big-endian without leading zero bytes.
struct EcdsaSignature {
  std::string r;
  std::string s;
};

/// Signs `digest` itself. Errors: kInvalidArgument if `key` is no EC key; kInternal.
Result<EcdsaSignature> SignEcdsa(const PrivateKey& key, const Sha256Digest& digest);

}  // namespace credence
