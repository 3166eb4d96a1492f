#include "agent/config/resource_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config/resources.h"
#include "agent/config/testing/fake_adapter.h"
#include "agent/config/testing/temporary_folder.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kDestination =
    "apiVersion: credence/v1\nkind: Destination\nmetadata: {name: kv}\n"
    "spec: {adapter: openbao, settings: {address: https://x}}\n";
constexpr std::string_view kGrant =
    "apiVersion: credence/v1\nkind: Grant\nmetadata: {name: g}\n"
    "spec: {destination: kv, subject: {spiffe_id: spiffe://a/b}}\n";

ResourcesOutcome Load(const std::vector<std::string>& paths) {
  static const FakeAdapter adapter("openbao");
  return LoadResources(paths, {&adapter});
}

std::vector<std::string> MistakesOf(const std::vector<std::string>& paths) {
  std::vector<std::string> lines;
  for (const ConfigMistake& mistake : Load(paths).mistakes) {
    lines.push_back(mistake.ToString());
  }
  return lines;
}

TEST(ResourceFilesTest, AFolderGivesItsYamlFilesOnly) {
  const TemporaryFolder folder;
  folder.Write("b.yaml", "");
  folder.Write("a.yml", "");
  folder.Write("c.txt", "");
  folder.Write(".hidden.yaml", "");
  folder.Write("d.yaml~", "");
  std::filesystem::create_directory(folder / "deeper.yaml");
  EXPECT_THAT(ListResourceFiles(folder.path()),
              IsOkAndHolds(ElementsAre(folder / "a.yml", folder / "b.yaml")));
}

TEST(ResourceFilesTest, ResourcesOfSeveralFilesFitTogether) {
  const TemporaryFolder folder;
  const std::string grant = folder.Write("a-grant.yaml", std::string(kGrant));
  folder.Write("kv.yaml", std::string(kDestination));
  const ResourcesOutcome outcome = Load({folder.path(), grant});
  ASSERT_NE(outcome.resources, nullptr) << outcome.mistakes.at(0).ToString();
  EXPECT_EQ(outcome.resources->grants.size(), 1U);
  EXPECT_EQ(outcome.resources->grants[0].origin.file, grant);
}

TEST(ResourceFilesTest, ARepeatedNameNamesBothFiles) {
  const TemporaryFolder folder;
  folder.Write("a.yaml", std::string(kDestination));
  folder.Write("b.yaml", std::string(kDestination));
  EXPECT_THAT(
      MistakesOf({folder.path()}),
      ElementsAre(
          folder / "b.yaml:3:18: Destination kv: metadata.name: this name is taken by the one at " +
          (folder / "a.yaml:1")));
}

TEST(ResourceFilesTest, AnUnreadableFileIsOneMistakeAndNoFollowUps) {
  const TemporaryFolder folder;
  folder.Write("kv.yaml", "a: [");
  folder.Write("grant.yaml", std::string(kGrant));
  EXPECT_THAT(MistakesOf({folder.path()}), ElementsAre(HasSubstr("kv.yaml:1:1: this is not YAML")));
}

TEST(ResourceFilesTest, AFileThatWasEmptiedIsOneMistakeAndNoFollowUps) {
  const TemporaryFolder folder;
  folder.Write("kv.yaml", "");
  folder.Write("grant.yaml", std::string(kGrant));
  EXPECT_EQ(Load({folder.path()}).resources, nullptr);
  EXPECT_THAT(MistakesOf({folder.path()}), ElementsAre(HasSubstr("kv.yaml: has no resource")));
}

TEST(ResourceFilesTest, WhatIsNotThereIsAMistake) {
  EXPECT_THAT(MistakesOf({"/does/not/exist"}),
              ElementsAre("/does/not/exist: open /does/not/exist: no such file or directory"));
}

TEST(ResourceFilesTest, AFileThatOthersCanWriteIsRefused) {
  const TemporaryFolder folder;
  const std::string file = folder.Write("kv.yaml", std::string(kDestination));
  ASSERT_EQ(chmod(file.c_str(), 0666), 0);
  EXPECT_THAT(ReadResourceFile(file),
              FailsWith(Code::kPermissionDenied, HasSubstr("can be written by everybody")));
  EXPECT_THAT(MistakesOf({folder.path()}),
              ElementsAre(HasSubstr("kv.yaml can be written by everybody")));
  ASSERT_EQ(chmod(file.c_str(), 0644), 0);
  EXPECT_THAT(ReadResourceFile(file), IsOkAndHolds(std::string(kDestination)));
}

TEST(ResourceFilesTest, AFolderThatOthersCanWriteIsRefusedEvenIfSticky) {
  const TemporaryFolder folder;
  const std::string file = folder.Write("kv.yaml", std::string(kDestination));
  ASSERT_EQ(chmod(folder.path().c_str(), 01777), 0);
  EXPECT_THAT(ListResourceFiles(folder.path()), FailsWithCode(Code::kPermissionDenied));
  // On the way to a file that is named, sticky is enough: others cannot replace it.
  EXPECT_THAT(ReadResourceFile(file), IsOk());
  ASSERT_EQ(chmod(folder.path().c_str(), 0777), 0);
  EXPECT_THAT(ReadResourceFile(file), FailsWithCode(Code::kPermissionDenied));
}

TEST(ResourceFilesTest, ALinkIsFollowedAndItsWayChecked) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "open");
  const std::string target = folder.Write("open/kv.yaml", std::string(kDestination));
  const std::string link = folder / "kv.yaml";
  std::filesystem::create_symlink(target, link);
  EXPECT_THAT(ReadResourceFile(link), IsOk());
  ASSERT_EQ(chmod((folder / "open").c_str(), 0777), 0);
  EXPECT_THAT(ReadResourceFile(link),
              FailsWith(Code::kPermissionDenied, HasSubstr("open can be written")));
}

TEST(ResourceFilesTest, AnotherUsersFileIsRefused) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root to give a file away";
  }
  const TemporaryFolder folder;
  const std::string file = folder.Write("kv.yaml", std::string(kDestination));
  ASSERT_EQ(chown(file.c_str(), 12345, 0), 0);
  EXPECT_THAT(ReadResourceFile(file),
              FailsWith(Code::kPermissionDenied, HasSubstr("belongs to uid 12345")));
}

TEST(ResourceFilesTest, AGroupThatIsNotOursCannotWrite) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root to give a file away";
  }
  const TemporaryFolder folder;
  const std::string file = folder.Write("kv.yaml", std::string(kDestination));
  ASSERT_EQ(chown(file.c_str(), 0, 12345), 0);
  EXPECT_THAT(ReadResourceFile(file), IsOk());
  ASSERT_EQ(chmod(file.c_str(), 0664), 0);
  EXPECT_THAT(ReadResourceFile(file),
              FailsWith(Code::kPermissionDenied, HasSubstr("written by group 12345")));
}

}  // namespace
}  // namespace credence
