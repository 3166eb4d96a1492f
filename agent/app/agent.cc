#include "agent/app/agent.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

#include "agent/app/audit_gate.h"
#include "agent/app/builtins.h"
#include "agent/app/fresh_svids.h"
#include "agent/app/last_resort.h"
#include "agent/app/version.h"
#include "agent/attestation/attestation.h"
#include "agent/config/resource_watch.h"
#include "agent/endpoints/credential_api.h"
#include "agent/endpoints/health_api.h"
#include "agent/endpoints/reflection_api.h"
#include "agent/endpoints/workload_api.h"
#include "agent/exchange/broker.h"
#include "agent/identity/identity_service.h"
#include "agent/upstream/node_identity.h"
#include "agent/upstream/spire_server_client.h"
#include "base/core/log.h"
#include "base/core/program_pages.h"
#include "base/core/task_group.h"
#include "base/core/wall_clock.h"
#include "base/h2/server.h"
#include "base/http/client.h"
#include "base/process/caller.h"
#include "base/rpc/channel.h"
#include "plugins/destinations/builtin_adapters.h"

namespace credence {
namespace {

/// Hashing, name look-ups, key generation and files; a few may hang without stopping the rest.
constexpr std::size_t kPoolThreads = 7;
constexpr mode_t kSocketMode = 0777;
/// A request is a list of audiences, a token or a name; whoever sends more makes us parse for
/// nothing.
constexpr std::size_t kMostRequestBytes = std::size_t{256} << 10;
/// SIGTERM to exit takes two seconds at most; calls get the first of them. Work that blocks on the
/// pool keeps the parts from stopping, and may do so without end.
constexpr std::chrono::milliseconds kDrainTime{800};
constexpr std::chrono::milliseconds kStopTime{1800};
/// Before a node with an expired SVID tries again to renew it.
constexpr std::chrono::minutes kExpiredPause{2};

NodeIdentity::Options NodeOptions(const AgentConfig& config) {
  NodeIdentity::Options options{.trust_domain = config.trust_domain};
  options.server_address = config.server_address;
  options.server_port = config.server_port;
  options.data_dir = config.data_dir;
  options.bootstrap = config.bootstrap;
  return options;
}

IdentityService::Options IdentityOptions(const AgentConfig& config) {
  IdentityService::Options options{.trust_domain = config.trust_domain};
  options.sync_interval = config.sync_interval;
  options.x509.key_type = config.workload_key_type;
  options.x509.availability_target = config.availability_target;
  options.x509.cache_max_size = config.x509_svid_cache_max_size;
  options.jwt.max_size = config.jwt_svid_cache_max_size;
  return options;
}

Broker::Options BrokerOptions(const IdentityService& identities) {
  Broker::Options options;
  options.own_authority = [&identities] { return identities.server_tells(); };
  return options;
}

WorkloadApi::Options WorkloadApiOptions(const AgentConfig& config) {
  return WorkloadApi::Options{
      .trust_domain = config.trust_domain,
      .allow_unauthenticated_verifiers = config.allow_unauthenticated_verifiers,
      .allowed_foreign_jwt_claims = config.allowed_foreign_jwt_claims};
}

}  // namespace

/// Every part of the agent, in the order in which one needs another.
class Agent::Core {
 public:
  Core(AgentConfig config, std::vector<std::string> warnings, ExitCodeOf exit_code)
      : config_(std::move(config)), warnings_(std::move(warnings)), exit_code_(exit_code) {}

  Result<void> Run();

 private:
  struct Parts;

  Result<void> PrepareProcess();
  Result<std::unique_ptr<KeyManager>> PrepareKeys();
  Result<void> Serve();
  Task<void> WatchSignals();
  Task<void> AttestThenServe();
  Task<void> Stop();
  /// Ends Run() with this outcome, or the process if parts cannot stop in time; the first one
  /// stands.
  void Finish(Result<void> outcome);

  AgentStatus Status() const;
  std::string WhyNoIdentities() const;

  AgentConfig config_;
  std::vector<std::string> warnings_;
  ExitCodeOf exit_code_;
  SystemClock clock_;
  asio::io_context io_;
  asio::thread_pool pool_{kPoolThreads};
  RpcClient rpc_{io_.get_executor(), pool_};
  std::unique_ptr<Parts> parts_;
  std::optional<Result<void>> outcome_;
};

/// What needs the pieces above; made once the process is prepared.
struct Agent::Core::Parts {
  Parts(const AgentConfig& config,
        std::unique_ptr<KeyManager> key_manager,
        asio::io_context& io,
        asio::thread_pool& pool,
        RpcClient& rpc,
        const Clock& clock,
        Core& core);

  asio::any_io_executor executor;
  TaskGroup tasks;
  /// From the beginning: a signal that comes before anybody waits is kept.
  asio::signal_set watched_signals;
  TaskGroup signals;
  AuditGate audit;
  HttpClient http;
  std::vector<std::unique_ptr<DestinationAdapter>> adapters;
  ResourceStore resources;
  SystemAccounts accounts;
  WorkloadAttestation attestation;
  std::unique_ptr<KeyManager> keys;
  std::unique_ptr<NodeAttestor> node_attestor;
  NodeIdentity node;
  SpireServerClient server_client;
  IdentityService identities;
  FreshSvids fresh_svids;
  Broker broker;
  WorkloadApi workload_api;
  CredentialApi credential_api;
  HealthApi health_api;
  ReflectionApi reflection_api;
  h2::Server server;
  bool identities_started = false;
  WallTime started_at;
  Assurance assurance = OfferedAssurance();
};

namespace {

AdapterList Pointers(const std::vector<std::unique_ptr<DestinationAdapter>>& adapters) {
  AdapterList list;
  for (const auto& adapter : adapters) {
    list.push_back(adapter.get());
  }
  return list;
}

}  // namespace

Agent::Core::Parts::Parts(const AgentConfig& config,
                          std::unique_ptr<KeyManager> key_manager,
                          asio::io_context& io,
                          asio::thread_pool& pool,
                          RpcClient& rpc,
                          const Clock& clock,
                          Core& core)
    : executor(io.get_executor()),
      tasks(executor),
      watched_signals(executor, SIGTERM, SIGINT),
      signals(executor),
      audit(executor, pool, clock, config.credence.audit_log),
      adapters(BuiltinAdapters(http, clock)),
      resources(executor,
                pool,
                clock,
                {.paths = config.credence.resources, .adapters = Pointers(adapters)}),
      attestation(executor, MakeWorkloadAttestors(config, executor, pool, accounts, clock), {}),
      keys(std::move(key_manager)),
      node_attestor(MakeNodeAttestor(config.node_attestor, pool)),
      node(NodeOptions(config), executor, pool, rpc, *keys, *node_attestor, clock),
      server_client(node),
      identities(executor,
                 pool,
                 server_client,
                 clock,
                 IdentityOptions(config),
                 [this](SharedBundle bundle) { node.UpdateBundle(std::move(bundle)); }),
      fresh_svids(identities),
      broker(executor, clock, resources.resources(), fresh_svids, audit, BrokerOptions(identities)),
      workload_api(attestation,
                   identities,
                   clock,
                   WorkloadApiOptions(config),
                   [&core] { return core.WhyNoIdentities(); }),
      credential_api(attestation, identities, broker, [&core] { return core.Status(); }),
      health_api(identities.store()),
      server(executor, {.max_message_bytes = kMostRequestBytes}),
      started_at(clock.Now()) {
  watched_signals.add(SIGHUP);
  watched_signals.add(SIGUSR2);
  workload_api.Register(server);
  credential_api.Register(server);
  health_api.Register(server);
  reflection_api.Register(server);
}

Result<void> Agent::Core::PrepareProcess() {
  umask(0027);
  signal(SIGPIPE, SIG_IGN);
  // It says on standard error what is wrong with each message: callers could fill the disk.
  google::protobuf::SetLogHandler(nullptr);
  return SetUpLog(config_.log);
}

Result<void> Agent::Core::Run() {
  if (auto prepared = PrepareProcess(); !prepared.ok()) {
    return prepared;
  }
  LogInfo("Starting", {{"version", kVersion}, {"trust_domain", config_.trust_domain.name()}});
  for (const std::string& warning : warnings_) {
    LogWarn("Running without full protection", {{"missing", warning}});
  }
  auto keys = MakeKeyManager(config_.key_manager);
  if (!keys.ok()) {
    return std::move(keys).error().Wrap("key manager");
  }
  parts_ = std::make_unique<Parts>(config_, *std::move(keys), io_, pool_, rpc_, clock_, *this);
  if (parts_->assurance != Assurance::kPinned) {
    LogWarn(
        "This kernel cannot name the very process that connected; a grant may demand it",
        {{"assurance", AssuranceName(parts_->assurance)}, {"advice", "run Linux 6.5 or newer"}});
  }
  if (auto serving = Serve(); !serving.ok()) {
    Finish(std::move(serving));
  }
  io_.run();
  pool_.join();
  parts_.reset();
  LogInfo("Stopped");
  return outcome_.value_or(Ok());
}

Result<void> Agent::Core::Serve() {
  if (auto listening = parts_->server.Listen(config_.socket_path, kSocketMode); !listening.ok()) {
    return std::move(listening).error().Wrap("Workload API");
  }
  LogInfo("Serving the Workload API", {{"socket", config_.socket_path}});
  parts_->resources.Start();
  parts_->broker.Start();
  parts_->signals.Spawn("watch signals", WatchSignals());
  parts_->tasks.Spawn("attest the node", AttestThenServe());
  return Ok();
}

Task<void> Agent::Core::AttestThenServe() {
  auto started = co_await parts_->node.Start();
  if (!started.ok()) {
    LogError("This node cannot be attested", {{"error", started.error()}});
    Finish(std::move(started));
    co_return;
  }
  parts_->broker.SetAgentId(parts_->node.svid()->id.text());
  parts_->identities.Start();
  parts_->identities_started = true;
  // Only for the server's list of agents: an agent that cannot say its version is none the worse.
  const auto posted = co_await parts_->server_client.PostStatus(
      std::string(kVersion), Deadline::After(std::chrono::seconds(30)));
  if (!posted.ok()) {
    LogWarn("Could not tell the server this agent's version", {{"error", posted.error()}});
  }
  ReleaseProgramPages();
  while (true) {
    auto ended = co_await parts_->node.Run();
    LogError("This node can no longer prove itself to the server", {{"error", ended.error()}});
    // A refusal ends the agent; after mere expiry what workloads hold is served until it expires,
    // and it may only be the clock that is wrong.
    const bool refused = !parts_->node.svid();
    if (refused || config_.exit_when_expired) {
      Finish(std::move(ended));
      co_return;
    }
    co_await SleepOnWallClock(kExpiredPause);
  }
}

Task<void> Agent::Core::WatchSignals() {
  while (true) {
    const int number = co_await parts_->watched_signals.async_wait(asio::use_awaitable);
    if (number == SIGHUP) {
      LogInfo("Reading the resources again");
      parts_->resources.Reload();
    } else if (number == SIGUSR2) {
      ReopenLog();
      parts_->audit.Reopen();
    } else {
      LogInfo("Stopping", {{"signal", number}});
      Finish(Ok());
      co_return;
    }
  }
}

void Agent::Core::Finish(Result<void> outcome) {
  if (outcome_) {
    return;
  }
  outcome_ = std::move(outcome);
  EndProcessAfter(kStopTime, exit_code_(*outcome_));
  asio::co_spawn(parts_->executor, Stop(), [](std::exception_ptr) {});
}

Task<void> Agent::Core::Stop() {
  co_await parts_->server.Stop(Deadline::After(kDrainTime));
  co_await parts_->broker.Stop();
  co_await parts_->identities.Stop();
  co_await parts_->tasks.Stop();
  co_await parts_->attestation.Stop();
  co_await parts_->resources.Stop();
  co_await parts_->audit.Stop();
  co_await parts_->signals.Stop();
  rpc_.Close();
}

std::string Agent::Core::WhyNoIdentities() const {
  if (!parts_->identities_started) {
    return fmt::format(
        "this node is not attested by {}:{} yet", config_.server_address, config_.server_port);
  }
  const std::string& error = parts_->identities.sync_status().error;
  return error.empty() ? "the first sync with the server is under way" : error;
}

AgentStatus Agent::Core::Status() const {
  AgentStatus status;
  status.version = kVersion;
  status.trust_domain = config_.trust_domain.name();
  status.server_address = fmt::format("{}:{}", config_.server_address, config_.server_port);
  if (const auto& svid = parts_->node.svid()) {
    status.agent_id = svid->id.text();
    status.agent_svid_expires_at = svid->not_after;
  }
  IdentityStore& store = parts_->identities.store();
  status.last_sync_at = parts_->identities.sync_status().last_success;
  if (!store.synced()) {
    status.sync_error = WhyNoIdentities();
  } else {
    status.sync_error = parts_->identities.sync_status().error;
  }
  status.started_at = parts_->started_at;
  status.entries = store.entries()->size();
  status.x509_svids = store.x509_svids().size();
  status.jwt_svids = parts_->identities.jwt_svid_count();
  const SharedResources& resources = parts_->resources.resources().value();
  status.destinations = resources->destinations.size();
  status.grants = resources->grants.size();
  for (const ConfigMistake& mistake : parts_->resources.status().value().mistakes) {
    status.resource_errors.push_back(mistake.ToString());
  }
  status.audit_error = parts_->audit.error();
  status.assurance = parts_->assurance;
  const h2::Server::Stats stats = parts_->server.stats();
  status.connections = stats.connections;
  status.calls = stats.calls;
  status.warnings = warnings_;
  return status;
}

Agent::Agent(AgentConfig config, std::vector<std::string> warnings, ExitCodeOf exit_code)
    : core_(std::make_unique<Core>(std::move(config), std::move(warnings), exit_code)) {}

Agent::~Agent() = default;

Result<void> Agent::Run() {
  return core_->Run();
}

}  // namespace credence
