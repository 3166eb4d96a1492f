#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/support/status.h>

#include "tests/testkit/spiffe_ca.h"

#include "spire/api/types/types.pb.h"

namespace credence::testkit {

struct FakeSpireState;

/// How a FakeSpireServer answers; may be changed while it runs.
struct SpireBehaviour {
  /// The join token that works, once; "" for none left.
  std::string join_token = "9f9f62c2-3c2d-4d4a-8d3a-1f8f3e4a5b6c";
  /// PEM of the certificate an x509pop agent has to prove; "" when that attestor is not configured.
  std::string x509pop_certificate;
  bool reattestable = false;
  std::chrono::seconds agent_svid_life{3600};
  /// How old an agent's SVID is when it is issued.
  std::chrono::seconds agent_svid_age{0};
  std::chrono::seconds workload_svid_life{3600};
  /// What the server answers instead of doing the thing.
  grpc::Status attest_status;
  grpc::Status bundle_status;
  grpc::Status sign_status;
  /// With this, every call made with an agent's certificate is PERMISSION_DENIED with that detail.
  std::optional<spire::api::types::PermissionDeniedDetails::Reason> refuse;
  std::vector<spire::api::types::Entry> entries;
  std::size_t page_size = 500;
  /// Federated bundles by trust domain name.
  std::vector<spire::api::types::Bundle> federated;
  std::uint64_t bundle_sequence = 1;
  /// More DER certificates for the own bundle.
  std::vector<std::string> more_authorities;
};

/// What came in so far.
struct SpireCounts {
  int attestations = 0;
  int renewals = 0;
  int syncs = 0;
  int entries_sent = 0;
  int signatures = 0;
  int tokens = 0;
  int posts = 0;
};

/// A SPIRE server as an agent sees it: the real services over real TLS with SPIFFE certificates,
/// entries and keys in memory. Threads: gRPC's own for the services; the methods here from
/// anywhere.
class FakeSpireServer {
 public:
  struct Options {
    std::string trust_domain = "example.org";
    /// The URI SANs of its certificate; empty for the right one.
    std::vector<std::string> server_uris;
  };

  FakeSpireServer();
  explicit FakeSpireServer(Options options);
  ~FakeSpireServer();
  FakeSpireServer(const FakeSpireServer&) = delete;
  FakeSpireServer& operator=(const FakeSpireServer&) = delete;

  /// On 127.0.0.1; stays the same over Stop and Start.
  std::uint16_t port() const;
  const SpiffeCa& ca() const;
  void Stop();
  void Start();

  void Change(const std::function<void(SpireBehaviour&)>& change);
  SpireCounts counts() const;

 private:
  struct Running;

  const std::unique_ptr<FakeSpireState> state_;
  std::unique_ptr<Running> running_;
};

/// A registration entry as the server sends it, with one selector "unix:uid:<number>".
spire::api::types::Entry MakeEntry(int number);

}  // namespace credence::testkit
