#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "plugins/keymanager/disk_key_manager.h"
#include "plugins/keymanager/memory_key_manager.h"

namespace credence {
namespace {

/// What any key manager has to do.
class KeyManagerContractTest : public testing::TestWithParam<std::string> {
 protected:
  KeyManagerContractTest() {
    std::string pattern = "/tmp/credence-keys-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    if (GetParam() == "disk") {
      manager_ = *DiskKeyManager::Open(folder_);
    } else {
      manager_ = std::make_unique<MemoryKeyManager>();
    }
  }
  ~KeyManagerContractTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  std::unique_ptr<KeyManager> manager_;
};

TEST_P(KeyManagerContractTest, NamesItself) {
  EXPECT_EQ(manager_->name(), GetParam());
}

TEST_P(KeyManagerContractTest, HasNoKeyAtFirst) {
  const auto key = manager_->Get("agent-svid-A");
  ASSERT_THAT(key, IsOk());
  EXPECT_FALSE(key->has_value());
}

TEST_P(KeyManagerContractTest, KeepsWhatItGenerates) {
  const auto made = manager_->Generate("agent-svid-A");
  ASSERT_THAT(made, IsOk());
  const auto found = manager_->Get("agent-svid-A");
  ASSERT_THAT(found, IsOk());
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->PublicKey(), made->PublicKey());
}

TEST_P(KeyManagerContractTest, KeysOfDifferentNamesAreIndependent) {
  const auto a = manager_->Generate("agent-svid-A");
  const auto b = manager_->Generate("agent-svid-B");
  ASSERT_THAT(a, IsOk());
  ASSERT_THAT(b, IsOk());
  EXPECT_NE(a->PublicKey(), b->PublicKey());
  EXPECT_EQ((*manager_->Get("agent-svid-A"))->PublicKey(), a->PublicKey());
}

TEST_P(KeyManagerContractTest, GeneratingAgainReplaces) {
  const auto old_key = manager_->Generate("agent-svid-A");
  const auto new_key = manager_->Generate("agent-svid-A");
  ASSERT_THAT(new_key, IsOk());
  EXPECT_NE(old_key->PublicKey(), new_key->PublicKey());
  EXPECT_EQ((*manager_->Get("agent-svid-A"))->PublicKey(), new_key->PublicKey());
}

INSTANTIATE_TEST_SUITE_P(BuiltIn,
                         KeyManagerContractTest,
                         testing::Values("memory", "disk"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace credence
