#pragma once

#include <sys/types.h>

#include <string>

#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence::h2 {

/// A listening Unix socket and its file, which goes with it unless somebody else has put another
/// there since.
class ListenSocket {
 public:
  /// Makes the folders that are missing (0755). Errors: kFailedPrecondition if anybody but root and
  /// the user of this process could put another socket there, naming the folder; else as
  /// Server::Listen.
  static Result<ListenSocket> Bind(const std::string& path, mode_t mode);

  ListenSocket(ListenSocket&& other) noexcept = default;
  ListenSocket& operator=(ListenSocket&& other) noexcept = delete;
  ~ListenSocket();

  /// Non-blocking.
  int fd() const { return fd_.get(); }

 private:
  ListenSocket(std::string path, UniqueFd fd, dev_t device, ino_t inode)
      : path_(std::move(path)), fd_(std::move(fd)), device_(device), inode_(inode) {}

  std::string path_;
  UniqueFd fd_;
  dev_t device_;
  ino_t inode_;
};

}  // namespace credence::h2
