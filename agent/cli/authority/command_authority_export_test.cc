#include <filesystem>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>

#include "agent/cli/authority/entry_file.h"
#include "agent/cli/authority/wire_types.h"
#include "agent/cli/testing/fake_authority.h"
#include "agent/cli/testing/run_command.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class CommandExportTest : public testing::Test {
 protected:
  CommandExportTest() {
    authority_.bundle.own.set_trust_domain("example.org");
    const std::string agent = "spiffe://example.org/spire/agent/join_token/t1";
    Add("alias", "spiffe://example.org/node/local", agent, "spiffe_id:" + agent);
    Add("e1", "spiffe://example.org/web", "spiffe://example.org/node/local", "unix:uid:1");
    folder_ = authority_.folder() + "/move";
  }

  spire::api::types::Entry& Add(const std::string& id,
                                const std::string& spiffe_id,
                                const std::string& parent,
                                const std::string& selector) {
    auto& entry = authority_.entry.entries.emplace_back();
    entry.set_id(id);
    *entry.mutable_spiffe_id() = WireId("id", spiffe_id).value();
    *entry.mutable_parent_id() = WireId("parent", parent).value();
    *entry.add_selectors() = WireSelector("selector", selector).value();
    return entry;
  }
  CommandResult Run(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(),
                     {"authority", "export", "-socketPath", authority_.socket(), "-dir", folder_});
    return RunCommand(arguments);
  }
  /// What stands in the file.
  std::vector<spire::api::types::Entry> Written() {
    const auto text = ReadFile(folder_ + "/entries.json", kMaxEntryFileBytes);
    EXPECT_THAT(text, IsOk());
    return ParseEntryFile(*text, EntryUse::kCreate).value();
  }

  FakeAuthority authority_;
  std::string folder_;
};

TEST_F(CommandExportTest, WritesTheEntriesAndSaysHowToMove) {
  const auto result = Run({"-serverAddress", "spire.example.org", "-serverPort", "9081"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto entries = Written();
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].DebugString(), authority_.entry.entries[1].DebugString());
  EXPECT_THAT(
      result.out,
      AllOf(StartsWith("1 entry written for a SPIRE server of trust domain example.org: " +
                       folder_ + "/entries.json\n\n1. "),
            HasSubstr("     spire-server entry create -data '" + folder_ + "/entries.json'\n"),
            HasSubstr("spire-server token generate -spiffeID 'spiffe://example.org/node/local'\n"),
            HasSubstr("     server_address    = \"spire.example.org\"\n"
                      "     server_port       = 9081\n"
                      "     trust_bundle_path = \"" +
                      folder_ + "/bundle.pem\"\n"),
            HasSubstr("agent-data.json"),
            Not(HasSubstr("bundle set")),
            Not(HasSubstr("hang on the agent"))));
}

TEST_F(CommandExportTest, JsonHasAllThatAScriptNeeds) {
  const auto result = Run({"-trustBundlePath", "/etc/\"b\".pem", "-output", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto move = boost::json::parse(result.out);
  EXPECT_EQ(move.at("trust_domain"), "example.org");
  EXPECT_EQ(move.at("files").at(0).as_string(), folder_ + "/entries.json");
  EXPECT_EQ(move.at("entries"), 1);
  EXPECT_EQ(move.at("aliases_left_out"), 1);
  EXPECT_EQ(move.at("nodes").at(0), "spiffe://example.org/node/local");
  EXPECT_EQ(move.at("agent_conf").at("server_port"), 8081);
  EXPECT_EQ(move.at("agent_conf").at("trust_bundle_path"), "/etc/\"b\".pem");
  EXPECT_EQ(move.at("steps").as_array().size(), 7U);
  EXPECT_EQ(move.at("steps").at(4).at("lines").at(2), "trust_bundle_path = \"/etc/\\\"b\\\".pem\"");
}

TEST_F(CommandExportTest, WhatHasToBeSeenToIsSaid) {
  Add("e2", "spiffe://example.org/b", "spiffe://example.org/node/local", "unix:uid:2")
      .add_federates_with("other.example");
  Add("e3", "spiffe://example.org/c", "spiffe://example.org/spire/agent/x509pop/f", "unix:uid:3");
  const auto result = Run();
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("credence bundle list -format spiffe -id other.example | spire-server "
                      "bundle set -format spiffe -id spiffe://other.example\n"),
            HasSubstr("Entries hang on the agent spiffe://example.org/spire/agent/x509pop/f"),
            HasSubstr("\"ADDRESS OF THE SERVER\"")));
  EXPECT_EQ(Written().size(), 3U);
}

TEST_F(CommandExportTest, ANodeEntryTakesThePlaceOfTheTokensId) {
  const auto result =
      Run({"-nodeSelector", "x509pop:subject:cn:a", "-nodeSelector", "x509pop:ca:fingerprint:f"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto entries = Written();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(TextOf(entries[0].parent_id()), "spiffe://example.org/spire/server");
  EXPECT_EQ(TextOf(entries[0].spiffe_id()), "spiffe://example.org/node/local");
  EXPECT_EQ(entries[0].selectors_size(), 2);
  EXPECT_THAT(result.out,
              AllOf(Not(HasSubstr("token generate")),
                    Not(HasSubstr("-joinTokenFile")),
                    HasSubstr("replace the NodeAttestor")));
}

TEST_F(CommandExportTest, NothingToMoveIsAnEmptyFile) {
  authority_.entry.entries.clear();
  EXPECT_EQ(Run().exit_code, 0);
  EXPECT_TRUE(Written().empty());
}

TEST_F(CommandExportTest, AMistakeWritesNothing) {
  EXPECT_EQ(Run({"-nodeSelector", "none"}).exit_code, 2);
  EXPECT_EQ(Run({"-serverPort", "70000"}).exit_code, 2);
  EXPECT_EQ(Run({"-what", "x"}).exit_code, 2);
  Add("e4", "spiffe://example.org/d", "spiffe://example.org/node/other", "unix:uid:4");
  const auto two_nodes = Run({"-nodeSelector", "x509pop:subject:cn:a"});
  EXPECT_EQ(two_nodes.exit_code, 2);
  EXPECT_THAT(two_nodes.err, HasSubstr("hang on 2 nodes"));
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

TEST_F(CommandExportTest, AFolderThatOthersCanReplaceIsRefused) {
  const std::string open = authority_.folder() + "/open";
  std::filesystem::create_directory(open);
  std::filesystem::permissions(open, std::filesystem::perms::all);
  folder_ = open + "/move";
  const auto result = Run();
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr(open));
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

}  // namespace
}  // namespace credence
