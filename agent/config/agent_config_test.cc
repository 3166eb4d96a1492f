#include "agent/config/agent_config.h"

#include <stdlib.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config/testing/agent_conf.h"
#include "agent/config/testing/temporary_folder.h"

namespace credence {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

AgentConfig Good(const std::string& text, const AgentConfigOverrides& flags = {}) {
  AgentConfigOutcome outcome = ParseText(text, flags);
  for (const ConfigMistake& mistake : outcome.mistakes) {
    ADD_FAILURE() << mistake.ToString();
  }
  return outcome.config.value_or(AgentConfig{.trust_domain = *TrustDomain::Parse("failed")});
}

constexpr std::string_view kFull = R"(# A node of the example.org trust domain.
agent {
    data_dir = "/var/lib/spire/agent"
    log_level = "DEBUG"
    log_format = "json"
    log_file = "/var/log/spire/agent.log"
    server_address = "spire-server.example.org"
    server_port = "8081"
    socket_path = "/run/spire/agent/public/api.sock"
    trust_bundle_path = "/etc/spire/bootstrap.json"
    trust_bundle_format = "spiffe"
    trust_domain = "example.org"
    workload_x509_svid_key_type = "rsa-2048"
    availability_target = "36h"
    x509_svid_cache_max_size = 50
    jwt_svid_cache_max_size = 0
    allow_unauthenticated_verifiers = true
    allowed_foreign_jwt_claims = ["groups", "email",]
    disable_sds_api = true
    rebootstrap_mode = "never"
    profiling_enabled = false
    profiling_port = 1234
    sds { default_bundle_name = "null" }
    experimental {
        sync_interval = "10s"
        use_sync_authorized_entries = true
        jwt_svid_cache_hit_timeout = "6s"
    }
}

plugins {
    NodeAttestor "x509pop" {
        plugin_data {
            private_key_path = "/etc/spire/node.key"
            certificate_path = "/etc/spire/node.crt"
            intermediates_path = "/etc/spire/chain.crt"
        }
    }
    KeyManager "disk" {
        plugin_data { directory = "/var/lib/spire/keys" }
    }
    WorkloadAttestor "unix" {
        plugin_data {
            discover_workload_path = true
            workload_size_limit = -1
        }
    }
    WorkloadAttestor "docker" {
        enabled = false
    }
}

health_checks { listener_enabled = false bind_port = "8080" }
telemetry { MetricPrefix = "x" InMem { enabled = false } }

credence {
    resources = ["/etc/credence/resources", "/etc/credence/extra.yaml"]
    audit_log = "/var/log/credence/audit.jsonl"
}
)";

constexpr std::string_view kFullJson = R"({
  "agent": [{
    "data_dir": "/var/lib/spire/agent", "log_level": "DEBUG", "log_format": "json",
    "log_file": "/var/log/spire/agent.log",
    "server_address": "spire-server.example.org", "server_port": 8081,
    "socket_path": "/run/spire/agent/public/api.sock",
    "trust_bundle_path": "/etc/spire/bootstrap.json", "trust_bundle_format": "spiffe",
    "trust_domain": "example.org", "workload_x509_svid_key_type": "rsa-2048",
    "availability_target": "36h", "x509_svid_cache_max_size": 50, "jwt_svid_cache_max_size": 0,
    "allow_unauthenticated_verifiers": true, "allowed_foreign_jwt_claims": ["groups", "email"],
    "disable_sds_api": true,
    "experimental": {"sync_interval": "10s"}
  }],
  "plugins": {
    "NodeAttestor": [{"x509pop": [{"plugin_data": {
      "private_key_path": "/etc/spire/node.key", "certificate_path": "/etc/spire/node.crt",
      "intermediates_path": "/etc/spire/chain.crt"}}]}],
    "KeyManager": {"disk": {"plugin_data": {"directory": "/var/lib/spire/keys"}}},
    "WorkloadAttestor": [
      {"unix": {"plugin_data": {"discover_workload_path": true, "workload_size_limit": -1}}},
      {"docker": {"enabled": false}}
    ]
  },
  "credence": {
    "resources": ["/etc/credence/resources", "/etc/credence/extra.yaml"],
    "audit_log": "/var/log/credence/audit.jsonl"
  }
})";

class FullFileTest : public testing::TestWithParam<std::string_view> {};

TEST_P(FullFileTest, EverySettingArrives) {
  const AgentConfig config = Good(std::string(GetParam()));
  EXPECT_EQ(config.trust_domain.name(), "example.org");
  EXPECT_EQ(config.server_address, "spire-server.example.org");
  EXPECT_EQ(config.server_port, 8081);
  EXPECT_EQ(config.socket_path, "/run/spire/agent/public/api.sock");
  EXPECT_EQ(config.data_dir, "/var/lib/spire/agent");
  EXPECT_EQ(std::get<BundleFile>(config.bootstrap).path, "/etc/spire/bootstrap.json");
  EXPECT_TRUE(std::get<BundleFile>(config.bootstrap).spiffe_format);
  EXPECT_EQ(config.workload_key_type, KeyType::kRsa2048);
  EXPECT_EQ(config.availability_target, 36h);
  EXPECT_EQ(config.x509_svid_cache_max_size, 50U);
  EXPECT_EQ(config.jwt_svid_cache_max_size, 1000U);
  EXPECT_TRUE(config.allow_unauthenticated_verifiers);
  EXPECT_THAT(config.allowed_foreign_jwt_claims, ElementsAre("groups", "email"));
  EXPECT_EQ(config.log.level, LogLevel::kDebug);
  EXPECT_EQ(config.log.format, LogFormat::kJson);
  EXPECT_EQ(config.log.file, "/var/log/spire/agent.log");
  EXPECT_EQ(config.sync_interval, 10s);
  const auto& node = std::get<X509PopAttestorConfig>(config.node_attestor);
  EXPECT_EQ(node.private_key_path, "/etc/spire/node.key");
  EXPECT_EQ(node.certificate_path, "/etc/spire/node.crt");
  EXPECT_EQ(node.intermediates_path, "/etc/spire/chain.crt");
  EXPECT_EQ(std::get<DiskKeyManagerConfig>(config.key_manager).directory, "/var/lib/spire/keys");
  ASSERT_TRUE(config.unix_attestor.has_value());
  EXPECT_TRUE(config.unix_attestor->discover_workload_path);
  EXPECT_EQ(config.unix_attestor->workload_size_limit, -1);
  EXPECT_THAT(config.credence.resources,
              ElementsAre("/etc/credence/resources", "/etc/credence/extra.yaml"));
  EXPECT_EQ(config.credence.audit_log, "/var/log/credence/audit.jsonl");
}

INSTANTIATE_TEST_SUITE_P(BothLanguages,
                         FullFileTest,
                         testing::Values(kFull, kFullJson),
                         [](const auto& tested) {
                           return tested.param.starts_with('{') ? "Json" : "Hcl";
                         });

TEST(AgentConfigTest, DefaultsAreSpires) {
  const AgentConfig config = Good(Minimal());
  EXPECT_EQ(config.socket_path, "/tmp/spire-agent/public/api.sock");
  EXPECT_EQ(config.data_dir, ".");
  EXPECT_TRUE(std::holds_alternative<NoBootstrap>(config.bootstrap));
  EXPECT_EQ(config.workload_key_type, KeyType::kEcP256);
  EXPECT_FALSE(config.availability_target.has_value());
  EXPECT_EQ(config.sync_interval, 5s);
  EXPECT_EQ(config.log.level, LogLevel::kInfo);
  EXPECT_TRUE(std::holds_alternative<MemoryKeyManagerConfig>(config.key_manager));
  // Without a token the stored SVID has to do.
  EXPECT_EQ(std::get<JoinTokenAttestorConfig>(config.node_attestor).token, nullptr);
  EXPECT_THAT(config.credence.resources, IsEmpty());
}

TEST(AgentConfigTest, AllMistakesAreReportedAtOnceInTheOrderOfTheFile) {
  const std::string text = R"(agent {
  trust_domain = "Example.org"
  server_adress = "spire"
  server_port = "x"
  log_level = "loud"
  socket_path = ["a"]
  availability_target = "1h"
  availability_target = "25h"
  admin_socket_path = "/run/admin.sock"
  insecure_bootstrap = true
  trust_bundle_path = "x.pem"
  experimental { ratelimit { fetch_jwt_svid = 5 } sync_interval = "fast" }
}
plugins {
  NodeAttestor "x509pop" { plugin_data { private_key = "k" certificate_path = "c" } }
  KeyManager "disc" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  KeyManager "disk" { plugin_data { directory = "/k" } }
  WorkloadAttestor "docker" { plugin_data { } }
  WorkloadAttestor "mine" { plugin_cmd = "/x" plugin_data { } }
}
credence { resource = ["/etc"] }
health_checks { listener_enabled = true }
server { }
)";
  const std::string unserved =
      "SPIRE's agent has this setting; Credence does not serve it yet: remove it";
  EXPECT_THAT(
      MistakesOf(text),
      ElementsAre(
          "agent.conf:1:7: agent.server_address: is missing: expected the DNS name or IP address "
          "of the SPIRE server",
          HasSubstr("agent.conf:2:18: agent.trust_domain: "),
          "agent.conf:3:3: agent.server_adress: unknown key; did you mean \"server_address\"?",
          "agent.conf:4:17: agent.server_port: expected a number from 1 to 65535, found \"x\"",
          "agent.conf:5:15: agent.log_level: expected \"debug\", \"info\", \"warn\" or \"error\", "
          "found \"loud\"",
          "agent.conf:6:17: agent.socket_path: expected a text, found a list",
          "agent.conf:7:25: agent.availability_target: expected at least \"24h\"",
          "agent.conf:8:3: agent.availability_target: is set twice: the first is at line 7",
          "agent.conf:9:3: agent.admin_socket_path: " + unserved,
          "agent.conf:10:24: agent.insecure_bootstrap: excludes agent.trust_bundle_path: expected "
          "only one of them",
          "agent.conf:12:30: agent.experimental.ratelimit.fetch_jwt_svid: " + unserved,
          "agent.conf:12:67: agent.experimental.sync_interval: expected a duration such as "
          "\"30s\", \"10m\" or "
          "\"24h\", found \"fast\"",
          "agent.conf:15:40: plugins.NodeAttestor.x509pop.plugin_data.private_key_path: is "
          "missing: expected the path "
          "of the node's private key (PEM)",
          "agent.conf:15:42: plugins.NodeAttestor.x509pop.plugin_data.private_key: unknown key; "
          "did you mean "
          "\"private_key_path\"?",
          "agent.conf:16:21: plugins.KeyManager.disc: there is no KeyManager of this name: "
          "expected disk or memory",
          "agent.conf:18:21: plugins.KeyManager.disk: expected exactly one KeyManager",
          "agent.conf:19:29: plugins.WorkloadAttestor.docker: SPIRE's agent has this "
          "WorkloadAttestor; Credence does "
          "not serve it yet: expected unix",
          "agent.conf:20:27: plugins.WorkloadAttestor.mine: external plugins are not served yet: "
          "expected unix",
          "agent.conf:22:12: credence.resource: unknown key; did you mean \"resources\"?",
          "agent.conf:23:17: health_checks.listener_enabled: " + unserved,
          "agent.conf:24:1: server: unknown key"));
}

TEST(AgentConfigTest, AnEmptyFileLacksEverything) {
  EXPECT_THAT(MistakesOf(""),
              ElementsAre(HasSubstr("plugins.KeyManager: is missing"),
                          HasSubstr("plugins.WorkloadAttestor: is missing"),
                          HasSubstr("agent.trust_domain: is missing"),
                          HasSubstr("agent.server_address: is missing"),
                          HasSubstr("agent.server_port: is missing"),
                          HasSubstr("plugins.NodeAttestor: is missing")));
}

TEST(AgentConfigTest, UnservedSettingsThatAskForNothingAreFine) {
  Good(
      Minimal("disable_workload_api = false\nadmin_socket_path = \"\"\nauthorized_delegates = []\n"
              "log_source_location = false\nlog_selectors = []\nrebootstrap_delay = \"10m\"\n"
              "sds { default_svid_name = \"default\" disable_spiffe_cert_validation = false }\n"
              "experimental { require_pq_kem = false feature_flags = [] ratelimit { fetch_jwt_svid "
              "= 0 } }"));
}

TEST(AgentConfigTest, KeysAreReadInAnyCaseAsHclDoes) {
  EXPECT_EQ(Good(Minimal("Data_Dir = \"/d\"")).data_dir, "/d");
}

TEST(AgentConfigTest, CommandLineBeatsTheFile) {
  AgentConfigOverrides flags;
  flags.data_dir = "/flag/data";
  flags.log_level = "warn";
  flags.log_format = "json";
  flags.log_file = "/flag/log";
  flags.server_address = "flag-server";
  flags.server_port = "9000";
  flags.socket_path = "/flag/api.sock";
  flags.trust_domain = "flag.example";
  flags.trust_bundle = "/flag/bundle.json";
  flags.trust_bundle_format = "spiffe";
  flags.allow_unauthenticated_verifiers = true;
  const AgentConfig config =
      Good(Minimal("data_dir = \"/file\"\nlog_level = \"debug\"\nsocket_path = "
                   "\"/file\"\ntrust_bundle_path = \"/file\""),
           flags);
  EXPECT_EQ(config.data_dir, "/flag/data");
  EXPECT_EQ(config.log.level, LogLevel::kWarn);
  EXPECT_EQ(config.log.format, LogFormat::kJson);
  EXPECT_EQ(config.log.file, "/flag/log");
  EXPECT_EQ(config.server_address, "flag-server");
  EXPECT_EQ(config.server_port, 9000);
  EXPECT_EQ(config.socket_path, "/flag/api.sock");
  EXPECT_EQ(config.trust_domain.name(), "flag.example");
  EXPECT_EQ(std::get<BundleFile>(config.bootstrap).path, "/flag/bundle.json");
  EXPECT_TRUE(std::get<BundleFile>(config.bootstrap).spiffe_format);
  EXPECT_TRUE(config.allow_unauthenticated_verifiers);
}

TEST(AgentConfigTest, TheTrustDomainIsANameOrThatOfASpiffeId) {
  AgentConfigOverrides flags;
  for (const char* text : {"flag.example", "spiffe://flag.example", "spiffe://flag.example/a/b"}) {
    flags.trust_domain = text;
    EXPECT_EQ(Good(Minimal(), flags).trust_domain.name(), "flag.example");
    const std::string file = "agent { trust_domain = \"" + std::string(text) +
                             "\" server_address = \"s\" server_port = 1 }\nplugins { " + kNode +
                             kKeys + kUnix + " }";
    EXPECT_EQ(Good(file).trust_domain.name(), "flag.example");
  }
  for (const char* text :
       {"flag.example/a", "spiffe:/a", "https://a", "spiffe://", "spiffe://a/"}) {
    flags.trust_domain = text;
    EXPECT_THAT(MistakesOf(Minimal(), flags),
                ElementsAre(testing::StartsWith("command line: -trustDomain: ")))
        << text;
  }
}

TEST(AgentConfigTest, AFlagIsEnoughWhereTheFileSaysNothing) {
  AgentConfigOverrides flags;
  flags.trust_domain = "example.org";
  flags.server_address = "s";
  flags.server_port = "1";
  flags.insecure_bootstrap = true;
  const AgentConfig config = Good("plugins { " + kNode + kKeys + kUnix + " }", flags);
  EXPECT_TRUE(std::holds_alternative<InsecureBootstrap>(config.bootstrap));
}

TEST(AgentConfigTest, MistakesOfFlagsNameTheFlag) {
  AgentConfigOverrides flags;
  flags.server_port = "70000";
  flags.log_level = "loud";
  flags.insecure_bootstrap = true;
  EXPECT_THAT(
      MistakesOf(Minimal("trust_bundle_path = \"x\""), flags),
      ElementsAre("command line: -serverPort: expected a number from 1 to 65535, found \"70000\"",
                  "command line: -insecureBootstrap: excludes agent.trust_bundle_path: expected "
                  "only one of them",
                  "command line: -logLevel: expected \"debug\", \"info\", \"warn\" or \"error\", "
                  "found \"loud\""));
}

std::string TokenOf(const AgentConfig& config) {
  const auto& token = std::get<JoinTokenAttestorConfig>(config.node_attestor).token;
  return token ? std::string(token->Reveal()) : "none";
}

TEST(JoinTokenTest, ComesFromTheFileOrAFlagOrATokenFile) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("token", "\n  token-in-file \r\n");
  AgentConfigOverrides flags;
  EXPECT_EQ(TokenOf(Good(Minimal("join_token = \"t1\""))), "t1");
  EXPECT_EQ(TokenOf(Good(Minimal("join_token_file = \"" + path + "\""))), "token-in-file");
  flags.join_token = "t2";
  EXPECT_EQ(TokenOf(Good(Minimal("join_token = \"t1\""), flags)), "t2");
  EXPECT_EQ(TokenOf(Good(Minimal("join_token_file = \"/not/there\""), flags)), "t2");
  flags.join_token.reset();
  flags.join_token_file = path;
  EXPECT_EQ(TokenOf(Good(Minimal("join_token = \"t1\""), flags)), "token-in-file");
}

TEST(JoinTokenTest, ReplacesTheConfiguredNodeAttestor) {
  AgentConfigOverrides flags;
  flags.join_token = "t";
  EXPECT_EQ(TokenOf(Good(std::string(kFull), flags)), "t");
  EXPECT_EQ(TokenOf(Good(WithPlugins(kKeys + kUnix), flags)), "t");
}

TEST(JoinTokenTest, AnEmptyTokenFileIsAMistake) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("token", " \n");
  EXPECT_THAT(MistakesOf(Minimal("join_token_file = \"" + path + "\"")),
              ElementsAre(HasSubstr("is empty: expected a join token")));
}

TEST(JoinTokenTest, NoMistakeShowsTheToken) {
  for (const std::string text : {"join_token = [\"s3cr3t\"]",
                                 "join_token = \"s3cr3t\" join_token_file = \"/x\"",
                                 "join_token = \"s3cr3t",
                                 "join_token = s3cr3t",
                                 "join_token = \"s3cr3t\\q\""}) {
    for (const std::string& mistake : MistakesOf(Minimal(text))) {
      EXPECT_THAT(mistake, testing::Not(HasSubstr("s3cr3t")));
    }
  }
}

TEST(ExpandEnvironmentInConfigTest, VariablesAreReplacedOnlyWhenAskedFor) {
  ASSERT_EQ(setenv("CREDENCE_TEST_DIR", "/from/env", 1), 0);
  const std::string text = Minimal("data_dir = \"${CREDENCE_TEST_DIR}/x\"");
  const auto expanded = ParseAgentConfig(text, "agent.conf", {}, true);
  const auto plain = ParseAgentConfig(text, "agent.conf", {}, false);
  ASSERT_TRUE(expanded.config && plain.config);
  EXPECT_EQ(expanded.config->data_dir, "/from/env/x");
  EXPECT_EQ(plain.config->data_dir, "${CREDENCE_TEST_DIR}/x");
  const auto open = ParseAgentConfig("agent {\n data_dir = \"${X\"\n}", "agent.conf", {}, true);
  ASSERT_EQ(open.mistakes.size(), 1U);
  EXPECT_EQ(open.mistakes[0].ToString(),
            "agent.conf:2:14: expected a variable's name and } after ${");
}

TEST(LoadAgentConfigTest, ReadsAFileOfABoundedSize) {
  const TemporaryFolder folder;
  const auto loaded = LoadAgentConfig(folder.Write("agent.conf", std::string(kFull)), {}, false);
  EXPECT_TRUE(loaded.config.has_value());
  const auto missing = LoadAgentConfig("/does/not/exist.conf", {}, false);
  ASSERT_EQ(missing.mistakes.size(), 1U);
  EXPECT_EQ(missing.mistakes[0].ToString(),
            "/does/not/exist.conf: open /does/not/exist.conf: no such file or directory");
  const auto big =
      LoadAgentConfig(folder.Write("big.conf", std::string((1 << 20) + 1, ' ')), {}, false);
  ASSERT_EQ(big.mistakes.size(), 1U);
  EXPECT_THAT(big.mistakes[0].message, HasSubstr("at most 1048576"));
}

}  // namespace
}  // namespace credence
