#include "base/process/pinned_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <limits.h>

#include "base/core/file.h"
#include "base/process/mounts.h"
#include "base/process/pidfd_info.h"

namespace credence {

/// A mount id alone does not do: it is given away again after an unmount, and so is an inode
/// number. The same unchanged file that still shows under the same words does stand, or stood when
/// the connection first asked, where those words say; or the caller's word for it is still its own.
struct KnownPlace {
  ExecutableFile file;
  std::uint64_t mount_id = 0;
  ExecutablePath path;
};

namespace {

constexpr std::size_t kMaxProcFile = std::size_t{64} << 10;

/// ESRCH and ENOENT under a pinned folder mean that the process has been reaped.
Error FromProcErrno(int error_number, pid_t pid, std::string_view what) {
  const bool gone = error_number == ESRCH || error_number == ENOENT;
  return Error(gone ? Code::kUnauthenticated : CodeFromErrno(error_number),
               fmt::format("pid {}: {}: {}", pid, what, ErrnoText(error_number)));
}

ExecutableFile FileOf(const struct statx& info) {
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  return ExecutableFile{makedev(info.stx_dev_major, info.stx_dev_minor),
                        info.stx_ino,
                        info.stx_size,
                        info.stx_ctime.tv_sec * kNanoseconds + info.stx_ctime.tv_nsec,
                        info.stx_uid == 0 && (info.stx_mode & (S_IWGRP | S_IWOTH)) == 0};
}

/// A server or a FUSE process that does not answer must not stop the caller of this function.
Result<struct statx> LookAt(int folder, const char* name, pid_t pid) {
  struct statx info{};
  constexpr int kFlags = AT_STATX_DONT_SYNC | AT_EMPTY_PATH;
  constexpr unsigned kWanted =
      STATX_INO | STATX_SIZE | STATX_CTIME | STATX_MNT_ID | STATX_UID | STATX_MODE;
  if (statx(folder, name, kFlags, kWanted, &info) != 0) {
    return FromProcErrno(errno, pid, "look at its executable");
  }
  return info;
}

}  // namespace

Result<PinnedProcess> PinnedProcess::Open(std::shared_ptr<const Caller> caller) {
  // Alive after the folder was opened means that the number had not been given to another process
  // by then.
  if (!caller->folder.valid() || !IsAlive(caller->pidfd.get())) {
    return Error(Code::kUnauthenticated, fmt::format("pid {}: the process has ended", caller->pid));
  }
  PinnedProcess process(std::move(caller));
  if (auto same = process.CheckIds(); !same.ok()) {
    return std::move(same).error();
  }
  return process;
}

Result<std::string> PinnedProcess::Read(const char* name) const {
  const UniqueFd fd(openat(caller_->folder.get(), name, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return FromProcErrno(errno, caller_->pid, fmt::format("open {}", name));
  }
  std::string content(4096, '\0');
  std::size_t done = 0;
  while (true) {
    const ssize_t count = read(fd.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return FromProcErrno(errno, caller_->pid, fmt::format("read {}", name));
    }
    if (count == 0) {
      content.resize(done);
      return content;
    }
    done += static_cast<std::size_t>(count);
    if (done == content.size()) {
      if (content.size() >= kMaxProcFile) {
        return Error(
            Code::kOutOfRange,
            fmt::format("pid {}: {} is longer than {} bytes", caller_->pid, name, kMaxProcFile));
      }
      content.resize(content.size() * 2);
    }
  }
}

Result<UniqueFd> PinnedProcess::OpenExecutable() const {
  UniqueFd fd(openat(caller_->folder.get(), "exe", O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return FromProcErrno(errno, caller_->pid, "open its executable");
  }
  return fd;
}

Result<ExecutablePath> PinnedProcess::PathOfExecutable() const {
  // One descriptor, so that the words and the mount are those of one place: a process may run the
  // same file through another mount the next moment.
  const UniqueFd place(openat(caller_->folder.get(), "exe", O_PATH | O_CLOEXEC));
  if (!place.valid()) {
    return FromProcErrno(errno, caller_->pid, "find its executable");
  }
  const auto found = LookAt(place.get(), "", caller_->pid);
  if (!found.ok()) {
    return found.error();
  }
  if (auto same = CheckExecutable(FileOf(*found)); !same.ok()) {
    return std::move(same).error();
  }
  std::array<char, PATH_MAX + 1> path{};
  const std::string link = fmt::format("/proc/self/fd/{}", place.get());
  const ssize_t size = readlink(link.c_str(), path.data(), path.size());
  if (size < 0) {
    return FromProcErrno(errno, caller_->pid, "read the path of its executable");
  }
  if (static_cast<std::size_t>(size) >= path.size()) {
    return Error(Code::kOutOfRange,
                 fmt::format("pid {}: the path of its executable is too long", caller_->pid));
  }
  const std::string text(path.data(), static_cast<std::size_t>(size));
  const auto mount_id = (found->stx_mask & STATX_MNT_ID) != 0
                            ? std::optional<std::uint64_t>(found->stx_mnt_id)
                            : MountIdByFdinfo(place.get());
  if (!mount_id) {
    return ExecutablePath{text, true};
  }
  const KnownPlace* known = caller_->known_place.get();
  if (known == nullptr || known->file != FileOf(*found) || known->mount_id != *mount_id ||
      known->path.text != text) {
    const auto of_the_host = IsMountOfTheHost(caller_->folder.get(), *mount_id);
    if (!of_the_host) {
      return ExecutablePath{text, true};
    }
    caller_->known_place = std::make_shared<const KnownPlace>(
        KnownPlace{FileOf(*found), *mount_id, ExecutablePath{text, !*of_the_host}});
  }
  return caller_->known_place->path;
}

Result<std::uint64_t> PinnedProcess::StartTime() const {
  const auto stat_line = Read("stat");
  if (!stat_line.ok()) {
    return stat_line.error();
  }
  // The second field is the command in parentheses and may hold anything, so count from the last
  // parenthesis: what follows it is field 3 on.
  std::string_view rest = *stat_line;
  const std::size_t command_end = rest.rfind(')');
  constexpr int kFieldsBetween = 19;
  bool found = command_end != std::string_view::npos;
  if (found) {
    rest.remove_prefix(command_end + 1);
    for (int field = 0; field <= kFieldsBetween && found; ++field) {
      const std::size_t space = rest.find(' ');
      found = space != std::string_view::npos;
      rest.remove_prefix(found ? space + 1 : 0);
    }
  }
  std::uint64_t ticks = 0;
  if (!found || std::from_chars(rest.data(), rest.data() + rest.size(), ticks).ec != std::errc{}) {
    return Error(Code::kInternal, fmt::format("pid {}: stat has no start time", caller_->pid));
  }
  return ticks;
}

Result<void> PinnedProcess::ConfirmUnchanged() const {
  if (auto executable = StatExecutable(); !executable.ok()) {
    return std::move(executable).error();
  }
  if (auto same = CheckIds(); !same.ok()) {
    return same;
  }
  if (!IsAlive(caller_->pidfd.get())) {
    return Error(Code::kUnauthenticated,
                 fmt::format("pid {}: the process has ended", caller_->pid));
  }
  return Ok();
}

Result<ExecutableFile> PinnedProcess::StatExecutable() const {
  const auto found = LookAt(caller_->folder.get(), "exe", caller_->pid);
  if (!found.ok()) {
    return found.error();
  }
  if (auto same = CheckExecutable(FileOf(*found)); !same.ok()) {
    return std::move(same).error();
  }
  return FileOf(*found);
}

Result<void> PinnedProcess::CheckExecutable(const ExecutableFile& found) const {
  if (caller_->executable != FileId{found.device, found.inode}) {
    return Error(Code::kUnauthenticated,
                 fmt::format("pid {}: the process replaced its executable after it connected; "
                             "connect again",
                             caller_->pid));
  }
  return Ok();
}

Result<ProcStatus> PinnedProcess::ReadStatus() const {
  const auto text = Read("status");
  if (!text.ok()) {
    return text.error();
  }
  auto status = ParseProcStatus(*text);
  if (!status.ok()) {
    return std::move(status).error().Wrap(fmt::format("pid {}", caller_->pid));
  }
  if (auto same = CompareIds(status->effective_uid, status->effective_gid); !same.ok()) {
    return std::move(same).error();
  }
  return status;
}

Result<void> PinnedProcess::CheckIds() const {
  const auto ids = EffectiveIdsOf(caller_->pidfd.get());
  if (!ids.ok()) {
    return Error(ids.error()).Wrap(fmt::format("pid {}", caller_->pid));
  }
  if (*ids) {
    return CompareIds((*ids)->uid, (*ids)->gid);
  }
  auto status = ReadStatus();
  return status.ok() ? Ok() : std::move(status).error();
}

Result<void> PinnedProcess::CompareIds(uid_t uid, gid_t gid) const {
  // SO_PEERCRED gave the effective ids. A process that has run a set-user-ID or set-group-ID
  // program since is not who connected, and a child may still talk on its socket.
  const auto differs = [this](std::string_view kind, id_t then, id_t now) {
    return Error(Code::kUnauthenticated,
                 fmt::format("pid {}: it connected as {} {} and now runs as {} {}; connect again "
                             "after changing it",
                             caller_->pid,
                             kind,
                             then,
                             kind,
                             now));
  };
  if (uid != caller_->uid) {
    return differs("uid", caller_->uid, uid);
  }
  if (gid != caller_->gid) {
    return differs("gid", caller_->gid, gid);
  }
  return Ok();
}

}  // namespace credence
