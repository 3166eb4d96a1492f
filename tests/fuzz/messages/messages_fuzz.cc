#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <variant>

#include "agent/endpoints/call_support.h"
#include "agent/endpoints/requests.h"
#include "agent/upstream/entry_sync.h"
#include "agent/upstream/refusal.h"
#include "agent/upstream/translate.h"
#include "base/core/check.h"

#include "credence/credential/v1/credential.pb.h"
#include "grpc/health/v1/health.pb.h"
#include "spiffe/workload/workload.pb.h"
#include "spire/api/server/entry/v1/entry.pb.h"
#include "spire/api/types/types.pb.h"

/// Protobuf messages as they come from workloads (requests) and from the SPIRE server (answers).
namespace credence {
namespace {

namespace entryv1 = spire::api::server::entry::v1;
namespace types = spire::api::types;

void JwtSvidRequest(std::string_view bytes) {
  spiffe::workload::JWTSVIDRequest request;
  if (ParseRequest(bytes, request).ok() && CheckAudience(request).ok()) {
    CREDENCE_CHECK(request.audience_size() > 0 && !request.audience(0).empty());
  }
}

void CredentialRequest(std::string_view bytes) {
  credential::v1::GetCredentialRequest request;
  if (!ParseRequest(bytes, request).ok()) {
    return;
  }
  const auto query = ToQuery(request, Deadline::After(std::chrono::seconds(1)));
  if (query.ok()) {
    CREDENCE_CHECK(!query->destination.empty() && query->min_ttl.count() >= 0);
    CREDENCE_CHECK(request.spiffe_id().empty() || query->spiffe_id->text() == request.spiffe_id());
  }
}

template <class Request>
void PlainRequest(std::string_view bytes) {
  Request request;
  ParseRequest(bytes, request).IgnoreBecause("either outcome is fine; it must only not crash");
}

void Entry(std::string_view bytes) {
  types::Entry message;
  if (!ParseRequest(bytes, message).ok()) {
    return;
  }
  if (const auto entry = EntryFromServer(message); entry.ok()) {
    CREDENCE_CHECK(!entry->id.empty() && !entry->selectors.items().empty());
    CREDENCE_CHECK(SpiffeId::Parse(entry->spiffe_id.text()).ok());
  }
}

void Bundle(std::string_view bytes) {
  types::Bundle message;
  if (!ParseRequest(bytes, message).ok()) {
    return;
  }
  const auto bundle = BundleFromServer(message, *TrustDomain::Parse("example.org"));
  if (bundle.ok()) {
    CREDENCE_CHECK(bundle->trust_domain.name() == message.trust_domain());
    CREDENCE_CHECK(JwtAuthoritiesAsJwks(*bundle).starts_with("{\"keys\":["));
  }
}

void Svids(std::string_view bytes) {
  types::X509SVID x509;
  if (ParseRequest(bytes, x509).ok()) {
    const auto chain = X509SvidFromServer(x509);
    CREDENCE_CHECK(!chain.ok() || !chain->id.path().empty());
  }
  types::JWTSVID jwt;
  if (ParseRequest(bytes, jwt).ok()) {
    const auto token = JwtSvidFromServer(jwt);
    CREDENCE_CHECK(!token.ok() || token->token->Reveal() == jwt.token());
  }
}

/// A whole sync: messages one after the other, each behind a byte with its length.
void Sync(std::string_view bytes) {
  EntrySync sync(std::make_shared<const EntryMap>());
  while (!bytes.empty()) {
    const auto length = static_cast<unsigned char>(bytes.front());
    const std::string_view one = bytes.substr(1, length);
    bytes.remove_prefix(1 + one.size());
    entryv1::SyncAuthorizedEntriesResponse message;
    if (!ParseRequest(one, message).ok()) {
      return;
    }
    const auto action = sync.Step(message);
    if (!action.ok()) {
      return;
    }
    if (const auto* request = std::get_if<EntrySync::Request>(&*action)) {
      CREDENCE_CHECK(!request->ids.empty());
    }
    if (std::holds_alternative<EntrySync::Done>(*action)) {
      const EntrySyncResult result = sync.Take();
      CREDENCE_CHECK(result.entries != nullptr && result.entries->size() <= result.received);
      return;
    }
  }
}

void RefusalDetails(std::string_view bytes) {
  CREDENCE_CHECK(!RefusalText(RefusalFromDetails(bytes)).empty());
}

using Parser = void (*)(std::string_view bytes);
constexpr std::array<Parser, 9> kParsers{
    JwtSvidRequest,
    PlainRequest<spiffe::workload::ValidateJWTSVIDRequest>,
    CredentialRequest,
    PlainRequest<grpc::health::v1::HealthCheckRequest>,
    Entry,
    Bundle,
    Svids,
    Sync,
    RefusalDetails,
};

}  // namespace
}  // namespace credence

/// The first byte says which message the others are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) {
    const auto* text = static_cast<const char*>(static_cast<const void*>(data));
    credence::kParsers[data[0] % credence::kParsers.size()](std::string_view(text + 1, size - 1));
  }
  return 0;
}
