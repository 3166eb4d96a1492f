#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/task_group.h"
#include "base/crypto/tls_server_context.h"

namespace credence {

/// The certificate of a web server, from files that others renew. They are read again
/// when Reload() is called and, while clients come, once a minute; as long as what they hold does
/// not do, the last good certificate is shown. Threads: core thread.
class WebCertificate {
 public:
  /// PEM files: the chain, leaf first, and its key. `pool` outlives it.
  WebCertificate(asio::any_io_executor executor,
                 asio::thread_pool& pool,
                 std::string certificate_file,
                 std::string key_file);

  /// Reads the files for the first time. Blocks: before the core thread runs. Errors: those of
  /// files; kInvalidArgument naming the file that is damaged, or both if they do not go together.
  Result<void> Prepare();
  /// For the next connection; null before Prepare().
  TlsServerContext Context();
  /// Reads the files soon.
  void Reload();
  Task<void> Stop();

 private:
  struct Loaded {
    /// DER.
    std::vector<std::string> certificates;
    TlsServerContext context;
  };

  static Result<Loaded> Load(const std::string& certificate_file, const std::string& key_file);
  Task<void> LoadAgain();

  asio::thread_pool& pool_;
  std::string certificate_file_;
  std::string key_file_;
  Loaded loaded_;
  SteadyTime read_at_;
  TaskGroup tasks_;
};

}  // namespace credence
