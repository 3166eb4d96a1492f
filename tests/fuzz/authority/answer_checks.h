#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/authority/services/entry_rules.h"
#include "tests/fuzz/authority/authority_world.h"

#include "credence/authority/v1/control.pb.h"
#include "spire/api/server/agent/v1/agent.pb.h"
#include "spire/api/server/bundle/v1/bundle.pb.h"
#include "spire/api/server/entry/v1/entry.pb.h"
#include "spire/api/server/svid/v1/svid.pb.h"
#include "spire/api/server/trustdomain/v1/trustdomain.pb.h"

/// What must be so of every authority, and after an answer of OK.
namespace credence {

namespace agentv1 = spire::api::server::agent::v1;
namespace bundlev1 = spire::api::server::bundle::v1;
namespace controlv1 = authority::v1;
namespace entryv1 = spire::api::server::entry::v1;
namespace svidv1 = spire::api::server::svid::v1;
namespace domainv1 = spire::api::server::trustdomain::v1;

/// A call that was answered OK, as its check sees it.
struct Answered {
  World& world;
  std::string_view path;
  std::string request;
  std::string reply;
  /// Of the caller; "" on the private socket.
  std::string caller_id;
  /// Certificates that the answer gave.
  std::vector<ShownChain>& given;
};

template <class Message>
Message Parsed(const std::string& bytes) {
  Message message;
  CREDENCE_CHECK(message.ParseFromString(bytes));
  return message;
}

inline bool Expired(std::int64_t expires_at, WallTime now) {
  return expires_at != 0 && expires_at <= ToUnixSeconds(now);
}

/// Without what has expired, which may go at any time.
inline Rows RowsOnDisk(World& world) {
  Rows rows = world.store().rows();
  std::erase_if(rows[Table::kEntries], [&](const auto& row) {
    return Expired(Parsed<spire::api::types::Entry>(row.second).expires_at(), world.now());
  });
  std::erase_if(rows[Table::kJoinTokens], [&](const auto& row) {
    return Expired(Parsed<controlv1::JoinTokenRecord>(row.second).expires_at(), world.now());
  });
  return rows;
}

inline Rows RowsInMemory(World& world) {
  const AuthorityTables& tables = world.tables();
  Rows rows;
  rows[Table::kFacts] = {{"trust_domain", "example.org"},
                         {"bundle_sequence", std::to_string(world.state().bundle_sequence())}};
  for (const auto& [id, entry] : tables.entries.all()) {
    if (!Expired(entry->expires_at(), world.now())) {
      rows[Table::kEntries][id] = entry->SerializeAsString();
    }
  }
  for (const auto& [token, record] : tables.join_tokens) {
    if (!Expired(record.expires_at(), world.now())) {
      rows[Table::kJoinTokens][token] = record.SerializeAsString();
    }
  }
  for (const auto& [id, record] : tables.agents) {
    rows[Table::kAgents][id] = record.SerializeAsString();
  }
  for (const auto& [name, record] : tables.federation) {
    rows[Table::kFederation][name] = record.SerializeAsString();
  }
  for (const SigningKey& key : world.state().keys().value()->keys) {
    rows[Table::kSigningKeys][key.record.id()] = key.record.SerializeAsString();
  }
  for (const Table table :
       {Table::kEntries, Table::kJoinTokens, Table::kAgents, Table::kFederation}) {
    rows[table];
  }
  return rows;
}

/// What each row keeps to, and that the disk has no other.
inline void CheckTables(World& world, const Rows& on_disk) {
  Rows disk = on_disk;
  for (const Table table : {Table::kAgents, Table::kFederation}) {
    disk[table];
  }
  CREDENCE_CHECK(disk == RowsInMemory(world));
  const AuthorityTables& tables = world.tables();
  for (const auto& [id, entry] : tables.entries.all()) {
    CREDENCE_CHECK(!id.empty() && id == entry->id());
    CREDENCE_CHECK(CheckEntry(*entry, world.state().trust_domain(), [&](std::string_view name) {
                     return tables.federation.contains(name);
                   }).ok());
    CREDENCE_CHECK(tables.entries.FindTwin(*entry) == entry);
  }
  for (const auto& [id, record] : tables.agents) {
    const auto parsed = SpiffeId::Parse(id);
    CREDENCE_CHECK(parsed.ok() && parsed->MemberOf(world.state().trust_domain()));
    CREDENCE_CHECK(parsed->path().starts_with("/spire/agent/") && record.id() == id);
    CREDENCE_CHECK(!record.banned() || (record.serial().empty() && record.new_serial().empty()));
  }
  for (const auto& [token, record] : tables.join_tokens) {
    CREDENCE_CHECK(!token.empty() && record.token() == token && record.expires_at() > 0);
  }
  for (const auto& [name, record] : tables.federation) {
    const auto domain = TrustDomain::Parse(name);
    const auto& relationship = record.relationship();
    CREDENCE_CHECK(domain.ok() && *domain != world.state().trust_domain());
    CREDENCE_CHECK(relationship.trust_domain() == name);
    CREDENCE_CHECK(relationship.has_trust_domain_bundle() ||
                   !relationship.bundle_endpoint_url().empty());
  }
}

inline std::vector<StoredEntry> EntriesOf(const Answered& call) {
  const auto& record = call.world.tables().agents.at(call.caller_id);
  return call.world.tables().entries.AuthorizedFor(
      call.caller_id,
      {record.selectors().begin(), record.selectors().end()},
      ToUnixSeconds(call.world.now()));
}

inline StoredEntry EntryFor(const Answered& call, const std::string& id) {
  for (const StoredEntry& entry : EntriesOf(call)) {
    if (entry->id() == id) {
      return entry;
    }
  }
  return nullptr;
}

/// A certificate that counts, is for `id`, and ends when it is said to.
inline const ShownChain& CheckSvid(const Answered& call,
                                   const spire::api::types::X509SVID& svid,
                                   const std::string& id) {
  const auto parsed = ParseX509SvidChain({svid.cert_chain().begin(), svid.cert_chain().end()});
  CREDENCE_CHECK(parsed.ok() && parsed->id.text() == id && TextOfId(svid.id()) == id);
  CREDENCE_CHECK(ToUnixSeconds(parsed->not_after) == svid.expires_at());
  CREDENCE_CHECK(call.world.access().AcceptsClient(parsed->certificates));
  call.given.push_back(ShowChain(parsed->certificates));
  return call.given.back();
}

inline void CheckAttest(const Answered& call) {
  const auto request = Parsed<agentv1::AttestAgentRequest>(call.request);
  const auto reply = Parsed<agentv1::AttestAgentResponse>(call.reply);
  const std::string& token = request.params().data().payload();
  const std::string id = std::string("spiffe://example.org") + Origin::kAgents + token;
  const ShownChain& shown = CheckSvid(call, reply.result().svid(), id);
  const auto& record = call.world.tables().agents.at(id);
  CREDENCE_CHECK(!record.banned() && record.serial() == shown.serial);
  CREDENCE_CHECK(!call.world.tables().join_tokens.contains(token));
}

inline void CheckRenew(const Answered& call) {
  const auto reply = Parsed<agentv1::RenewAgentResponse>(call.reply);
  const ShownChain& shown = CheckSvid(call, reply.svid(), call.caller_id);
  CREDENCE_CHECK(call.world.tables().agents.at(call.caller_id).new_serial() == shown.serial);
}

inline void CheckPostStatus(const Answered& call) {
  const auto request = Parsed<agentv1::PostStatusRequest>(call.request);
  CREDENCE_CHECK(call.world.tables().agents.at(call.caller_id).agent_version() ==
                 request.agent_version());
}

inline void CheckJoinToken(const Answered& call) {
  const auto reply = Parsed<spire::api::types::JoinToken>(call.reply);
  CREDENCE_CHECK(call.world.tables().join_tokens.contains(reply.value()));
}

inline void CheckGetAgent(const Answered& call) {
  const auto reply = Parsed<spire::api::types::Agent>(call.reply);
  CREDENCE_CHECK(call.world.tables().agents.contains(TextOfId(reply.id())));
}

inline void CheckDeleteAgent(const Answered& call) {
  const auto request = Parsed<agentv1::DeleteAgentRequest>(call.request);
  CREDENCE_CHECK(!call.world.tables().agents.contains(TextOfId(request.id())));
}

inline void CheckBanAgent(const Answered& call) {
  const auto request = Parsed<agentv1::BanAgentRequest>(call.request);
  CREDENCE_CHECK(call.world.tables().agents.at(TextOfId(request.id())).banned());
}

inline void CheckMint(const Answered& call) {
  const auto request = Parsed<svidv1::BatchNewX509SVIDRequest>(call.request);
  const auto reply = Parsed<svidv1::BatchNewX509SVIDResponse>(call.reply);
  CREDENCE_CHECK(request.params_size() == reply.results_size());
  for (int i = 0; i < reply.results_size(); ++i) {
    if (reply.results(i).status().code() == 0) {
      const StoredEntry entry = EntryFor(call, request.params(i).entry_id());
      CREDENCE_CHECK(entry != nullptr);
      CheckSvid(call, reply.results(i).svid(), TextOfId(entry->spiffe_id()));
    }
  }
}

inline void CheckJwt(const Answered& call) {
  const auto request = Parsed<svidv1::NewJWTSVIDRequest>(call.request);
  const auto svid = Parsed<svidv1::NewJWTSVIDResponse>(call.reply).svid();
  const StoredEntry entry = EntryFor(call, request.entry_id());
  CREDENCE_CHECK(entry != nullptr && TextOfId(svid.id()) == TextOfId(entry->spiffe_id()));
  CREDENCE_CHECK(std::count(svid.token().begin(), svid.token().end(), '.') == 2);
  CREDENCE_CHECK(svid.issued_at() == ToUnixSeconds(call.world.now()));
  CREDENCE_CHECK(svid.expires_at() > svid.issued_at());
}

inline void CheckAuthorized(const Answered& call) {
  const auto reply = Parsed<entryv1::GetAuthorizedEntriesResponse>(call.reply);
  const std::vector<StoredEntry> entries = EntriesOf(call);
  CREDENCE_CHECK(entries.size() == static_cast<std::size_t>(reply.entries_size()));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    CREDENCE_CHECK(entries[i]->id() == reply.entries(static_cast<int>(i)).id());
  }
}

inline void CheckGetEntry(const Answered& call) {
  const auto reply = Parsed<spire::api::types::Entry>(call.reply);
  CREDENCE_CHECK(call.world.tables().entries.Find(reply.id()) != nullptr);
}

/// Those that are there after creation or update, unless they have expired.
template <class Request, class Response>
void CheckPutEntries(const Answered& call) {
  const auto request = Parsed<Request>(call.request);
  const auto reply = Parsed<Response>(call.reply);
  CREDENCE_CHECK(request.entries_size() == reply.results_size());
  for (const auto& result : reply.results()) {
    if (result.status().code() == 0) {
      const bool there = call.world.tables().entries.Find(result.entry().id()) != nullptr;
      CREDENCE_CHECK(there || result.entry().expires_at() != 0 || request.has_output_mask());
    }
  }
}

inline void CheckDeleteEntries(const Answered& call) {
  const auto request = Parsed<entryv1::BatchDeleteEntryRequest>(call.request);
  const auto reply = Parsed<entryv1::BatchDeleteEntryResponse>(call.reply);
  CREDENCE_CHECK(request.ids_size() == reply.results_size());
  for (const auto& result : reply.results()) {
    CREDENCE_CHECK(!call.world.tables().entries.Find(result.id()));
  }
}

inline void CheckOwnBundle(const Answered& call) {
  const auto request = Parsed<bundlev1::GetBundleRequest>(call.request);
  const auto reply = Parsed<spire::api::types::Bundle>(call.reply);
  CREDENCE_CHECK(reply.trust_domain() == "example.org");
  CREDENCE_CHECK(request.has_output_mask() ||
                 (!reply.x509_authorities().empty() && !reply.jwt_authorities().empty()));
}

inline void CheckSetBundles(const Answered& call) {
  const auto reply = Parsed<bundlev1::BatchSetFederatedBundleResponse>(call.reply);
  for (const auto& result : reply.results()) {
    if (result.status().code() == 0) {
      CREDENCE_CHECK(call.world.tables()
                         .federation.at(result.bundle().trust_domain())
                         .relationship()
                         .has_trust_domain_bundle());
    }
  }
}

inline void CheckDeleteBundles(const Answered& call) {
  const auto reply = Parsed<bundlev1::BatchDeleteFederatedBundleResponse>(call.reply);
  for (const auto& result : reply.results()) {
    const auto found = call.world.tables().federation.find(result.trust_domain());
    CREDENCE_CHECK(result.status().code() != 0 || found == call.world.tables().federation.end() ||
                   !found->second.relationship().has_trust_domain_bundle());
  }
}

template <class Response>
void CheckPutRelationships(const Answered& call) {
  const auto reply = Parsed<Response>(call.reply);
  for (const auto& result : reply.results()) {
    if (result.status().code() == 0) {
      CREDENCE_CHECK(FindRelationship(call.world.tables(),
                                      result.federation_relationship().trust_domain()) != nullptr);
    }
  }
}

inline void CheckDeleteRelationships(const Answered& call) {
  const auto reply = Parsed<domainv1::BatchDeleteFederationRelationshipResponse>(call.reply);
  for (const auto& result : reply.results()) {
    const auto domain = ParseTrustDomainName(result.trust_domain());
    CREDENCE_CHECK(result.status().code() != 0 ||
                   FindRelationship(call.world.tables(), domain->name()) == nullptr);
  }
}

inline void CheckRotation(const Answered& call) {
  const auto request = Parsed<controlv1::RotateKeyRequest>(call.request);
  const auto reply = Parsed<controlv1::RotateKeyResponse>(call.reply);
  const std::string& active = call.world.state().keys().value()->Active(request.kind()).record.id();
  CREDENCE_CHECK(active == (request.now() ? reply.key().id() : reply.replaced_id()));
  CREDENCE_CHECK(reply.key().id() != reply.replaced_id());
}

/// Follows a list to its end: small pages are as much as one large one, and what Count says.
template <class Request, class Response, class Items>
std::size_t CheckPages(const Answered& call, Items items) {
  auto request = Parsed<Request>(call.request);
  const auto ask = [&] {
    std::vector<std::string> replies;
    const auto status = call.world.Call(call.path, {request.SerializeAsString()}, nullptr, replies);
    CREDENCE_CHECK(status.ok() && replies.size() == 1);
    return Parsed<Response>(replies.front());
  };
  request.clear_page_token();
  request.set_page_size(0);
  const Response whole = ask();
  CREDENCE_CHECK(whole.next_page_token().empty());
  const auto all = static_cast<std::size_t>(items(whole));
  request.set_page_size(static_cast<std::int32_t>(1 + call.request.size() % 3));
  std::size_t seen = 0;
  while (true) {
    const Response page = ask();
    CREDENCE_CHECK(items(page) <= request.page_size());
    seen += static_cast<std::size_t>(items(page));
    if (page.next_page_token().empty()) {
      break;
    }
    CREDENCE_CHECK(page.next_page_token() > request.page_token());
    request.set_page_token(page.next_page_token());
  }
  CREDENCE_CHECK(seen == all);
  return all;
}

template <class Request, class Response, class CountRequest, class CountResponse>
void CheckCountedPages(const Answered& call, std::string_view count_path, auto items) {
  const std::size_t listed = CheckPages<Request, Response>(call, items);
  const auto request = Parsed<Request>(call.request);
  CountRequest count;
  if (request.has_filter()) {
    CREDENCE_CHECK(count.mutable_filter()->ParseFromString(request.filter().SerializeAsString()));
  }
  std::vector<std::string> replies;
  CREDENCE_CHECK(call.world.Call(count_path, {count.SerializeAsString()}, nullptr, replies).ok());
  CREDENCE_CHECK(static_cast<std::size_t>(Parsed<CountResponse>(replies.at(0)).count()) == listed);
}

inline void CheckListAgents(const Answered& call) {
  CheckCountedPages<agentv1::ListAgentsRequest,
                    agentv1::ListAgentsResponse,
                    agentv1::CountAgentsRequest,
                    agentv1::CountAgentsResponse>(
      call, "/spire.api.server.agent.v1.Agent/CountAgents", [](const auto& page) {
        return page.agents_size();
      });
}

inline void CheckListEntries(const Answered& call) {
  CheckCountedPages<entryv1::ListEntriesRequest,
                    entryv1::ListEntriesResponse,
                    entryv1::CountEntriesRequest,
                    entryv1::CountEntriesResponse>(
      call, "/spire.api.server.entry.v1.Entry/CountEntries", [](const auto& page) {
        return page.entries_size();
      });
}

inline void CheckListBundles(const Answered& call) {
  CheckPages<bundlev1::ListFederatedBundlesRequest, bundlev1::ListFederatedBundlesResponse>(
      call, [](const auto& page) { return page.bundles_size(); });
}

inline void CheckListRelationships(const Answered& call) {
  CheckPages<domainv1::ListFederationRelationshipsRequest,
             domainv1::ListFederationRelationshipsResponse>(
      call, [](const auto& page) { return page.federation_relationships_size(); });
}

}  // namespace credence
