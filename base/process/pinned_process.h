#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include "base/core/result.h"
#include "base/core/unique_fd.h"
#include "base/process/caller.h"
#include "base/process/proc_status.h"

namespace credence {

/// Which file a process runs. Equal values mean the same, unchanged file on a local file system.
struct ExecutableFile {
  dev_t device = 0;
  ino_t inode = 0;
  std::uint64_t size = 0;
  /// Change time in nanoseconds since the Unix epoch.
  std::int64_t changed_ns = 0;
  /// It is root's and nobody else may write it, by owner and mode. An access list that lets others
  /// write shows in the group's bits.
  bool only_root_writes = false;

  auto operator<=>(const ExecutableFile&) const = default;
};

/// Where an executable stands.
struct ExecutablePath {
  /// The kernel's words (proc(5) /proc/pid/exe); may end in " (deleted)".
  std::string text;
  /// The process may have chosen the words: they lead through mounts that it may have arranged, or
  /// through none. A user namespace gives every user the means.
  bool callers_view = false;
};

/// A caller proved alive after its /proc folder was open, so that every fact read through that
/// folder is about the caller and no process that got its number later. Holds no descriptor of its
/// own. Reads block for microseconds; run them off the core thread when many. Threads: immutable;
/// any thread, but for PathOfExecutable. Source: proc(5); the order of checks was measured against
/// forced pid re-use.
class PinnedProcess {
 public:
  /// Errors: kUnauthenticated if the process has ended, or if its effective uid or gid is no longer
  /// that of the socket: a child may hold the socket of a process that has become another program.
  static Result<PinnedProcess> Open(std::shared_ptr<const Caller> caller);

  const Caller& caller() const { return *caller_; }

  /// The content of a file of the folder, such as "status" or "cgroup", at most 64 KiB.
  /// Errors: kUnauthenticated once the process has been reaped; kOutOfRange if longer.
  Result<std::string> Read(const char* name) const;

  /// The user facts, from one reading in which both effective ids are those of the socket.
  /// Errors: kUnauthenticated naming the id that differs.
  Result<ProcStatus> ReadStatus() const;

  /// The executable, open for reading: what is hashed is what runs, whatever stands at its path.
  Result<UniqueFd> OpenExecutable() const;
  /// The path of the executable, about 15 us, and the first time of a connection what
  /// IsMountOfTheHost costs: the caller remembers that answer. Threads: core thread. Errors:
  /// kUnauthenticated if the process has replaced its executable since it connected.
  Result<ExecutablePath> PathOfExecutable() const;

  /// The executable as the kernel knows it now, without asking a remote or user-space file system,
  /// which could hang. Errors: kUnauthenticated if the process has replaced it since it
  /// connected.
  Result<ExecutableFile> StatExecutable() const;

  /// Field 22 of "stat": when the process started, in clock ticks since boot.
  Result<std::uint64_t> StartTime() const;

  /// Confirms after all reads that the caller still lives, still runs the executable that it
  /// connected with, and has the uid and gid of the socket. A fact counts only after this has
  /// passed. Errors: kUnauthenticated naming what changed.
  Result<void> ConfirmUnchanged() const;

 private:
  explicit PinnedProcess(std::shared_ptr<const Caller> caller) : caller_(std::move(caller)) {}

  Result<void> CheckIds() const;
  Result<void> CompareIds(uid_t uid, gid_t gid) const;
  Result<void> CheckExecutable(const ExecutableFile& found) const;

  std::shared_ptr<const Caller> caller_;
};

}  // namespace credence
