#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/core/result.h"

#include "spire/api/server/entry/v1/entry.pb.h"

namespace CLI {
class App;
}  // namespace CLI

namespace credence {

/// What an entry is written for.
enum class EntryUse { kCreate, kUpdate };

/// Flags that describe one registration entry, by the names of `spire-server entry create`.
struct EntryFlags {
  std::string id;
  std::string spiffe_id;
  std::string parent_id;
  std::vector<std::string> selectors;
  std::vector<std::string> federates_with;
  std::vector<std::string> dns_names;
  std::string hint;
  std::int32_t x509_svid_ttl = 0;
  std::int32_t jwt_svid_ttl = 0;
  std::int64_t expiry = 0;
  bool node = false;
  bool admin = false;
  bool downstream = false;
  bool store_svid = false;
  bool no_x509_prefetch = false;
  bool jwt_svid_has_jti = false;

  void AddTo(CLI::App& command, EntryUse use);
  bool operator==(const EntryFlags&) const = default;
};

/// The entry that `flags` describe. A new one without a parent hangs on the server's own ID
/// (`node`) or on the node of `credence up` (kLocalNodePath); an update names everything, as the
/// server replaces all of an entry. Errors: kInvalidArgument naming the flag.
Result<spire::api::types::Entry> EntryFromFlags(const EntryFlags& flags, EntryUse use);

/// The parent of entries that name none: kLocalNodePath in the trust domain of `spiffe_id`.
spire::api::types::SPIFFEID DefaultParent(const spire::api::types::SPIFFEID& spiffe_id);

/// Flags that choose entries, by the names of `spire-server entry show`.
struct EntryFilterFlags {
  std::string spiffe_id;
  std::string parent_id;
  std::vector<std::string> selectors;
  std::vector<std::string> federates_with;
  std::string hint;
  std::optional<bool> downstream;
  spire::api::types::SelectorMatch::MatchBehavior match_selectors =
      spire::api::types::SelectorMatch::MATCH_SUPERSET;
  spire::api::types::FederatesWithMatch::MatchBehavior match_federates_with =
      spire::api::types::FederatesWithMatch::MATCH_SUPERSET;

  /// The parser keeps pointers to this object.
  void AddTo(CLI::App& command);
  /// None of them was given.
  bool empty() const;
};

/// Errors: kInvalidArgument naming the flag.
Result<spire::api::server::entry::v1::ListEntriesRequest::Filter> ListFilter(
    const EntryFilterFlags& flags);
Result<spire::api::server::entry::v1::CountEntriesRequest::Filter> CountFilter(
    const EntryFilterFlags& flags);

}  // namespace credence
