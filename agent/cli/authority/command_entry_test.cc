#include <fstream>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>

#include "agent/cli/authority/wire_types.h"
#include "agent/cli/testing/fake_authority.h"
#include "agent/cli/testing/run_command.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class CommandEntryTest : public testing::Test {
 protected:
  CommandResult Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), "entry");
    arguments.insert(arguments.begin() + 2, {"-socketPath", authority_.socket()});
    return RunCommand(arguments, input);
  }

  /// A data file of `count` entries.
  static std::string DataFile(std::size_t count) {
    std::string text = "{\"entries\": [";
    for (std::size_t i = 0; i < count; ++i) {
      text += (i == 0 ? "" : ",");
      text += R"({"spiffe_id": "spiffe://example.org/w)" + std::to_string(i) +
              R"(", "selectors": [{"type": "unix", "value": "uid:1"}]})";
    }
    return text + "]}";
  }

  FakeAuthority authority_;
};

TEST_F(CommandEntryTest, CreatePrintsTheEntryAsSpireServerDoes) {
  const auto made =
      Run({"create", "-spiffeID", "spiffe://example.org/web", "-selector", "unix:user:web"});
  EXPECT_EQ(made.exit_code, 0);
  EXPECT_EQ(made.out,
            "Entry ID                : id-1\n"
            "SPIFFE ID               : spiffe://example.org/web\n"
            "Parent ID               : spiffe://example.org/node/local\n"
            "Revision                : 0\n"
            "X509-SVID TTL           : default\n"
            "JWT-SVID TTL            : default\n"
            "Selector                : unix:user:web\n\n");
  EXPECT_EQ(made.err, "");
}

TEST_F(CommandEntryTest, AnEntryInAFileShowsWhereItComesFrom) {
  Run({"create", "-spiffeID", "spiffe://example.org/a", "-selector", "unix:uid:1"});
  EXPECT_THAT(Run({"show"}).out, Not(HasSubstr("Origin")));
  Run({"create",
       "-entryID",
       "file.web",
       "-spiffeID",
       "spiffe://example.org/web",
       "-selector",
       "unix:uid:1"});
  auto& file = *authority_.control.file_entries.add_files();
  file.set_file("/etc/credence/resources/web.yaml");
  file.add_entry_ids("file.web");
  EXPECT_THAT(Run({"show"}).out,
              testing::EndsWith("Selector                : unix:uid:1\n"
                                "Origin                  : /etc/credence/resources/web.yaml\n\n"));
  const auto shown = boost::json::parse(Run({"show", "-output", "json"}).out).at("entries");
  EXPECT_FALSE(shown.at(0).as_object().contains("origin"));
  EXPECT_EQ(shown.at(1).at("id"), "file.web");
  EXPECT_EQ(shown.at(1).at("origin"), "/etc/credence/resources/web.yaml");
}

TEST_F(CommandEntryTest, ASpireServerKnowsNoFiles) {
  FakeAuthority spire(FakeAuthorityKind::kSpire);
  auto& entry = spire.entry.entries.emplace_back();
  entry.set_id("file.web");
  const auto shown = RunCommand({"entry", "show", "-socketPath", spire.socket()});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, Not(HasSubstr("Origin")));
}

TEST_F(CommandEntryTest, EveryFieldHasItsLine) {
  const auto made = Run({"create",
                         "-entryID",
                         "e",
                         "-spiffeID",
                         "spiffe://a/web",
                         "-selector",
                         "a:b",
                         "-downstream",
                         "-admin",
                         "-storeSVID",
                         "-x509SVIDTTL",
                         "60",
                         "-jwtSVIDTTL",
                         "61",
                         "-entryExpiry",
                         "2000000000",
                         "-dns",
                         "a.example",
                         "-hint",
                         "h\x1b[2J",
                         "-federatesWith",
                         "spiffe://b",
                         "-disableX509SVIDPrefetch",
                         "-jwtSVIDIncludeJTI"});
  EXPECT_EQ(made.out,
            "Entry ID                : e\n"
            "SPIFFE ID               : spiffe://a/web\n"
            "Parent ID               : spiffe://a/node/local\n"
            "Revision                : 0\n"
            "Downstream              : true\n"
            "X509-SVID TTL           : 60\n"
            "JWT-SVID TTL            : 61\n"
            "Expiration time         : 2033-05-18 03:33:20 +0000 UTC\n"
            "Selector                : a:b\n"
            "FederatesWith           : b\n"
            "DNS name                : a.example\n"
            "Admin                   : true\n"
            "StoreSvid               : true\n"
            "Hint                    : h?[2J\n"
            "DisableX509SvidPrefetch : true\n"
            "JwtSvidIncludeJti       : true\n\n");
}

TEST_F(CommandEntryTest, AnEntryThatIsThereAlreadyIsAFailure) {
  const std::vector<std::string> create{
      "create", "-spiffeID", "spiffe://example.org/web", "-selector", "unix:user:web"};
  EXPECT_EQ(Run(create).exit_code, 0);
  const auto again = Run(create);
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_EQ(again.out, "");
  EXPECT_THAT(again.err,
              StartsWith("Failed to create the following entry (code: AlreadyExists, msg: "
                         "\"similar entry already exists\"):\n"
                         "Entry ID                : (none)\n"
                         "SPIFFE ID               : spiffe://example.org/web\n"));
  EXPECT_THAT(again.err, HasSubstr("\ncredence: failed to create 1 of 1\n"));
}

TEST_F(CommandEntryTest, JsonHasTheShapeOfSpireServer) {
  const auto made = Run({"create",
                         "-spiffeID",
                         "spiffe://example.org/web",
                         "-selector",
                         "unix:user:web",
                         "-output",
                         "json"});
  EXPECT_EQ(made.exit_code, 0);
  EXPECT_EQ(boost::json::parse(made.out), boost::json::parse(R"({"results": [{
      "status": {"code": 0, "message": "OK"},
      "entry": {"admin": false, "created_at": "0", "dns_names": [], "downstream": false,
                "expires_at": "0", "federates_with": [], "hint": "", "id": "id-1",
                "jwt_svid_ttl": 0, "revision_number": "0", "store_svid": false, "x509_svid_ttl": 0,
                "parent_id": {"path": "/node/local", "trust_domain": "example.org"},
                "spiffe_id": {"path": "/web", "trust_domain": "example.org"},
                "selectors": [{"type": "unix", "value": "user:web"}]}}]})"));
}

TEST_F(CommandEntryTest, DataComesFromAFileOrStandardInput) {
  const std::string path = authority_.folder() + "/entries.json";
  std::ofstream(path) << DataFile(2);
  EXPECT_EQ(Run({"create", "-data", path}).exit_code, 0);
  EXPECT_EQ(authority_.entry.entries.size(), 2U);
  EXPECT_EQ(Run({"create", "-data", "-"}, DataFile(3)).exit_code, 1);
  EXPECT_EQ(authority_.entry.entries.size(), 3U);
  EXPECT_THAT(authority_.entry.batches, ElementsAre(2, 3));
}

TEST_F(CommandEntryTest, ManyEntriesGoInBatchesWithProgress) {
  const auto made = Run({"create", "-data", "-", "-output", "json"}, DataFile(1100));
  EXPECT_EQ(made.exit_code, 0);
  EXPECT_THAT(authority_.entry.batches, ElementsAre(500, 500, 100));
  EXPECT_EQ(made.err,
            "credence: 500 of 1100 done\n"
            "credence: 1000 of 1100 done\n"
            "credence: 1100 of 1100 done\n");
  EXPECT_EQ(boost::json::parse(made.out).at("results").as_array().size(), 1100U);
}

TEST_F(CommandEntryTest, LongEntriesMakeSmallBatches) {
  std::string text = DataFile(5);
  std::string::size_type at = 0;
  while ((at = text.find("uid:1", at)) != std::string::npos) {
    text.insert(at, std::string(900'000, 'x'));
    at += 900'010;
  }
  EXPECT_EQ(Run({"create", "-data", "-"}, text).exit_code, 0);
  EXPECT_THAT(authority_.entry.batches, ElementsAre(2, 2, 1));
}

TEST_F(CommandEntryTest, WhatWasDoneBeforeAFailureIsSaid) {
  authority_.entry.batches_until_failure = 1;
  const auto made = Run({"create", "-data", "-", "-output", "json"}, DataFile(700));
  EXPECT_EQ(made.exit_code, 5);
  EXPECT_EQ(boost::json::parse(made.out).at("results").as_array().size(), 500U);
  EXPECT_THAT(made.err, HasSubstr("credence: 200 of 700 were not tried\n"));
  EXPECT_THAT(made.err, HasSubstr("no more today"));
}

TEST_F(CommandEntryTest, AMistakeInADataFileSendsNothing) {
  const auto made = Run({"create", "-data", "-"}, R"({"entries": [{"spiffe_id": 1}]})");
  EXPECT_EQ(made.exit_code, 3);
  EXPECT_THAT(made.err, HasSubstr("standard input: entry 1: spiffe_id: expected a text"));
  EXPECT_THAT(authority_.entry.batches, ElementsAre());
  EXPECT_EQ(Run({"create", "-data", "/none/entries.json"}).exit_code, 3);
}

TEST_F(CommandEntryTest, ADataFileStandsAlone) {
  const auto made = Run({"create", "-data", "-", "-hint", "h"}, DataFile(1));
  EXPECT_EQ(made.exit_code, 2);
  EXPECT_THAT(made.err, HasSubstr("-data stands alone"));
}

TEST_F(CommandEntryTest, UpdateReplacesAndSaysWhatIsNotThere) {
  Run({"create", "-spiffeID", "spiffe://a/web", "-selector", "a:b", "-hint", "h"});
  const std::vector<std::string> rest{
      "-spiffeID", "spiffe://a/b", "-parentID", "spiffe://a/node", "-selector", "a:c"};
  std::vector<std::string> update{"update", "-entryID", "id-1"};
  update.insert(update.end(), rest.begin(), rest.end());
  const auto done = Run(update);
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.out, HasSubstr("Revision                : 1\n"));
  EXPECT_EQ(authority_.entry.entries.at(0).hint(), "");
  update[2] = "none";
  const auto missing = Run(update);
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("Failed to update the following entry (code: NotFound"));
}

TEST_F(CommandEntryTest, DeleteTakesOneOrAFile) {
  Run({"create", "-data", "-"}, DataFile(3));
  const auto one = Run({"delete", "-entryID", "id-1"});
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_EQ(one.out, "Deleted entry with ID: id-1\n");
  const auto some = Run({"delete", "-file", "-"}, R"({"ids": ["id-1", "id-2"]})");
  EXPECT_EQ(some.exit_code, 1);
  EXPECT_EQ(some.out, "Deleted entry with ID: id-2\n");
  EXPECT_EQ(some.err,
            "Failed to delete entry with ID id-1 (code: NotFound, msg: \"entry not found\")\n"
            "credence: failed to delete 1 of 2\n");
  EXPECT_EQ(Run({"delete"}).exit_code, 2);
  EXPECT_EQ(Run({"delete", "-entryID", "a", "-file", "-"}).exit_code, 2);
  EXPECT_EQ(Run({"delete", "-file", "-"}, "[]").exit_code, 3);
}

TEST_F(CommandEntryTest, ShowListsInOrderOverAllPages) {
  Run({"create", "-data", "-"}, DataFile(1001));
  const auto shown = Run({"show", "-selector", "unix:uid:1"});
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_THAT(shown.out,
              StartsWith("Found 1001 entries\nEntry ID                : id-1\n"
                         "SPIFFE ID               : spiffe://example.org/w0\n"));
  EXPECT_LT(shown.out.find("/w10\n"), shown.out.find("/w2\n"));
  EXPECT_EQ(authority_.entry.listed.page_token(), "1000");
  EXPECT_EQ(authority_.entry.listed.page_size(), 500);
  EXPECT_EQ(authority_.entry.listed.filter().by_selectors().selectors_size(), 1);
}

TEST_F(CommandEntryTest, ShowOfNothingAndOfOne) {
  EXPECT_EQ(Run({"show"}).out, "Found 0 entries\n");
  EXPECT_EQ(boost::json::parse(Run({"show", "-output", "json"}).out),
            boost::json::parse(R"({"entries": [], "next_page_token": ""})"));
  Run({"create", "-data", "-"}, DataFile(2));
  EXPECT_THAT(Run({"show", "-entryID", "id-2"}).out, StartsWith("Found 1 entry\nEntry ID"));
  const auto missing = Run({"show", "-entryID", "none"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_EQ(missing.err, "credence: entry none: entry not found\n");
  EXPECT_EQ(Run({"show", "-entryID", "id-2", "-hint", "h"}).exit_code, 2);
}

TEST_F(CommandEntryTest, CountSaysHowMany) {
  EXPECT_EQ(Run({"count"}).out, "0 registration entries\n");
  Run({"create", "-data", "-"}, DataFile(1));
  EXPECT_EQ(Run({"count", "-downstream"}).out, "1 registration entry\n");
  EXPECT_TRUE(authority_.entry.counted.filter().by_downstream().value());
  EXPECT_EQ(boost::json::parse(Run({"count", "-output", "json"}).out),
            boost::json::parse(R"({"count": 1})"));
}

TEST_F(CommandEntryTest, WithoutAnAuthorityTheFixIsSaid) {
  const std::vector<std::string> count{"entry", "count", "-socketPath", "/none/api.sock"};
  const auto text = RunCommand(count);
  EXPECT_EQ(text.exit_code, 5);
  EXPECT_THAT(text.err, StartsWith("credence: no authority answers on /none/api.sock: "));
  EXPECT_THAT(text.err, HasSubstr("start one with `credence up`"));
  std::vector<std::string> json = count;
  json.insert(json.end(), {"-output", "json"});
  EXPECT_THAT(RunCommand(json).out, HasSubstr("\"code\": \"UNAVAILABLE\""));
}

TEST_F(CommandEntryTest, AFlagThatIsNotUtf8IsBadUsage) {
  for (const char* flag : {"-hint", "-selector", "-dns", "-entryID"}) {
    const auto made =
        Run({"create", "-spiffeID", "spiffe://a/web", "-selector", "a:b", flag, "a:\xff"});
    EXPECT_EQ(made.exit_code, 2) << flag;
    EXPECT_THAT(made.err, HasSubstr("not valid UTF-8")) << flag;
  }
}

TEST_F(CommandEntryTest, HelpNamesTheDefaultParentAndUsageIsChecked) {
  const auto help = RunCommand({"entry", "create", "-help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("spiffe://TRUST_DOMAIN/node/local"));
  EXPECT_EQ(RunCommand({"entry"}).exit_code, 2);
  EXPECT_EQ(RunCommand({"entry", "create", "-nonsense"}).exit_code, 2);
  EXPECT_THAT(RunCommand({"entry", "-help"}).out, HasSubstr("create"));
}

}  // namespace
}  // namespace credence
