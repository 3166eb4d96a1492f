#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config/agent_config.h"
#include "agent/config/testing/agent_conf.h"

namespace credence {
namespace {

using testing::ElementsAre;

struct Case {
  std::string name;
  std::string text;
  std::string mistake;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class AgentConfigRejectTest : public testing::TestWithParam<Case> {};

TEST_P(AgentConfigRejectTest, SaysWhereAndWhat) {
  EXPECT_THAT(MistakesOf(GetParam().text), ElementsAre(GetParam().mistake));
}

const std::string kUnserved =
    "SPIRE's agent has this setting; Credence does not serve it yet: remove it";

/// A mistake of a line of the agent block.
Case InAgent(const std::string& name, const std::string& line, const std::string& mistake) {
  return {name, Minimal(line), "agent.conf:5:" + mistake};
}

INSTANTIATE_TEST_SUITE_P(
    AgentBlock,
    AgentConfigRejectTest,
    testing::Values(
        Case{"Syntax", "agent {\n  a = 'x'\n}", "agent.conf:2:7: a text needs double quotes"},
        InAgent("Port",
                "server_port = 0",
                "1: agent.server_port: is set twice: the first is at line 4"),
        InAgent("NotABool",
                "insecure_bootstrap = \"yes\"",
                "22: agent.insecure_bootstrap: expected true or false, found \"yes\""),
        InAgent("Format",
                "trust_bundle_format = \"der\"",
                "23: agent.trust_bundle_format: expected \"pem\" or \"spiffe\", found \"der\""),
        InAgent("LogFormat",
                "log_format = \"xml\"",
                "14: agent.log_format: expected \"text\" or \"json\", found \"xml\""),
        InAgent("KeyType",
                "workload_x509_svid_key_type = \"rsa-1024\"",
                "31: agent.workload_x509_svid_key_type: expected \"ec-p256\", \"ec-p384\" or "
                "\"rsa-2048\", found "
                "\"rsa-1024\""),
        InAgent("Cache",
                "x509_svid_cache_max_size = -1",
                "28: agent.x509_svid_cache_max_size: expected a number of at least 0, found -1"),
        InAgent("HalfCache",
                "jwt_svid_cache_max_size = 1.5",
                "27: agent.jwt_svid_cache_max_size: expected a number of at least 0, found 1.5"),
        InAgent("LongSocketPath",
                "socket_path = \"/" + std::string(107, 's') + "\"",
                "15: agent.socket_path: expected a path of at most 107 bytes, as the kernel takes "
                "for a socket; found 108"),
        InAgent("ClaimList",
                "allowed_foreign_jwt_claims = [\"a\", 1]",
                "36: agent.allowed_foreign_jwt_claims: expected a text in the list, found 1"),
        InAgent("BothTokens",
                "join_token = \"t\" join_token_file = \"/f\"",
                "36: agent.join_token_file: excludes agent.join_token: expected only one of them"),
        InAgent("TokenFileIsNotThere",
                "join_token_file = \"/does/not/exist\"",
                "19: agent.join_token_file: open /does/not/exist: no such file or directory"),
        InAgent("SdsAsked",
                "disable_sds_api = false",
                "19: agent.disable_sds_api: SPIRE's agent has the SDS API; Credence does not serve "
                "it yet: expected true, or remove it"),
        InAgent("SdsNames",
                "sds { default_svid_name = \"x\" }",
                "7: agent.sds.default_svid_name: " + kUnserved),
        InAgent("WorkloadApiOff",
                "disable_workload_api = true",
                "1: agent.disable_workload_api: " + kUnserved),
        InAgent("AdminSocket",
                "admin_socket_path = \"/a\"",
                "1: agent.admin_socket_path: " + kUnserved),
        InAgent("Delegates",
                "authorized_delegates = [\"spiffe://a/b\"]",
                "1: agent.authorized_delegates: " + kUnserved),
        InAgent("BundleUrl",
                "trust_bundle_url = \"https://x\"",
                "1: agent.trust_bundle_url: " + kUnserved),
        InAgent("BundleApi",
                "trust_bundle_spiffe_workload_api = \"unix:///x\"",
                "1: agent.trust_bundle_spiffe_workload_api: " + kUnserved),
        InAgent("Rebootstrap",
                "rebootstrap_mode = \"auto\" rebootstrap_delay = \"5m\"",
                "1: agent.rebootstrap_mode: " + kUnserved),
        InAgent("LogSelectors",
                "log_selectors = [\"unix\"]",
                "1: agent.log_selectors: " + kUnserved),
        InAgent("Profiling",
                "profiling_enabled = true",
                "1: agent.profiling_enabled: " + kUnserved),
        InAgent("OldSync",
                "experimental { use_sync_authorized_entries = false }",
                "16: agent.experimental.use_sync_authorized_entries: " + kUnserved),
        InAgent("HitTimeout",
                "experimental { jwt_svid_cache_hit_timeout = \"30s\" }",
                "45: agent.experimental.jwt_svid_cache_hit_timeout: expected a duration from "
                "\"5s\" up to, but not including, \"30s\""),
        InAgent("FastSync",
                "experimental { sync_interval = \"0s\" }",
                "32: agent.experimental.sync_interval: expected at least \"1s\""),
        InAgent("Broker",
                "experimental { broker {} }",
                "16: agent.experimental.broker: " + kUnserved),
        InAgent("Flags",
                "experimental { feature_flags = [\"wit-svid\"] }",
                "16: agent.experimental.feature_flags: " + kUnserved),
        InAgent("Pipe",
                "experimental { named_pipe_name = \"x\" }",
                "34: agent.experimental.named_pipe_name: is for Windows only: remove it"),
        InAgent("ControlBytesAreNotShown", "\"a\\nb\" = 1", "1: agent.a?b: unknown key"),
        InAgent("AgentTwice", "} agent {", "9: agent: is there twice: the first is at line 1")),
    [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(
    OtherBlocks,
    AgentConfigRejectTest,
    testing::Values(
        Case{"Sink",
             Minimal("", "telemetry { Prometheus { port = 9988 } }"),
             "agent.conf:12:13: telemetry.Prometheus: " + kUnserved},
        Case{"InMemorySink",
             Minimal("", "telemetry { InMem {} }"),
             "agent.conf:12:19: telemetry.InMem: " + kUnserved},
        Case{"UnknownSink",
             Minimal("", "telemetry { Prometeus {} }"),
             "agent.conf:12:13: telemetry.Prometeus: unknown key; did you mean \"Prometheus\"?"},
        Case{"Resources",
             Minimal("", "credence { resources = \"/etc\" }"),
             "agent.conf:12:24: credence.resources: expected a list of texts, found \"/etc\""},
        Case{"AgentIsNoBlock",
             "agent = 1\n" + WithPlugins(kNode + kKeys + kUnix),
             "agent.conf:1:9: agent: expected a block, found 1"},
        Case{"NoNodeAttestor",
             WithPlugins(kKeys + kUnix),
             "agent.conf:1:7: plugins.NodeAttestor: is missing: expected exactly one, "
             "\"join_token\" or \"x509pop\""},
        Case{"NoKeyManager",
             WithPlugins(kNode + kUnix),
             "agent.conf:2:9: plugins.KeyManager: is missing: expected exactly one, \"disk\" or "
             "\"memory\""},
        Case{"NoWorkloadAttestor",
             WithPlugins(kNode + kKeys),
             "agent.conf:2:9: plugins.WorkloadAttestor: is missing: expected at least one, such as "
             "\"unix\""},
        Case{"DisabledIsMissing",
             WithPlugins(kNode + kUnix + "KeyManager \"memory\" { enabled = false }"),
             "agent.conf:2:9: plugins.KeyManager: is missing: expected exactly one, \"disk\" or "
             "\"memory\""},
        Case{"TwoNodeAttestors",
             WithPlugins(kNode + kKeys + kUnix +
                         "\nNodeAttestor \"x509pop\" { plugin_data { private_key_path = \"k\" "
                         "certificate_path = \"c\" } }"),
             "agent.conf:4:24: plugins.NodeAttestor.x509pop: expected exactly one NodeAttestor"},
        Case{"SameTwice",
             WithPlugins(kNode + kKeys + kUnix + "\n" + kUnix),
             "agent.conf:4:25: plugins.WorkloadAttestor.unix: is there twice: the first is at line "
             "3"},
        Case{"UnservedNodeAttestor",
             WithPlugins(kKeys + kUnix +
                         "\nNodeAttestor \"k8s_psat\" { plugin_data { cluster = \"c\" } }"),
             "agent.conf:4:25: plugins.NodeAttestor.k8s_psat: SPIRE's agent has this NodeAttestor; "
             "Credence does not serve it yet: expected join_token or x509pop"},
        Case{"SvidStore",
             WithPlugins(kNode + kKeys + kUnix + "\nSVIDStore \"aws_secretsmanager\" {}"),
             "agent.conf:4:32: plugins.SVIDStore.aws_secretsmanager: SPIRE's agent has this "
             "SVIDStore; Credence does not serve it yet: remove it"},
        Case{"ServerPlugin",
             WithPlugins(kNode + kKeys + kUnix + "\nUpstreamAuthority \"disk\" {}"),
             "agent.conf:4:1: plugins.UpstreamAuthority: unknown key"},
        Case{"Command",
             WithPlugins(kNode + kKeys + "\nWorkloadAttestor \"unix\" { plugin_cmd = \"/x\" }"),
             "agent.conf:4:27: plugins.WorkloadAttestor.unix.plugin_cmd: external plugins are not "
             "served yet: remove it to use the built-in one"},
        Case{"DataFile",
             WithPlugins(kNode + kKeys +
                         "\nWorkloadAttestor \"unix\" { plugin_data_file = \"/x\" }"),
             "agent.conf:4:27: plugins.WorkloadAttestor.unix.plugin_data_file: SPIRE's agent has "
             "this setting; Credence does not serve it yet: use plugin_data"},
        Case{"NoDirectory",
             WithPlugins(kNode + kUnix + "\nKeyManager \"disk\" {}"),
             "agent.conf:4:19: plugins.KeyManager.disk.plugin_data.directory: is missing: expected "
             "the path of a folder for the agent's keys"},
        Case{
            "DirectoryIsNoText",
            WithPlugins(kNode + kUnix + "\nKeyManager \"disk\" { plugin_data { directory = [] } }"),
            "agent.conf:4:47: plugins.KeyManager.disk.plugin_data.directory: expected a text, "
            "found a list"},
        Case{"SpiffeEndpoint",
             WithPlugins(kKeys + kUnix +
                         "\nNodeAttestor \"x509pop\" { plugin_data { private_key_path = \"k\" "
                         "certificate_path = \"c\"\nspiffe_endpoint_socket = \"s\" } }"),
             "agent.conf:5:1: plugins.NodeAttestor.x509pop.plugin_data.spiffe_endpoint_socket: " +
                 kUnserved},
        Case{"UnknownData",
             WithPlugins(kNode + kKeys +
                         "\nWorkloadAttestor \"unix\" { plugin_data { discover_path = true } }"),
             "agent.conf:4:41: plugins.WorkloadAttestor.unix.plugin_data.discover_path: unknown "
             "key"}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace credence
