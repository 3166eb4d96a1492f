#include "agent/authority/services/entry_files.h"

#include <functional>
#include <string>

#include <gmock/gmock.h>

#include "agent/authority/services/bundle_batches.h"
#include "agent/authority/services/entry_batches.h"
#include "agent/authority/services/federation_batches.h"
#include "agent/authority/services/testing/authority_fixture.h"
#include "agent/authority/services/testing/entries.h"
#include "agent/config/testing/temporary_folder.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string FileEntryAt(const std::string& name,
                        const std::string& path,
                        const std::string& more = "") {
  return "apiVersion: credence/v1\nkind: Entry\nmetadata: {name: " + name +
         "}\nspec: {spiffe_id: spiffe://example.org" + path + ", selectors: [unix:uid:1]" + more +
         "}\n";
}

std::string FileEntry(const std::string& name, const std::string& more = "") {
  return FileEntryAt(name, "/" + name, more);
}

class EntryFilesTest : public AuthorityTest {
 protected:
  ~EntryFilesTest() override { StopFiles(); }

  void StartFiles() {
    files_ = std::make_unique<EntryFiles>(
        io_.get_executor(),
        pool_,
        *state_,
        clock_,
        EntryFiles::Options{.paths = {resources_.path()}, .settle = std::chrono::milliseconds(5)});
    files_->Start();
  }
  void StopFiles() {
    if (files_) {
      RunTask(io_, files_->Stop());
      files_.reset();
    }
  }
  bool RunUntil(const std::function<bool()>& condition) {
    const Deadline end = Deadline::After(std::chrono::seconds(20));
    while (!condition() && !end.Passed()) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds(2));
    }
    return condition();
  }
  StoredEntry Find(const std::string& id) const { return state_->tables().entries.Find(id); }
  const std::vector<std::string>& Mistakes() const { return files_->status().value().mistakes; }

  TemporaryFolder resources_;
  std::unique_ptr<EntryFiles> files_;
};

TEST_F(EntryFilesTest, EntriesAreThereAtOnceAndFollowTheirFile) {
  const std::string file = resources_.Write("a.yaml", FileEntry("web"));
  StartFiles();
  const StoredEntry first = Find("file.web");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->parent_id().path(), "/node/local");
  EXPECT_EQ(first->selectors(0).value(), "uid:1");
  EXPECT_GT(first->revision_number(), 1'700'000'000'000'000'000);
  EXPECT_EQ(state_->tables().file_entries.at("file.web"), file);
  resources_.Write("a.yaml", FileEntry("web", ", hint: new") + "---\n" + FileEntry("db"));
  ASSERT_TRUE(RunUntil([&] { return Find("file.db") != nullptr; }));
  EXPECT_EQ(Find("file.web")->hint(), "new");
  EXPECT_GT(Find("file.web")->revision_number(), first->revision_number());
  std::filesystem::remove(file);
  EXPECT_TRUE(RunUntil([&] { return state_->tables().file_entries.empty(); }));
  EXPECT_EQ(Find("file.web"), nullptr);
  EXPECT_THAT(Mistakes(), IsEmpty());
}

TEST_F(EntryFilesTest, AnEntryThatIsTheSameKeepsItsRevision) {
  resources_.Write("a.yaml", FileEntry("web"));
  StartFiles();
  const StoredEntry before = Find("file.web");
  resources_.Write("a.yaml", FileEntry("web") + "---\n" + FileEntry("db"));
  ASSERT_TRUE(RunUntil([&] { return Find("file.db") != nullptr; }));
  EXPECT_EQ(Find("file.web"), before);
  const auto revision = Find("file.db")->revision_number();
  StopFiles();
  Reopen();
  EXPECT_EQ(Find("file.db"), nullptr) << "nothing is stored";
  StartFiles();
  EXPECT_EQ(Find("file.db")->revision_number(), revision) << "as before the restart";
}

TEST_F(EntryFilesTest, AMistakeKeepsTheLastGoodSet) {
  resources_.Write("a.yaml", FileEntry("web"));
  StartFiles();
  const auto loaded_at = files_->status().value().loaded_at;
  clock_.Advance(std::chrono::seconds(5));
  resources_.Write("b.yaml", FileEntry("db", ", hintt: x"));
  // A reading while the file is written may find it empty.
  ASSERT_TRUE(RunUntil([&] {
    return Mistakes().size() == 1 && Mistakes()[0].find("b.yaml:4:") != std::string::npos;
  }));
  EXPECT_NE(Find("file.web"), nullptr);
  EXPECT_EQ(Find("file.db"), nullptr);
  EXPECT_EQ(files_->status().value().loaded_at, loaded_at);
  resources_.Write("b.yaml", FileEntry("db"));
  ASSERT_TRUE(RunUntil([&] { return Find("file.db") != nullptr; }));
  EXPECT_THAT(Mistakes(), IsEmpty());
  EXPECT_NE(files_->status().value().loaded_at, loaded_at);
}

TEST_F(EntryFilesTest, WhatAnEntryHasToKeepToIsAskedOfFilesToo) {
  ASSERT_THAT(PutEntry(EntryOf("stored", "/taken", "/node/local")), IsOk());
  ASSERT_THAT(PutEntry(EntryOf("file.mine", "/other", "/node/local")), IsOk());
  const struct {
    std::string yaml;
    std::string mistake;
  } rows[] = {
      {"apiVersion: credence/v1\nkind: Entry\nmetadata: {name: w}\nspec: {spiffe_id: "
       "spiffe://other.test/w, selectors: [unix:uid:1]}\n",
       "a.yaml:1: Entry w: spiffe_id: is not of trust domain example.org"},
      {FileEntry("spire"), "a.yaml:1: Entry spire: spiffe_id: needs a path"},
      {FileEntry("w", ", federates_with: [other.test]"), "a.yaml:1: Entry w: federates_with"},
      {FileEntry("w", ", dns_names: ['-']"), "a.yaml:1: Entry w: dns_names"},
      {FileEntry("taken"),
       "Entry taken: entry stored has the same SPIFFE ID, parent and selectors"},
      {FileEntry("mine"), "Entry mine: there is a stored entry file.mine"},
      {FileEntry("w") + "---\n" + FileEntryAt("w2", "/w"),
       "a.yaml:6: Entry w2: entry file.w has the same SPIFFE ID"},
  };
  for (const auto& row : rows) {
    resources_.Write("a.yaml", row.yaml);
    StartFiles();
    EXPECT_THAT(Mistakes(), ElementsAre(HasSubstr(row.mistake))) << row.yaml;
    EXPECT_TRUE(state_->tables().file_entries.empty());
    EXPECT_FALSE(files_->status().value().loaded_at.has_value());
    StopFiles();
  }
}

TEST_F(EntryFilesTest, ChangesByCommandAreRefusedWithTheFilesName) {
  const std::string file = resources_.Write("a.yaml", FileEntry("web"));
  StartFiles();
  const auto update = std::make_shared<UpdateBatch>();
  *update->request.add_entries() = *Find("file.web");
  const auto erase = std::make_shared<DeleteBatch>();
  erase->request.add_ids("file.web");
  const auto create = std::make_shared<CreateBatch>();
  *create->request.add_entries() = *EntryOf("file.new", "/new", "/node/local");
  ASSERT_THAT(Write(PlanToUpdate(update, state_->trust_domain())), IsOk());
  ASSERT_THAT(Write(PlanToDelete(erase)), IsOk());
  ASSERT_THAT(Write(PlanToCreate(create, state_->trust_domain(), 1)), IsOk());
  for (const auto& status :
       {update->response.results(0).status(), erase->response.results(0).status()}) {
    EXPECT_EQ(status.code(), static_cast<int>(Code::kFailedPrecondition));
    EXPECT_EQ(status.message(), "entry file.web stands in " + file + ": change it there");
  }
  EXPECT_EQ(create->response.results(0).status().code(), static_cast<int>(Code::kInvalidArgument));
  EXPECT_NE(Find("file.web"), nullptr);
  EXPECT_EQ(Find("file.new"), nullptr);
}

TEST_F(EntryFilesTest, ABundleThatAFileNamesStays) {
  const auto set = std::make_shared<SetBundlesBatch>();
  set->request.add_bundle()->set_trust_domain("other.test");
  ASSERT_THAT(Write(PlanToSetBundles(set, state_->trust_domain(), 1)), IsOk());
  const std::string file =
      resources_.Write("a.yaml", FileEntry("w", ", federates_with: [other.test]"));
  StartFiles();
  ASSERT_THAT(Mistakes(), IsEmpty());
  using Request = spire::api::server::bundle::v1::BatchDeleteFederatedBundleRequest;
  for (const auto mode : {Request::DELETE, Request::DISSOCIATE}) {
    const auto erase = std::make_shared<DeleteBundlesBatch>();
    erase->request.add_trust_domains("other.test");
    erase->request.set_mode(mode);
    ASSERT_THAT(Write(PlanToDeleteBundles(erase)), IsOk());
    EXPECT_EQ(erase->response.results(0).status().message(),
              "entry file.w in " + file + " federates with other.test: change it there first");
  }
  EXPECT_EQ(Find("file.w")->federates_with_size(), 1);
}

TEST_F(EntryFilesTest, AnEntryIsReadAgainWhenTheBundleThatItNamesIsThere) {
  resources_.Write("a.yaml", FileEntry("w", ", federates_with: [other.test]"));
  StartFiles();
  ASSERT_THAT(Mistakes(), ElementsAre(HasSubstr("federates_with")));
  const auto set = std::make_shared<SetBundlesBatch>();
  set->request.add_bundle()->set_trust_domain("other.test");
  ASSERT_THAT(Write(PlanToSetBundles(set, state_->trust_domain(), 1)), IsOk());
  EXPECT_TRUE(RunUntil([&] { return Find("file.w") != nullptr; }));
  EXPECT_THAT(Mistakes(), IsEmpty());
}

TEST_F(EntryFilesTest, AnEntryIsReadAgainWhenAFederationThatItNamesBeginsOrHasEnded) {
  resources_.Write("a.yaml", FileEntry("w", ", federates_with: [other.test, third.test]"));
  StartFiles();
  const auto create = std::make_shared<CreateRelationshipsBatch>();
  auto& relationship = *create->request.add_federation_relationships();
  relationship.set_trust_domain("other.test");
  relationship.set_bundle_endpoint_url("https://127.0.0.1:1/");
  relationship.mutable_https_web();
  ASSERT_THAT(Write(PlanToCreateRelationships(create, state_->trust_domain(), 1)), IsOk());
  ASSERT_TRUE(RunUntil([&] { return Mistakes()[0].find("third.test") != std::string::npos; }));
  const auto erase = std::make_shared<DeleteRelationshipsBatch>();
  erase->request.add_trust_domains("other.test");
  ASSERT_THAT(Write(PlanToDeleteRelationships(erase)), IsOk());
  EXPECT_TRUE(RunUntil([&] { return Mistakes()[0].find("other.test") != std::string::npos; }));
}

TEST_F(EntryFilesTest, WithoutPathsThereIsNothingToRead) {
  EntryFiles none(io_.get_executor(), pool_, *state_, clock_, {});
  none.Start();
  none.Reload();
  EXPECT_FALSE(none.status().value().loaded_at.has_value());
  RunTask(io_, none.Stop());
}

}  // namespace
}  // namespace credence
