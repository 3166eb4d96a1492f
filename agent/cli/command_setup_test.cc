#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>

#include "agent/cli/command_line.h"
#include "agent/cli/testing/fake_authority.h"
#include "agent/cli/testing/run_command.h"
#include "base/core/check.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/unique_fd.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CommandSetupTest : public testing::Test {
 protected:
  CommandSetupTest() {
    folder_ = testing::TempDir() + "setup.XXXXXX";
    CREDENCE_CHECK(mkdtemp(folder_.data()) != nullptr);
    authority_.bundle.own.set_trust_domain("example.org");
    auto& key = *authority_.bundle.own.add_jwt_authorities();
    key.set_key_id("k1");
    key.set_public_key(TestKey(KeyType::kEcP256).PublicKey());
  }
  ~CommandSetupTest() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> Words(std::vector<std::string> more) const {
    std::vector<std::string> words{"setup"};
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(),
                 {"-socketPath",
                  authority_.socket(),
                  "-resources",
                  folder_,
                  "-issuer",
                  "https://issuer.example",
                  "-spiffeID",
                  "spiffe://example.org/web"});
    return words;
  }
  CommandResult Run(std::vector<std::string> more) const {
    return RunCommand(Words(std::move(more)));
  }
  CommandResult Openbao(std::vector<std::string> more) const {
    more.insert(more.begin(),
                {"openbao",
                 "-name",
                 "kv",
                 "-set",
                 "address=https://bao.example",
                 "-set",
                 "role=web",
                 "-set",
                 "audience=openbao"});
    return Run(std::move(more));
  }
  std::string Written(const std::string& name) const {
    const auto text = ReadFile(folder_ + "/" + name, 10'000);
    return text.ok() ? *text : "";
  }

  FakeAuthority authority_;
  std::string folder_;
};

TEST_F(CommandSetupTest, WithAllFlagsItWritesAndSaysWhatToPaste) {
  const auto result = Openbao({"-selector", "unix:user:web", "-yes"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("Issuer    https://issuer.example\n"),
                    HasSubstr("Subject   spiffe://example.org/web\n"),
                    HasSubstr("Audience  openbao\n"),
                    HasSubstr("Key set   {\"keys\":[{"),
                    HasSubstr("bound_audiences=openbao"),
                    HasSubstr("jwt_validation_pubkeys='-----BEGIN PUBLIC KEY-----\n"),
                    HasSubstr("credence check kv")));
  EXPECT_THAT(Written("kv.yaml"),
              AllOf(HasSubstr("\"role\": \"web\""), HasSubstr("- \"unix:user:web\"")));
}

TEST_F(CommandSetupTest, NothingIsReplacedWithoutForce) {
  EXPECT_EQ(Openbao({"-yes"}).exit_code, 0);
  const auto again = Openbao({"-yes", "-set", "mount=other"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("replace it with -force"));
  EXPECT_THAT(Written("kv.yaml"), Not(HasSubstr("other")));
  EXPECT_EQ(Openbao({"-yes", "-force", "-set", "mount=other"}).exit_code, 0);
  EXPECT_THAT(Written("kv.yaml"), HasSubstr("other"));
}

TEST_F(CommandSetupTest, WhatOnlyTheVendorKnowsIsMissedAfterItsInstructions) {
  const auto result = Run({"anthropic", "-yes"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.out, HasSubstr("match.subject_prefix      spiffe://example.org/web"));
  EXPECT_THAT(
      result.err,
      AllOf(HasSubstr("-set federation_rule_id=..."), HasSubstr("-set organization_id=...")));
  EXPECT_EQ(Written("anthropic.yaml"), "");
  const auto json = boost::json::parse(Run({"anthropic", "-yes", "-output", "json"}).out);
  EXPECT_EQ(json.at("written"), false);
  EXPECT_EQ(json.at("missing").as_array().size(), 2U);
  EXPECT_EQ(json.at("subject"), "spiffe://example.org/web");
  EXPECT_THAT(json.at("jwks").as_string().c_str(), HasSubstr("\"kid\":\"k1\""));
}

TEST_F(CommandSetupTest, BadValuesAreRefusedBeforeAnythingIsSaid) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"openbao", "-set", "role"}, "expected NAME=VALUE"},
      {{"openbao", "-set", "rule=a"}, "openbao has no such setting; it has address"},
      {{"openbao", "-set", "role=a b"}, "role: expected the name of a role"},
      {{"openbao", "-set", "role=a", "-set", "role=b"}, "role is set twice"},
      {{"openbao", "-set", "address=http://far.example"}, "address: expected"},
      {{"openbao"}, "address: is missing"},
      {{"vault"}, "there is no adapter \"vault\": expected anthropic or openbao"},
      {{"anthropic", "-set", "organization_id=1"}, "the UUID of the organization"}};
  for (const auto& [words, message] : cases) {
    const auto result = Run(words);
    EXPECT_EQ(result.exit_code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_EQ(result.out, "");
  }
  EXPECT_THAT(
      RunCommand({"setup", "openbao", "-spiffeID", "web", "-socketPath", authority_.socket()}).err,
      HasSubstr("-spiffeID web: "));
  EXPECT_THAT(RunCommand({"setup",
                          "openbao",
                          "-spiffeID",
                          "spiffe://other.test/web",
                          "-socketPath",
                          authority_.socket()})
                  .err,
              HasSubstr("not in the trust domain example.org"));
  EXPECT_THAT(RunCommand({"setup", "openbao"}).err, HasSubstr("-spiffeID is missing"));
}

TEST_F(CommandSetupTest, WithoutATerminalNothingIsWrittenUnlessYesIsSaid) {
  const auto result = Openbao({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("add -yes to write " + folder_ + "/kv.yaml"));
  EXPECT_EQ(Written("kv.yaml"), "");
}

TEST_F(CommandSetupTest, AFolderThatWouldNotLoadIsLeftAlone) {
  std::ofstream(folder_ + "/other.yaml") << "kind: Nonsense\n";
  const auto result = Openbao({"-yes"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("other.yaml:1:7: kind:"), HasSubstr("nothing was written")));
  EXPECT_EQ(Written("kv.yaml"), "");
}

TEST_F(CommandSetupTest, WithoutAnAuthorityTheKeysAreNotKnown) {
  setenv(
      "CREDENCE_AUTHORITY_SOCKET", "/none/api.sock", 1);  // NOLINT(concurrency-mt-unsafe): a test
  const auto result = RunCommand({"setup",
                                  "openbao",
                                  "-spiffeID",
                                  "spiffe://example.org/web",
                                  "-issuer",
                                  "https://issuer.example",
                                  "-resources",
                                  folder_,
                                  "-yes",
                                  "-set",
                                  "address=https://bao.example",
                                  "-set",
                                  "role=web",
                                  "-set",
                                  "audience=a"});
  unsetenv("CREDENCE_AUTHORITY_SOCKET");  // NOLINT(concurrency-mt-unsafe): a test
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("Key set   not known: no authority answers on /none/api.sock"),
                    HasSubstr("oidc_discovery_url=https://issuer.example"),
                    Not(HasSubstr("jwt_validation_pubkeys"))));
}

/// Standard input is a terminal on which `typed` was typed, until this goes.
class Terminal {
 public:
  explicit Terminal(const std::string& typed)
      : before_(dup(STDIN_FILENO)), master_(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    CREDENCE_CHECK(grantpt(master_.get()) == 0 && unlockpt(master_.get()) == 0);
    std::string name(64, '\0');
    CREDENCE_CHECK(ptsname_r(master_.get(), name.data(), name.size()) == 0);
    const UniqueFd slave(open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    CREDENCE_CHECK(slave.valid() && dup2(slave.get(), STDIN_FILENO) == STDIN_FILENO);
    CREDENCE_CHECK(WriteAll(master_.get(), typed).ok());
  }
  ~Terminal() { dup2(before_.get(), STDIN_FILENO); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

 private:
  UniqueFd before_;
  UniqueFd master_;
};

TEST_F(CommandSetupTest, OnATerminalItAsksShowsAndAsksForTheRest) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  int exit_code = 0;
  {
    const Terminal terminal("rule\nfdrl_a1\n01234567-89ab-cdef-0123-456789abcdef\nsvac_b2\n\ny\n");
    exit_code = RunCommandLine(Words({"anthropic", "-name", "claude"}));
  }
  std::fflush(stdout);
  const std::string out = testing::internal::GetCapturedStdout();
  const std::string asked = testing::internal::GetCapturedStderr();
  EXPECT_EQ(exit_code, 0) << asked;
  EXPECT_THAT(
      asked,
      AllOf(HasSubstr("federation_rule_id (the id of a federation rule, fdrl_...): "),
            HasSubstr("found \"rule\""),
            HasSubstr("workspace_id (the id of a workspace, wrkspc_..., or default; Enter for "
                      "none): "),
            HasSubstr("Write this to ")));
  EXPECT_THAT(out, HasSubstr("match.audience            https://api.anthropic.com"));
  EXPECT_THAT(
      Written("claude.yaml"),
      AllOf(HasSubstr("\"service_account_id\": \"svac_b2\""), Not(HasSubstr("workspace_id"))));
}

TEST_F(CommandSetupTest, ANoAtTheEndWritesNothing) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  int exit_code = 0;
  {
    const Terminal terminal("https://bao.example\nbao\nweb\n\nn\n");
    exit_code = RunCommandLine(Words({"openbao", "-name", "kv"}));
  }
  std::fflush(stdout);
  testing::internal::GetCapturedStdout();
  EXPECT_EQ(exit_code, 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("nothing was written"));
  EXPECT_EQ(Written("kv.yaml"), "");
}

}  // namespace
}  // namespace credence
