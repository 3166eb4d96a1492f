#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "spire/api/types/types.pb.h"

/// The entries of our authority for a spire-server.
namespace credence {

/// What goes over, and what has to be seen to beside it.
struct EntryExport {
  /// In the order in which they were made.
  std::vector<spire::api::types::Entry> entries;
  /// Entries that are left out: the other names of agents, which end with the agents.
  std::size_t aliases = 0;
  /// IDs of nodes that entries hang on and that no entry gives: agents at the new server need them.
  std::set<std::string> nodes;
  /// IDs of agents that entries hang on directly. One that joined by token has another ID at
  /// another server.
  std::set<std::string> agents;
  /// Names of foreign trust domains whose bundle the server must have before it takes the entries.
  std::set<std::string> federated;
};
EntryExport SelectForExport(std::vector<spire::api::types::Entry> entries);

/// A data file for `spire-server entry create`; ParseEntryFile reads it, too. Entries keep their
/// IDs. Source: spire.common.RegistrationEntries, and what spire-server 1.15.3 takes: the expiry is
/// "entryExpiry" and trust domains are SPIFFE IDs.
std::string FormatEntryFile(const std::vector<spire::api::types::Entry>& entries);

/// `entries` in parts that a spire-server takes in one message each; none is empty.
std::vector<std::vector<spire::api::types::Entry>> SplitForServer(
    std::vector<spire::api::types::Entry> entries);

}  // namespace credence
