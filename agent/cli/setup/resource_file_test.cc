#include "agent/cli/setup/resource_file.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gmock/gmock.h>

#include "base/core/check.h"
#include "base/core/clock.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/http/client.h"
#include "plugins/destinations/builtin_adapters.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ResourceFileTest : public testing::Test {
 protected:
  ResourceFileTest() {
    folder_ = testing::TempDir() + "resource_file.XXXXXX";
    CREDENCE_CHECK(mkdtemp(folder_.data()) != nullptr);
    for (const auto& adapter : adapters_) {
      list_.push_back(adapter.get());
    }
  }
  ~ResourceFileTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name + ".yaml"; }
  std::vector<std::string> Mistakes(const NewResources& resources) {
    std::vector<std::string> lines;
    for (const ConfigMistake& mistake :
         CheckResourceFile(folder_, Path(resources.name), ResourceYaml(resources), list_)) {
      lines.push_back(mistake.ToString());
    }
    return lines;
  }

  static NewResources Kv() {
    return {
        .name = "kv",
        .adapter = "openbao",
        .settings = {{"address", "https://bao.example"}, {"role", "web"}, {"audience", "a: \"#'b"}},
        .spiffe_id = "spiffe://example.org/ns/Prod/sa/My_Web.1",
        .selectors = {"unix:user:web", "k8s:pod-label:a:\"b"}};
  }

  HttpClient http_;
  SystemClock clock_;
  std::vector<std::unique_ptr<DestinationAdapter>> adapters_ = BuiltinAdapters(http_, clock_);
  AdapterList list_;
  std::string folder_;
};

TEST_F(ResourceFileTest, TheAgentsReaderReadsTheSameBack) {
  const auto outcome = ParseResources(ResourceYaml(Kv()), "kv.yaml", list_);
  ASSERT_NE(outcome.resources, nullptr) << outcome.mistakes.at(0).ToString();
  const DestinationResource& destination = outcome.resources->destinations.at(0);
  EXPECT_EQ(destination.name, "kv");
  EXPECT_EQ(destination.settings, Kv().settings);
  const GrantResource& grant = outcome.resources->grants.at(0);
  EXPECT_EQ(grant.name, "my-web-1-to-kv");
  EXPECT_EQ(grant.spiffe_id.text(), Kv().spiffe_id);
  EXPECT_EQ(grant.selectors.items().size(), 2U);
  EXPECT_EQ(grant.destination, "kv");
}

TEST_F(ResourceFileTest, WhatTheAgentWouldRefuseIsAMistake) {
  EXPECT_THAT(Mistakes(Kv()), IsEmpty());
  NewResources bad = Kv();
  bad.settings["role"] = "a role";
  EXPECT_THAT(Mistakes(bad), ElementsAre(HasSubstr("role: expected the name of a role")));
  bad = Kv();
  bad.selectors = {"plain"};
  EXPECT_THAT(Mistakes(bad), ElementsAre(HasSubstr("spec.subject.selectors")));
  bad = Kv();
  bad.name = "../kv";
  EXPECT_THAT(Mistakes(bad), testing::Contains(HasSubstr("metadata.name")));
}

TEST_F(ResourceFileTest, NamesThatOtherFilesHaveTakenAreSaid) {
  ASSERT_THAT(WriteResourceFile(Path("other"), ResourceYaml(Kv()), false), IsOk());
  const auto mistakes = Mistakes(Kv());
  ASSERT_EQ(mistakes.size(), 2U);
  EXPECT_THAT(mistakes[0], HasSubstr("this name is taken"));
  std::filesystem::rename(Path("other"), Path("kv"));
  EXPECT_THAT(Mistakes(Kv()), IsEmpty()) << "the file itself is the one that is replaced";
}

TEST_F(ResourceFileTest, TheFileItselfIsKnownHoweverItsFolderIsWritten) {
  ASSERT_THAT(WriteResourceFile(Path("kv"), ResourceYaml(Kv()), false), IsOk());
  for (const std::string& folder : {folder_ + "/", folder_ + "//", folder_ + "/./"}) {
    EXPECT_THAT(CheckResourceFile(folder, folder + "/kv.yaml", ResourceYaml(Kv()), list_),
                IsEmpty())
        << folder;
  }
}

TEST_F(ResourceFileTest, AFileIsReplacedOnlyWhenThatIsWanted) {
  ASSERT_THAT(WriteResourceFile(Path("kv"), "one", false), IsOk());
  EXPECT_THAT(WriteResourceFile(Path("kv"), "two", false), FailsWithCode(Code::kAlreadyExists));
  EXPECT_THAT(ReadFile(Path("kv"), 100), IsOkAndHolds("one"));
  EXPECT_THAT(WriteResourceFile(Path("kv"), "two", true), IsOk());
  EXPECT_THAT(ReadFile(Path("kv"), 100), IsOkAndHolds("two"));
  struct stat found{};
  ASSERT_EQ(stat(Path("kv").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0644U);
}

}  // namespace
}  // namespace credence
