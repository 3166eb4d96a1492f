#include "agent/governance/audit_reader.h"

#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/governance/testing/log_folder.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AuditReaderTest : public testing::Test {
 protected:
  void Append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }
  void Append(const AuditEvent& event) { Append(EncodeAuditLine(event)); }

  std::vector<std::string> Ids(const AuditFilter& filter, std::size_t limit = 100) {
    const auto page = ReadAuditLog(path_, filter, limit);
    EXPECT_THAT(page, IsOk());
    std::vector<std::string> ids;
    for (const AuditEvent& event : page->events) {
      ids.push_back(event.decision_id);
    }
    malformed_ = page->malformed;
    return ids;
  }

  LogFolder folder_;
  std::string path_ = folder_ / "audit.jsonl";
  std::size_t malformed_ = 0;
};

TEST_F(AuditReaderTest, GivesTheLatestInOrder) {
  for (const char* id : {"a", "b", "c", "d"}) {
    Append(SampleEvent(id));
  }
  EXPECT_THAT(Ids({}, 2), ElementsAre("c", "d"));
  EXPECT_THAT(Ids({}), ElementsAre("a", "b", "c", "d"));
}

TEST_F(AuditReaderTest, Filters) {
  AuditEvent other = SampleEvent("b");
  other.kind = AuditKind::kExchange;
  other.result = AuditResult::kAllowed;
  other.destination = "claude";
  other.subject.uid = 7;
  other.subject.spiffe_id = "spiffe://example.org/v";
  other.time += std::chrono::seconds(10);
  Append(SampleEvent("a"));
  Append(other);
  EXPECT_THAT(Ids({.kind = AuditKind::kExchange}), ElementsAre("b"));
  EXPECT_THAT(Ids({.result = AuditResult::kDenied}), ElementsAre("a"));
  EXPECT_THAT(Ids({.spiffe_id = "spiffe://example.org/w"}), ElementsAre("a"));
  EXPECT_THAT(Ids({.destination = "claude"}), ElementsAre("b"));
  EXPECT_THAT(Ids({.decision_id = "a"}), ElementsAre("a"));
  EXPECT_THAT(Ids({.uid = uid_t{7}}), ElementsAre("b"));
  EXPECT_THAT(Ids({.since = other.time}), ElementsAre("b"));
}

TEST_F(AuditReaderTest, AClockThatWasSetBackHidesNothing) {
  const AuditEvent now = SampleEvent("now");
  const auto at = [&](const std::string& id, std::chrono::minutes offset) {
    AuditEvent event = SampleEvent(id);
    event.time = now.time + offset;
    Append(event);
  };
  at("long ago", std::chrono::minutes(-62));
  at("never seen", std::chrono::minutes(2));
  at("far back", std::chrono::minutes(-61));
  at("before the step", std::chrono::minutes(1));
  at("after the step", std::chrono::minutes(-30));
  Append(now);
  EXPECT_THAT(Ids({.since = now.time}), ElementsAre("before the step", "now"));
}

TEST_F(AuditReaderTest, CountsLinesThatAreNoEvents) {
  Append(SampleEvent("a"));
  Append("half a li\n");
  Append(SampleEvent("b"));
  EXPECT_THAT(Ids({}), ElementsAre("a", "b"));
  EXPECT_EQ(malformed_, 1U);
}

TEST_F(AuditReaderTest, ALineThatIsBeingWrittenIsLeftOut) {
  Append(SampleEvent("a"));
  Append(R"({"time":"20)");
  EXPECT_THAT(Ids({}), ElementsAre("a"));
  EXPECT_EQ(malformed_, 0U);
}

TEST_F(AuditReaderTest, ReadsAcrossBlocks) {
  for (int i = 0; i < 3000; ++i) {
    Append(SampleEvent("d-" + std::to_string(i)));
  }
  EXPECT_EQ(Ids({}, 5000).size(), 3000U);
  EXPECT_EQ(malformed_, 0U);
  EXPECT_THAT(Ids({.decision_id = "d-0"}), ElementsAre("d-0"));
}

TEST_F(AuditReaderTest, AMonstrousLineCostsNoMemory) {
  Append(SampleEvent("a"));
  Append(std::string(std::size_t{5} << 20, 'x') + "\n");
  Append(SampleEvent("b"));
  EXPECT_THAT(Ids({}), ElementsAre("a", "b"));
  EXPECT_EQ(malformed_, 1U);
}

TEST_F(AuditReaderTest, AnEmptyLogHasNoEvents) {
  Append("");
  EXPECT_THAT(Ids({}), IsEmpty());
}

TEST_F(AuditReaderTest, AMissingLogIsAnError) {
  EXPECT_THAT(ReadAuditLog(path_, {}, 1), FailsWith(Code::kNotFound, HasSubstr(path_)));
}

}  // namespace
}  // namespace credence
