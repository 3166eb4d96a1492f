#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/core/result.h"

namespace credence {

/// What the authority keeps. The values are serialized messages.
enum class Table {
  /// By entry ID: spire.api.types.Entry.
  kEntries,
  /// By SPIFFE ID: AgentRecord.
  kAgents,
  /// By token: JoinTokenRecord.
  kJoinTokens,
  /// By key ID: SigningKeyRecord.
  kSigningKeys,
  /// By trust domain name: FederationRecord.
  kFederation,
  /// By name: single values such as the trust domain and the sequence number of its bundle, as
  /// text.
  kFacts,
};

/// One row to write, or to delete where there is no value.
struct Change {
  Table table;
  std::string key;
  std::optional<std::string> value;
};

struct Row {
  std::string key;
  std::string value;
};

/// The durable state of a trust authority: one SQLite database in a folder, written with
/// synchronous=FULL in WAL mode. What Apply() has returned for is on the disk; what it has not is
/// wholly there or not at all after a crash. One process per folder. Every call blocks for
/// milliseconds: one thread at a time, not the core thread.
///
/// Damage to the database is found by Open or Load, each row has a checksum. Damage to the
/// authority.db-wal that a crash has left behind is not: SQLite takes it for the end of the log.
class Datastore {
 public:
  /// Opens `folder`/authority.db, and locks `folder`/authority.lock for as long as it is open.
  ///
  /// A new database is made only where none has ever been: in a folder that is not there or holds
  /// nothing but sockets, empty folders and what such an Open leaves when it is cut short. For
  /// that, the database appears whole under its name or not at all, and authority.lock says from
  /// before the first Open returns that there is one. So one that is missing is an error until the
  /// operator restores it, or moves all else away and so starts a new trust domain.
  ///
  /// Folders are made with mode 0700; files have 0600, also those restored with another.
  ///
  /// Errors: kAlreadyExists naming the folder, and the process where it is known, when another has
  /// it open; kDataLoss naming the file and what to do when it is damaged, missing, no database of
  /// ours, or written by a newer version; kPermissionDenied when others can write the folder;
  /// kResourceExhausted and kUnavailable as Apply; as CodeFromErrno.
  static Result<std::unique_ptr<Datastore>> Open(const std::string& folder);
  virtual ~Datastore() = default;
  Datastore(const Datastore&) = delete;
  Datastore& operator=(const Datastore&) = delete;

  /// All rows of a table by key. Errors: kDataLoss naming the file; kUnavailable naming what the
  /// disk said.
  virtual Result<std::vector<Row>> Load(Table table) = 0;
  /// All of `changes`, one after the other, or none of them. Errors: kInvalidArgument for a key or
  /// value above 4 MiB; kResourceExhausted when the disk is full; kDataLoss naming the file;
  /// kUnavailable naming what the disk said otherwise. The store can be used after an error.
  virtual Result<void> Apply(const std::vector<Change>& changes) = 0;

 protected:
  Datastore() = default;
};

}  // namespace credence
