#pragma once

#include <sys/types.h>

#include <compare>
#include <memory>
#include <optional>
#include <string_view>

#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence {

/// How sure we are that the process we look at is the one that connected.
enum class Assurance {
  /// The pid was opened right after accept() and could have been re-used in between: kernels
  /// before 6.5.
  kOpenedByPid,
  /// The kernel handed over a pidfd of the very process that connected (SO_PEERPIDFD).
  kPinned,
};

/// "opened_by_pid" or "pinned": the words of policy, audit and status.
std::string_view AssuranceName(Assurance assurance);
/// Errors: kInvalidArgument, naming the words that exist.
Result<Assurance> ParseAssurance(std::string_view text);

/// A file by its numbers, which name the same file for as long as it is open or runs.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;

  auto operator<=>(const FileId&) const = default;
};

/// What PinnedProcess keeps about the place of an executable.
struct KnownPlace;

/// The process at the other end of a local socket, as the kernel knew it when it connected. Made
/// once at accept and passed down; nobody looks a pid up again.
struct Caller {
  UniqueFd pidfd;
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  Assurance assurance = Assurance::kOpenedByPid;
  /// Its folder in /proc (O_PATH). It is the caller's, and no later process's, if the caller is
  /// alive at any time after; invalid if the caller was gone already.
  UniqueFd folder;
  /// What it ran then; nullopt if that could not be seen.
  std::optional<FileId> executable;
  /// What was found out last about where its executable stands, which is dear to find out. For
  /// PinnedProcess on the core thread alone.
  mutable std::shared_ptr<const KnownPlace> known_place = nullptr;
};

/// Fills in `folder` and `executable`, for callers that did not come by a socket too.
/// Errors: kPermissionDenied if procfs hides the process; kResourceExhausted when out of
/// descriptors.
Result<Caller> WithProcFolder(Caller caller);

/// Identifies the peer of a connected Unix stream socket.
/// Errors: kUnauthenticated if the kernel cannot name it in our pid namespace (pid 0), or it ended
/// before it
///   could be pinned on a kernel without SO_PEERPIDFD; those of WithProcFolder.
/// Source: unix(7) SO_PEERCRED; Linux 6.5 SO_PEERPIDFD; pidfd_open(2).
Result<Caller> IdentifyCaller(int socket);

/// What IdentifyCaller gives on this kernel, found out with a socket pair of our own; kOpenedByPid
/// when that cannot be had.
Assurance OfferedAssurance();

/// True while the process behind `pidfd` runs; a zombie does not.
bool IsAlive(int pidfd);

}  // namespace credence
