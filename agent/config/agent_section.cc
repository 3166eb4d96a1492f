#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "agent/config/sections.h"

namespace credence {
namespace {

using std::chrono_literals::operator""s;

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

/// Settings of `agent { }` that only matter to what is not served yet.
constexpr std::array kUnserved = {
    UnservedSetting{"disable_workload_api", "false"},
    UnservedSetting{"admin_socket_path", ""},
    UnservedSetting{"authorized_delegates", ""},
    UnservedSetting{"trust_bundle_url", ""},
    UnservedSetting{"trust_bundle_unix_socket", ""},
    UnservedSetting{"trust_bundle_spiffe_workload_api", ""},
    UnservedSetting{"rebootstrap_mode", "never"},
    UnservedSetting{"log_source_location", "false"},
    UnservedSetting{"log_selectors", ""},
    UnservedSetting{"profiling_enabled", "false"},
};

constexpr std::array kUnservedSds = {
    UnservedSetting{"default_svid_name", "default"},
    UnservedSetting{"default_bundle_name", "ROOTCA"},
    UnservedSetting{"default_all_bundles_name", "ALL"},
    UnservedSetting{"disable_spiffe_cert_validation", "false"},
};

constexpr std::array kUnservedExperimental = {
    UnservedSetting{"use_sync_authorized_entries", "true"},
    UnservedSetting{"require_pq_kem", "false"},
    UnservedSetting{"broker", std::nullopt},
    UnservedSetting{"feature_flags", ""},
    UnservedSetting{"rpc_timeout", ""},
    UnservedSetting{"max_bundle_workers", ""},
};

constexpr std::array kUnservedRateLimits = {
    UnservedSetting{"fetch_x509_svid", "0"},
    UnservedSetting{"fetch_jwt_svid", "0"},
    UnservedSetting{"fetch_x509_bundles", "0"},
    UnservedSetting{"fetch_jwt_bundles", "0"},
    UnservedSetting{"stream_secrets", "0"},
    UnservedSetting{"fetch_secrets", "0"},
};

template <class Table>
void RefuseUnserved(Section& section, const Table& table) {
  for (const UnservedSetting& setting : table) {
    section.Unserved(setting);
  }
}

/// SDS is not served. A file that turns it off is right, one that says nothing means only the
/// Workload API to us, and one that asks for it must hear that it does not get it.
void ReadSds(Section& agent) {
  const auto disabled = agent.Bool("disable_sds_api");
  if (disabled && !disabled->value) {
    agent.Add(disabled->place,
              "SPIRE's agent has the SDS API; Credence does not serve it yet: expected true, or "
              "remove it");
  }
  if (auto sds = agent.Block("sds")) {
    for (const UnservedSetting& setting : kUnservedSds) {
      // Names for an API that is turned off ask for nothing.
      if (disabled && disabled->value) {
        sds->Has(setting.key);
      } else {
        sds->Unserved(setting);
      }
    }
    sds->Finish();
  }
}

/// Profiling and re-bootstrapping are off, so that their details have no effect; their kinds are
/// still checked.
void CheckIdleDetails(Section& agent) {
  agent.Integer("profiling_port", 0, 65535);
  agent.Integer("profiling_freq", 0, kNoLimit);
  agent.TextList("profiling_names");
  agent.Duration("rebootstrap_delay");
}

}  // namespace

AgentSection ReadAgentSection(Section agent) {
  AgentSection read;
  read.trust_domain = agent.Text("trust_domain");
  read.server_address = agent.Text("server_address");
  read.server_port = agent.Integer("server_port", 1, 65535);
  read.socket_path = agent.Text("socket_path");
  read.data_dir = agent.Text("data_dir");
  read.trust_bundle_path = agent.Text("trust_bundle_path");
  read.trust_bundle_format = agent.Text("trust_bundle_format");
  read.insecure_bootstrap = agent.Bool("insecure_bootstrap");
  read.join_token = agent.SecretText("join_token");
  read.join_token_file = agent.Text("join_token_file");
  read.workload_key_type = agent.Text("workload_x509_svid_key_type");
  read.availability_target = agent.Duration("availability_target");
  read.x509_svid_cache_max_size = agent.Integer("x509_svid_cache_max_size", 0, kNoLimit);
  read.jwt_svid_cache_max_size = agent.Integer("jwt_svid_cache_max_size", 0, kNoLimit);
  read.allow_unauthenticated_verifiers = agent.Bool("allow_unauthenticated_verifiers");
  if (const auto claims = agent.TextList("allowed_foreign_jwt_claims")) {
    for (const auto& claim : claims->value) {
      read.allowed_foreign_jwt_claims.push_back(claim.value);
    }
  }
  read.log_file = agent.Text("log_file");
  read.log_level = agent.Text("log_level");
  read.log_format = agent.Text("log_format");
  if (auto experimental = agent.Block("experimental")) {
    read.sync_interval = ReadExperimentalSection(*std::move(experimental));
  }
  ReadSds(agent);
  CheckIdleDetails(agent);
  RefuseUnserved(agent, kUnserved);
  agent.Finish();
  return read;
}

std::optional<Setting<std::chrono::milliseconds>> ReadExperimentalSection(Section experimental) {
  auto interval = experimental.Duration("sync_interval");
  if (interval && interval->value < 1s) {
    experimental.Add(interval->place, "expected at least \"1s\"");
    interval.reset();
  }
  // It bounds how long a caller waits for a renewal while a valid token is there. Nobody waits
  // here: renewal goes on in the background, so that any value is kept.
  const auto timeout = experimental.Duration("jwt_svid_cache_hit_timeout");
  if (timeout && (timeout->value < 5s || timeout->value >= 30s)) {
    experimental.Add(timeout->place,
                     "expected a duration from \"5s\" up to, but not including, \"30s\"");
  }
  for (const std::string_view key : {"named_pipe_name", "admin_named_pipe_name"}) {
    if (const auto name = experimental.Text(key)) {
      experimental.Add(name->place, "is for Windows only: remove it");
    }
  }
  if (auto limits = experimental.Block("ratelimit")) {
    RefuseUnserved(*limits, kUnservedRateLimits);
    limits->Finish();
  }
  RefuseUnserved(experimental, kUnservedExperimental);
  experimental.Finish();
  return interval;
}

void ReadTelemetrySection(Section telemetry) {
  for (const std::string_view sink : {"Prometheus", "DogStatsd", "Statsd", "M3"}) {
    telemetry.Unserved({sink, std::nullopt});
  }
  for (Section& in_memory : telemetry.Blocks("InMem")) {
    const auto enabled = in_memory.Bool("enabled");
    if (!enabled || enabled->value) {
      in_memory.Add(in_memory.place(),
                    "SPIRE's agent has this setting; Credence does not serve it yet: remove it");
    }
    in_memory.Finish();
  }
  // They shape what a sink shows; there is none.
  telemetry.Text("MetricPrefix");
  telemetry.Bool("EnableTrustDomainLabel");
  telemetry.Bool("EnableHostnameLabel");
  for (const std::string_view list :
       {"AllowedPrefixes", "BlockedPrefixes", "AllowedLabels", "BlockedLabels"}) {
    telemetry.TextList(list);
  }
  telemetry.Finish();
}

void ReadHealthChecksSection(Section health_checks) {
  health_checks.Unserved({"listener_enabled", "false"});
  // Where a listener would be; it is off.
  health_checks.Text("bind_address");
  health_checks.Integer("bind_port", 0, 65535);
  health_checks.Text("live_path");
  health_checks.Text("ready_path");
  health_checks.Finish();
}

CredenceConfig ReadCredenceSection(Section credence) {
  CredenceConfig config;
  if (const auto resources = credence.TextList("resources")) {
    for (const auto& path : resources->value) {
      config.resources.push_back(path.value);
    }
  }
  if (const auto audit_log = credence.Text("audit_log")) {
    config.audit_log = audit_log->value;
  }
  credence.Finish();
  return config;
}

}  // namespace credence
