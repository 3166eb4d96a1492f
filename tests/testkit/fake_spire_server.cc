#include "tests/testkit/fake_spire_server.h"

#include <fmt/format.h>
#include <grpc/support/time.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "base/core/check.h"
#include "base/crypto/certificate.h"
#include "tests/testkit/fake_spire_services.h"

namespace credence::testkit {

struct FakeSpireServer::Running {
  explicit Running(FakeSpireState& state)
      : agent(state), entry(state), svid(state), bundle(state) {}

  FakeAgentService agent;
  FakeEntryService entry;
  FakeSvidService svid;
  FakeBundleService bundle;
  std::unique_ptr<grpc::Server> server;
};

FakeSpireServer::FakeSpireServer() : FakeSpireServer(Options()) {}

FakeSpireServer::FakeSpireServer(Options options)
    : state_(std::make_unique<FakeSpireState>(std::move(options.trust_domain))) {
  state_->server_uris = std::move(options.server_uris);
  if (state_->server_uris.empty()) {
    state_->server_uris = {fmt::format("spiffe://{}/spire/server", state_->trust_domain)};
  }
  Start();
}

FakeSpireServer::~FakeSpireServer() {
  Stop();
}

std::uint16_t FakeSpireServer::port() const {
  return state_->port;
}
const SpiffeCa& FakeSpireServer::ca() const {
  return state_->ca;
}

void FakeSpireServer::Start() {
  CREDENCE_CHECK(running_ == nullptr);
  running_ = std::make_unique<Running>(*state_);
  LeafOptions leaf;
  leaf.uris = state_->server_uris;
  const auto identity = state_->ca.Issue(leaf);
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = state_->ca.CertificatePem();
  tls.pem_key_cert_pairs.push_back(
      {std::string(identity.key.ToPkcs8Pem().Reveal()), CertificatesToPem(identity.certificates)});

  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(
      fmt::format("127.0.0.1:{}", state_->port), grpc::SslServerCredentials(tls), &port);
  builder.RegisterService(&running_->agent);
  builder.RegisterService(&running_->entry);
  builder.RegisterService(&running_->svid);
  builder.RegisterService(&running_->bundle);
  running_->server = builder.BuildAndStart();
  CREDENCE_CHECK(running_->server != nullptr && port > 0);
  state_->port = static_cast<std::uint16_t>(port);
}

void FakeSpireServer::Stop() {
  if (running_ != nullptr) {
    running_->server->Shutdown(gpr_time_0(GPR_CLOCK_MONOTONIC));
    running_->server->Wait();
    running_.reset();
  }
}

void FakeSpireServer::Change(const std::function<void(SpireBehaviour&)>& change) {
  const std::lock_guard lock(state_->mutex);
  change(state_->behaviour);
}

SpireCounts FakeSpireServer::counts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counts;
}

}  // namespace credence::testkit
