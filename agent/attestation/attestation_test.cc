#include "agent/attestation/attestation.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestors/support/testing/child_process.h"
#include "base/core/latch.h"
#include "base/core/task_group.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/process/testing/user_namespaces.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Answers with one selector after `delay`, or fails. A deaf one ignores its deadline; one that is
/// stuck ignores cancellation too, until its latch is set.
class FakeAttestor final : public WorkloadAttestor {
 public:
  struct Behaviour {
    std::string type = "fake";
    milliseconds delay{0};
    std::optional<Error> error;
    bool deaf = false;
    std::function<void()> on_call;
    Latch* stuck = nullptr;
  };

  explicit FakeAttestor(Behaviour behaviour) : behaviour_(std::move(behaviour)) {}

  std::string_view name() const override { return behaviour_.type; }

  Task<Result<std::vector<Selector>>> Attest(std::shared_ptr<const PinnedProcess> process,
                                             Deadline deadline) override {
    if (behaviour_.on_call) {
      behaviour_.on_call();
    }
    if (behaviour_.stuck != nullptr) {
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      (void)co_await behaviour_.stuck->Wait(Deadline::After(seconds(60)));
    }
    const Deadline wake = Deadline::After(behaviour_.delay);
    co_await SleepUntil(behaviour_.deaf ? wake : wake.Earlier(deadline));
    if (behaviour_.error) {
      co_return *behaviour_.error;
    }
    std::vector<Selector> selectors;
    selectors.push_back(Selector{behaviour_.type, "pid:" + std::to_string(process->caller().pid)});
    co_return selectors;
  }

 private:
  Behaviour behaviour_;
};

class WorkloadAttestationTest : public testing::Test {
 protected:
  WorkloadAttestation Make(std::vector<FakeAttestor::Behaviour> behaviours,
                           WorkloadAttestation::Options options = {}) {
    std::vector<std::unique_ptr<WorkloadAttestor>> attestors;
    for (auto& behaviour : behaviours) {
      attestors.push_back(std::make_unique<FakeAttestor>(std::move(behaviour)));
    }
    return WorkloadAttestation(io_.get_executor(), std::move(attestors), options);
  }

  Result<Attested> Attest(WorkloadAttestation& attestation,
                          std::shared_ptr<const Caller> caller,
                          AttestDetail detail = AttestDetail::kSelectors,
                          milliseconds timeout = seconds(10)) {
    return RunTask(io_, attestation.Attest(std::move(caller), Deadline::After(timeout), detail));
  }

  static Task<void> AttestOnly(WorkloadAttestation& attestation,
                               std::shared_ptr<const Caller> caller) {
    (void)co_await attestation.Attest(std::move(caller), Deadline::After(seconds(60)));
  }

  /// A caller that may give up.
  static void Spawn(TaskGroup& group,
                    WorkloadAttestation& attestation,
                    std::shared_ptr<const Caller> caller) {
    group.Spawn("attest", AttestOnly(attestation, std::move(caller)));
  }

  void RunUntil(const std::function<bool()>& done) {
    io_.restart();
    while (!done() && io_.run_one_for(seconds(10)) > 0) {
    }
  }

  static std::vector<std::string> Types(const SelectorSet& selectors) {
    std::vector<std::string> types;
    for (const Selector& selector : selectors.items()) {
      types.push_back(selector.type);
    }
    return types;
  }

  asio::io_context io_;
  ChildProcess child_{"/bin/sleep"};
};

TEST_F(WorkloadAttestationTest, OneAttestorAnswers) {
  auto attestation = Make({{.type = "a"}});
  const auto attested = Attest(attestation, child_.AsCaller());
  ASSERT_THAT(attested, IsOk());
  EXPECT_THAT(Types(attested->selectors), ElementsAre("a"));
  EXPECT_EQ(attested->process.pid, child_.pid());
  EXPECT_EQ(attested->process.executable, "");
}

TEST_F(WorkloadAttestationTest, SelectorsOfAllAttestorsAreJoined) {
  auto attestation = Make({{.type = "b"}, {.type = "a"}, {.type = "c"}});
  const auto attested = Attest(attestation, child_.AsCaller());
  ASSERT_THAT(attested, IsOk());
  EXPECT_THAT(Types(attested->selectors), ElementsAre("a", "b", "c"));
}

TEST_F(WorkloadAttestationTest, WithoutAttestorsThereAreNoSelectors) {
  auto attestation = Make({});
  const auto attested = Attest(attestation, child_.AsCaller());
  ASSERT_THAT(attested, IsOk());
  EXPECT_THAT(attested->selectors.items(), IsEmpty());
}

TEST_F(WorkloadAttestationTest, DescribesTheProcessForTheAuditLog) {
  auto attestation = Make({{.type = "a"}});
  const auto attested = Attest(attestation, child_.AsCaller(), AttestDetail::kProcess);
  ASSERT_THAT(attested, IsOk());
  EXPECT_EQ(attested->process.executable, "/usr/bin/sleep");
  EXPECT_GT(attested->process.start_time, 0U);
  EXPECT_EQ(attested->process.assurance, Assurance::kPinned);
}

TEST_F(WorkloadAttestationTest, APathThatTheProcessArrangedIsMarked) {
  auto attestation = Make({{.type = "a"}});
  ASSERT_EQ(geteuid(), 0U) << "this test becomes another user, as root's namespaces are trusted";
  if (!CanMakeUserNamespaces()) {
    GTEST_SKIP()
        << "the other sanitizers' builds run this: the thread sanitizer's own thread is in "
           "the way";
  }
  const ChildProcess child("/usr/bin/true", {.uid = 2001, .gid = 2002}, DisguiseSleepAsTrue);
  const auto attested = Attest(attestation, child.AsCaller(), AttestDetail::kProcess);
  ASSERT_THAT(attested, IsOk());
  EXPECT_EQ(attested->process.executable, "/usr/bin/true (unverified)");
}

TEST_F(WorkloadAttestationTest, OneFailingAttestorCostsItsSelectorsOnly) {
  auto attestation =
      Make({{.type = "a", .error = Error(Code::kInternal, "broken")}, {.type = "b"}});
  const auto attested = Attest(attestation, child_.AsCaller());
  ASSERT_THAT(attested, IsOk());
  EXPECT_THAT(Types(attested->selectors), ElementsAre("b"));
}

TEST_F(WorkloadAttestationTest, AllFailingIsUnavailable) {
  const Error broken(Code::kInternal, "broken");
  auto one = Make({{.type = "a", .error = broken}});
  EXPECT_THAT(Attest(one, child_.AsCaller()), FailsWithCode(Code::kUnavailable));
  auto two = Make({{.type = "a", .error = broken}, {.type = "b", .error = broken}});
  EXPECT_THAT(Attest(two, child_.AsCaller()), FailsWithCode(Code::kUnavailable));
}

TEST_F(WorkloadAttestationTest, AHangingAttestorHoldsUpNobodyElse) {
  auto attestation = Make({{.type = "a", .delay = seconds(2), .deaf = true}, {.type = "b"}},
                          {.attestor_timeout = milliseconds(30)});
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) {
    const auto attested = Attest(attestation, child_.AsCaller());
    ASSERT_THAT(attested, IsOk());
    EXPECT_THAT(Types(attested->selectors), ElementsAre("b"));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(1));
  RunTask(io_, attestation.Stop());
}

TEST_F(WorkloadAttestationTest, AnAttestorThatHangsTooOftenIsNotAskedUntilItRecovers) {
  int calls = 0;
  auto attestation = Make(
      {{.type = "a", .delay = milliseconds(300), .deaf = true, .on_call = [&calls] { ++calls; }},
       {.type = "b"}},
      {.attestor_timeout = milliseconds(20), .max_overdue = 2});
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(Attest(attestation, child_.AsCaller()), IsOk());
  }
  EXPECT_EQ(calls, 2);
  RunTask(io_, Sleep(milliseconds(400)));
  ASSERT_THAT(Attest(attestation, child_.AsCaller()), IsOk());
  EXPECT_EQ(calls, 3);
  RunTask(io_, attestation.Stop());
}

TEST_F(WorkloadAttestationTest, WhoeverGivesUpLeavesNoCallBehind) {
  int asked = 0;
  auto attestation = Make({{.type = "a", .delay = seconds(60), .on_call = [&asked] { ++asked; }},
                           {.type = "b", .delay = seconds(60)}});
  const auto caller = child_.AsCaller();
  TaskGroup callers(io_.get_executor());
  Spawn(callers, attestation, caller);
  RunUntil([&] { return asked == 1; });
  RunTask(io_, callers.Stop());
  RunUntil([&] { return caller.use_count() == 1; });
  EXPECT_EQ(caller.use_count(), 1) << "something still looks at the process";
  RunTask(io_, attestation.Stop());
}

TEST_F(WorkloadAttestationTest, GivingUpBeforeTheCallsHaveBegunLeavesNoneBehind) {
  int asked = 0;
  auto attestation =
      Make({{.type = "a", .on_call = [&asked] { ++asked; }}, {.type = "b"}}, {.max_overdue = 1});
  // The caller asks after some steps, and what it asks starts some steps later.
  for (int steps = 0; steps < 8; ++steps) {
    TaskGroup callers(io_.get_executor());
    Spawn(callers, attestation, child_.AsCaller());
    io_.restart();
    for (int i = 0; i < steps; ++i) {
      io_.poll_one();
    }
    RunTask(io_, callers.Stop());
  }
  RunTask(io_, attestation.Stop());
  asked = 0;
  ASSERT_THAT(Attest(attestation, child_.AsCaller()), IsOk());
  EXPECT_EQ(asked, 1);
}

TEST_F(WorkloadAttestationTest, CallsLeftBehindByThoseWhoGaveUpCountAsHanging) {
  int asked = 0;
  Latch release;
  auto attestation =
      Make({{.type = "a", .on_call = [&asked] { ++asked; }, .stuck = &release}, {.type = "b"}},
           {.attestor_timeout = seconds(60), .max_overdue = 2});
  TaskGroup callers(io_.get_executor());
  for (int i = 0; i < 2; ++i) {
    Spawn(callers, attestation, child_.AsCaller());
  }
  RunUntil([&] { return asked == 2; });
  RunTask(io_, callers.Stop());
  const auto without = Attest(attestation, child_.AsCaller());
  ASSERT_THAT(without, IsOk());
  EXPECT_THAT(Types(without->selectors), ElementsAre("b"));
  EXPECT_EQ(asked, 2);
  release.Set();
  RunTask(io_, attestation.Stop());
  const auto with = Attest(attestation, child_.AsCaller());
  ASSERT_THAT(with, IsOk());
  EXPECT_THAT(Types(with->selectors), ElementsAre("a", "b"));
}

TEST_F(WorkloadAttestationTest, CallsThatWaitHoldNoDescriptors) {
  const auto open_descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  int asked = 0;
  auto attestation = Make({{.type = "a", .delay = seconds(60), .on_call = [&asked] { ++asked; }}});
  const auto caller = child_.AsCaller();
  TaskGroup calls(io_.get_executor());
  RunTask(io_, Sleep(milliseconds(0)));
  const auto before = open_descriptors();
  for (int i = 0; i < 100; ++i) {
    Spawn(calls, attestation, caller);
  }
  RunUntil([&] { return asked == 100; });
  EXPECT_EQ(asked, 100);
  EXPECT_EQ(open_descriptors(), before);
  RunTask(io_, calls.Stop());
}

TEST_F(WorkloadAttestationTest, AProcessThatEndedIsRefused) {
  auto attestation = Make({{.type = "a"}});
  const auto caller = child_.AsCaller();
  child_.Kill();
  EXPECT_THAT(Attest(attestation, caller), FailsWith(Code::kUnauthenticated, HasSubstr("")));
}

TEST_F(WorkloadAttestationTest, AProcessThatEndsMeanwhileHasNoFacts) {
  for (const std::size_t attestors : {1U, 2U}) {
    ChildProcess child("/bin/sleep");
    std::vector<FakeAttestor::Behaviour> behaviours(attestors);
    behaviours[0].on_call = [&child] { child.Kill(); };
    auto attestation = Make(std::move(behaviours));
    EXPECT_THAT(Attest(attestation, child.AsCaller()), FailsWithCode(Code::kUnauthenticated));
  }
}

TEST_F(WorkloadAttestationTest, TheUidMustBeThatOfTheSocket) {
  auto attestation = Make({{.type = "a"}});
  const auto real = child_.AsCaller();
  UniqueFd pidfd(dup(real->pidfd.get()));
  const auto caller = std::make_shared<const Caller>(
      WithProcFolder(
          Caller{std::move(pidfd), real->pid, real->uid + 1, real->gid, Assurance::kPinned})
          .value());
  EXPECT_THAT(Attest(attestation, caller), FailsWith(Code::kUnauthenticated, HasSubstr("uid")));
}

TEST_F(WorkloadAttestationTest, StopCancelsWhatRunsAndMayBeCalledTwice) {
  auto attestation = Make({{.type = "a", .delay = seconds(60), .deaf = true}, {.type = "b"}},
                          {.attestor_timeout = milliseconds(10)});
  ASSERT_THAT(Attest(attestation, child_.AsCaller()), IsOk());
  RunTask(io_, attestation.Stop());
  RunTask(io_, attestation.Stop());
}

}  // namespace
}  // namespace credence
