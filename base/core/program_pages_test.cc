#include "base/core/program_pages.h"

#include <fstream>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace credence {
namespace {

/// Kilobytes of files in this process's memory.
long ResidentFileKb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "RssFile:") {
      long kilobytes = 0;
      status >> kilobytes;
      return kilobytes;
    }
  }
  return -1;
}

int written_once = 1;

TEST(ReleaseProgramPagesTest, TakesMemoryOfFilesAndNothingThatWasWritten) {
  written_once = 2;
  const long before = ResidentFileKb();
  ReleaseProgramPages();
  const long after = ResidentFileKb();
  EXPECT_GT(before, 0);
  EXPECT_LT(after, before * 3 / 4);
  EXPECT_EQ(written_once, 2);
  // Through the tables of the unwinder and what the loader relocated.
  EXPECT_THROW(throw std::runtime_error("still here"), std::runtime_error);
}

}  // namespace
}  // namespace credence
