#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/crypto/openssl.h"

/// X.509 certificates as they travel: DER in strings, PEM in files. Nothing here says that a
/// certificate is to be trusted.
namespace credence {

/// Longest PEM text or chain file that is read, in bytes, and most certificates in one.
inline constexpr std::size_t kMaxPemBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxCertificates = 4096;

/// One certificate; bytes after it are an error. Errors: kInvalidArgument.
Result<OpenSslPtr<X509>> ParseCertificate(std::string_view der);

/// Splits DER certificates that stand one after the other (as in a Workload API message or an SDK's
/// buffer). None at all is an empty list. Each is parsed. Errors: kInvalidArgument.
Result<std::vector<std::string>> SplitCertificates(std::string_view concatenated);

/// The DER of each CERTIFICATE block of a PEM text, in order; text between blocks is passed over.
/// Each is parsed. Errors: kInvalidArgument for a block of another kind, a damaged block, or none
/// at all. Source: RFC 7468 section 5.
Result<std::vector<std::string>> CertificatesFromPem(std::string_view pem);

/// A chain file: CertificatesFromPem of its content.
/// Errors: as ReadFile and CertificatesFromPem, with the path before them.
Result<std::vector<std::string>> ReadCertificateFile(const std::string& path);

/// PEM blocks with lines of 64 characters, in order; "" for an empty list.
std::string CertificateToPem(std::string_view der);
std::string CertificatesToPem(const std::vector<std::string>& certificates);

/// DER SubjectPublicKeyInfo of a certificate. Errors: kInvalidArgument.
Result<std::string> PublicKeyOf(std::string_view certificate);

/// The key of a DER SubjectPublicKeyInfo; bytes after it are an error. Errors: kInvalidArgument.
Result<OpenSslPtr<EVP_PKEY>> ParsePublicKey(std::string_view der);

}  // namespace credence
