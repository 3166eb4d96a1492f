#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>

#include "agent/cli/testing/fake_authority.h"
#include "agent/cli/testing/run_command.h"

namespace credence {
namespace {

using authority::v1::SigningKeyRecord;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

CommandResult RunOn(const FakeAuthority& authority, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"-socketPath", authority.socket()});
  return RunCommand(arguments);
}

class CommandAuthorityTest : public testing::Test {
 protected:
  CommandAuthorityTest() {
    auto& state = authority_.control.state;
    state.set_trust_domain("example.org");
    state.set_bundle_sequence(7);
    state.set_entries(12);
    state.set_agents(2);
    AddKey("c0", SigningKeyRecord::X509, SigningKeyRecord::OLD).set_tainted(true);
    AddKey("c1", SigningKeyRecord::X509, SigningKeyRecord::ACTIVE);
    AddKey("c2", SigningKeyRecord::X509, SigningKeyRecord::PREPARED).set_activates_at(1900000000);
    AddKey("j1", SigningKeyRecord::JWT, SigningKeyRecord::ACTIVE);
    authority_.control.rotated.mutable_key()->set_id("new");
    authority_.control.rotated.set_replaced_id("before");
  }

  authority::v1::KeyStatus& AddKey(const std::string& id,
                                   SigningKeyRecord::Kind kind,
                                   SigningKeyRecord::State state) {
    auto& key = *authority_.control.state.add_keys();
    key.set_id(id);
    key.set_kind(kind);
    key.set_state(state);
    key.set_created_at(1700000000);
    key.set_not_after(2000000000);
    return key;
  }
  CommandResult Run(const std::vector<std::string>& arguments) {
    return RunOn(authority_, arguments);
  }

  FakeAuthority authority_;
};

TEST_F(CommandAuthorityTest, StatusShowsEachKeyWithItsStateAndEnd) {
  const auto result = Run({"authority", "status"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out,
              StartsWith("trust domain   example.org\n"
                         "bundle         sequence number 7\n"
                         "entries        12\n"
                         "agents         2\n"
                         "X509 key       old       c0  ends 2033-05-18T03:33:20Z (in "));
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("; tainted\n"),
                    HasSubstr("\nX509 key       active    c1"),
                    HasSubstr("; takes over 2030-03-17T17:46:40Z (in "),
                    HasSubstr("\nJWT key        active    j1")));
  authority_.control.state.set_banned_agents(1);
  EXPECT_THAT(Run({"authority", "status"}).out, HasSubstr("agents         2, 1 of them banned\n"));
}

TEST_F(CommandAuthorityTest, StatusInJsonHasTheSame) {
  const auto state = boost::json::parse(Run({"authority", "status", "-output", "json"}).out);
  EXPECT_EQ(state.at("trust_domain"), "example.org");
  EXPECT_EQ(state.at("bundle_sequence"), 7);
  EXPECT_EQ(state.at("entries"), 12);
  EXPECT_EQ(state.at("banned_agents"), 0);
  ASSERT_EQ(state.at("keys").as_array().size(), 4U);
  EXPECT_EQ(state.at("keys").at(2),
            boost::json::parse(R"({"kind": "X509", "id": "c2", "state": "prepared",
              "tainted": false, "created_at": "2023-11-14T22:13:20Z",
              "expires_at": "2033-05-18T03:33:20Z", "activates_at": "2030-03-17T17:46:40Z"})"));
  EXPECT_EQ(state.at("keys").at(3).at("activates_at"), "");
}

TEST_F(CommandAuthorityTest, StatusSaysWhatIsWrongWithFiles) {
  auto& state = authority_.control.state;
  state.set_file_entries(3);
  EXPECT_THAT(Run({"authority", "status"}).out,
              HasSubstr("\nentries        12, 3 of them in files\n"));
  state.add_file_mistakes("/r/a.yaml:3:1: kind: is missing");
  EXPECT_THAT(Run({"authority", "status"}).out,
              HasSubstr("\nfile mistake   /r/a.yaml:3:1: kind: is missing\n"
                        "files read     never without a mistake\n"));
  state.set_files_read_at(1700000000);
  EXPECT_THAT(Run({"authority", "status"}).out,
              HasSubstr("\nfiles read     last without a mistake 2023-11-14T22:13:20Z ("));
  const auto json = boost::json::parse(Run({"authority", "status", "-output", "json"}).out);
  EXPECT_EQ(json.at("entries_in_files"), 3);
  EXPECT_EQ(json.at("files_read_at"), "2023-11-14T22:13:20Z");
  EXPECT_EQ(json.at("file_mistakes").at(0), "/r/a.yaml:3:1: kind: is missing");
}

TEST_F(CommandAuthorityTest, RotateIsForBothKeysUnlessOneIsNamed) {
  const auto& asked = authority_.control.asked;
  authority_.control.rotated.mutable_key()->set_activates_at(1900000000);
  const auto both = Run({"authority", "rotate"});
  EXPECT_EQ(both.exit_code, 0);
  EXPECT_THAT(both.out,
              AllOf(StartsWith("X509 key new is published, and takes over from before at "
                               "2030-03-17T17:46:40Z (in "),
                    HasSubstr("\nJWT key new is published"),
                    HasSubstr("credence jwks"),
                    Not(HasSubstr("taint"))));
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].kind(), SigningKeyRecord::X509);
  EXPECT_EQ(asked[1].kind(), SigningKeyRecord::JWT);
  EXPECT_FALSE(asked[0].now() || asked[0].taint() || asked[1].now() || asked[1].taint());
  EXPECT_THAT(Run({"authority", "rotate", "-x509"}).out, Not(HasSubstr("JWT")));
  EXPECT_THAT(Run({"authority", "rotate", "-jwt"}).out, Not(HasSubstr("X509")));
  EXPECT_EQ(asked.size(), 4U);
}

TEST_F(CommandAuthorityTest, RotateAtOnceSaysWhatThatCosts) {
  const auto result = Run({"authority", "rotate", "-x509", "-taint", "-now"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out,
              StartsWith("X509 key new signs from now on, instead of before, which is "
                         "tainted.\n  What it signs is refused"));
  ASSERT_EQ(authority_.control.asked.size(), 1U);
  EXPECT_TRUE(authority_.control.asked[0].now() && authority_.control.asked[0].taint());
}

TEST_F(CommandAuthorityTest, RotateInJsonIsOneDocument) {
  const auto result = boost::json::parse(Run({"authority", "rotate", "-output", "json"}).out);
  ASSERT_EQ(result.at("rotated").as_array().size(), 2U);
  EXPECT_EQ(result.at("rotated").at(1).at("kind"), "JWT");
  EXPECT_EQ(result.at("rotated").at(1).at("replaced_id"), "before");
}

TEST_F(CommandAuthorityTest, RotateComesAgainWhileTheAuthorityIsBusy) {
  authority_.control.busy = 2;
  EXPECT_EQ(Run({"authority", "rotate", "-x509"}).exit_code, 0);
  EXPECT_EQ(authority_.control.asked.size(), 3U);
}

TEST_F(CommandAuthorityTest, RotateThatFailsHalfWaySaysWhatIsDone) {
  authority_.control.refused = SigningKeyRecord::JWT;
  const auto result = Run({"authority", "rotate"});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.out, StartsWith("X509 key new signs from now on"));
  EXPECT_EQ(result.err,
            "credence: rotation of the JWT key (that of the X509 key is done): the disk is full\n");
}

TEST_F(CommandAuthorityTest, WhatIsNoCommandLineIsRefused) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"authority"},
                                             {"authority", "rotate", "-x509", "extra"},
                                             {"authority", "rotate", "-kind", "x509"},
                                             {"authority", "status", "-output", "xml"}}) {
    const auto result = Run(arguments);
    EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(arguments);
    EXPECT_THAT(result.out, IsEmpty());
  }
  EXPECT_TRUE(authority_.control.asked.empty());
}

TEST(CommandAuthorityOfSpireTest, ARealServerIsToldApart) {
  const FakeAuthority spire(FakeAuthorityKind::kSpire);
  for (const char* command : {"status", "rotate"}) {
    const auto result = RunOn(spire, {"authority", command});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr("no socket of Credence's own authority"));
  }
}

}  // namespace
}  // namespace credence
