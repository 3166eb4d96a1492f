#pragma once

#include <cstdint>
#include <optional>

namespace credence {

/// Whether the mount with the id `mount_id` (first field of mountinfo) stands in this agent's own
/// mount namespace, or in the one of the process whose /proc folder is `process_folder` and nobody
/// but root can have made that one: it belongs to the agent's user namespace, or to one that root
/// made in there. Other mounts are arranged by whoever owns a user namespace of their own, or are
/// detached: a path through them says what those want it to say. False also for a process that is
/// chrooted within a mount namespace that is neither the agent's nor that of process 1. Reads a
/// mount table or two, about 5 us a line. The caller holds a descriptor on the mount. nullopt if
/// the kernel does not let us look, as when out of descriptors. Source: proc(5)
/// /proc/pid/mountinfo; ioctl_ns(2).
std::optional<bool> IsMountOfTheHost(int process_folder, std::uint64_t mount_id);

/// The id of the mount that `fd` is on, as kernels before 5.8 tell it, whose statx(2) does not.
/// nullopt if the kernel does not tell. Source: proc(5) /proc/pid/fdinfo.
std::optional<std::uint64_t> MountIdByFdinfo(int fd);

}  // namespace credence
