#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/agent_config.h"
#include "base/core/clock.h"
#include "base/process/caller.h"
#include "base/spiffe/selector.h"
#include "base/spiffe/spiffe_id.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// kHigh: each grant has to name at least one selector beside the SPIFFE ID.
enum class Sensitivity { kLow, kNormal, kHigh };

/// Where a resource stands, for messages.
struct ResourceOrigin {
  std::string file;
  int line = 0;
};

/// kind: Destination. Source: design section 4.
struct DestinationResource {
  std::string name;
  std::string owner;
  Sensitivity sensitivity = Sensitivity::kNormal;
  std::string adapter;
  Settings settings;
  /// Caps the life of what is handed out.
  std::optional<std::chrono::milliseconds> max_ttl;
  ResourceOrigin origin;
  /// Made by the adapter from `settings`; never null in a loaded set.
  std::shared_ptr<Destination> target;
};

enum class DeliveryForm { kApi };

/// kind: Grant: who may use a destination. Deny is the default, so there is no other kind.
struct GrantResource {
  std::string name;
  std::string owner;
  std::optional<WallTime> expires;
  SpiffeId spiffe_id;
  /// All of them must be verified facts of the caller.
  SelectorSet selectors;
  /// The least assurance; kOpenedByPid when not given.
  Assurance assurance = Assurance::kOpenedByPid;
  std::string destination;
  std::optional<std::chrono::milliseconds> max_ttl;
  std::vector<DeliveryForm> deliver;
  ResourceOrigin origin;
};

/// A consistent set: names are unique, every grant names a destination that is there and is narrow
/// enough for its sensitivity. Sorted by name.
struct Resources {
  std::vector<DestinationResource> destinations;
  std::vector<GrantResource> grants;

  const DestinationResource* FindDestination(std::string_view name) const;
};

using SharedResources = std::shared_ptr<const Resources>;

/// Either a set or every mistake there is.
struct ResourcesOutcome {
  SharedResources resources;
  std::vector<ConfigMistake> mistakes;
};

using AdapterList = std::vector<const DestinationAdapter*>;

/// Reads files and folders (their *.yaml and *.yml, not deeper) of documents {apiVersion, kind,
/// metadata, spec}. Strict: unknown keys, repeated keys, wrong types, unknown adapters and settings
/// that an adapter refuses are mistakes with line and column. No aliases, at most 1 MiB a file,
/// 1000 files and 100 levels.
ResourcesOutcome LoadResources(const std::vector<std::string>& paths, const AdapterList& adapters);

/// The same from one text, named `file` in messages.
ResourcesOutcome ParseResources(std::string_view yaml,
                                const std::string& file,
                                const AdapterList& adapters);

}  // namespace credence
