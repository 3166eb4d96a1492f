#include "base/process/mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/unique_fd.h"

namespace credence {
namespace {

using testing::Optional;

TEST(MountsTest, FdinfoTellsTheSameMountAsStatx) {
  for (const char* path : {"/", "/proc/self/exe", "/proc/self/status"}) {
    const UniqueFd fd(open(path, O_PATH | O_CLOEXEC));
    ASSERT_TRUE(fd.valid());
    struct statx info{};
    ASSERT_EQ(statx(fd.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &info), 0);
    ASSERT_NE(info.stx_mask & STATX_MNT_ID, 0U) << "this test needs Linux 5.8";
    EXPECT_THAT(MountIdByFdinfo(fd.get()), Optional(std::uint64_t{info.stx_mnt_id}));
  }
  EXPECT_FALSE(MountIdByFdinfo(-1).has_value());
}

TEST(MountsTest, OwnMountsAreTheHosts) {
  const UniqueFd folder(open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd root(open("/", O_PATH | O_CLOEXEC));
  const auto id = MountIdByFdinfo(root.get());
  ASSERT_TRUE(id.has_value());
  EXPECT_THAT(IsMountOfTheHost(folder.get(), *id), Optional(true));
  EXPECT_THAT(IsMountOfTheHost(folder.get(), std::uint64_t{1} << 40), Optional(false));
}

}  // namespace
}  // namespace credence
