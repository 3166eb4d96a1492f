#pragma once

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include "agent/authority/services/access.h"
#include "agent/authority/services/authority_state.h"
#include "agent/authority/state/datastore.h"
#include "base/core/check.h"
#include "base/core/clock.h"
#include "base/core/testing/run_task.h"
#include "base/h2/server_call.h"

namespace credence {

/// A call as its handler sees it, without a connection. It has no request.
class FakeApiCall final : public h2::ServerCall {
 public:
  /// On the private socket.
  FakeApiCall() : caller_(std::make_shared<const Caller>()) {}
  /// By TLS; `chain` may be empty.
  explicit FakeApiCall(std::vector<std::string> chain)
      : tls_peer_(std::make_shared<const h2::TlsPeer>(h2::TlsPeer{std::move(chain), "127.0.0.1"})) {
  }

  const std::shared_ptr<const Caller>& caller() const override { return caller_; }
  std::shared_ptr<const h2::TlsPeer> tls_peer() const override { return tls_peer_; }
  std::string_view path() const override { return ""; }
  std::vector<std::string_view> Metadata(std::string_view /*key*/) const override { return {}; }
  Deadline deadline() const override { return Deadline::After(std::chrono::seconds(5)); }
  Task<Result<std::optional<std::string>>> Read() override {
    co_return std::optional<std::string>();
  }
  Task<Result<void>> Write(SharedSecret /*message*/) override { co_return Ok(); }

 private:
  std::shared_ptr<const Caller> caller_;
  std::shared_ptr<const h2::TlsPeer> tls_peer_;
};

/// A new authority of example.org in a folder of its own, with a clock that stands.
class AuthorityTest : public testing::Test {
 protected:
  AuthorityTest() {
    std::string name = (std::filesystem::temp_directory_path() / "authority-XXXXXX").string();
    CREDENCE_CHECK(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    state_ = Load().value();
    state_->Start();
  }
  ~AuthorityTest() override {
    CloseState();
    pool_.join();
    std::filesystem::remove_all(folder_);
  }

  Result<std::unique_ptr<AuthorityState>> Load(const std::string& trust_domain = "example.org") {
    auto store = Datastore::Open(folder_);
    if (!store.ok()) {
      return std::move(store).error();
    }
    return AuthorityState::Load(io_.get_executor(),
                                pool_,
                                clock_,
                                *std::move(store),
                                {.keys = {.trust_domain = TrustDomain::Parse(trust_domain).value(),
                                          .folder = folder_ + "/keys"}});
  }

  void CloseState() {
    if (state_) {
      RunTask(io_, state_->Stop());
      state_.reset();
      // Work of the pool may hold the store a moment longer than its outcome takes to arrive.
      RunTask(io_, RunOn(pool_, [] { return true; }));
    }
  }
  void Reopen() {
    CloseState();
    state_ = Load().value();
    state_->Start();
  }

  Result<void> Write(AuthorityState::Planner plan) {
    return RunTask(io_, state_->Write(std::move(plan)));
  }
  Result<void> PutAgent(const authority::v1::AgentRecord& record) {
    return Write([record](const AuthorityTables&) -> Result<AuthorityState::Plan> {
      return AuthorityState::Plan{
          {{Table::kAgents, record.id(), record.SerializeAsString()}},
          [record](AuthorityTables& changed) { changed.agents[record.id()] = record; }};
    });
  }
  Result<void> PutEntry(StoredEntry entry) {
    return Write([entry](const AuthorityTables&) -> Result<AuthorityState::Plan> {
      return AuthorityState::Plan{
          {{Table::kEntries, entry->id(), entry->SerializeAsString()}},
          [entry](AuthorityTables& changed) { changed.entries.Put(entry); }};
    });
  }

  std::string folder_;
  FakeClock clock_{SystemClock().Now()};
  asio::io_context io_;
  asio::thread_pool pool_{1};
  std::unique_ptr<AuthorityState> state_;
};

}  // namespace credence
