#pragma once

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "agent/authority/keys/signing_keys.h"

namespace credence {

/// A place for the keys of example.org, gone when the test ends.
class KeyFolderTest : public testing::Test {
 public:
  ~KeyFolderTest() override { std::filesystem::remove_all(parent_); }
  KeyFolderTest(const KeyFolderTest&) = delete;
  KeyFolderTest& operator=(const KeyFolderTest&) = delete;

 protected:
  KeyFolderTest() {
    std::string pattern = "/tmp/credence-signing-XXXXXX";
    parent_ = mkdtemp(pattern.data());
    options_.folder = parent_ + "/keys";
  }

  std::string PathOf(const SigningKey& key) const {
    return options_.folder + "/" + key.record.id() + ".pem";
  }

  /// The number of files in the folder.
  std::size_t FileCount() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options_.folder)) {
      count += entry.is_regular_file() ? 1U : 0U;
    }
    return count;
  }

  /// 2026-11-22T00:00:00Z.
  static WallTime Start() { return FromUnixSeconds(1'795'305'600); }

  std::string parent_;
  SigningKeyOptions options_{.trust_domain = *TrustDomain::Parse("example.org"), .folder = ""};
};

}  // namespace credence
