#include "agent/governance/audit_line.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/governance/testing/log_folder.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

TEST(AuditLineTest, ARefusalKeepsItsFields) {
  const std::string line = EncodeAuditLine(SampleEvent("d-1"));
  EXPECT_EQ(
      line,
      R"({"time":"2027-01-15T08:00:00.000Z","kind":"decision","result":"denied","decision_id":"d-1",)"
      R"("action":"get","destination":"kv-demo","grant":"web-to-kv","spiffe_id":"spiffe://example.org/w",)"
      R"("pid":42,"uid":1000,"start_time":123456,"executable":"/usr/bin/app","assurance":"pinned",)"
      R"("selectors":["unix:uid:1000","unix:user:web"],"reason":"it does not fit","fix":"change it"})"
      "\n");
}

TEST(AuditLineTest, WhatIsWrittenIsReadBack) {
  AuditEvent event = SampleEvent("d-2");
  event.kind = AuditKind::kExchange;
  event.result = AuditResult::kFailed;
  event.time = FromUnixSeconds(1'800'000'000) + std::chrono::milliseconds(123);
  event.failure = "OPAQUE_DENIED";
  event.request_id = "req_1";
  event.exchange_id = "e-1";
  event.expires_at = FromUnixSeconds(1'800'003'600);
  event.from_cache = true;
  const auto read = DecodeAuditLine(EncodeAuditLine(event));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(EncodeAuditLine(*read), EncodeAuditLine(event));
  EXPECT_EQ(read->time, event.time);
  EXPECT_EQ(read->exchange_id, "e-1");
  EXPECT_EQ(read->subject.selectors, event.subject.selectors);
}

TEST(AuditLineTest, HostileTextCannotForgeALine) {
  AuditEvent event = SampleEvent("d-3");
  event.subject.executable = "/tmp/a\n{\"kind\":\"decision\"}\xff\xc0\xaf\x1b[2J";
  const std::string line = EncodeAuditLine(event);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto read = DecodeAuditLine(line);
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(read->subject.executable, HasSubstr("\xEF\xBF\xBD"));
  const std::string shown = FormatAuditLine(*read);
  EXPECT_THAT(shown, Not(HasSubstr("\x1b")));
  EXPECT_THAT(shown, Not(HasSubstr("\n")));
}

TEST(AuditLineTest, NoCharacterReachesATerminalThatObeysIt) {
  AuditEvent event = SampleEvent("d-3");
  // A C1 control (CSI), the mark that turns text around, DEL, and a letter beyond 16 bits.
  event.subject.executable =
      "/tmp/\xC2\x9B"
      "2J\xE2\x80\xAE\x7F\xF0\x9F\x98\x80\xC3\xA4";
  const std::string line = EncodeAuditLine(event);
  const std::string shown = FormatAuditLine(event);
  const auto plain = [](char c) { return c >= 0x20 && c < 0x7f; };
  EXPECT_TRUE(std::all_of(line.begin(), line.end() - 1, plain)) << line;
  EXPECT_TRUE(std::all_of(shown.begin(), shown.end(), plain)) << shown;
  EXPECT_THAT(line, HasSubstr(R"("/tmp/\u009b2J\u202e\u007f\ud83d\ude00\u00e4")"));
  EXPECT_THAT(shown, HasSubstr(R"(/tmp/\xc2\x9b2J\xe2\x80\xae\x7f)"));
  const auto read = DecodeAuditLine(line);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->subject.executable, event.subject.executable);
}

TEST(AuditLineTest, AHostileLineStaysBelowWhatTheReaderTakes) {
  AuditEvent event = SampleEvent(std::string(10'000, '\x01'));
  for (std::string* text : {&event.destination,
                            &event.grant,
                            &event.action,
                            &event.reason,
                            &event.fix,
                            &event.failure,
                            &event.request_id,
                            &event.subject.spiffe_id,
                            &event.subject.executable}) {
    *text = std::string(10'000, '\x01');
  }
  std::vector<Selector> many;
  for (int i = 0; i < 2000; ++i) {
    many.push_back(Selector{"unix", "path:" + std::to_string(i) + std::string(500, '\x01')});
  }
  event.subject.selectors = SelectorSet(std::move(many));
  EXPECT_LT(EncodeAuditLine(event).size(), std::size_t{1} << 20);
}

TEST(AuditLineTest, LongTextsAreCut) {
  AuditEvent event = SampleEvent("d-4");
  event.reason = std::string(100'000, 'x');
  std::vector<Selector> many;
  for (int i = 0; i < 2000; ++i) {
    many.push_back(
        Selector{"unix", "supplementary_gid:" + std::to_string(i) + std::string(500, 'y')});
  }
  event.subject.selectors = SelectorSet(std::move(many));
  EXPECT_LT(EncodeAuditLine(event).size(), std::size_t{128} << 10);
}

class OddLineTest : public testing::TestWithParam<std::string> {};

TEST_P(OddLineTest, IsRefused) {
  EXPECT_THAT(DecodeAuditLine(GetParam()), FailsWithCode(Code::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    OddLineTest,
    testing::Values(
        "",
        "x",
        "[]",
        "{}",
        R"({"time":"2027-01-15T08:00:00Z","kind":"decision","result":"denied"})",
        R"({"time":"soon","kind":"decision","result":"denied","assurance":"pinned"})",
        R"({"time":"2027-01-15T08:00:00Z","kind":"x","result":"denied","assurance":"pinned"})",
        R"({"time":"2027-01-15T08:00:00Z","kind":"decision","result":"denied","assurance":"pinned","pid":-1})",
        R"({"time":"2027-01-15T08:00:00Z","kind":"decision","result":"denied","assurance":"pinned","selectors":[1]})",
        R"({"time":"2027-01-15T08:00:00Z","kind":"decision","result":"denied","assurance":"pinned","grant":7})"));

TEST(AuditLineTest, TheHumanLineTellsWhoWhatAndWhy) {
  const std::string shown = FormatAuditLine(SampleEvent("d-5"));
  EXPECT_EQ(shown,
            "2027-01-15T08:00:00.000Z denied get kv-demo for spiffe://example.org/w (pid 42, uid "
            "1000, /usr/bin/app): "
            "it does not fit; fix: change it; decision d-5");
}

}  // namespace
}  // namespace credence
