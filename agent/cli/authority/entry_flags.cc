#include "agent/cli/authority/entry_flags.h"

#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/selector_flags.h"
#include "agent/cli/authority/wire_types.h"
#include "agent/config/node_alias.h"

namespace credence {
namespace {

using spire::api::server::entry::v1::CountEntriesRequest;
using spire::api::server::entry::v1::ListEntriesRequest;
using spire::api::types::Entry;
using spire::api::types::FederatesWithMatch;
using spire::api::types::SPIFFEID;

/// Path of the server's own ID, under which SPIRE keeps entries that make aliases of nodes.
constexpr const char* kServerPath = "/spire/server";

Error Wrong(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message));
}

Result<void> CheckCombination(const EntryFlags& flags, EntryUse use) {
  if (use == EntryUse::kUpdate && flags.id.empty()) {
    return Wrong("-entryID is missing: it names the entry to update (see `credence entry show`)");
  }
  if (flags.spiffe_id.empty()) {
    return Wrong(
        "-spiffeID is missing: it is what the entry gives, such as "
        "spiffe://example.org/web");
  }
  if (flags.selectors.empty()) {
    return Wrong(
        "-selector is missing: at least one says who gets the SPIFFE ID, such as "
        "unix:user:web");
  }
  if (use == EntryUse::kUpdate && flags.parent_id.empty()) {
    return Wrong("-parentID is missing: an update replaces all of an entry, its parent too");
  }
  if (flags.node && !flags.parent_id.empty()) {
    return Wrong(
        "-node and -parentID exclude each other: the parent of a node's entry is the "
        "server");
  }
  if (flags.node && !flags.federates_with.empty()) {
    return Wrong("-node and -federatesWith exclude each other: entries of nodes cannot federate");
  }
  return Ok();
}

Result<SPIFFEID> ParentOf(const EntryFlags& flags, const SPIFFEID& spiffe_id) {
  if (!flags.parent_id.empty()) {
    return WireId("-parentID", flags.parent_id);
  }
  SPIFFEID parent = DefaultParent(spiffe_id);
  if (flags.node) {
    parent.set_path(kServerPath);
  }
  return parent;
}

/// What needs no reading.
void CopyPlain(const EntryFlags& flags, Entry& entry) {
  entry.set_id(flags.id);
  entry.set_hint(flags.hint);
  entry.set_x509_svid_ttl(flags.x509_svid_ttl);
  entry.set_jwt_svid_ttl(flags.jwt_svid_ttl);
  entry.set_expires_at(flags.expiry);
  entry.set_admin(flags.admin);
  entry.set_downstream(flags.downstream);
  entry.set_store_svid(flags.store_svid);
  entry.mutable_dns_names()->Assign(flags.dns_names.begin(), flags.dns_names.end());
  if (flags.no_x509_prefetch || flags.jwt_svid_has_jti) {
    auto& more = *entry.mutable_additional_attributes();
    more.set_disable_x509_svid_prefetch(flags.no_x509_prefetch);
    more.set_jwt_svid_include_jti(flags.jwt_svid_has_jti);
  }
}

/// The filters of listing and counting have the same fields.
template <class Filter>
Result<Filter> MakeFilter(const EntryFilterFlags& flags) {
  Filter filter;
  if (!flags.spiffe_id.empty()) {
    auto id = WireId("-spiffeID", flags.spiffe_id);
    if (!id.ok()) {
      return std::move(id).error();
    }
    *filter.mutable_by_spiffe_id() = *std::move(id);
  }
  if (!flags.parent_id.empty()) {
    auto id = WireId("-parentID", flags.parent_id);
    if (!id.ok()) {
      return std::move(id).error();
    }
    *filter.mutable_by_parent_id() = *std::move(id);
  }
  if (!flags.selectors.empty()) {
    auto selectors = WireSelectorMatch(flags.selectors, flags.match_selectors);
    if (!selectors.ok()) {
      return std::move(selectors).error();
    }
    *filter.mutable_by_selectors() = *std::move(selectors);
  }
  for (const std::string& text : flags.federates_with) {
    auto name = WireTrustDomain("-federatesWith", text);
    if (!name.ok()) {
      return std::move(name).error();
    }
    filter.mutable_by_federates_with()->add_trust_domains(*std::move(name));
    filter.mutable_by_federates_with()->set_match(flags.match_federates_with);
  }
  if (!flags.hint.empty()) {
    filter.mutable_by_hint()->set_value(flags.hint);
  }
  if (flags.downstream) {
    filter.mutable_by_downstream()->set_value(*flags.downstream);
  }
  return filter;
}

}  // namespace

void EntryFlags::AddTo(CLI::App& command, EntryUse use) {
  const bool is_new = use == EntryUse::kCreate;
  command.add_option(
      "--entryID", id, is_new ? "ID of the entry (default: a random one)" : "Entry to update");
  command.add_option("--spiffeID", spiffe_id, "SPIFFE ID that the entry gives");
  command.add_option(
      "--parentID",
      parent_id,
      is_new ? fmt::format("SPIFFE ID of the node (default: spiffe://TRUST_DOMAIN{}, the node of "
                           "`credence up`)",
                           kLocalNodePath)
             : "SPIFFE ID of the node");
  AddRepeatable(command, "--selector", selectors, "Fact about the caller, type:value (repeatable)");
  const auto ttl = CLI::Range(0, std::numeric_limits<std::int32_t>::max()).description("");
  command.add_option("--x509SVIDTTL", x509_svid_ttl, "Life of its X509-SVIDs in seconds")
      ->check(ttl)
      ->type_name("SECONDS");
  command.add_option("--jwtSVIDTTL", jwt_svid_ttl, "Life of its JWT-SVIDs in seconds")
      ->check(ttl)
      ->type_name("SECONDS");
  AddRepeatable(command,
                "--federatesWith",
                federates_with,
                "Trust domain whose bundle its holders get (repeatable)");
  AddRepeatable(command, "--dns", dns_names, "DNS name in its X509-SVIDs (repeatable)");
  command.add_option("--hint", hint, "Tells apart the SVIDs of a caller with several");
  command.add_option("--entryExpiry", expiry, "Unix time in seconds at which the entry goes")
      ->check(CLI::Range(std::int64_t{0}, std::numeric_limits<std::int64_t>::max()).description(""))
      ->type_name("SECONDS");
  if (is_new) {
    command.add_flag("--node", node, "The entry is an alias for nodes, not for workloads");
  }
  command.add_flag("--admin", admin, "Its holders may use the server's management API");
  command.add_flag("--downstream",
                   downstream,
                   "Its holder is a downstream SPIRE server (of a SPIRE server only)");
  command.add_flag(
      "--storeSVID", store_svid, "Its SVID goes to an SVID store (of spire-agent only)");
  command.add_flag(
      "--disableX509SVIDPrefetch", no_x509_prefetch, "Its X509-SVIDs are signed on demand");
  command.add_flag(
      "--jwtSVIDIncludeJTI", jwt_svid_has_jti, "Its JWT-SVIDs have a jti and are not cached");
}

Result<Entry> EntryFromFlags(const EntryFlags& flags, EntryUse use) {
  if (auto fits = CheckCombination(flags, use); !fits.ok()) {
    return std::move(fits).error();
  }
  Entry entry;
  auto spiffe_id = WireId("-spiffeID", flags.spiffe_id);
  if (!spiffe_id.ok()) {
    return std::move(spiffe_id).error();
  }
  auto parent_id = ParentOf(flags, *spiffe_id);
  if (!parent_id.ok()) {
    return std::move(parent_id).error();
  }
  *entry.mutable_spiffe_id() = *std::move(spiffe_id);
  *entry.mutable_parent_id() = *std::move(parent_id);
  for (const std::string& text : flags.selectors) {
    auto selector = WireSelector("-selector", text);
    if (!selector.ok()) {
      return std::move(selector).error();
    }
    *entry.add_selectors() = *std::move(selector);
  }
  for (const std::string& text : flags.federates_with) {
    auto name = WireTrustDomain("-federatesWith", text);
    if (!name.ok()) {
      return std::move(name).error();
    }
    entry.add_federates_with(*std::move(name));
  }
  CopyPlain(flags, entry);
  return entry;
}

SPIFFEID DefaultParent(const SPIFFEID& spiffe_id) {
  SPIFFEID parent;
  parent.set_trust_domain(spiffe_id.trust_domain());
  parent.set_path(kLocalNodePath);
  return parent;
}

void EntryFilterFlags::AddTo(CLI::App& command) {
  command.add_option("--spiffeID", spiffe_id, "Those that give this SPIFFE ID");
  command.add_option("--parentID", parent_id, "Those of this node");
  AddSelectorFilter(command, selectors, match_selectors);
  AddRepeatable(
      command, "--federatesWith", federates_with, "Those with this trust domain (repeatable)");
  static const std::map<std::string, FederatesWithMatch::MatchBehavior> kMatches{
      {"exact", FederatesWithMatch::MATCH_EXACT},
      {"any", FederatesWithMatch::MATCH_ANY},
      {"superset", FederatesWithMatch::MATCH_SUPERSET},
      {"subset", FederatesWithMatch::MATCH_SUBSET}};
  command
      .add_option("--matchFederatesWithOn",
                  match_federates_with,
                  "How their trust domains compare with those given (default: superset)")
      ->transform(CLI::CheckedTransformer(kMatches).description(""))
      ->option_text("exact|any|superset|subset");
  command.add_option("--hint", hint, "Those with this hint");
  command.add_flag_function(
      "--downstream",
      [this](std::int64_t count) { downstream = count > 0; },
      "Those of downstream servers; --downstream=false for the others");
}

bool EntryFilterFlags::empty() const {
  return spiffe_id.empty() && parent_id.empty() && selectors.empty() && federates_with.empty() &&
         hint.empty() && !downstream;
}

Result<ListEntriesRequest::Filter> ListFilter(const EntryFilterFlags& flags) {
  return MakeFilter<ListEntriesRequest::Filter>(flags);
}

Result<CountEntriesRequest::Filter> CountFilter(const EntryFilterFlags& flags) {
  return MakeFilter<CountEntriesRequest::Filter>(flags);
}

}  // namespace credence
