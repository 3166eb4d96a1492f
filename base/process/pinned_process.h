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

/// A caller's /proc folder, held open so that every fact read through it is about the caller and no
/// process that got its number later. Reads block for microseconds; run them off the core thread
/// when many. Threads: immutable after Open; any thread. Source: proc(5); the order of checks was
/// measured against forced pid re-use.
class PinnedProcess {
 public:
  /// Opens the caller's folder and confirms that the caller lived after the folder was open, so
  /// that the folder is the caller's. `caller` is borrowed for the life of this object. Errors:
  /// kUnauthenticated if the process has ended or its effective uid or gid is no longer that of
  /// the socket; kPermissionDenied if procfs hides it.
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
  /// The path of the executable, about 15 us. Errors: kUnauthenticated if the process has replaced
  /// its executable since Open.
  Result<ExecutablePath> PathOfExecutable() const;

  /// The executable as the kernel knows it now, without asking a remote or user-space file system,
  /// which could hang. Errors: kUnauthenticated if the process has replaced it since Open.
  Result<ExecutableFile> StatExecutable() const;

  /// Field 22 of "stat": when the process started, in clock ticks since boot.
  Result<std::uint64_t> StartTime() const;

  /// Confirms after all reads that the caller still lives, still runs the executable that it ran at
  /// Open, and has the uid and gid of the socket. A fact counts only after this has passed. Errors:
  /// kUnauthenticated naming what changed.
  Result<void> ConfirmUnchanged() const;

 private:
  PinnedProcess(std::shared_ptr<const Caller> caller, UniqueFd folder)
      : caller_(std::move(caller)), folder_(std::move(folder)) {}

  Result<void> CheckExecutable(const ExecutableFile& found) const;

  std::shared_ptr<const Caller> caller_;
  UniqueFd folder_;
  dev_t executable_device_ = 0;
  ino_t executable_inode_ = 0;
};

}  // namespace credence
