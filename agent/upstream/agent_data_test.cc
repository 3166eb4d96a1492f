#include "agent/upstream/agent_data.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "tests/testkit/spiffe_ca.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AgentDataTest : public testing::Test {
 protected:
  AgentDataTest() {
    std::string pattern = "/tmp/credence-data-XXXXXX";
    parent_ = mkdtemp(pattern.data());
    folder_ = parent_ + "/data";
  }
  ~AgentDataTest() override { std::filesystem::remove_all(parent_); }

  static std::string NewCertificate() { return testkit::SpiffeCa("example.org").certificate(); }

  std::string parent_;
  std::string folder_;
};

TEST_F(AgentDataTest, AbsentFileIsEmptyData) {
  const auto data = LoadAgentData(folder_);
  ASSERT_THAT(data, IsOk());
  EXPECT_THAT(data->svid_chain, IsEmpty());
  EXPECT_THAT(data->bundle, IsEmpty());
}

TEST_F(AgentDataTest, SurvivesTheDiskPrivately) {
  AgentData data;
  data.svid_chain = {NewCertificate(), NewCertificate()};
  data.bundle = {NewCertificate()};
  data.reattestable = true;
  ASSERT_THAT(StoreAgentData(folder_, data), IsOk());
  struct stat info{};
  ASSERT_EQ(stat(AgentDataPath(folder_).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const auto loaded = LoadAgentData(folder_);
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->svid_chain, data.svid_chain);
  EXPECT_EQ(loaded->bundle, data.bundle);
  EXPECT_TRUE(loaded->reattestable);
}

/// Shape taken from a file that spire-agent 1.15.3 wrote.
TEST_F(AgentDataTest, KeepsWhatOnlySpiresAgentUses) {
  const auto certificate = NewCertificate();
  const auto encoded = Base64Encode(CertificateToPem(certificate));
  const auto data = ParseAgentData(
      fmt::format(R"({{"svid":["{0}"],"bundle":["{0}"],"reattestable":false,"bootstrap_use":2,)"
                  R"("bootstrap_start_time":"0001-01-01T00:00:00Z","connection_attempts":0}})",
                  encoded));
  ASSERT_THAT(data, IsOk());
  EXPECT_THAT(data->svid_chain, ElementsAre(certificate));
  EXPECT_FALSE(data->reattestable);
  const auto written = FormatAgentData(*data);
  EXPECT_THAT(written,
              AllOf(HasSubstr(R"("bootstrap_use":2)"),
                    HasSubstr(R"("bootstrap_start_time":"0001-01-01T00:00:00Z")"),
                    HasSubstr(R"("svid":[")" + encoded + R"("])")));
}

TEST_F(AgentDataTest, NullListsAreEmpty) {
  const auto data = ParseAgentData(R"({"svid":null,"bundle":null})");
  ASSERT_THAT(data, IsOk());
  EXPECT_THAT(data->svid_chain, IsEmpty());
}

TEST_F(AgentDataTest, DamagedFilesAreRefused) {
  for (const std::string content : {"",
                                    "[]",
                                    "{",
                                    R"({"svid":"x"})",
                                    R"({"svid":[5]})",
                                    R"({"svid":["!"]})",
                                    R"({"bundle":["AAAA"]})",
                                    R"({"reattestable":"yes"})"}) {
    EXPECT_THAT(ParseAgentData(content), FailsWithCode(Code::kDataLoss)) << content;
  }
}

TEST_F(AgentDataTest, DamageNamesTheFile) {
  std::filesystem::create_directories(folder_);
  ASSERT_THAT(WriteFileAtomically(AgentDataPath(folder_), "{", 0600), IsOk());
  EXPECT_THAT(LoadAgentData(folder_),
              FailsWith(Code::kDataLoss, HasSubstr(AgentDataPath(folder_))));
}

}  // namespace
}  // namespace credence
