#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/upstream/server_client.h"
#include "base/core/clock.h"
#include "tests/testkit/spiffe_ca.h"

namespace credence {

/// An entry of trust domain example.org whose path is its id.
inline RegistrationEntry MakeEntry(const std::string& id, const std::string& selector) {
  return RegistrationEntry{.id = id,
                           .spiffe_id = SpiffeId::Parse("spiffe://example.org/" + id).value(),
                           .selectors = SelectorSet({Selector::Parse(selector).value()}),
                           .revision = 1};
}

/// A server in memory: signs real certificates and labels for tokens, counts, refuses and goes away
/// when told to. Its clock is to start at the real time, which the certificates are made in.
class FakeServerClient final : public ServerClient {
 public:
  explicit FakeServerClient(const Clock& clock) : clock_(clock) {}

  Task<Result<EntrySyncResult>> SyncEntries(SharedEntries /*known*/,
                                            Deadline /*deadline*/) override {
    if (away) {
      co_return Error(Code::kUnavailable, "server away");
    }
    ++syncs;
    EntrySyncResult result;
    result.entries = std::make_shared<const EntryMap>(entries);
    co_return result;
  }

  Task<Result<TrustBundle>> FetchBundle(Deadline /*deadline*/) override {
    if (away) {
      co_return Error(Code::kUnavailable, "server away");
    }
    TrustBundle bundle{.trust_domain = TrustDomain::Parse("example.org").value(),
                       .x509_authorities = authorities,
                       .jwt_authorities = {{"k1", "spki"}},
                       .tainted_x509_authorities = tainted};
    co_return bundle;
  }

  Task<Result<std::optional<TrustBundle>>> FetchFederatedBundle(TrustDomain domain,
                                                                Deadline /*deadline*/) override {
    federated_asked.insert(domain.name());
    if (federated_failure) {
      co_return *federated_failure;
    }
    if (domain.name() == "unknown.org") {
      co_return std::optional<TrustBundle>();
    }
    std::optional<TrustBundle> bundle = TrustBundle{.trust_domain = domain,
                                                    .x509_authorities = {foreign_ca.certificate()},
                                                    .jwt_authorities = foreign_jwt_authorities};
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
      answers.emplace_back(ParseX509SvidChain({Sign(request)}));
    }
    co_return answers;
  }

  Task<Result<JwtSvid>> NewJwtSvid(std::string entry_id,
                                   std::vector<std::string> audience,
                                   Deadline) override {
    ++jwts;
    JwtSvid svid{.id = SpiffeId::Parse(IdFor(entry_id)).value(),
                 .audience = other_audience.value_or(std::move(audience)),
                 .issued_at = clock_.Now(),
                 .expires_at = clock_.Now() + std::chrono::minutes(5),
                 .key_id = "k1",
                 .algorithm = "RS256",
                 .issuer = "",
                 .jti = "",
                 .token = std::make_shared<const SecretBytes>(SecretBytes::CopyOf("t"))};
    co_return svid;
  }

  Task<Error> WatchChanges(std::function<void()> changed) override {
    if (!tells) {
      co_return Error(Code::kUnimplemented, "this server never tells");
    }
    changed();
    tell = std::move(changed);
    while (tells) {
      co_await Sleep(std::chrono::milliseconds(1));
    }
    tell = nullptr;
    co_return Error(Code::kUnavailable, "server away");
  }

  Task<Result<void>> PostStatus(std::string /*version*/, Deadline /*deadline*/) override {
    co_return Ok();
  }

  /// Which certificate this was, from 1; 0 for one that this server did not sign.
  int SerialOf(const std::string& certificate) const {
    const auto found = std::find(issued.begin(), issued.end(), certificate);
    return found == issued.end() ? 0 : static_cast<int>(found - issued.begin()) + 1;
  }

  bool away = false;
  int syncs = 0;
  /// It says what has changed when `tell` is called, which is set while somebody listens.
  bool tells = false;
  std::function<void()> tell;
  EntryMap entries;
  const testkit::SpiffeCa ca{"example.org"};
  const testkit::SpiffeCa next_ca{"example.org"};
  const testkit::SpiffeCa foreign_ca{"other.org"};
  /// Which of them signs.
  const testkit::SpiffeCa* signing_ca = &ca;
  /// The X.509 authorities in the bundle.
  std::vector<std::string> authorities{ca.certificate()};
  std::vector<std::string> tainted;
  std::vector<JwtAuthority> foreign_jwt_authorities;
  /// Entry ids: refused; signed for someone else; signed for another key.
  std::string refused;
  std::string forged;
  std::string swapped;
  /// How far its clock is ahead of ours.
  std::chrono::seconds clock_ahead{0};
  /// Every certificate, in order.
  std::vector<std::string> issued;
  int jwts = 0;
  std::vector<std::size_t> batches;
  std::set<std::string> federated_asked;
  std::optional<Error> federated_failure;
  /// Signed instead of what is asked for.
  std::optional<std::vector<std::string>> other_audience;

 private:
  /// Whom it signs for.
  std::string IdFor(const std::string& entry_id) const {
    const auto entry = entries.find(entry_id);
    if (entry_id == forged || entry == entries.end()) {
      return "spiffe://example.org/someone-else";
    }
    return entry->second.spiffe_id.text();
  }
  std::string Sign(const X509Request& request) {
    const auto ahead =
        clock_ahead + std::chrono::floor<std::chrono::seconds>(clock_.Now() - SystemClock().Now());
    const testkit::LeafOptions options{.uris = {IdFor(request.entry_id)},
                                       .starts = ahead - std::chrono::seconds(10),
                                       .ends = ahead + std::chrono::hours(1)};
    issued.push_back(request.entry_id == swapped
                         ? signing_ca->Issue(options).certificates.front()
                         : signing_ca->Sign(testkit::PublicKeyOfCsr(request.csr), options));
    return issued.back();
  }

  const Clock& clock_;
};

}  // namespace credence
