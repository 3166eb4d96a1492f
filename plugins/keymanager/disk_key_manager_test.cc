#include "plugins/keymanager/disk_key_manager.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/crypto/digest.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

mode_t ModeOf(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_mode & 0777;
}

class DiskKeyManagerTest : public testing::Test {
 protected:
  DiskKeyManagerTest() {
    std::string pattern = "/tmp/credence-keys-XXXXXX";
    parent_ = mkdtemp(pattern.data());
    folder_ = parent_ + "/keys";
    file_ = folder_ + "/keys.json";
  }
  ~DiskKeyManagerTest() override { std::filesystem::remove_all(parent_); }

  Result<std::unique_ptr<DiskKeyManager>> OpenWith(const std::string& content) {
    std::filesystem::create_directories(folder_);
    EXPECT_THAT(WriteFileAtomically(file_, content, 0600), IsOk());
    return DiskKeyManager::Open(folder_);
  }

  std::string parent_;
  std::string folder_;
  std::string file_;
};

TEST_F(DiskKeyManagerTest, FolderAndFileArePrivate) {
  const auto manager = DiskKeyManager::Open(folder_);
  ASSERT_THAT(manager, IsOk());
  EXPECT_EQ(ModeOf(folder_), 0700U);
  ASSERT_THAT((*manager)->Generate("agent-svid-A"), IsOk());
  EXPECT_EQ(ModeOf(file_), 0600U);
  EXPECT_FALSE(std::filesystem::exists(file_ + ".tmp"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/.probe"));
}

TEST_F(DiskKeyManagerTest, KeysSurviveARestart) {
  std::string public_key;
  {
    const auto manager = DiskKeyManager::Open(folder_);
    public_key = (*manager)->Generate("agent-svid-B")->PublicKey();
  }
  const auto manager = DiskKeyManager::Open(folder_);
  ASSERT_THAT(manager, IsOk());
  EXPECT_EQ((*(*manager)->Get("agent-svid-B"))->PublicKey(), public_key);
}

TEST_F(DiskKeyManagerTest, ReadsTheFileOfSpiresAgent) {
  const auto key = PrivateKey::Generate(KeyType::kEcP256);
  const auto pkcs8 = Base64Encode(key->ToPkcs8().Reveal());
  const auto manager =
      OpenWith("{\n\t\"keys\": {\n\t\t\"agent-svid-A\": \"" + pkcs8 + "\"\n\t}\n}");
  ASSERT_THAT(manager, IsOk());
  EXPECT_EQ((*(*manager)->Get("agent-svid-A"))->PublicKey(), key->PublicKey());
}

TEST_F(DiskKeyManagerTest, WritesTheFormOfSpiresAgent) {
  const auto manager = DiskKeyManager::Open(folder_);
  const auto key = (*manager)->Generate("agent-svid-A");
  EXPECT_THAT(ReadFile(file_, 10'000),
              IsOkAndHolds(R"({"keys":{"agent-svid-A":")" + Base64Encode(key->ToPkcs8().Reveal()) +
                           "\"}}\n"));
}

TEST_F(DiskKeyManagerTest, FailedWriteKeepsTheOldKey) {
  const auto manager = DiskKeyManager::Open(folder_);
  const auto key = (*manager)->Generate("agent-svid-A");
  // A folder in the place of the temporary file cannot be removed nor opened, even by root.
  std::filesystem::create_directories(file_ + ".tmp/x");
  EXPECT_FALSE((*manager)->Generate("agent-svid-A").ok());
  EXPECT_EQ((*(*manager)->Get("agent-svid-A"))->PublicKey(), key->PublicKey());
}

TEST_F(DiskKeyManagerTest, FileInPlaceOfTheFolderIsAnError) {
  ASSERT_THAT(WriteFileAtomically(folder_, "", 0600), IsOk());
  EXPECT_FALSE(DiskKeyManager::Open(folder_).ok());
}

TEST_F(DiskKeyManagerTest, DamagedFilesAreRefusedWithoutQuotingThem) {
  for (const std::string content : {"",
                                    "sesame",
                                    "[]",
                                    "{}",
                                    R"({"keys": []})",
                                    R"({"keys": {"a": 5}})",
                                    R"({"keys": {"a": "sesame!"}})",
                                    R"({"keys": {"a": "c2VzYW1l"}})"}) {
    EXPECT_THAT(
        OpenWith(content),
        FailsWith(
            Code::kDataLoss,
            AllOf(HasSubstr("keymanager(disk): "), HasSubstr(file_), Not(HasSubstr("sesame")))))
        << content;
  }
}

}  // namespace
}  // namespace credence
