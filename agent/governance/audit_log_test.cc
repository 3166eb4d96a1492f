#include "agent/governance/audit_log.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/governance/audit_reader.h"
#include "agent/governance/testing/log_folder.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class AuditLogTest : public testing::Test {
 protected:
  ~AuditLogTest() override {
    if (log_) {
      RunTask(io_, log_->Stop());
    }
    pool_.join();
  }

  AuditLog& Open(AuditLog::Options options = {}) {
    options.path = path_;
    auto log = AuditLog::Open(io_.get_executor(), pool_, options);
    CREDENCE_CHECK(log.ok());
    log_ = *std::move(log);
    return *log_;
  }
  Result<void> Write(const AuditEvent& event) { return RunTask(io_, log_->Write(event)); }
  std::string Content() { return *ReadFile(path_, 64 << 20); }
  std::size_t Events() { return ReadAuditLog(path_, {}, 1'000'000)->events.size(); }

  LogFolder folder_;
  std::string path_ = folder_ / "audit.jsonl";
  asio::io_context io_;
  asio::thread_pool pool_{2};
  std::unique_ptr<AuditLog> log_;
};

AuditEvent ExchangeEvent(const std::string& id) {
  AuditEvent event = SampleEvent(id);
  event.kind = AuditKind::kExchange;
  event.result = AuditResult::kAllowed;
  event.action = "exchange";
  return event;
}

TEST_F(AuditLogTest, AnEventIsInTheFileWhenWriteReturns) {
  Open();
  ASSERT_THAT(Write(SampleEvent("d-1")), IsOk());
  EXPECT_EQ(Events(), 1U);
  ASSERT_THAT(Write(ExchangeEvent("d-1")), IsOk());
  EXPECT_EQ(Events(), 2U);
  EXPECT_EQ(log_->error(), "");
}

TEST_F(AuditLogTest, HidesWhatSelectorsSayUnlessTold) {
  Open();
  ASSERT_THAT(Write(SampleEvent("d-1")), IsOk());
  EXPECT_THAT(Content(), Not(HasSubstr("user:web")));
  EXPECT_THAT(Content(), HasSubstr("\"unix:user:#"));
  RunTask(io_, log_->Stop());
  Open({.selectors = SelectorDisplay::kPlain});
  ASSERT_THAT(Write(SampleEvent("d-2")), IsOk());
  EXPECT_THAT(Content(), HasSubstr("unix:user:web"));
}

Task<void> WriteOne(AuditLog& log, AuditEvent event, int& written) {
  const auto result = co_await log.Write(std::move(event));
  written += result.ok() ? 1 : 0;
}

TEST_F(AuditLogTest, ManyWritersShareTheDisk) {
  AuditLog& log = Open();
  TaskGroup group(io_.get_executor());
  int written = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = "d-" + std::to_string(i);
    group.Spawn("write", WriteOne(log, i % 2 == 0 ? ExchangeEvent(id) : SampleEvent(id), written));
  }
  io_.run_for(seconds(20));
  EXPECT_EQ(written, 1000);
  EXPECT_EQ(Events(), 1000U);
}

TEST_F(AuditLogTest, AFailureIsTheWritersAndIsVisibleUntilItPasses) {
  Open();
  std::filesystem::rename(path_, path_ + ".1");
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(Write(SampleEvent("d-1")).ok());
  EXPECT_THAT(log_->error(), HasSubstr(path_));
  std::filesystem::remove(path_);
  ASSERT_THAT(Write(SampleEvent("d-2")), IsOk());
  EXPECT_EQ(log_->error(), "");
  EXPECT_EQ(Events(), 1U);
}

TEST_F(AuditLogTest, AFullQueueRefuses) {
  AuditLog& log = Open({.max_waiting = 10});
  std::promise<void> open;
  const auto opened = open.get_future().share();
  asio::post(pool_, [opened] { opened.wait(); });
  asio::post(pool_, [opened] { opened.wait(); });
  TaskGroup group(io_.get_executor());
  int written = 0;
  for (int i = 0; i < 100; ++i) {
    group.Spawn("write", WriteOne(log, SampleEvent("d"), written));
  }
  io_.run_for(std::chrono::milliseconds(200));
  open.set_value();
  io_.restart();
  io_.run_for(seconds(10));
  EXPECT_TRUE(group.empty());
  EXPECT_GE(written, 10);
  EXPECT_LE(written, 100 - 1);
  EXPECT_EQ(Events(), static_cast<std::size_t>(written));
}

TEST_F(AuditLogTest, ADiskThatDoesNotAnswerIsAFailure) {
  Open({.timeout = std::chrono::milliseconds(30)});
  std::promise<void> open;
  const auto opened = open.get_future().share();
  asio::post(pool_, [opened] { opened.wait(); });
  asio::post(pool_, [opened] { opened.wait(); });
  EXPECT_THAT(Write(SampleEvent("d-1")), FailsWithCode(Code::kDeadlineExceeded));
  open.set_value();
}

TEST_F(AuditLogTest, ReopenStartsTheNewFile) {
  Open();
  ASSERT_THAT(Write(SampleEvent("d-1")), IsOk());
  log_->Reopen();
  ASSERT_THAT(Write(SampleEvent("d-2")), IsOk());
  EXPECT_EQ(Events(), 2U);
}

TEST_F(AuditLogTest, StopWritesWhatIsQueuedAndMayBeCalledTwice) {
  AuditLog& log = Open();
  TaskGroup group(io_.get_executor());
  int written = 0;
  for (int i = 0; i < 50; ++i) {
    group.Spawn("write", WriteOne(log, ExchangeEvent("d"), written));
  }
  io_.poll();
  RunTask(io_, log.Stop());
  RunTask(io_, log.Stop());
  io_.restart();
  io_.run_for(seconds(5));
  EXPECT_EQ(written, 50);
  EXPECT_THAT(Write(SampleEvent("late")), FailsWithCode(Code::kUnavailable));
}

/// Printed, not judged: what a cached decision and an exchange wait for the log.
TEST_F(AuditLogTest, PrintsWhatAWriteCosts) {
  Open();
  for (const bool exchange : {false, true}) {
    std::vector<double> micros;
    for (int i = 0; i < 500; ++i) {
      const AuditEvent event = exchange ? ExchangeEvent("d") : SampleEvent("d");
      const auto start = std::chrono::steady_clock::now();
      ASSERT_THAT(Write(event), IsOk());
      micros.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
              .count());
    }
    std::sort(micros.begin(), micros.end());
    fmt::print("{}: median {:.0f} us, p99 {:.0f} us\n",
               exchange ? "with fdatasync" : "without",
               micros[micros.size() / 2],
               micros[micros.size() * 99 / 100]);
  }
}

}  // namespace
}  // namespace credence
