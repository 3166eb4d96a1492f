#include "base/core/log.h"

#include <unistd.h>

#include <filesystem>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include "base/core/file.h"
#include "base/core/testing/file_size_limit.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class LogTest : public testing::Test {
 protected:
  ~LogTest() override {
    EXPECT_THAT(SetUpLog(LogOptions{}), IsOk());
    std::filesystem::remove(path_);
    std::filesystem::remove(path_ + ".1");
  }
  void SetUpFile(LogLevel level, LogFormat format) {
    ASSERT_THAT(SetUpLog(LogOptions{level, format, path_}), IsOk());
  }
  std::string Written(const std::string& suffix = "") const {
    auto text = ReadFile(path_ + suffix, 1U << 20);
    return text.ok() ? *std::move(text) : "";
  }

  std::string path_ = fmt::format("{}/log_test.{}", testing::TempDir(), getpid());
};

TEST_F(LogTest, TextLinesHaveTimeLevelMessageAndFields) {
  SetUpFile(LogLevel::kInfo, LogFormat::kText);
  LogInfo("Agent started",
          {{"pid", 7}, {"socket", "/run/a.sock"}, {"note", "two words"}, {"none", ""}});
  EXPECT_THAT(Written(),
              MatchesRegex("time=[-0-9]{10}T[0-9:.]{12}Z level=info msg=\"Agent started\" pid=7 "
                           "socket=/run/a.sock note=\"two words\" none=\"\"\n"));
}

TEST_F(LogTest, ForeignTextCannotForgeATextLine) {
  SetUpFile(LogLevel::kInfo, LogFormat::kText);
  LogWarn("Refused", {{"id", "x\ntime=now level=error msg=\"forged\"\x1b[2J\x7f\xff"}});
  const std::string text = Written();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(text.find_first_of("\x1b\x7f\xff"), std::string::npos);
  EXPECT_THAT(text, HasSubstr(R"(id="x\ntime=now level=error msg=\"forged\")"));
}

TEST_F(LogTest, ForeignTextCannotForgeAJsonLine) {
  SetUpFile(LogLevel::kInfo, LogFormat::kJson);
  LogError("Refused",
           {{"id", "\",\"level\":\"info\n\x01"}, {"error", Error(Code::kNotFound, "no")}});
  const auto line = boost::json::parse(Written()).as_object();
  EXPECT_EQ(line.at("level").as_string(), "error");
  EXPECT_EQ(line.at("msg").as_string(), "Refused");
  EXPECT_EQ(line.at("id").as_string(), "\",\"level\":\"info\n\x01");
  EXPECT_EQ(line.at("error").as_string(), "NOT_FOUND: no");
  EXPECT_EQ(line.size(), 5U);
}

TEST_F(LogTest, LinesBelowTheLevelAreDropped) {
  SetUpFile(LogLevel::kWarn, LogFormat::kText);
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  EXPECT_TRUE(LogEnabled(LogLevel::kWarn));
  LogDebug("A");
  LogInfo("B");
  EXPECT_EQ(Written(), "");
  LogWarn("C");
  EXPECT_THAT(Written(), HasSubstr("msg=\"C\""));
}

TEST_F(LogTest, ReopeningFollowsRotation) {
  SetUpFile(LogLevel::kInfo, LogFormat::kText);
  LogInfo("Before");
  std::filesystem::rename(path_, path_ + ".1");
  LogInfo("Between");
  ReopenLog();
  LogInfo("After");
  EXPECT_THAT(Written(".1"), testing::AllOf(HasSubstr("Before"), HasSubstr("Between")));
  EXPECT_THAT(Written(), HasSubstr("After"));
  EXPECT_THAT(Written(), testing::Not(HasSubstr("Between")));
}

TEST_F(LogTest, AFileThatCannotBeOpenedKeepsTheOldLog) {
  SetUpFile(LogLevel::kInfo, LogFormat::kText);
  EXPECT_THAT(SetUpLog(LogOptions{LogLevel::kInfo, LogFormat::kText, "/proc/none/log"}),
              FailsWith(Code::kInvalidArgument, HasSubstr("/proc/none/log")));
  LogInfo("Still here");
  EXPECT_THAT(Written(), HasSubstr("Still here"));
}

TEST_F(LogTest, AfterAFullDiskItGoesOn) {
  SetUpFile(LogLevel::kInfo, LogFormat::kText);
  LogInfo("Before");
  {
    const FileSizeLimit full(Written().size() + 10);
    for (int i = 0; i < 100; ++i) {
      LogInfo("Lost");
    }
  }
  LogInfo("After");
  EXPECT_THAT(Written(), testing::AllOf(HasSubstr("Before"), HasSubstr("After")));
}

TEST(ParseLogLevelTest, ReadsSpiresWordsInAnyCase) {
  EXPECT_THAT(ParseLogLevel("debug"), IsOkAndHolds(LogLevel::kDebug));
  EXPECT_THAT(ParseLogLevel("INFO"), IsOkAndHolds(LogLevel::kInfo));
  EXPECT_THAT(ParseLogLevel("Warn"), IsOkAndHolds(LogLevel::kWarn));
  EXPECT_THAT(ParseLogLevel("WARNING"), IsOkAndHolds(LogLevel::kWarn));
  EXPECT_THAT(ParseLogLevel("error"), IsOkAndHolds(LogLevel::kError));
  EXPECT_THAT(ParseLogLevel("fatal"), IsOkAndHolds(LogLevel::kError));
  EXPECT_THAT(ParseLogLevel("panic"), IsOkAndHolds(LogLevel::kError));
  for (const char* bad : {"", "verbose", "info ", "1"}) {
    EXPECT_THAT(ParseLogLevel(bad), FailsWith(Code::kInvalidArgument, HasSubstr("log level")))
        << bad;
  }
}

}  // namespace
}  // namespace credence
