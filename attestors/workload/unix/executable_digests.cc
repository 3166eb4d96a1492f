#include "attestors/workload/unix/executable_digests.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

/// A change time younger than this may belong to an earlier write: it moves in steps of a clock
/// tick.
constexpr std::chrono::seconds kSettled{2};

/// File systems whose change time follows every write, also through a memory mapping.
constexpr std::array<std::uint64_t, 6> kChangeTimeFollowsWrites = {
    0xEF53,      // ext2, ext3, ext4
    0x58465342,  // xfs
    0x9123683E,  // btrfs
    0x73717368,  // squashfs
    0xE0F5E1E2,  // erofs
    0xF2F52010,  // f2fs
};
/// File systems that may miss writes through a memory mapping (overlayfs: if its upper layer does).
constexpr std::array<std::uint64_t, 3> kChangeTimeMissesMappedWrites = {
    0x01021994,  // tmpfs
    0x794C7630,  // overlayfs
    0x2FC12FC1,  // zfs
};

/// Longer than any caller waits; a file that takes it is one to keep others waiting.
constexpr std::chrono::seconds kLongestHash{30};

/// Whether an unchanged stat will mean unchanged content.
bool StatTellsChanges(int fd, const ExecutableFile& file) {
  struct statfs info{};
  if (fstatfs(fd, &info) != 0) {
    return false;
  }
  const auto one_of = [type = static_cast<std::uint64_t>(info.f_type)](const auto& types) {
    return std::find(types.begin(), types.end(), type) != types.end();
  };
  return one_of(kChangeTimeFollowsWrites) ||
         (one_of(kChangeTimeMissesMappedWrites) && file.only_root_writes);
}

Result<ExecutableFile> StatFile(int fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0) {
    return Error(CodeFromErrno(errno), fmt::format("stat the executable: {}", ErrnoText(errno)));
  }
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  return ExecutableFile{info.st_dev,
                        info.st_ino,
                        static_cast<std::uint64_t>(info.st_size),
                        info.st_ctim.tv_sec * kNanoseconds + info.st_ctim.tv_nsec,
                        info.st_uid == 0 && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0};
}

/// Reads to the end; `abandoned` is looked at between blocks.
Result<Sha256Digest> HashAll(int fd, std::uint64_t size, const std::atomic<bool>& abandoned) {
  constexpr std::size_t kBlock = std::size_t{256} << 10;
  const OpenSslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  CREDENCE_CHECK(context != nullptr &&
                 EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  std::vector<char> block(std::min<std::uint64_t>(kBlock, size + 1));
  std::uint64_t total = 0;
  const Deadline end = Deadline::After(kLongestHash);
  while (true) {
    if (abandoned) {
      return Error(Code::kCancelled, "nobody waits for the digest");
    }
    if (end.Passed()) {
      return Error(Code::kOutOfRange,
                   fmt::format("the executable has {} bytes, too many to hash in {} s; "
                               "workload_size_limit refuses such files at once",
                               size,
                               kLongestHash.count()));
    }
    const ssize_t count = read(fd, block.data(), block.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return Error(CodeFromErrno(errno), fmt::format("read the executable: {}", ErrnoText(errno)));
    }
    if (count == 0) {
      break;
    }
    total += static_cast<std::uint64_t>(count);
    if (total > size) {
      return Error(Code::kAborted, "the executable grew while it was hashed");
    }
    CREDENCE_CHECK(EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(count)) ==
                   1);
  }
  Sha256Digest digest{};
  CREDENCE_CHECK(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return digest;
}

struct StatedDigest {
  Sha256Digest digest{};
  /// The file before and after it was read.
  ExecutableFile file;
};

/// The digest of `expected`. A new link or mode moves the change time and leaves the content: it is
/// read again then, and the same digest twice is the digest.
Result<StatedDigest> HashUnchanged(int fd,
                                   const ExecutableFile& expected,
                                   const std::atomic<bool>& abandoned) {
  constexpr int kTries = 4;
  std::optional<Sha256Digest> earlier;
  auto before = StatFile(fd);
  for (int tries = 0; tries < kTries && before.ok(); ++tries) {
    if (before->device != expected.device || before->inode != expected.inode ||
        before->size != expected.size) {
      break;
    }
    const auto digest = HashAll(fd, before->size, abandoned);
    if (!digest.ok()) {
      return digest.error();
    }
    auto after = StatFile(fd);
    if (after.ok() && (*after == *before || earlier == *digest)) {
      return StatedDigest{*digest, *after};
    }
    earlier = *digest;
    before = std::move(after);
    if (lseek(fd, 0, SEEK_SET) != 0) {
      return Error(CodeFromErrno(errno), fmt::format("read the executable: {}", ErrnoText(errno)));
    }
  }
  return before.ok() ? Error(Code::kAborted, "the executable changed while it was hashed")
                     : before.error();
}

}  // namespace

struct ExecutableDigests::Flight {
  std::atomic<bool> abandoned = false;
  std::size_t waiting = 0;
  Result<Sha256Digest> digest;
  /// Whether the digest may be remembered.
  bool lasting = false;
  Latch landed;
};

/// One waiter of a flight; the last one to leave early abandons it.
class ExecutableDigests::Seat {
 public:
  Seat(ExecutableDigests& owner, FlightKey key, std::shared_ptr<Flight> flight)
      : owner_(owner), key_(std::move(key)), flight_(std::move(flight)) {
    ++flight_->waiting;
  }
  ~Seat() {
    if (--flight_->waiting > 0 || flight_->landed.is_set()) {
      return;
    }
    flight_->abandoned = true;
    if (const auto found = owner_.flights_.find(key_);
        found != owner_.flights_.end() && found->second == flight_) {
      owner_.flights_.erase(found);
    }
  }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

 private:
  ExecutableDigests& owner_;
  FlightKey key_;
  std::shared_ptr<Flight> flight_;
};

ExecutableDigests::ExecutableDigests(asio::any_io_executor core,
                                     asio::thread_pool& pool,
                                     const Clock& clock,
                                     Options options)
    : clock_(clock),
      options_(options),
      gate_(core, pool, options.gate),
      root_gate_(std::move(core), pool, options.root_gate) {}

Task<Result<Sha256Digest>> ExecutableDigests::Get(std::shared_ptr<const PinnedProcess> process,
                                                  Deadline deadline) {
  const auto file = process->StatExecutable();
  if (!file.ok()) {
    co_return file.error();
  }
  if (options_.max_bytes > 0 && file->size > options_.max_bytes) {
    co_return Error(
        Code::kOutOfRange,
        fmt::format("pid {}: the executable has {} bytes, more than workload_size_limit {}",
                    process->caller().pid,
                    file->size,
                    options_.max_bytes));
  }
  if (const auto known = known_.find(*file); known != known_.end()) {
    recent_.splice(recent_.begin(), recent_, known->second.recent);
    co_return known->second.digest;
  }
  const FlightKey key(process->caller().uid, *file);
  std::shared_ptr<Flight> flight;
  if (const auto running = flights_.find(key); running != flights_.end()) {
    flight = running->second;
  } else {
    auto started = Start(key, process);
    if (!started.ok()) {
      co_return std::move(started).error();
    }
    flight = *std::move(started);
  }
  const Seat seat(*this, key, flight);
  const bool landed = co_await flight->landed.Wait(deadline);
  if (!landed) {
    co_return Error(
        Code::kDeadlineExceeded,
        fmt::format("pid {}: hashing its executable takes too long", process->caller().pid));
  }
  co_return flight->digest;
}

Result<std::shared_ptr<ExecutableDigests::Flight>> ExecutableDigests::Start(
    const FlightKey& key, std::shared_ptr<const PinnedProcess> process) {
  auto flight = std::make_shared<Flight>();
  const WallTime changed = WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::nanoseconds(key.second.changed_ns)));
  const bool settled = clock_.Now() - changed > kSettled;
  const auto work = [flight, process = std::move(process), file = key.second, settled] {
    if (flight->abandoned) {
      return;
    }
    const auto fd = process->OpenExecutable();
    if (!fd.ok()) {
      flight->digest = fd.error();
      return;
    }
    const auto hashed = HashUnchanged(fd->get(), file, flight->abandoned);
    if (!hashed.ok()) {
      flight->digest = hashed.error();
      return;
    }
    flight->digest = hashed->digest;
    flight->lasting = settled && hashed->file == file && StatTellsChanges(fd->get(), file);
  };
  const auto done = [this, key, flight] { Landed(key, flight); };
  PoolGate& gate = key.second.only_root_writes ? root_gate_ : gate_;
  if (auto submitted = gate.Submit(key.first, work, done); !submitted.ok()) {
    return std::move(submitted).error();
  }
  flights_.emplace(key, flight);
  return flight;
}

void ExecutableDigests::Landed(const FlightKey& key, const std::shared_ptr<Flight>& flight) {
  if (const auto found = flights_.find(key); found != flights_.end() && found->second == flight) {
    flights_.erase(found);
  }
  if (flight->lasting) {
    Remember(key.second, *flight->digest);
  }
  flight->landed.Set();
}

void ExecutableDigests::Remember(const ExecutableFile& file, const Sha256Digest& digest) {
  if (known_.contains(file)) {
    return;
  }
  recent_.push_front(file);
  known_.emplace(file, Known{digest, recent_.begin()});
  if (known_.size() > options_.max_entries) {
    known_.erase(recent_.back());
    recent_.pop_back();
  }
}

}  // namespace credence
