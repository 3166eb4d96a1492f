#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/crypto/private_key.h"

struct x509_st;

namespace credence {

/// What a certificate says, but for its public key and its issuer. The serial number is 128 random
/// bits, positive.
struct CertificateContent {
  /// O=SPIRE, C=US always; CN too where this is not empty. At most 64 bytes (RFC 5280 appendix A).
  std::string common_name;
  /// ASCII without blanks, as the DNS names; at most 2048 bytes each.
  std::string uri;
  std::vector<std::string> dns_names;
  WallTime not_before;
  /// Not before `not_before`.
  WallTime not_after;
  /// CA: basicConstraints critical with cA and no path below another CA when `may_issue_cas` is
  /// false (pathlen 0); keyCertSign and cRLSign. Leaf: digitalSignature, keyEncipherment and
  /// keyAgreement; serverAuth and clientAuth.
  bool is_ca = false;
  bool may_issue_cas = false;
};

struct IssuedCertificate {
  std::string der;
  /// Decimal.
  std::string serial;
};

/// A CA: its key and what its certificate says, read once, because OpenSSL 3.0 takes five times as
/// long to read a certificate as to sign one. Cheap to copy (shared, immutable). Threads: any.
class CertificateIssuer {
 public:
  /// Errors: kInvalidArgument for a certificate (DER) that is damaged, no CA, without subject key
  /// identifier, or not one of `key`.
  static Result<CertificateIssuer> Create(PrivateKey key, std::string_view certificate);

  /// As IssueCertificate. Blocks for 50 us (EC) to 5 ms (RSA).
  Result<IssuedCertificate> Issue(const CertificateContent& content,
                                  std::string_view public_key) const;

 private:
  CertificateIssuer(PrivateKey key, std::shared_ptr<x509_st> certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}

  PrivateKey key_;
  std::shared_ptr<x509_st> certificate_;
};

/// A certificate (DER) for `public_key` (DER SubjectPublicKeyInfo), signed by `issuer_key` with
/// SHA-256 (SHA-384 for P-384); `issuer_certificate` (DER) gives the issuer's name and key
/// identifier, "" signs for oneself. Subject and authority key identifiers are set. Blocks for 300
/// us to 5 ms: whoever signs many uses a CertificateIssuer. Threads: any. Errors: kInvalidArgument
/// for a damaged key or issuer, content out of bounds, or a public key that is neither RSA of 2048
/// to 8192 bits nor an uncompressed point on P-256, P-384 or P-521; kInternal. Source: RFC 5280
/// section 4; X509-SVID sections 2 to 4.
Result<std::string> IssueCertificate(const CertificateContent& content,
                                     std::string_view public_key,
                                     const PrivateKey& issuer_key,
                                     std::string_view issuer_certificate);

/// What a request for a certificate asks for.
struct CertificateRequest {
  /// DER SubjectPublicKeyInfo.
  std::string public_key;
  /// URI SANs, as they stand there.
  std::vector<std::string> uris;
  std::vector<std::string> dns_names;
};

/// Reads a PKCS#10 request (DER, at most 16 KiB) that is signed by its own key, one that
/// IssueCertificate takes. Blocks for 400 us. Threads: any. Errors: kInvalidArgument. Source: RFC
/// 2986.
Result<CertificateRequest> ParseCertificateRequest(std::string_view der);

/// The serial number of a certificate (DER) in decimal, as SPIRE's API has it, and its validity.
struct CertificateFacts {
  std::string serial;
  WallTime not_before;
  WallTime not_after;
};
/// Errors: kInvalidArgument.
Result<CertificateFacts> FactsOfCertificate(std::string_view der);

}  // namespace credence
