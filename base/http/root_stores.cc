#include "base/http/root_stores.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <exception>
#include <list>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/core/clock.h"
#include "base/core/file.h"
#include "base/core/latch.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

constexpr std::size_t kMaxCaFileBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxKeptRoots = 16;

/// By what a change of a file or folder shows; all zero if there is none.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::chrono::nanoseconds modified{0};
  std::chrono::nanoseconds changed{0};

  bool operator==(const FileStamp&) const = default;
};
using FileStamps = std::vector<FileStamp>;

std::chrono::nanoseconds SinceEpoch(const timespec& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

FileStamp StampOf(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) {
    return {};
  }
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = info.st_size,
          .modified = SinceEpoch(info.st_mtim),
          .changed = SinceEpoch(info.st_ctim)};
}

/// Where OpenSSL looks for the system's roots.
std::string SystemPath(const char* variable, const char* otherwise) {
  const char* value = secure_getenv(variable);
  return value == nullptr ? otherwise : value;
}

/// Never empty.
FileStamps StampsOf(const std::string& ca_file) {
  if (!ca_file.empty()) {
    return {StampOf(ca_file)};
  }
  FileStamps stamps{
      StampOf(SystemPath(X509_get_default_cert_file_env(), X509_get_default_cert_file()))};
  const std::string folders =
      SystemPath(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
  for (std::size_t begin = 0; begin < folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    stamps.push_back(StampOf(folders.substr(begin, end - begin)));
    begin = end + 1;
  }
  return stamps;
}

Result<RootStore> ReadSystemRoots() {
  OpenSslPtr<X509_STORE> store(X509_STORE_new());
  if (store == nullptr || X509_STORE_set_default_paths(store.get()) != 1) {
    return OpenSslError(Code::kUnavailable, "the system's root certificates cannot be read");
  }
  return RootStore(std::move(store));
}

/// False for a damaged certificate and for none at all.
bool AddCertificates(X509_STORE* store, BIO* pem) {
  ERR_clear_error();
  for (bool any = false;; any = true) {
    const OpenSslPtr<X509> root(PEM_read_bio_X509(pem, nullptr, nullptr, nullptr));
    if (root == nullptr) {
      return any && ERR_GET_REASON(ERR_peek_error()) == PEM_R_NO_START_LINE;
    }
    if (X509_STORE_add_cert(store, root.get()) != 1) {
      return false;
    }
  }
}

Result<RootStore> ReadRoots(const std::string& ca_file) {
  const auto pem = ReadFile(ca_file, kMaxCaFileBytes);
  if (!pem.ok()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("CA file {} cannot be read: {}", ca_file, pem.error().message()));
  }
  OpenSslPtr<X509_STORE> store(X509_STORE_new());
  const OpenSslPtr<BIO> bio = ReadOnlyBio(*pem);
  const bool usable = store != nullptr && bio != nullptr && AddCertificates(store.get(), bio.get());
  ERR_clear_error();
  if (!usable) {
    return Error(Code::kInvalidArgument,
                 fmt::format("CA file {} holds no usable certificate", ca_file));
  }
  return RootStore(std::move(store));
}

struct RootReading {
  FileStamps stamps;
  /// Nothing: the roots are those of the known stamps.
  std::optional<Result<RootStore>> roots;
  /// Whether the same stamps will mean the same roots.
  bool lasting = true;
};

/// Blocks.
RootReading ReadUnlessKnown(const std::string& ca_file,
                            const FileStamps& known,
                            std::chrono::nanoseconds settled) {
  // Before the content, so that a change meanwhile shows the next time.
  RootReading reading;
  reading.stamps = StampsOf(ca_file);
  if (reading.stamps == known) {
    return reading;
  }
  const std::chrono::nanoseconds now = SystemClock().Now().time_since_epoch();
  reading.lasting =
      std::all_of(reading.stamps.begin(), reading.stamps.end(), [&](const FileStamp& stamp) {
        return now - stamp.changed >= settled;
      });
  reading.roots = ca_file.empty() ? ReadSystemRoots() : ReadRoots(ca_file);
  return reading;
}

}  // namespace

struct RootStores::Flight {
  /// While it is under way, the remembered ones.
  Result<RootStore> roots;
  Latch landed;
};

/// Shared with the reading on the thread, which may end after the owner.
struct RootStores::Shelf {
  struct Kept {
    std::string ca_file;
    FileStamps stamps;
    RootStore roots;
  };

  void Land(const std::string& ca_file, Flight& flight, RootReading reading) {
    flights.erase(ca_file);
    if (reading.roots) {
      ++readings;
      flight.roots = *std::move(reading.roots);
    }
    kept.remove_if([&](const Kept& one) { return one.ca_file == ca_file; });
    if (flight.roots.ok() && reading.lasting) {
      kept.push_front({ca_file, std::move(reading.stamps), *flight.roots});
    }
    if (kept.size() > kMaxKeptRoots) {
      kept.pop_back();
    }
    flight.landed.Set();
  }

  /// Most recently used first.
  std::list<Kept> kept;
  std::map<std::string, std::shared_ptr<Flight>> flights;
  std::uint64_t readings = 0;
};

RootStores::RootStores(std::chrono::nanoseconds settled)
    : settled_(settled), shelf_(std::make_shared<Shelf>()) {}

RootStores::~RootStores() {
  if (thread_) {
    thread_->stop();
    thread_->join();
  }
}

Task<Result<RootStore>> RootStores::Get(std::string ca_file, Deadline deadline) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  std::shared_ptr<Flight> flight;
  if (const auto running = shelf_->flights.find(ca_file); running != shelf_->flights.end()) {
    flight = running->second;
  } else {
    auto started = Start(std::move(ca_file), executor);
    if (!started.ok()) {
      co_return std::move(started).error();
    }
    flight = *std::move(started);
  }
  const bool landed = co_await flight->landed.Wait(deadline);
  if (!landed) {
    co_return Error(Code::kDeadlineExceeded, "reading root certificates takes too long");
  }
  co_return flight->roots;
}

Result<std::shared_ptr<RootStores::Flight>> RootStores::Start(std::string ca_file,
                                                              asio::any_io_executor home) {
  if (!thread_) {
    try {
      thread_.emplace(1U);
    } catch (const std::exception& failed) {
      return Error(Code::kUnavailable,
                   fmt::format("no thread to read root certificates: {}", failed.what()));
    }
  }
  auto flight = std::make_shared<Flight>();
  FileStamps known;
  for (const auto& one : shelf_->kept) {
    if (one.ca_file == ca_file) {
      flight->roots = one.roots;
      known = one.stamps;
    }
  }
  shelf_->flights.emplace(ca_file, flight);
  asio::post(*thread_,
             [shelf = shelf_,
              flight,
              ca_file = std::move(ca_file),
              known = std::move(known),
              settled = settled_,
              guard = asio::make_work_guard(std::move(home))]() mutable {
               RootReading reading = ReadUnlessKnown(ca_file, known, settled);
               // What the job owns may be used on the core thread only from here on.
               auto core = guard.get_executor();
               asio::post(core,
                          [shelf = std::move(shelf),
                           flight = std::move(flight),
                           ca_file = std::move(ca_file),
                           reading = std::move(reading)]() mutable {
                            shelf->Land(ca_file, *flight, std::move(reading));
                          });
             });
  return flight;
}

std::uint64_t RootStores::readings() const {
  return shelf_->readings;
}

}  // namespace credence
