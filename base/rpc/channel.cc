#include "base/rpc/channel.h"

#include <utility>

#include <grpc/grpc_security.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/channel_arguments.h>

#include "base/core/secret_bytes.h"
#include "base/crypto/certificate.h"
#include "base/rpc/spiffe_verifier.h"

namespace credence {
namespace {

using grpc::experimental::IdentityKeyCertPair;
using grpc::experimental::StaticDataCertificateProvider;
using grpc::experimental::TlsChannelCredentialsOptions;

grpc::ChannelArguments CommonArguments() {
  grpc::ChannelArguments arguments;
  // Connections are never shared between channels: each stands for one identity.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Neither DNS records nor the environment may say where a call goes.
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // The callers wait between tries; a server that is back is to be found by their next one.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  return arguments;
}

/// Key and chain as gRPC wants them. Its copies live with the channel; ours are wiped.
class IdentityPem {
 public:
  explicit IdentityPem(const std::optional<RpcIdentity>& identity) {
    if (identity.has_value()) {
      IdentityKeyCertPair pair;
      pair.certificate_chain = CertificatesToPem(identity->certificates);
      pair.private_key = identity->key.ToPkcs8Pem().Reveal();
      pairs_.push_back(std::move(pair));
    }
  }
  ~IdentityPem() {
    for (auto& pair : pairs_) {
      WipeString(pair.private_key);
    }
  }
  IdentityPem(const IdentityPem&) = delete;
  IdentityPem& operator=(const IdentityPem&) = delete;

  const std::vector<IdentityKeyCertPair>& pairs() const { return pairs_; }

 private:
  std::vector<IdentityKeyCertPair> pairs_;
};

Result<void> CheckTarget(const TlsTarget& target) {
  const auto* trust = std::get_if<TrustAuthorities>(&target.trust);
  if (trust != nullptr && trust->x509_authorities.empty()) {
    return Error(Code::kInvalidArgument, "no X.509 authorities to trust the server by");
  }
  if (target.identity.has_value() && target.identity->certificates.empty()) {
    return Error(Code::kInvalidArgument, "an identity without certificates");
  }
  return Ok();
}

}  // namespace

Result<SharedRpcChannel> MakeTlsChannel(TlsTarget target) {
  if (auto checked = CheckTarget(target); !checked.ok()) {
    return std::move(checked).error();
  }
  const auto* trust = std::get_if<TrustAuthorities>(&target.trust);
  const std::string roots =
      trust != nullptr ? CertificatesToPem(trust->x509_authorities) : std::string();
  const IdentityPem identity(target.identity);

  TlsChannelCredentialsOptions options;
  if (trust != nullptr || target.identity.has_value()) {
    options.set_certificate_provider(
        std::make_shared<StaticDataCertificateProvider>(roots, identity.pairs()));
  }
  if (trust != nullptr) {
    options.watch_root_certs();
  } else {
    options.set_verify_server_certs(false);
  }
  if (target.identity.has_value()) {
    options.watch_identity_key_cert_pairs();
  }
  options.set_certificate_verifier(
      grpc::experimental::ExternalCertificateVerifier::Create<SpiffeVerifier>(target.server_id));
  // SPIFFE names servers by URI, not by host; gRPC's host check would refuse every call.
  options.set_check_call_host(false);

  auto arguments = CommonArguments();
  arguments.SetLoadBalancingPolicyName("round_robin");
  return grpc::CreateCustomChannel(
      "dns:///" + target.address, grpc::experimental::TlsCredentials(options), arguments);
}

Result<SharedRpcChannel> MakeUnixChannel(const std::string& path) {
  if (path.empty() || path.front() != '/') {
    return Error(Code::kInvalidArgument, "a socket needs an absolute path, not '" + path + "'");
  }
  return grpc::CreateCustomChannel(
      "unix:" + path, grpc::InsecureChannelCredentials(), CommonArguments());
}

}  // namespace credence
