#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "tests/testkit/fake_spire_server.h"
#include "tests/testkit/spiffe_ca.h"

#include "spire/api/server/agent/v1/agent.grpc.pb.h"
#include "spire/api/server/bundle/v1/bundle.grpc.pb.h"
#include "spire/api/server/entry/v1/entry.grpc.pb.h"
#include "spire/api/server/svid/v1/svid.grpc.pb.h"

namespace credence::testkit {

/// What the services of one FakeSpireServer share. gRPC calls them from threads of its own.
struct FakeSpireState {
  explicit FakeSpireState(std::string domain) : trust_domain(std::move(domain)), ca(trust_domain) {}

  SpireBehaviour Now() const {
    const std::lock_guard lock(mutex);
    return behaviour;
  }
  template <class Change>
  void Count(Change change) {
    const std::lock_guard lock(mutex);
    change(counts);
  }

  const std::string trust_domain;
  const SpiffeCa ca;
  std::vector<std::string> server_uris;
  std::uint16_t port = 0;
  mutable std::mutex mutex;
  SpireBehaviour behaviour;
  SpireCounts counts;
};

class FakeAgentService final : public spire::api::server::agent::v1::Agent::Service {
 public:
  explicit FakeAgentService(FakeSpireState& state) : state_(state) {}

  using AttestStream = grpc::ServerReaderWriter<spire::api::server::agent::v1::AttestAgentResponse,
                                                spire::api::server::agent::v1::AttestAgentRequest>;
  grpc::Status AttestAgent(grpc::ServerContext* context, AttestStream* stream) override;
  grpc::Status RenewAgent(grpc::ServerContext* context,
                          const spire::api::server::agent::v1::RenewAgentRequest* request,
                          spire::api::server::agent::v1::RenewAgentResponse* response) override;
  grpc::Status PostStatus(grpc::ServerContext* context,
                          const spire::api::server::agent::v1::PostStatusRequest* request,
                          spire::api::server::agent::v1::PostStatusResponse* response) override;

 private:
  grpc::Status TakeJoinToken(const std::string& token);
  grpc::Status Issue(const std::string& csr,
                     const std::string& path,
                     spire::api::types::X509SVID* svid);

  FakeSpireState& state_;
};

class FakeEntryService final : public spire::api::server::entry::v1::Entry::Service {
 public:
  explicit FakeEntryService(FakeSpireState& state) : state_(state) {}

  using SyncStream =
      grpc::ServerReaderWriter<spire::api::server::entry::v1::SyncAuthorizedEntriesResponse,
                               spire::api::server::entry::v1::SyncAuthorizedEntriesRequest>;
  grpc::Status SyncAuthorizedEntries(grpc::ServerContext* context, SyncStream* stream) override;

 private:
  void AnswerIds(const SpireBehaviour& behaviour, SyncStream* stream);

  FakeSpireState& state_;
};

class FakeSvidService final : public spire::api::server::svid::v1::SVID::Service {
 public:
  explicit FakeSvidService(FakeSpireState& state) : state_(state) {}

  grpc::Status BatchNewX509SVID(
      grpc::ServerContext* context,
      const spire::api::server::svid::v1::BatchNewX509SVIDRequest* request,
      spire::api::server::svid::v1::BatchNewX509SVIDResponse* response) override;
  grpc::Status NewJWTSVID(grpc::ServerContext* context,
                          const spire::api::server::svid::v1::NewJWTSVIDRequest* request,
                          spire::api::server::svid::v1::NewJWTSVIDResponse* response) override;

 private:
  FakeSpireState& state_;
};

class FakeBundleService final : public spire::api::server::bundle::v1::Bundle::Service {
 public:
  explicit FakeBundleService(FakeSpireState& state) : state_(state) {}

  grpc::Status GetBundle(grpc::ServerContext* context,
                         const spire::api::server::bundle::v1::GetBundleRequest* request,
                         spire::api::types::Bundle* response) override;
  grpc::Status GetFederatedBundle(
      grpc::ServerContext* context,
      const spire::api::server::bundle::v1::GetFederatedBundleRequest* request,
      spire::api::types::Bundle* response) override;

 private:
  FakeSpireState& state_;
};

}  // namespace credence::testkit
