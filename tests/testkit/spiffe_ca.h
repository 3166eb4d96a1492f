#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto/openssl.h"
#include "base/crypto/private_key.h"

namespace credence::testkit {

/// What to put into a leaf certificate; the defaults make a valid X509-SVID.
struct LeafOptions {
  /// URI SANs, one after the other.
  std::vector<std::string> uris;
  /// From now; negative for the past.
  std::chrono::seconds starts{-10};
  std::chrono::seconds ends{3600};
  /// Breaks the rules for leaves.
  bool is_ca = false;
};

/// A certificate chain with its key.
struct IssuedIdentity {
  /// DER, leaf first.
  std::vector<std::string> certificates;
  PrivateKey key;
};

/// A certificate authority of one trust domain, made on the spot. Ends the test program when
/// OpenSSL fails.
class SpiffeCa {
 public:
  explicit SpiffeCa(std::string_view trust_domain);

  /// DER.
  const std::string& certificate() const { return certificate_; }
  std::string CertificatePem() const;

  /// A leaf for `public_key` (DER SubjectPublicKeyInfo) in DER.
  std::string Sign(std::string_view public_key, const LeafOptions& options) const;
  /// The same for a new P-256 key.
  IssuedIdentity Issue(const LeafOptions& options) const;

 private:
  PrivateKey key_;
  std::string certificate_;
};

/// The public key (DER SubjectPublicKeyInfo) of a PKCS#10 request in DER; "" for one that is
/// damaged or not signed by its own key.
std::string PublicKeyOfCsr(std::string_view csr);

}  // namespace credence::testkit
