#include "agent/app/authority.h"

#include <signal.h>
#include <sys/stat.h>

#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

#include "agent/app/last_resort.h"
#include "agent/app/version.h"
#include "agent/authority/services/access.h"
#include "agent/authority/services/agent_api.h"
#include "agent/authority/services/authority_state.h"
#include "agent/authority/services/bundle_api.h"
#include "agent/authority/services/changes_api.h"
#include "agent/authority/services/control_api.h"
#include "agent/authority/services/entry_api.h"
#include "agent/authority/services/entry_files.h"
#include "agent/authority/services/federation_api.h"
#include "agent/authority/services/foreign_bundles.h"
#include "agent/authority/services/serving_identity.h"
#include "agent/authority/services/svid_api.h"
#include "agent/authority/state/datastore.h"
#include "agent/authority/web/bundle_endpoint.h"
#include "agent/authority/web/oidc_issuer.h"
#include "agent/authority/web/web_certificate.h"
#include "base/core/program_pages.h"
#include "base/core/task_group.h"
#include "base/h2/server.h"
#include "base/http/server.h"

namespace credence {
namespace {

/// Signing, and the disk.
constexpr std::size_t kPoolThreads = 2;
constexpr mode_t kSocketMode = 0600;
constexpr std::chrono::milliseconds kDrainTime{800};
/// By then the agent beside it has come up.
constexpr std::chrono::seconds kStartTime{10};
constexpr std::chrono::milliseconds kStopTime{1800};

Error NotServing(const Error& why, std::string_view what, std::string_view port_flag) {
  Error error = Error(why).Wrap(what);
  if (why.code() != Code::kAlreadyExists) {
    return error;
  }
  return Error(
      error.code(),
      fmt::format(
          "{}: stop what listens there, or take another port with {}", error.message(), port_flag));
}

Result<void> Prepare(std::optional<WebCertificate>& certificate) {
  if (certificate) {
    if (auto prepared = certificate->Prepare(); !prepared.ok()) {
      // Whatever it is, an operator mends it before the next start.
      return Error(Code::kFailedPrecondition, prepared.error().message());
    }
  }
  return Ok();
}

SigningKeyOptions KeyOptions(const AuthorityConfig& config) {
  SigningKeyOptions options{.trust_domain = config.trust_domain,
                            .folder = config.data_dir + "/keys"};
  options.x509_key_type = config.ca_key_type;
  options.jwt_key_type = config.jwt_key_type;
  options.x509_life = config.ca_life;
  options.jwt_life = config.jwt_key_life;
  return options;
}

}  // namespace

class Authority::Core {
 public:
  Core(AuthorityConfig config, std::vector<std::string> warnings)
      : config_(std::move(config)), warnings_(std::move(warnings)) {}

  Result<void> Run();

 private:
  struct Parts;

  Result<void> Serve();
  Result<void> ServeOidc();
  Result<void> ServeBundle();
  Task<void> WatchSignals();
  Task<void> GiveBackPages();
  Task<void> Stop();

  AuthorityConfig config_;
  std::vector<std::string> warnings_;
  SystemClock clock_;
  asio::io_context io_;
  asio::thread_pool pool_{kPoolThreads};
  std::unique_ptr<Parts> parts_;
};

/// What stands on a loaded state.
struct Authority::Core::Parts {
  Parts(const AuthorityConfig& config,
        std::unique_ptr<AuthorityState> loaded,
        asio::io_context& io,
        asio::thread_pool& pool,
        const Clock& clock)
      : executor(io.get_executor()),
        watched_signals(executor, SIGTERM, SIGINT),
        signals(executor),
        state(std::move(loaded)),
        access(*state, clock),
        identity(executor, pool, *state, access, clock),
        agent_api(*state, access, pool, clock, {.agent_svid_life = config.agent_svid_life}),
        entry_api(*state, access, clock),
        svid_api(*state,
                 access,
                 pool,
                 clock,
                 {.x509_life = config.x509_svid_life,
                  .jwt_life = config.jwt_svid_life,
                  .jwt_issuer = config.jwt_issuer}),
        bundle_api(*state, access, clock),
        changes_api(*state, access),
        foreign_bundles(executor, *state, clock, {}),
        federation_api(*state, access, foreign_bundles, clock),
        entry_files(executor, pool, *state, clock, {.paths = config.resources}),
        control_api(*state, entry_files),
        api_server(executor, {}),
        private_server(executor, {}),
        oidc_server(executor, clock, OidcOptions(config)),
        bundle_server(executor, clock, {.tls = [this] { return ContextOf(bundle_certificate); }}) {
    watched_signals.add(SIGUSR2);
    watched_signals.add(SIGHUP);
    for (auto [certificate, files] :
         {std::pair{&oidc_certificate, &config.oidc_certificate},
          std::pair{&bundle_certificate, &config.bundle_endpoint_certificate}}) {
      if (!files->certificate.empty()) {
        certificate->emplace(executor, pool, files->certificate, files->key);
      }
    }
    agent_api.RegisterForAgents(api_server);
    entry_api.RegisterForAgents(api_server);
    svid_api.RegisterForAgents(api_server);
    bundle_api.RegisterForAgents(api_server);
    changes_api.RegisterForAgents(api_server);
    for (h2::Server* server : {&api_server, &private_server}) {
      agent_api.RegisterForOperators(*server);
      entry_api.RegisterForOperators(*server);
      bundle_api.RegisterForOperators(*server);
      federation_api.RegisterForOperators(*server);
    }
    bundle_api.RegisterForAgents(private_server);
    control_api.Register(private_server);
  }

  HttpServerOptions OidcOptions(const AuthorityConfig& config) {
    if (config.oidc_certificate.certificate.empty() && !config.oidc_shows_svid) {
      return {};
    }
    return {.tls = [this] { return ContextOf(oidc_certificate); }};
  }

  /// What the next client is shown: the certificate of files, else the authority's own X509-SVID.
  TlsServerContext ContextOf(std::optional<WebCertificate>& certificate) {
    return certificate ? certificate->Context() : identity.web_context();
  }

  asio::any_io_executor executor;
  asio::signal_set watched_signals;
  TaskGroup signals;
  std::unique_ptr<AuthorityState> state;
  Access access;
  ServingIdentity identity;
  AgentApi agent_api;
  EntryApi entry_api;
  SvidApi svid_api;
  BundleApi bundle_api;
  ChangesApi changes_api;
  ForeignBundles foreign_bundles;
  FederationApi federation_api;
  EntryFiles entry_files;
  ControlApi control_api;
  h2::Server api_server;
  h2::Server private_server;
  std::optional<WebCertificate> oidc_certificate;
  std::optional<WebCertificate> bundle_certificate;
  HttpServer oidc_server;
  HttpServer bundle_server;
};

Result<void> Authority::Core::Run() {
  umask(0077);
  signal(SIGPIPE, SIG_IGN);
  // It says on standard error what is wrong with each message: callers could fill the disk.
  google::protobuf::SetLogHandler(nullptr);
  if (auto logging = SetUpLog(config_.log); !logging.ok()) {
    return logging;
  }
  LogInfo("Starting the trust authority",
          {{"version", kVersion}, {"trust_domain", config_.trust_domain.name()}});
  for (const std::string& warning : warnings_) {
    LogWarn("Running without full protection", {{"missing", warning}});
  }
  auto store = Datastore::Open(config_.data_dir);
  if (!store.ok()) {
    return std::move(store).error();
  }
  auto state = AuthorityState::Load(
      io_.get_executor(), pool_, clock_, *std::move(store), {.keys = KeyOptions(config_)});
  if (!state.ok()) {
    return std::move(state).error();
  }
  parts_ = std::make_unique<Parts>(config_, *std::move(state), io_, pool_, clock_);
  auto serving = Serve();
  if (!serving.ok()) {
    asio::co_spawn(parts_->executor, Stop(), [](std::exception_ptr) {});
  }
  io_.run();
  pool_.join();
  parts_.reset();
  LogInfo("Stopped");
  return serving;
}

Result<void> Authority::Core::Serve() {
  if (auto prepared = parts_->identity.Prepare(); !prepared.ok()) {
    return prepared;
  }
  const auto port = parts_->api_server.ListenTls(
      config_.address, config_.port, [this] { return parts_->identity.api_context(); });
  if (!port.ok()) {
    return NotServing(port.error(), "server API", "-port");
  }
  if (auto listening = parts_->private_server.Listen(config_.private_socket, kSocketMode);
      !listening.ok()) {
    return std::move(listening).error().Wrap("private socket");
  }
  LogInfo(
      "Serving the SPIRE server API",
      {{"address", config_.address}, {"port", *port}, {"private_socket", config_.private_socket}});
  if (auto serving = ServeOidc(); !serving.ok()) {
    return NotServing(serving.error(), "OIDC issuer", "-oidcPort");
  }
  if (auto serving = ServeBundle(); !serving.ok()) {
    return NotServing(serving.error(), "bundle endpoint", "-bundleEndpointPort");
  }
  parts_->state->Start();
  // Before the first call is answered: agents must not miss an entry for a moment.
  parts_->entry_files.Start();
  parts_->identity.Start();
  parts_->foreign_bundles.Start();
  parts_->signals.Spawn("watch signals", WatchSignals());
  parts_->signals.Spawn("give back pages", GiveBackPages());
  return Ok();
}

Result<void> Authority::Core::ServeOidc() {
  if (config_.oidc_port == 0) {
    return Ok();
  }
  const auto issuer = OidcIssuer::Parse(config_.jwt_issuer);
  if (!issuer.ok()) {
    return issuer.error();
  }
  if (auto prepared = Prepare(parts_->oidc_certificate); !prepared.ok()) {
    return prepared;
  }
  auto served =
      ServeOidcIssuer(parts_->oidc_server, *issuer, [this] { return parts_->state->Bundle(); });
  if (!served.ok()) {
    return served;
  }
  const auto port = parts_->oidc_server.Listen(config_.oidc_address, config_.oidc_port);
  if (!port.ok()) {
    return port.error();
  }
  LogInfo("Serving the OIDC issuer", {{"issuer", issuer->url()}, {"port", *port}});
  return Ok();
}

Result<void> Authority::Core::ServeBundle() {
  if (config_.bundle_endpoint_port == 0) {
    return Ok();
  }
  if (auto prepared = Prepare(parts_->bundle_certificate); !prepared.ok()) {
    return prepared;
  }
  auto served = ServeBundleEndpoint(parts_->bundle_server, config_.bundle_endpoint_path, [this] {
    return parts_->state->Bundle();
  });
  if (!served.ok()) {
    return served;
  }
  const auto port =
      parts_->bundle_server.Listen(config_.bundle_endpoint_address, config_.bundle_endpoint_port);
  if (!port.ok()) {
    return port.error();
  }
  LogInfo("Serving the bundle endpoint",
          {{"address", config_.bundle_endpoint_address},
           {"port", *port},
           {"profile", parts_->bundle_certificate ? "https_web" : "https_spiffe"}});
  return Ok();
}

Task<void> Authority::Core::GiveBackPages() {
  co_await Sleep(kStartTime);
  ReleaseProgramPages();
}

Task<void> Authority::Core::WatchSignals() {
  while (true) {
    const int number = co_await parts_->watched_signals.async_wait(asio::use_awaitable);
    if (number == SIGUSR2) {
      ReopenLog();
      continue;
    }
    if (number == SIGHUP) {
      parts_->entry_files.Reload();
      for (auto* certificate : {&parts_->oidc_certificate, &parts_->bundle_certificate}) {
        if (*certificate) {
          (*certificate)->Reload();
        }
      }
      continue;
    }
    LogInfo("Stopping", {{"signal", number}});
    EndProcessAfter(kStopTime, 0);
    asio::co_spawn(parts_->executor, Stop(), [](std::exception_ptr) {});
    co_return;
  }
}

Task<void> Authority::Core::Stop() {
  co_await parts_->private_server.Stop(Deadline::After(kDrainTime));
  co_await parts_->api_server.Stop(Deadline::After(kDrainTime));
  co_await parts_->oidc_server.Stop(Deadline::After(kDrainTime));
  co_await parts_->bundle_server.Stop(Deadline::After(kDrainTime));
  for (auto* certificate : {&parts_->oidc_certificate, &parts_->bundle_certificate}) {
    if (*certificate) {
      co_await (*certificate)->Stop();
    }
  }
  co_await parts_->entry_files.Stop();
  co_await parts_->identity.Stop();
  co_await parts_->state->Stop();
  co_await parts_->foreign_bundles.Stop();
  co_await parts_->signals.Stop();
}

Authority::Authority(AuthorityConfig config, std::vector<std::string> warnings)
    : core_(std::make_unique<Core>(std::move(config), std::move(warnings))) {}

Authority::~Authority() = default;

Result<void> Authority::Run() {
  return core_->Run();
}

}  // namespace credence
