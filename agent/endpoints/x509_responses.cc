#include "agent/endpoints/x509_responses.h"

#include <algorithm>
#include <utility>

#include "agent/endpoints/call_support.h"

#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

constexpr std::size_t kMaxBuilt = 4096;

std::string Concatenated(const std::vector<std::string>& certificates) {
  std::string all;
  for (const std::string& certificate : certificates) {
    all += certificate;
  }
  return all;
}

/// The copies that protobuf holds.
void WipeKeys(spiffe::workload::X509SVIDResponse& response) {
  for (auto& svid : *response.mutable_svids()) {
    WipeString(*svid.mutable_x509_svid_key());
  }
}

void AddFederatedBundles(const IdentityStore& store,
                         const RegistrationEntry& entry,
                         spiffe::workload::X509SVIDResponse& response) {
  for (const TrustDomain& domain : entry.federates_with) {
    const auto bundle = store.federated_bundles().find(domain.name());
    // A domain without X.509 authorities has no X509-SVIDs; an empty value would make clients fail.
    if (bundle != store.federated_bundles().end() && !bundle->second->x509_authorities.empty()) {
      (*response.mutable_federated_bundles())[domain.IdString()] =
          ConcatenatedX509Authorities(*bundle->second);
    }
  }
}

}  // namespace

Result<SharedSecret> X509Responses::For(const std::vector<SharedEntry>& entries, Missing missing) {
  if (version_ != store_.changes().version()) {
    version_ = store_.changes().version();
    built_.clear();
  }
  const WallTime now = clock_.Now();
  std::string key;
  std::vector<std::pair<SharedEntry, SharedX509Svid>> ready;
  for (const SharedEntry& entry : entries) {
    // Always one, so that no ID reads as another with its mark.
    char mark = '-';
    if (!HasOlderTwin(entry, entries)) {
      SharedX509Svid held = store_.FindX509(entry->id);
      if (held && held->svid.chain.not_after > now) {
        ready.emplace_back(entry, std::move(held));
        mark = '+';
      } else if (missing == Missing::kAwaited) {
        return SharedSecret();
      }
    }
    key += mark;
    key += entry->id;
    key += '\0';
  }
  if (ready.empty() || !store_.own_bundle()) {
    return SharedSecret();
  }
  if (const auto found = built_.find(key);
      found != built_.end() && found->second.valid_until > now) {
    return found->second.message;
  }
  spiffe::workload::X509SVIDResponse response;
  auto valid_until = WallTime::max();
  for (const auto& [entry, held] : ready) {
    valid_until = std::min(valid_until, held->svid.chain.not_after);
    auto& svid = *response.add_svids();
    svid.set_spiffe_id(entry->spiffe_id.text());
    svid.set_x509_svid(Concatenated(held->svid.chain.certificates));
    svid.set_x509_svid_key(held->svid.key->data(), held->svid.key->size());
    svid.set_bundle(ConcatenatedX509Authorities(*store_.own_bundle()));
    svid.set_hint(entry->hint);
  }
  for (const SharedEntry& entry : entries) {
    AddFederatedBundles(store_, *entry, response);
  }
  auto message = Serialize(response);
  WipeKeys(response);
  if (message.ok()) {
    if (built_.size() >= kMaxBuilt) {
      built_.clear();
    }
    built_.insert_or_assign(key, Built{*message, valid_until});
  }
  return message;
}

}  // namespace credence
