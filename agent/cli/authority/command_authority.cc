#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include "agent/app/authority.h"
#include "agent/cli/authority/command_authority_export.h"
#include "agent/cli/authority/command_authority_keys.h"
#include "agent/cli/authority/selector_flags.h"
#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "agent/cli/find_socket.h"
#include "agent/cli/output.h"
#include "base/core/clock.h"
#include "base/core/secret_bytes.h"

namespace credence {
namespace {

constexpr std::uint16_t kDefaultPort = 8081;

/// As they stand on the command line.
struct AuthorityOptions {
  std::string trust_domain;
  std::string data_dir;
  std::string socket;
  std::vector<std::string> resources;
  std::string address = "127.0.0.1";
  std::uint16_t port = kDefaultPort;
  std::string issuer;
  std::string oidc_address = "127.0.0.1";
  std::uint16_t oidc_port = 0;
  CertificateFiles oidc_certificate;
  bool oidc_spiffe = false;
  std::string bundle_address = "127.0.0.1";
  std::uint16_t bundle_port = 0;
  std::string bundle_path = "/";
  CertificateFiles bundle_certificate;
  std::string ca_life = "24h";
  std::string jwt_key_life = "2160h";
  std::string x509_life = "1h";
  std::string jwt_life = "5m";
  std::string agent_life = "1h";
  std::string ca_key_type = "ec-p256";
  std::string jwt_key_type = "ec-p256";
  std::string log_level = "INFO";
  std::string log_file;
  OutputFormat format = OutputFormat::kHuman;
};

/// Reads the text of a flag into `value`.
Result<void> ReadLife(std::string_view flag, const std::string& text, std::chrono::seconds& value) {
  const auto parsed = ParseDuration(text);
  if (!parsed.ok()) {
    return Error(parsed.error()).Wrap(flag);
  }
  value = std::chrono::duration_cast<std::chrono::seconds>(*parsed);
  constexpr std::chrono::seconds kLeast{10};
  if (value < kLeast) {
    return Error(Code::kInvalidArgument, fmt::format("{}: at least 10s", flag));
  }
  return Ok();
}

Result<void> ReadKeyType(std::string_view flag, const std::string& text, KeyType& value) {
  const auto parsed = ParseKeyType(text);
  if (!parsed.ok()) {
    return Error(parsed.error()).Wrap(flag);
  }
  value = *parsed;
  return Ok();
}

/// `prefix` is that of the flags, as in --bundleEndpointPort.
Result<void> CheckCertificate(std::string_view prefix,
                              const CertificateFiles& files,
                              std::uint16_t port) {
  if (files.certificate.empty() != files.key.empty()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("--{0}Certificate and --{0}Key go together", prefix));
  }
  if (!files.key.empty() && port == 0) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("--{0}Certificate without --{0}Port: nobody would be shown it", prefix));
  }
  return Ok();
}

/// The URL of the OIDC documents where no other is given. Errors: kInvalidArgument when the address
/// is no host of a URL.
Result<std::string> OwnIssuer(const AuthorityOptions& options) {
  boost::system::error_code failed;
  const auto address = boost::asio::ip::make_address(options.oidc_address, failed);
  if (failed || address.is_unspecified()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("--oidcAddress {}: vendors cannot ask that; say with --jwtIssuer by "
                             "which URL they reach it",
                             options.oidc_address));
  }
  const bool plain = options.oidc_certificate.certificate.empty() && !options.oidc_spiffe;
  const std::string host =
      address.is_v6() ? fmt::format("[{}]", options.oidc_address) : options.oidc_address;
  return fmt::format("{}://{}:{}", plain ? "http" : "https", host, options.oidc_port);
}

Result<void> ReadOidc(const AuthorityOptions& options, AuthorityConfig& config) {
  if (auto checked = CheckCertificate("oidc", options.oidc_certificate, options.oidc_port);
      !checked.ok()) {
    return checked;
  }
  if (options.oidc_spiffe && !options.oidc_certificate.key.empty()) {
    return Error(Code::kInvalidArgument, "--oidcSpiffe and --oidcCertificate: one or the other");
  }
  if (options.oidc_spiffe && options.oidc_port == 0) {
    return Error(Code::kInvalidArgument,
                 "--oidcSpiffe without --oidcPort: nobody would be shown it");
  }
  config.jwt_issuer = options.issuer;
  config.oidc_address = options.oidc_address;
  config.oidc_port = options.oidc_port;
  config.oidc_certificate = options.oidc_certificate;
  config.oidc_shows_svid = options.oidc_spiffe;
  if (config.oidc_port != 0 && config.jwt_issuer.empty()) {
    auto issuer = OwnIssuer(options);
    if (!issuer.ok()) {
      return std::move(issuer).error();
    }
    config.jwt_issuer = *std::move(issuer);
  }
  return Ok();
}

Result<void> ReadBundleEndpoint(const AuthorityOptions& options, AuthorityConfig& config) {
  if (auto checked =
          CheckCertificate("bundleEndpoint", options.bundle_certificate, options.bundle_port);
      !checked.ok()) {
    return checked;
  }
  config.bundle_endpoint_address = options.bundle_address;
  config.bundle_endpoint_port = options.bundle_port;
  config.bundle_endpoint_path = options.bundle_path;
  config.bundle_endpoint_certificate = options.bundle_certificate;
  return Ok();
}

Result<AuthorityConfig> ToConfig(const AuthorityOptions& options) {
  auto trust_domain = TrustDomain::Parse(options.trust_domain);
  if (!trust_domain.ok()) {
    return std::move(trust_domain).error().Wrap("--trustDomain");
  }
  AuthorityConfig config{.trust_domain = *std::move(trust_domain)};
  config.data_dir = options.data_dir;
  config.resources = options.resources;
  config.private_socket = options.socket;
  if (config.private_socket.empty()) {
    auto found = DefaultAuthoritySocket(geteuid());
    if (!found.ok()) {
      return std::move(found).error();
    }
    config.private_socket = *std::move(found);
  }
  config.address = options.address;
  config.port = options.port;
  if (auto read = ReadOidc(options, config); !read.ok()) {
    return std::move(read).error();
  }
  if (auto read = ReadBundleEndpoint(options, config); !read.ok()) {
    return std::move(read).error();
  }
  config.log.file = options.log_file;
  const auto level = ParseLogLevel(options.log_level);
  if (!level.ok()) {
    return Error(level.error()).Wrap("--logLevel");
  }
  config.log.level = *level;
  for (auto read : {ReadLife("--caTTL", options.ca_life, config.ca_life),
                    ReadLife("--jwtKeyTTL", options.jwt_key_life, config.jwt_key_life),
                    ReadLife("--x509SVIDTTL", options.x509_life, config.x509_svid_life),
                    ReadLife("--jwtSVIDTTL", options.jwt_life, config.jwt_svid_life),
                    ReadLife("--agentTTL", options.agent_life, config.agent_svid_life),
                    ReadKeyType("--caKeyType", options.ca_key_type, config.ca_key_type),
                    ReadKeyType("--jwtKeyType", options.jwt_key_type, config.jwt_key_type)}) {
    if (!read.ok()) {
      return std::move(read).error();
    }
  }
  return config;
}

ExitCode ExitCodeOf(const Result<void>& ended) {
  switch (ended.ok() ? Code::kOk : ended.error().code()) {
    case Code::kOk:
      return ExitCode::kOk;
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
    case Code::kDataLoss:
    case Code::kAlreadyExists:
      return ExitCode::kBadConfiguration;
    default:
      return ExitCode::kFailed;
  }
}

ExitCode RunAuthority(const AuthorityOptions& options) {
  std::vector<std::string> warnings;
  if (std::string missing = ProtectProcessMemory(); !missing.empty()) {
    warnings.push_back(std::move(missing));
  }
  auto config = ToConfig(options);
  if (!config.ok()) {
    ReportError(config.error(), options.format);
    return ExitCode::kBadUsage;
  }
  Authority authority(*std::move(config), std::move(warnings));
  const auto ended = authority.Run();
  if (!ended.ok()) {
    ReportError(ended.error(), options.format);
  }
  return ExitCodeOf(ended);
}

void AddOidcFlags(CLI::App& command, AuthorityOptions& options) {
  command.add_option("--jwtIssuer",
                     options.issuer,
                     "URL of the OIDC issuer, the iss of JWT-SVIDs; that of -oidcPort by default");
  command.add_option("--oidcAddress", options.oidc_address, "IP address of the OIDC documents")
      ->capture_default_str();
  command
      .add_option("--oidcPort",
                  options.oidc_port,
                  "Port of the OIDC documents, 0 for none; by HTTP without one of the next two")
      ->capture_default_str();
  command.add_option("--oidcCertificate",
                     options.oidc_certificate.certificate,
                     "PEM file with a certificate chain, to serve them by HTTPS");
  command.add_option(
      "--oidcKey", options.oidc_certificate.key, "PEM file with that certificate's key");
  command.add_flag(
      "--oidcSpiffe",
      options.oidc_spiffe,
      "Serve them by HTTPS with spiffe://<trust domain>/spire/server, for clients that "
      "have the trust bundle");
}

void AddBundleEndpointFlags(CLI::App& command, AuthorityOptions& options) {
  command
      .add_option(
          "--bundleEndpointAddress",
          options.bundle_address,
          "IP address of the bundle endpoint, for trust domains that federate with this one")
      ->capture_default_str();
  command
      .add_option("--bundleEndpointPort",
                  options.bundle_port,
                  "Port of the bundle endpoint (HTTPS), 0 for none")
      ->capture_default_str();
  command.add_option("--bundleEndpointPath", options.bundle_path, "Path of its URL")
      ->capture_default_str();
  command.add_option(
      "--bundleEndpointCertificate",
      options.bundle_certificate.certificate,
      "PEM file with its certificate chain, for the profile https_web; by default it "
      "is https_spiffe and shows spiffe://<trust domain>/spire/server");
  command.add_option("--bundleEndpointKey",
                     options.bundle_certificate.key,
                     "PEM file with that certificate's key");
}

void AddRun(CLI::App& parent, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<AuthorityOptions>();
  CLI::App* command = parent.add_subcommand("run", "Run the trust authority by itself");
  command->footer(
      "Examples:\n"
      "  credence authority run -trustDomain example.org -dataDir /var/lib/credence/authority\n"
      "  credence authority run -trustDomain example.org -dataDir ~/authority -port 9081 -oidcPort "
      "9088\n"
      "  credence authority run -trustDomain example.org -dataDir ~/authority -bundleEndpointPort "
      "9443\n"
      "  credence authority run -trustDomain example.org -dataDir ~/authority -oidcAddress :: "
      "-oidcPort 443 \\\n    -oidcCertificate tls.pem -oidcKey tls.key -jwtIssuer "
      "https://issuer.example.org\n"
      "It listens on this machine only, unless -address, -oidcAddress or -bundleEndpointAddress "
      "say otherwise. SIGTERM stops "
      "it, SIGUSR2 opens the log again, SIGHUP reads the resources and the certificates of files "
      "again.");
  command->add_option("--trustDomain", options->trust_domain, "Name of the trust domain")
      ->required();
  command->add_option("--dataDir", options->data_dir, "Folder of its database and keys")
      ->required();
  AddRepeatable(*command,
                "--resources",
                options->resources,
                "File or folder with documents of kind Entry (repeatable)");
  command->add_option("--socketPath",
                      options->socket,
                      "Private socket of the operators (that of `credence up` by default)");
  command->add_option("--address", options->address, "IP address for agents")
      ->capture_default_str();
  command->add_option("--port", options->port, "Port for agents, 0 for any")->capture_default_str();
  AddOidcFlags(*command, *options);
  AddBundleEndpointFlags(*command, *options);
  command->add_option("--caTTL", options->ca_life, "Life of a CA certificate")
      ->capture_default_str();
  command->add_option("--jwtKeyTTL", options->jwt_key_life, "Life of a JWT key")
      ->capture_default_str();
  command->add_option("--x509SVIDTTL", options->x509_life, "Life of an X509-SVID by default")
      ->capture_default_str();
  command->add_option("--jwtSVIDTTL", options->jwt_life, "Life of a JWT-SVID by default")
      ->capture_default_str();
  command->add_option("--agentTTL", options->agent_life, "Life of an agent's own SVID")
      ->capture_default_str();
  command->add_option("--caKeyType", options->ca_key_type, "ec-p256, ec-p384 or rsa-2048")
      ->capture_default_str();
  command->add_option("--jwtKeyType", options->jwt_key_type, "ec-p256, ec-p384 or rsa-2048")
      ->capture_default_str();
  command->add_option("--logLevel", options->log_level, "DEBUG, INFO, WARN or ERROR")
      ->capture_default_str();
  command->add_option("--logFile", options->log_file, "Log file; standard output by default");
  AddOutputFlag(*command, options->format, "Form of what is wrong at the start: human or json");
  command->callback([options, action] { *action = [options] { return RunAuthority(*options); }; });
}

}  // namespace

void AddAuthorityCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  CLI::App* command =
      app.add_subcommand("authority", "The built-in trust authority: one machine's SPIRE server");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n  credence authority run -trustDomain example.org -dataDir ~/authority\n"
      "  credence authority status\n"
      "  credence authority rotate -jwt\n"
      "  credence authority export -dir move\n"
      "`credence up` starts one together with an agent.");
  AddRun(*command, action);
  AddAuthorityKeyCommands(*command, action);
  AddAuthorityExportCommand(*command, action);
}

}  // namespace credence
