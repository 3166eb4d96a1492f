#pragma once

#include <cstdint>

namespace credence {

/// Whether the mount with the id `mount_id` (first field of mountinfo) stands in this agent's own
/// mount namespace, or in the one of the process whose /proc folder is `process_folder` and nobody
/// but root of the agent's user namespace can have arranged that one. Other mounts are arranged by
/// whoever owns a user namespace of their own, or are detached: a path through them says what those
/// want it to say. False also when the kernel does not tell. Source: proc(5) /proc/pid/mountinfo;
/// ioctl_ns(2).
bool IsMountOfTheHost(int process_folder, std::uint64_t mount_id);

}  // namespace credence
