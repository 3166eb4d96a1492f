#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"

struct x509_store_st;

namespace credence {

/// Root certificates, decoded. TLS contexts share it.
using RootStore = std::shared_ptr<x509_store_st>;

/// Reads root certificates and remembers them, those of 16 files, until the file changes. To decode
/// those of the system takes OpenSSL many milliseconds, so that happens on a thread of its own,
/// which the first call starts. Callers that wait for the same file share one reading.
/// Threads: calls on the core thread. Destroy it before the io_context; the destructor waits for a
/// reading under way.
class RootStores {
 public:
  /// File times move in steps, so another change right after the last one may not show: roots are
  /// remembered if their file was older than `settled` when it was read.
  explicit RootStores(std::chrono::nanoseconds settled = std::chrono::seconds(2));
  ~RootStores();
  RootStores(const RootStores&) = delete;
  RootStores& operator=(const RootStores&) = delete;

  /// The roots in `ca_file` (PEM) as it is now; for "" those of the system: OpenSSL's own file and
  /// folders, or those that SSL_CERT_FILE and SSL_CERT_DIR name. A folder has changed when a file
  /// came or went; OpenSSL looks into it again for each issuer that it has not met yet.
  /// Errors: kInvalidArgument if the file cannot be read or holds no usable certificate;
  ///   kUnavailable if the system's cannot be read; kDeadlineExceeded. No failure is remembered.
  /// Cancellation: prompt; the reading goes on unseen.
  Task<Result<RootStore>> Get(std::string ca_file, Deadline deadline);

  /// How often roots were read instead of remembered.
  std::uint64_t readings() const;

 private:
  struct Flight;
  struct Shelf;

  Result<std::shared_ptr<Flight>> Start(std::string ca_file, asio::any_io_executor home);

  std::chrono::nanoseconds settled_;
  std::shared_ptr<Shelf> shelf_;
  std::optional<asio::thread_pool> thread_;
};

}  // namespace credence
