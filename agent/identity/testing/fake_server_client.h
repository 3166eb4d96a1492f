#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/upstream/server_client.h"
#include "base/core/clock.h"

namespace credence {

/// An entry of trust domain example.org whose path is its id.
inline RegistrationEntry MakeEntry(const std::string& id, const std::string& selector) {
  return RegistrationEntry{.id = id,
                           .spiffe_id = SpiffeId::Parse("spiffe://example.org/" + id).value(),
                           .selectors = SelectorSet({Selector::Parse(selector).value()}),
                           .revision = 1};
}

/// A server in memory: signs certificates that are labels, counts, refuses and goes away when told
/// to.
class FakeServerClient final : public ServerClient {
 public:
  explicit FakeServerClient(const Clock& clock) : clock_(clock) {}

  Task<Result<EntrySyncResult>> SyncEntries(SharedEntries /*known*/,
                                            Deadline /*deadline*/) override {
    if (away) {
      co_return Error(Code::kUnavailable, "server away");
    }
    EntrySyncResult result;
    result.entries = std::make_shared<const EntryMap>(entries);
    co_return result;
  }

  Task<Result<TrustBundle>> FetchBundle(Deadline /*deadline*/) override {
    TrustBundle bundle{.trust_domain = TrustDomain::Parse("example.org").value(),
                       .x509_authorities = {"root"},
                       .jwt_authorities = {{"k1", "spki"}}};
    co_return bundle;
  }

  Task<Result<std::optional<TrustBundle>>> FetchFederatedBundle(TrustDomain domain,
                                                                Deadline /*deadline*/) override {
    federated_asked.insert(domain.name());
    if (domain.name() == "unknown.org") {
      co_return std::optional<TrustBundle>();
    }
    std::optional<TrustBundle> bundle =
        TrustBundle{.trust_domain = domain, .x509_authorities = {"foreign"}};
    co_return bundle;
  }

  Task<Result<std::vector<SignedX509>>> SignX509(std::vector<X509Request> requests,
                                                 Deadline /*deadline*/) override {
    if (away) {
      co_return Error(Code::kUnavailable, "server away");
    }
    batches.push_back(requests.size());
    std::vector<SignedX509> answers;
    for (const X509Request& request : requests) {
      if (request.entry_id == refused) {
        answers.emplace_back(Error(Code::kNotFound, "no such entry"));
        continue;
      }
      const std::string signed_for = request.entry_id == forged ? "someone-else" : request.entry_id;
      answers.emplace_back(
          X509SvidChain{SpiffeId::Parse("spiffe://example.org/" + signed_for).value(),
                        {"certificate " + std::to_string(++serial)},
                        clock_.Now(),
                        clock_.Now() + std::chrono::hours(1)});
    }
    co_return answers;
  }

  Task<Result<JwtSvid>> NewJwtSvid(std::string entry_id,
                                   std::vector<std::string> audience,
                                   Deadline) override {
    ++jwts;
    const std::string signed_for = entry_id == forged ? "someone-else" : entry_id;
    JwtSvid svid{.id = SpiffeId::Parse("spiffe://example.org/" + signed_for).value(),
                 .audience = std::move(audience),
                 .issued_at = clock_.Now(),
                 .expires_at = clock_.Now() + std::chrono::minutes(5),
                 .key_id = "k1",
                 .algorithm = "RS256",
                 .issuer = "",
                 .jti = "",
                 .token = std::make_shared<const SecretBytes>(SecretBytes::CopyOf("t"))};
    co_return svid;
  }

  Task<Result<void>> PostStatus(std::string /*version*/, Deadline /*deadline*/) override {
    co_return Ok();
  }

  bool away = false;
  EntryMap entries;
  std::string refused;
  std::string forged;
  int serial = 0;
  int jwts = 0;
  std::vector<std::size_t> batches;
  std::set<std::string> federated_asked;

 private:
  const Clock& clock_;
};

}  // namespace credence
