#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <grpcpp/security/tls_certificate_verifier.h>

#include "base/core/result.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// Whether a server's certificate is that of `expected`: exactly one URI SAN, equal to it byte for
/// byte, and a leaf by the X509-SVID rules. The chain is not looked at. Errors: kUnauthenticated
/// saying what was found instead. Source: SPIFFE X509-SVID sections 2, 4 and 5.
Result<void> CheckServerCertificate(const std::vector<std::string>& uri_names,
                                    std::string_view leaf_pem,
                                    const SpiffeId& expected);

/// The same as the last part of a TLS handshake of gRPC's.
class SpiffeVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit SpiffeVerifier(SpiffeId expected) : expected_(std::move(expected)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> callback,
              grpc::Status* sync_status) override;
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  const SpiffeId expected_;
};

}  // namespace credence
