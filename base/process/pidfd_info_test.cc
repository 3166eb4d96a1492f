#include "base/process/pidfd_info.h"

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/process/testing/pinned.h"

namespace credence {
namespace {

TEST(PidfdInfoTest, TellsTheEffectiveIdsOfNow) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes users and needs root";
  const Gate changed;
  const ChildProcess child([&] {
    // Real and saved ids stay, so that only the effective ones can be meant.
    const bool done = setresgid(1, 4242, 1) == 0 && setresuid(1, 4343, 1) == 0;
    changed.Open();
    return done ? PauseForEver() : 1;
  });
  const auto caller = CallerOf(child.pid());
  changed.Await();
  const auto ids = EffectiveIdsOf(caller->pidfd.get());
  ASSERT_THAT(ids, IsOk());
  // Kernels before 6.13 cannot tell.
  if (*ids) {
    EXPECT_EQ((*ids)->uid, 4343U);
    EXPECT_EQ((*ids)->gid, 4242U);
  }
}

TEST(PidfdInfoTest, AReapedProcessHasNone) {
  ChildProcess child(PauseForEver);
  const auto caller = CallerOf(child.pid());
  child.Kill();
  child.Reap();
  const auto ids = EffectiveIdsOf(caller->pidfd.get());
  EXPECT_TRUE(!ids.ok() || !ids->has_value());
}

TEST(PidfdInfoTest, AnotherKindOfDescriptorTellsNothing) {
  const auto ids = EffectiveIdsOf(STDERR_FILENO);
  ASSERT_THAT(ids, IsOk());
  EXPECT_FALSE(ids->has_value());
}

}  // namespace
}  // namespace credence
