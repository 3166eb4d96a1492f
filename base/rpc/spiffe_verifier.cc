#include "base/rpc/spiffe_verifier.h"

#include <utility>

#include <fmt/format.h>
#include <grpcpp/support/status.h>

#include "base/crypto/certificate.h"
#include "base/svid/x509_svid.h"

namespace credence {
namespace {

std::string_view View(grpc::string_ref text) {
  return {text.data(), text.size()};
}

}  // namespace

Result<void> CheckServerCertificate(const std::vector<std::string>& uri_names,
                                    std::string_view leaf_pem,
                                    const SpiffeId& expected) {
  if (uri_names.size() != 1) {
    return Error(Code::kUnauthenticated,
                 fmt::format("the server's certificate has {} URI SANs; exactly one is wanted",
                             uri_names.size()));
  }
  // Not quoted: the text comes from whoever answered.
  if (uri_names.front() != expected.text()) {
    return Error(Code::kUnauthenticated,
                 fmt::format("the server's certificate is not that of {}", expected.text()));
  }
  auto certificates = CertificatesFromPem(leaf_pem);
  if (!certificates.ok()) {
    return Error(Code::kUnauthenticated, "server certificate: " + certificates.error().message());
  }
  if (auto chain = ParseX509SvidChain(*std::move(certificates)); !chain.ok()) {
    return Error(Code::kUnauthenticated, "server certificate: " + chain.error().message());
  }
  return Ok();
}

bool SpiffeVerifier::Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
                            std::function<void(grpc::Status)> /*callback*/,
                            grpc::Status* sync_status) {
  std::vector<std::string> uri_names;
  for (const auto& name : request->uri_names()) {
    uri_names.emplace_back(View(name));
  }
  const auto checked = CheckServerCertificate(uri_names, View(request->peer_cert()), expected_);
  *sync_status = checked.ok()
                     ? grpc::Status()
                     : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, checked.error().message());
  return true;
}

}  // namespace credence
