#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/h2/server_call.h"

namespace credence {

/// A call with its requests, and what was answered.
class InputCall final : public h2::ServerCall {
 public:
  InputCall(std::string_view path, std::deque<std::string> requests)
      : path_(path), requests_(std::move(requests)) {}
  /// By TLS; `chain` may be empty.
  InputCall(std::string_view path, std::deque<std::string> requests, std::vector<std::string> chain)
      : path_(path),
        requests_(std::move(requests)),
        tls_peer_(std::make_shared<const h2::TlsPeer>(h2::TlsPeer{std::move(chain), "192.0.2.1"})) {
  }

  const std::shared_ptr<const Caller>& caller() const override { return caller_; }
  std::shared_ptr<const h2::TlsPeer> tls_peer() const override { return tls_peer_; }
  std::string_view path() const override { return path_; }
  std::vector<std::string_view> Metadata(std::string_view /*key*/) const override { return {}; }
  Deadline deadline() const override { return Deadline::After(std::chrono::seconds(5)); }
  Task<Result<std::optional<std::string>>> Read() override {
    if (requests_.empty()) {
      co_return std::optional<std::string>();
    }
    std::optional<std::string> next = std::move(requests_.front());
    requests_.pop_front();
    co_return next;
  }
  Task<Result<void>> Write(SharedSecret message) override {
    replies_.emplace_back(message->Reveal());
    co_return Ok();
  }

  std::vector<std::string>& replies() { return replies_; }

 private:
  std::string path_;
  std::deque<std::string> requests_;
  std::shared_ptr<const Caller> caller_;
  std::shared_ptr<const h2::TlsPeer> tls_peer_;
  std::vector<std::string> replies_;
};

}  // namespace credence
