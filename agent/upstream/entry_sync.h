#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/upstream/server_client.h"
#include "base/core/result.h"

#include "spire/api/server/entry/v1/entry.pb.h"

namespace credence {

/// The client's half of SyncAuthorizedEntries, without I/O: fed with the server's messages, it says
/// what to do next. Source: spire.api.server.entry.v1.Entry; spire-agent's use of it.
class EntrySync {
 public:
  /// Read the next message.
  struct ReadMore {};
  /// Ask for these entries in full, then read.
  struct Request {
    std::vector<std::string> ids;
  };
  /// The new state is complete; see Take().
  struct Done {};
  using Action = std::variant<ReadMore, Request, Done>;

  /// `known`, never null, is what the last sync ended with.
  explicit EntrySync(SharedEntries known);

  /// The first message to send.
  static spire::api::server::entry::v1::SyncAuthorizedEntriesRequest FirstRequest();

  /// Takes one message. Errors: kInternal for one that the protocol does not allow at this point;
  /// kOutOfRange for a list beyond all bounds. The sync is then to be given up.
  Result<Action> Step(const spire::api::server::entry::v1::SyncAuthorizedEntriesResponse& message);

  /// After Done, once.
  EntrySyncResult Take();

 private:
  using Message = spire::api::server::entry::v1::SyncAuthorizedEntriesResponse;
  enum class Phase { kFirst, kRevisions, kEntries, kDone };

  Result<Action> FullList(const Message& message);
  Result<Action> Revisions(const Message& message);
  Result<Action> Entries(const Message& message);
  void NoteRevision(const spire::api::server::entry::v1::EntryRevision& revision);
  Action AskOrFinish();
  void Accept(const spire::api::types::Entry& entry);

  const SharedEntries known_;
  Phase phase_ = Phase::kFirst;
  EntryMap next_;
  std::size_t page_size_ = 0;
  std::size_t revisions_ = 0;
  /// Sorted, as the server finds them more cheaply that way.
  std::set<std::string> wanted_;
  EntrySyncResult result_;
};

}  // namespace credence
