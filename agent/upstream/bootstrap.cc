#include "agent/upstream/bootstrap.h"

#include <utility>
#include <variant>

#include "base/core/file.h"
#include "base/svid/bundle.h"

namespace credence {
namespace {

constexpr std::size_t kMaxBundleBytes = std::size_t{4} << 20;

Result<RpcTrust> TrustInFile(const BundleFile& file, const TrustDomain& trust_domain) {
  const auto content = ReadFile(file.path, kMaxBundleBytes);
  if (!content.ok()) {
    return Error(content.error()).Wrap("trust bundle");
  }
  auto bundle = file.spiffe_format ? ParseSpiffeBundle(trust_domain, *content)
                                   : ParsePemBundle(trust_domain, *content);
  if (!bundle.ok()) {
    return std::move(bundle).error().Wrap("trust bundle " + file.path);
  }
  if (bundle->x509_authorities.empty()) {
    return Error(Code::kInvalidArgument, "trust bundle " + file.path + ": no X.509 authorities");
  }
  return RpcTrust(TrustAuthorities{std::move(bundle->x509_authorities)});
}

}  // namespace

Result<RpcTrust> BootstrapTrust(const BootstrapSource& source, const TrustDomain& trust_domain) {
  if (const auto* file = std::get_if<BundleFile>(&source)) {
    return TrustInFile(*file, trust_domain);
  }
  if (std::holds_alternative<InsecureBootstrap>(source)) {
    return RpcTrust(TrustAnyChain());
  }
  return Error(Code::kFailedPrecondition,
               "no trust bundle is stored and none is configured; set trust_bundle_path or "
               "insecure_bootstrap");
}

}  // namespace credence
