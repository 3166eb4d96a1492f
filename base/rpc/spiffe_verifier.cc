#include "base/rpc/spiffe_verifier.h"

#include <utility>

#include <fmt/format.h>

#include "base/core/clock.h"
#include "base/svid/x509_svid.h"

namespace credence {

Result<void> CheckServerCertificate(const std::vector<std::string>& chain,
                                    const SpiffeId& expected,
                                    const RpcTrust& trust) {
  auto parsed = ParseX509SvidChain(chain);
  if (!parsed.ok()) {
    return Error(Code::kUnauthenticated, "server certificate: " + parsed.error().message());
  }
  // Not quoted: the text comes from whoever answered.
  if (parsed->id != expected) {
    return Error(Code::kUnauthenticated,
                 fmt::format("the server's certificate is not that of {}", expected.text()));
  }
  const auto* authorities = std::get_if<TrustAuthorities>(&trust);
  if (authorities == nullptr) {
    return Ok();
  }
  const auto verified = VerifyX509Svid(*parsed, authorities->x509_authorities, SystemClock().Now());
  if (!verified.ok()) {
    return Error(Code::kUnauthenticated,
                 "certificate verify failed: " + verified.error().message());
  }
  return Ok();
}

}  // namespace credence
