#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "agent/cli/output.h"
#include "agent/cli/up/first_contact.h"
#include "agent/cli/up/layout.h"
#include "agent/cli/up/supervisor.h"
#include "base/core/file.h"
#include "base/core/program_pages.h"
#include "base/core/safe_path.h"
#include "base/core/unique_fd.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {
namespace {

constexpr std::chrono::seconds kPatience{20};

struct UpOptions {
  std::string trust_domain;
  std::string data_dir;
  std::optional<std::uint16_t> port;
  std::optional<std::uint16_t> oidc_port;
  std::optional<std::string> jwt_issuer;
  std::optional<std::string> bundle_endpoint_address;
  std::optional<std::uint16_t> bundle_endpoint_port;
  OutputFormat format = OutputFormat::kHuman;
};

/// `wanted` if it is free on this machine, else one that is.
std::uint16_t FreePort(std::uint16_t wanted) {
  for (const std::uint16_t port : {wanted, std::uint16_t{0}}) {
    const UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    const int on = 1;
    if (setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(probe.get(), generic, size) == 0 && listen(probe.get(), 1) == 0 &&
        getsockname(probe.get(), generic, &size) == 0) {
      return ntohs(address.sin_port);
    }
  }
  return wanted;
}

/// What the flags and the first start say. Errors: kInvalidArgument for another trust domain than
/// that of the data; kDataLoss.
Result<UpSettings> Settle(const UpLayout& layout, const UpOptions& options) {
  auto settings = LoadSettings(layout.settings, UpSettings{});
  if (!settings.ok()) {
    return settings;
  }
  if (settings->trust_domain.empty()) {
    settings->trust_domain =
        options.trust_domain.empty() ? TrustDomainOfHost() : options.trust_domain;
    settings->port = FreePort(settings->port);
    settings->oidc_port = FreePort(settings->oidc_port);
  } else if (!options.trust_domain.empty() && options.trust_domain != settings->trust_domain) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the data in {} is that of trust domain {}: name that one, or another "
                             "folder with -dataDir",
                             layout.data_dir,
                             settings->trust_domain));
  }
  if (auto parsed = TrustDomain::Parse(settings->trust_domain); !parsed.ok()) {
    return std::move(parsed).error().Wrap("-trustDomain");
  }
  settings->port = options.port.value_or(settings->port);
  settings->oidc_port = options.oidc_port.value_or(settings->oidc_port);
  settings->jwt_issuer = options.jwt_issuer.value_or(settings->jwt_issuer);
  settings->bundle_endpoint_address =
      options.bundle_endpoint_address.value_or(settings->bundle_endpoint_address);
  settings->bundle_endpoint_port =
      options.bundle_endpoint_port.value_or(settings->bundle_endpoint_port);
  return settings;
}

Result<void> MakeFolders(const UpLayout& layout) {
  constexpr mode_t kPrivate = 0700;
  constexpr mode_t kOpen = 0755;
  const std::string audit_folder = layout.audit_log.substr(0, layout.audit_log.rfind('/'));
  for (const auto& [folder, mode] : {std::pair{layout.data_dir, kOpen},
                                     std::pair{layout.authority_dir, kPrivate},
                                     std::pair{layout.agent_dir, kPrivate},
                                     std::pair{layout.resources, kOpen},
                                     std::pair{audit_folder, kPrivate}}) {
    if (auto made = MakeSafeFolders(folder, mode); !made.ok()) {
      return made;
    }
  }
  return Ok();
}

Result<void> WriteAgentConfOnce(const UpLayout& layout, const UpSettings& settings) {
  if (access(layout.agent_conf.c_str(), F_OK) == 0) {
    return Ok();
  }
  const auto text = AgentConfFor(layout, settings);
  if (!text.ok()) {
    return text.error();
  }
  return WriteFileAtomically(layout.agent_conf, *text, 0600);
}

std::vector<std::string> AuthorityArguments(const UpLayout& layout, const UpSettings& settings) {
  std::vector<std::string> arguments{"authority",
                                     "run",
                                     "-trustDomain",
                                     settings.trust_domain,
                                     "-dataDir",
                                     layout.authority_dir,
                                     "-socketPath",
                                     layout.authority_socket,
                                     "-resources",
                                     layout.resources,
                                     "-port",
                                     fmt::format("{}", settings.port),
                                     "-oidcPort",
                                     fmt::format("{}", settings.oidc_port),
                                     "-bundleEndpointAddress",
                                     settings.bundle_endpoint_address,
                                     "-bundleEndpointPort",
                                     fmt::format("{}", settings.bundle_endpoint_port)};
  if (const std::string issuer = settings.Issuer(); !issuer.empty()) {
    arguments.insert(arguments.end(), {"-jwtIssuer", issuer});
  }
  return arguments;
}

/// The address is given here too: agent.conf is written once, and the port may have changed since.
std::vector<std::string> AgentArguments(const UpLayout& layout, const UpSettings& settings) {
  std::vector<std::string> arguments{"run",
                                     "-exitWhenExpired",
                                     "-config",
                                     layout.agent_conf,
                                     "-serverAddress",
                                     "127.0.0.1",
                                     "-serverPort",
                                     fmt::format("{}", settings.port)};
  if (access(layout.join_token.c_str(), F_OK) == 0) {
    arguments.insert(arguments.end(), {"-joinTokenFile", layout.join_token});
  }
  return arguments;
}

/// Starting it again cannot mend a bad command line, a bad configuration or a refusal.
bool IsFinal(Supervisor::ExitStatus status) {
  return status == static_cast<int>(ExitCode::kBadUsage) ||
         status == static_cast<int>(ExitCode::kBadConfiguration) ||
         status == static_cast<int>(ExitCode::kDenied);
}

/// The last lines of a log, for whoever has just seen the process end.
void PrintEndOfLog(const std::string& path) {
  constexpr std::size_t kMaxLog = std::size_t{64} << 20;
  constexpr std::size_t kShown = 1500;
  if (const auto text = ReadFile(path, kMaxLog); text.ok()) {
    const std::string end = text->substr(text->size() - std::min(text->size(), kShown));
    ReportError(end.substr(end.find('\n') + 1));
  }
}

ExitCode GiveUp(const Supervisor& supervisor, const std::string& what, const std::string& log) {
  if (supervisor.asked_to_stop()) {
    return ExitCode::kOk;
  }
  ReportError(supervisor.last_end().empty() ? what : supervisor.last_end());
  PrintEndOfLog(log);
  const auto status = supervisor.last_status();
  return status && IsFinal(*status) ? static_cast<ExitCode>(*status) : ExitCode::kFailed;
}

int ToExitStatus(const Result<void>& outcome) {
  if (!outcome.ok()) {
    ReportError(outcome.error().message());
  }
  return outcome.ok() ? 0 : 1;
}

ExitCode KeepUp(const UpLayout& layout, const UpSettings& settings, OutputFormat format) {
  auto supervisor = Supervisor::Make();
  if (!supervisor.ok()) {
    ReportError(supervisor.error().message());
    return ExitCode::kFailed;
  }
  unlink(layout.join_token.c_str());
  const auto authority = [&] { return AuthorityArguments(layout, settings); };
  const auto agent = [&] { return AgentArguments(layout, settings); };
  const auto prepare = [&] { return ToExitStatus(PrepareAgent(layout, settings)); };
  if (const auto started =
          supervisor->Start({"authority", authority, layout.authority_log, nullptr});
      !started.ok()) {
    return GiveUp(*supervisor, started.error().message(), layout.authority_log);
  }
  if (supervisor->RunAside(prepare, Deadline::After(kPatience)) != 0) {
    return GiveUp(*supervisor, "the authority did not come up", layout.authority_log);
  }
  if (const auto started =
          // A node that has been asleep for longer than its SVID lives is attested anew.
      supervisor->Start({"agent", agent, layout.agent_log, prepare});
      !started.ok()) {
    return GiveUp(*supervisor, started.error().message(), layout.agent_log);
  }
  const auto announce = [&] { return ToExitStatus(Announce(layout, settings, format)); };
  if (supervisor->RunAside(announce, Deadline::After(kPatience)) != 0) {
    return GiveUp(*supervisor, "the agent did not come up", layout.agent_log);
  }
  ReleaseProgramPages();
  const auto status = supervisor->Watch(&IsFinal);
  if (status != 0) {
    ReportError(supervisor->last_end());
  }
  supervisor->Stop();
  return static_cast<ExitCode>(status);
}

ExitCode Up(const UpOptions& options) {
  umask(0077);
  const auto layout = LayoutFor(geteuid(), options.data_dir);
  if (!layout.ok()) {
    ReportError(layout.error(), options.format);
    return ExitCode::kBadUsage;
  }
  if (const auto made = MakeFolders(*layout); !made.ok()) {
    ReportError(made.error(), options.format);
    return ExitCode::kBadConfiguration;
  }
  const auto settings = Settle(*layout, options);
  if (!settings.ok()) {
    ReportError(settings.error(), options.format);
    return settings.error().code() == Code::kInvalidArgument ? ExitCode::kBadUsage
                                                             : ExitCode::kBadConfiguration;
  }
  auto written = StoreSettings(layout->settings, *settings);
  if (written.ok()) {
    written = WriteAgentConfOnce(*layout, *settings);
  }
  if (!written.ok()) {
    ReportError(written.error(), options.format);
    return ExitCode::kBadConfiguration;
  }
  return KeepUp(*layout, *settings, options.format);
}

}  // namespace

void AddUpCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<UpOptions>();
  CLI::App* command = app.add_subcommand(
      "up", "Run everything on this machine: agent, trust authority, OIDC issuer");
  command->footer(
      "Examples:\n"
      "  credence up\n"
      "  credence up -trustDomain example.org -dataDir ~/credence\n"
      "  credence up -port 9081 -oidcPort 0\n"
      "  credence up -jwtIssuer https://issuer.example.org    # behind a proxy of yours\n"
      "What is given is kept until a later start gives something else. Any user may run it: root's "
      "serves all processes "
      "of the machine, another user's that user's "
      "own. It runs until Ctrl-C or SIGTERM and keeps its state; SIGHUP reads the resources "
      "again, SIGUSR2 opens the agent's logs again.");
  command->add_option("--trustDomain",
                      options->trust_domain,
                      "Name of the trust domain; at the first start the host's name by default");
  command->add_option("--dataDir",
                      options->data_dir,
                      "Folder of everything, sockets and resources too (the usual folders of "
                      "root, or those below the home of another user)");
  constexpr int kHighestPort = 65535;
  command
      ->add_option(
          "--port", options->port, "Port of the authority (8081, or a free one at the first start)")
      ->check(CLI::Range(1, kHighestPort).description(""));
  command
      ->add_option(
          "--oidcPort",
          options->oidc_port,
          "Port of the OIDC issuer, 0 for none (8088, or a free one at the first start); part "
          "of the iss of JWT-SVIDs without -jwtIssuer")
      ->check(CLI::Range(0, kHighestPort).description(""));
  command->add_option(
      "--jwtIssuer",
      options->jwt_issuer,
      "URL that vendors fetch the OIDC documents from (that of -oidcPort), the iss of JWT-SVIDs");
  command->add_option("--bundleEndpointAddress",
                      options->bundle_endpoint_address,
                      "IP address of the bundle endpoint, for other trust domains (127.0.0.1)");
  command->add_option("--bundleEndpointPort",
                      options->bundle_endpoint_port,
                      "Port of the bundle endpoint (HTTPS), 0 for none (none)");
  AddOutputFlag(*command, options->format);
  command->callback([options, action] { *action = [options] { return Up(*options); }; });
}

}  // namespace credence
