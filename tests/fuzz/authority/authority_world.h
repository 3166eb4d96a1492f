#pragma once

#include <stdlib.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <google/protobuf/stubs/logging.h>

#include "agent/authority/keys/issuer.h"
#include "agent/authority/services/access.h"
#include "agent/authority/services/agent_api.h"
#include "agent/authority/services/authority_state.h"
#include "agent/authority/services/bundle_api.h"
#include "agent/authority/services/control_api.h"
#include "agent/authority/services/entry_api.h"
#include "agent/authority/services/entry_files.h"
#include "agent/authority/services/federation_api.h"
#include "agent/authority/services/federation_batches.h"
#include "agent/authority/services/foreign_bundles.h"
#include "agent/authority/services/svid_api.h"
#include "agent/authority/services/testing/input_call.h"
#include "base/core/check.h"
#include "base/core/log.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/certificate_issuing.h"
#include "base/h2/server.h"
#include "base/svid/x509_svid.h"
#include "tests/fuzz/authority/memory_datastore.h"

namespace credence {

/// A client's certificate, and what it says.
struct ShownChain {
  std::vector<std::string> chain;
  std::string id;
  std::string serial;
  WallTime not_after;
};

inline ShownChain ShowChain(std::vector<std::string> chain) {
  const auto parsed = ParseX509SvidChain(chain);
  CREDENCE_CHECK(parsed.ok());
  const auto facts = FactsOfCertificate(chain.front());
  CREDENCE_CHECK(facts.ok());
  return {std::move(chain), parsed->id.text(), facts->serial, facts->not_after};
}

/// What every input begins with: an authority of example.org whose keys are made once.
class Origin {
 public:
  static constexpr const char* kAgents = "/spire/agent/join_token/";

  Origin() {
    google::protobuf::SetLogHandler(nullptr);
    CREDENCE_CHECK(SetUpLog({.level = LogLevel::kError, .file = "/dev/null"}).ok());
    std::string name = (std::filesystem::temp_directory_path() / "fuzz-XXXXXX").string();
    CREDENCE_CHECK(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    const auto made = CreateSigningKeys(KeyOptions(), start());
    CREDENCE_CHECK(made.ok());
    MemoryDatastore store;
    CREDENCE_CHECK(store.Apply(made->changes).ok());
    rows_ = store.rows();
    rows_[Table::kFacts] = {{"trust_domain", "example.org"}, {"bundle_sequence", "1"}};

    const std::string public_key = PrivateKey::Generate(KeyType::kEcP256)->PublicKey();
    const auto sign = [&](const std::string& path) {
      const auto svid =
          SignX509Svid(*made->keys,
                       X509SvidContent{SpiffeId::FromParts("example.org", path).value(),
                                       public_key,
                                       {},
                                       std::chrono::hours(1)},
                       start());
      CREDENCE_CHECK(svid.ok());
      chains_.push_back(ShowChain(svid->certificates));
      return svid->serial;
    };
    AddAgent("alpha", sign(std::string(kAgents) + "alpha"), "");
    // It has not used its newest certificate yet.
    AddAgent("beta", "1", sign(std::string(kAgents) + "beta"));
    sign(std::string(kAgents) + "banned");
    AddAgent("banned", "", "");
    sign(std::string(kAgents) + "evicted");
    sign("/admin");
    sign("/web");
    sign("/down");
    AddEntry("admin", "/admin").set_admin(true);
    AddEntry("web", "/web").add_dns_names("web.example.org");
    AddEntry("down", "/down").set_downstream(true);
    for (const auto& [id, entry] : entries_) {
      rows_[Table::kEntries][id] = entry.SerializeAsString();
    }
    for (const char* token : {"one", "two", "banned"}) {
      authority::v1::JoinTokenRecord record;
      record.set_token(token);
      record.set_expires_at(ToUnixSeconds(start()) + 600);
      rows_[Table::kJoinTokens][token] = record.SerializeAsString();
    }
  }
  ~Origin() { std::filesystem::remove_all(folder_); }
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;

  static WallTime start() { return FromUnixSeconds(1'900'000'000); }
  SigningKeyOptions KeyOptions() const {
    return {.trust_domain = TrustDomain::Parse("example.org").value(), .folder = folder_ + "/keys"};
  }
  const Rows& rows() const { return rows_; }
  /// Of two agents in good standing, a banned one, one that was evicted, an admin, and two other
  /// workloads.
  const std::vector<ShownChain>& chains() const { return chains_; }

 private:
  void AddAgent(const std::string& name, const std::string& serial, const std::string& new_serial) {
    authority::v1::AgentRecord record;
    record.set_id(std::string("spiffe://example.org") + kAgents + name);
    record.set_attestation_type("join_token");
    record.set_serial(serial);
    record.set_new_serial(new_serial);
    record.set_banned(serial.empty());
    record.set_not_after(ToUnixSeconds(start()) + 3600);
    rows_[Table::kAgents][record.id()] = record.SerializeAsString();
  }
  spire::api::types::Entry& AddEntry(const std::string& id, const std::string& path) {
    auto& entry = entries_[id];
    entry.set_id(id);
    entry.mutable_spiffe_id()->set_trust_domain("example.org");
    entry.mutable_spiffe_id()->set_path(path);
    entry.mutable_parent_id()->set_trust_domain("example.org");
    entry.mutable_parent_id()->set_path(std::string(kAgents) + "alpha");
    auto& selector = *entry.add_selectors();
    selector.set_type("unix");
    selector.set_value("uid:1");
    return entry;
  }

  std::string folder_;
  Rows rows_;
  std::map<std::string, spire::api::types::Entry> entries_;
  std::vector<ShownChain> chains_;
};

/// An authority that starts as the origin says. Its services are on two servers, as the process has
/// them; no bundle endpoint is ever asked, because nothing runs the polls.
class World {
 public:
  explicit World(const Origin& origin) : origin_(origin) {
    auto store = std::make_unique<MemoryDatastore>(origin.rows());
    store_ = store.get();
    auto loaded = AuthorityState::Load(
        io_.get_executor(), pool_, clock_, std::move(store), {.keys = origin.KeyOptions()});
    CREDENCE_CHECK(loaded.ok());
    state_ = *std::move(loaded);
    tables_ = state_->tables();
    keys_ = state_->keys().value();
    access_.emplace(*state_, clock_);
    bundles_.emplace(polls_.get_executor(), *state_, clock_, FederationOptions{});
    files_.emplace(io_.get_executor(), pool_, *state_, clock_, EntryFiles::Options{});
    agent_api_.emplace(*state_, *access_, pool_, clock_, AgentApi::Options{});
    entry_api_.emplace(*state_, *access_, clock_);
    svid_api_.emplace(*state_, *access_, pool_, clock_, SvidApi::Options{});
    bundle_api_.emplace(*state_, *access_, clock_);
    federation_api_.emplace(*state_, *access_, *bundles_, clock_);
    control_api_.emplace(*state_, *files_);
    agent_api_->RegisterForAgents(public_);
    entry_api_->RegisterForAgents(public_);
    svid_api_->RegisterForAgents(public_);
    bundle_api_->RegisterForAgents(public_);
    for (h2::Server* server : {&public_, &private_}) {
      agent_api_->RegisterForOperators(*server);
      entry_api_->RegisterForOperators(*server);
      bundle_api_->RegisterForOperators(*server);
      federation_api_->RegisterForOperators(*server);
    }
    bundle_api_->RegisterForAgents(private_);
    control_api_->Register(private_);
    state_->Start();
  }
  ~World() {
    RunTask(io_, state_->Stop());
    RunTask(polls_, bundles_->Stop());
    RunTask(io_, RunOn(pool_, [] { return true; }));
    pool_.join();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// As it was at first. False when only a new one can be: the keys or the time have changed.
  bool Reset() {
    if (state_->keys().value() != keys_ || clock_.Now() != Origin::start()) {
      return false;
    }
    const auto reset = [this](const AuthorityTables&) -> Result<AuthorityState::Plan> {
      return AuthorityState::Plan{{{Table::kFacts, "reset", std::nullopt}},
                                  [this](AuthorityTables& changed) { changed = tables_; }};
    };
    CREDENCE_CHECK(RunTask(io_, bundles_->Write(reset)).ok());
    store_->set_rows(origin_.rows());
    polls_.restart();
    polls_.poll();
    return true;
  }

  /// `chain` is that of a TLS client; null on the private socket.
  h2::Status Call(std::string_view path,
                  std::deque<std::string> requests,
                  const std::vector<std::string>* chain,
                  std::vector<std::string>& replies) {
    const auto call = chain == nullptr
                          ? std::make_shared<InputCall>(path, std::move(requests))
                          : std::make_shared<InputCall>(path, std::move(requests), *chain);
    h2::Server& server = chain == nullptr ? private_ : public_;
    h2::Status status = RunTask(io_, server.Serve(call));
    replies = std::move(call->replies());
    return status;
  }

  AuthorityState& state() { return *state_; }
  const AuthorityTables& tables() const { return state_->tables(); }
  const Access& access() const { return *access_; }
  MemoryDatastore& store() { return *store_; }
  const Origin& origin() const { return origin_; }
  WallTime now() const { return clock_.Now(); }
  void Advance(std::chrono::nanoseconds by) { clock_.Advance(by); }

 private:
  const Origin& origin_;
  FakeClock clock_{Origin::start()};
  asio::io_context io_;
  asio::io_context polls_;
  asio::thread_pool pool_{1};
  MemoryDatastore* store_ = nullptr;
  std::unique_ptr<AuthorityState> state_;
  AuthorityTables tables_;
  SharedSigningKeys keys_;
  std::optional<Access> access_;
  std::optional<ForeignBundles> bundles_;
  std::optional<EntryFiles> files_;
  std::optional<AgentApi> agent_api_;
  std::optional<EntryApi> entry_api_;
  std::optional<SvidApi> svid_api_;
  std::optional<BundleApi> bundle_api_;
  std::optional<FederationApi> federation_api_;
  std::optional<ControlApi> control_api_;
  h2::Server public_{io_.get_executor(), {}};
  h2::Server private_{io_.get_executor(), {}};
};

}  // namespace credence
