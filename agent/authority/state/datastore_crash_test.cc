#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <time.h>

#include "agent/authority/state/testing/datastore_fixture.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/unique_fd.h"
#include "base/process/testing/child_process.h"

namespace credence {
namespace {

/// What change number `number` says: this many entries and the number.
constexpr int kEntriesPerChange = 40;

/// Of each entry. Some are larger than a page.
std::string ValueIn(int number) {
  return fmt::format(
      "{}:{}", number, std::string(static_cast<std::size_t>(number % 7) * 1000, 'x'));
}

std::vector<Change> NumberedChange(int number) {
  std::vector<Change> changes = {{Table::kFacts, "number", std::to_string(number)}};
  const std::string value = ValueIn(number);
  for (int i = 0; i < kEntriesPerChange; ++i) {
    changes.push_back({Table::kEntries, fmt::format("{}/{}", number % 2, i), value});
    changes.push_back({Table::kEntries, fmt::format("{}/{}", 1 - number % 2, i), std::nullopt});
  }
  return changes;
}

/// The number of the last change that the folder holds, -1 when there is none. Fails the test
/// unless it holds the whole of it and nothing else.
int LastChange(const std::string& folder) {
  auto store = Datastore::Open(folder);
  if (!store.ok()) {
    ADD_FAILURE() << store.error();
    return -1;
  }
  const auto facts = RowsOf(**store, Table::kFacts);
  const int number = facts.contains("number") ? std::stoi(facts.at("number")) : -1;
  const auto entries = RowsOf(**store, Table::kEntries);
  EXPECT_EQ(entries.size(), number < 0 ? 0U : std::size_t{kEntriesPerChange});
  for (const auto& [key, value] : entries) {
    EXPECT_EQ(key.substr(0, 2), fmt::format("{}/", number % 2));
    EXPECT_EQ(value, ValueIn(number));
  }
  return number;
}

/// Applies changes from `first` on and writes the number of each to `acknowledged`.
int ApplyForEver(const std::string& folder, int first, int acknowledged) {
  const auto store = Datastore::Open(folder);
  if (!store.ok()) {
    return 1;
  }
  for (int number = first;; ++number) {
    if (!store.value()->Apply(NumberedChange(number)).ok() ||
        write(acknowledged, &number, sizeof number) != sizeof number) {
      return 1;
    }
  }
}

void Pass(std::chrono::microseconds time) {
  const timespec bound{0, static_cast<long>(time.count()) * 1000};
  ppoll(nullptr, 0, &bound, nullptr);
}

/// Runs ApplyForEver in a process, kills it `time` after it has acknowledged `wanted` changes, and
/// returns the last number that it has acknowledged, `first` - 1 when there was none.
int KillAfter(const std::string& folder, int first, int wanted, std::chrono::microseconds time) {
  std::array<int, 2> ends{};
  CREDENCE_CHECK(pipe(ends.data()) == 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  ChildProcess child([&] { return ApplyForEver(folder, first, write_end.get()); });
  write_end = UniqueFd();
  int last = first - 1;
  int number = 0;
  for (int i = 0; i < wanted; ++i) {
    if (read(read_end.get(), &number, sizeof number) != sizeof number) {
      ADD_FAILURE() << "the child has failed after change " << last;
      return last;
    }
    last = number;
  }
  Pass(time);
  child.Kill();
  child.Reap();
  while (read(read_end.get(), &number, sizeof number) == sizeof number) {
    last = number;
  }
  return last;
}

TEST_F(DatastoreTest, AKillAtAnyTimeLosesNothingThatWasAcknowledged) {
  constexpr int kKills = 200;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::minstd_rand random(seed);
  int last = -1;
  for (int i = 0; i < kKills && !HasFailure(); ++i) {
    const auto wanted = static_cast<int>(random() % 6);
    const std::chrono::microseconds time(random() % 8000);
    const int acknowledged = KillAfter(folder_, last + 1, wanted, time);
    last = LastChange(folder_);
    // The one that was being applied may be there or not.
    EXPECT_GE(last, acknowledged) << "kill " << i;
    EXPECT_LE(last, acknowledged + 1) << "kill " << i;
  }
  EXPECT_GT(last, kKills);
}

TEST_F(DatastoreTest, AKillDuringTheFirstOpenIsNoObstacle) {
  constexpr int kKills = 30;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::minstd_rand random(seed);
  for (int i = 0; i < kKills && !HasFailure(); ++i) {
    std::filesystem::remove_all(folder_);
    const int acknowledged = KillAfter(folder_, 0, 0, std::chrono::microseconds(random() % 30'000));
    EXPECT_GE(LastChange(folder_), acknowledged) << "kill " << i;
  }
}

}  // namespace
}  // namespace credence
