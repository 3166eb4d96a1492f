#include "attestors/workload/unix/unix_attestor.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestors/support/testing/child_process.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/process/testing/user_namespaces.h"

namespace credence {
namespace {

using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class NamedAccounts final : public AccountDatabase {
 public:
  Result<std::optional<std::string>> UserName(uid_t uid) const override {
    return uid == 2001 ? std::optional<std::string>("web") : std::nullopt;
  }
  Result<std::optional<std::string>> GroupName(gid_t gid) const override {
    return gid == 2002 || gid == 2004 ? std::optional<std::string>("team" + std::to_string(gid))
                                      : std::nullopt;
  }
};

class UnixAttestorTest : public testing::Test {
 protected:
  ~UnixAttestorTest() override { pool_.join(); }

  UnixAttestor Make(UnixAttestor::Options options) {
    return UnixAttestor(io_.get_executor(), pool_, accounts_, clock_, options);
  }

  Result<std::vector<std::string>> Attest(UnixAttestor& attestor, const ChildProcess& child) {
    auto process = PinnedProcess::Open(child.AsCaller());
    CREDENCE_CHECK(process.ok());
    auto selectors =
        RunTask(io_,
                attestor.Attest(std::make_shared<const PinnedProcess>(*std::move(process)),
                                Deadline::After(seconds(10))));
    if (!selectors.ok()) {
      return std::move(selectors).error();
    }
    std::vector<std::string> texts;
    for (const Selector& selector : *selectors) {
      texts.push_back(selector.ToString());
    }
    return texts;
  }

  asio::io_context io_;
  asio::thread_pool pool_{4};
  SystemClock clock_;
  NamedAccounts accounts_;
};

TEST_F(UnixAttestorTest, ReportsUserAndGroupsWithTheNamesThatExist) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root to become another user";
  }
  UnixAttestor attestor = Make({});
  const ChildProcess child("/bin/sleep", {.uid = 2001, .gid = 2002, .groups = {2003, 2004}});
  EXPECT_THAT(Attest(attestor, child),
              IsOkAndHolds(ElementsAre("unix:uid:2001",
                                       "unix:user:web",
                                       "unix:gid:2002",
                                       "unix:group:team2002",
                                       "unix:supplementary_gid:2003",
                                       "unix:supplementary_gid:2004",
                                       "unix:supplementary_group:team2004")));
}

TEST_F(UnixAttestorTest, OfThousandsOfGroupsTheFirstCount) {
  ASSERT_EQ(geteuid(), 0U) << "needs root to become another user";
  UnixAttestor attestor = Make({});
  std::vector<gid_t> groups;
  for (gid_t gid = 10'000; gid < 15'000; ++gid) {
    groups.push_back(gid);
  }
  const ChildProcess child("/bin/sleep", {.uid = 2001, .gid = 2002, .groups = groups});
  const auto selectors = Attest(attestor, child);
  ASSERT_THAT(selectors, IsOk());
  EXPECT_EQ(selectors->size(), 4U + 512U);
  EXPECT_THAT(*selectors, Contains("unix:supplementary_gid:10511"));
}

TEST_F(UnixAttestorTest, PathAndDigestOnlyWhenAskedFor) {
  const ChildProcess child("/bin/sleep");
  UnixAttestor without = Make({});
  EXPECT_THAT(Attest(without, child), IsOkAndHolds(Not(Contains(StartsWith("unix:path:")))));

  UnixAttestor with = Make({.discover_workload_path = true});
  const auto content = ReadFile("/bin/sleep", 10 << 20);
  ASSERT_THAT(content, IsOk());
  const auto selectors = Attest(with, child);
  ASSERT_THAT(selectors, IsOk());
  EXPECT_THAT(*selectors, Contains("unix:path:/usr/bin/sleep"));
  EXPECT_THAT(*selectors, Contains("unix:sha256:" + Hex(Sha256(*content))));
}

TEST_F(UnixAttestorTest, APathThatTheProcessArrangedIsNotReported) {
  UnixAttestor attestor = Make({.discover_workload_path = true});
  ASSERT_EQ(geteuid(), 0U) << "this test becomes another user, as root's namespaces are trusted";
  if (!CanMakeUserNamespaces()) {
    GTEST_SKIP()
        << "the other sanitizers' builds run this: the thread sanitizer's own thread is in "
           "the way";
  }
  const ChildProcess child("/usr/bin/true", {.uid = 2001, .gid = 2002}, DisguiseSleepAsTrue);
  const auto content = ReadFile("/bin/sleep", 10 << 20);
  ASSERT_THAT(content, IsOk());
  const auto selectors = Attest(attestor, child);
  ASSERT_THAT(selectors, IsOk());
  EXPECT_THAT(*selectors, Not(Contains(StartsWith("unix:path:"))));
  EXPECT_THAT(*selectors, Contains("unix:sha256:" + Hex(Sha256(*content))));
}

TEST_F(UnixAttestorTest, NegativeSizeLimitMeansPathWithoutDigest) {
  UnixAttestor attestor = Make({.discover_workload_path = true, .workload_size_limit = -1});
  const ChildProcess child("/bin/sleep");
  const auto selectors = Attest(attestor, child);
  ASSERT_THAT(selectors, IsOk());
  EXPECT_THAT(*selectors, Contains("unix:path:/usr/bin/sleep"));
  EXPECT_THAT(*selectors, Not(Contains(StartsWith("unix:sha256:"))));
}

TEST_F(UnixAttestorTest, ATooLargeExecutableFailsTheAttestation) {
  UnixAttestor attestor = Make({.discover_workload_path = true, .workload_size_limit = 10});
  const ChildProcess child("/bin/sleep");
  EXPECT_THAT(Attest(attestor, child), FailsWithCode(Code::kOutOfRange));
}

TEST_F(UnixAttestorTest, AProcessThatEndedIsAnError) {
  UnixAttestor attestor = Make({});
  ChildProcess child("/bin/sleep");
  auto process = PinnedProcess::Open(child.AsCaller());
  ASSERT_THAT(process, IsOk());
  child.Kill();
  const auto selectors =
      RunTask(io_,
              attestor.Attest(std::make_shared<const PinnedProcess>(*std::move(process)),
                              Deadline::After(seconds(10))));
  EXPECT_THAT(selectors, FailsWithCode(Code::kUnauthenticated));
}

TEST_F(UnixAttestorTest, AGroupThatIsNotTheCallersIsNotReported) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes groups and needs root";
  UnixAttestor attestor = Make({});
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  ASSERT_TRUE(pidfd.valid());
  auto process = PinnedProcess::Open(std::make_shared<const Caller>(
      WithProcFolder(Caller{std::move(pidfd), getpid(), geteuid(), getegid(), Assurance::kPinned})
          .value()));
  ASSERT_THAT(process, IsOk());
  const gid_t own = getegid();
  ASSERT_EQ(setegid(2002), 0);
  const auto selectors =
      RunTask(io_,
              attestor.Attest(std::make_shared<const PinnedProcess>(*std::move(process)),
                              Deadline::After(seconds(10))));
  ASSERT_EQ(setegid(own), 0);
  EXPECT_THAT(selectors, FailsWith(Code::kUnauthenticated, HasSubstr("gid 2002")));
}

/// What one attestation costs with names known; printed, not judged, because machines differ.
TEST_F(UnixAttestorTest, PrintsWhatAnAttestationCosts) {
  UnixAttestor attestor = Make({});
  const ChildProcess child("/bin/sleep");
  const auto caller = child.AsCaller();
  constexpr int kRounds = 2000;
  const auto run = [](UnixAttestor& unix_attestor,
                      std::shared_ptr<const Caller> who) -> Task<Result<SteadyTime::duration>> {
    SteadyTime start;
    for (int i = -100; i < kRounds; ++i) {
      if (i == 0) {
        start = std::chrono::steady_clock::now();
      }
      auto process = PinnedProcess::Open(who);
      if (!process.ok()) {
        co_return process.error();
      }
      const auto pinned = std::make_shared<const PinnedProcess>(*std::move(process));
      const auto selectors = co_await unix_attestor.Attest(pinned, Deadline::After(seconds(10)));
      if (!selectors.ok() || !pinned->ConfirmUnchanged().ok()) {
        co_return Error(Code::kInternal, "attestation failed");
      }
    }
    co_return std::chrono::steady_clock::now() - start;
  };
  const auto spent = RunTask(io_, run(attestor, caller));
  ASSERT_THAT(spent, IsOk());
  fmt::print("one attestation: {:.1f} us\n",
             std::chrono::duration<double, std::micro>(*spent).count() / kRounds);
}

}  // namespace
}  // namespace credence
