#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/agent_config.h"
#include "agent/config/resources.h"
#include "base/core/clock.h"
#include "base/spiffe/selector.h"
#include "base/spiffe/spiffe_id.h"

/// The resource files as the authority reads them: documents of kind Entry. It passes over those of
/// the agent, as the agent does over these.
namespace credence {

/// kind: Entry: who gets which SPIFFE ID.
struct EntryResource {
  std::string name;
  std::string owner;
  std::optional<WallTime> expires;
  SpiffeId spiffe_id;
  /// kLocalNodePath of the same trust domain where the file names none.
  SpiffeId parent_id;
  SelectorSet selectors;
  /// Zero for the authority's own.
  std::chrono::seconds x509_svid_ttl{};
  std::chrono::seconds jwt_svid_ttl{};
  std::vector<TrustDomain> federates_with;
  std::vector<std::string> dns_names;
  std::string hint;
  bool admin = false;
  bool downstream = false;
  bool store_svid = false;
  bool disable_x509_svid_prefetch = false;
  bool jwt_svid_include_jti = false;
  ResourceOrigin origin;
};

/// Either all entries, sorted by name, or every mistake there is.
struct EntryResourcesOutcome {
  std::vector<EntryResource> entries;
  std::vector<ConfigMistake> mistakes;
  /// When each file changed last, in nanoseconds since the Unix epoch.
  std::map<std::string, std::int64_t> changed_at;
};

/// Reads files and folders as strictly as LoadResources. What an entry of the trust domain has to
/// keep to beyond its form is not checked here. Blocks.
EntryResourcesOutcome LoadEntryResources(const std::vector<std::string>& paths);

/// The same from one text, named `file` in messages.
EntryResourcesOutcome ParseEntryResources(std::string_view yaml, const std::string& file);

}  // namespace credence
