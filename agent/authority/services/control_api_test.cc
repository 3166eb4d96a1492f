#include "agent/authority/services/control_api.h"

#include <filesystem>
#include <fstream>
#include <optional>

#include <gmock/gmock.h>

#include "agent/authority/services/testing/authority_fixture.h"
#include "agent/authority/services/testing/entries.h"
#include "base/core/testing/result_matchers.h"
#include "base/h2/testing/client.h"

#include "credence/authority/v1/control.pb.h"

namespace credence {
namespace {

using authority::v1::GetStateRequest;
using authority::v1::GetStateResponse;
using authority::v1::KeyStatus;
using authority::v1::ListFileEntriesResponse;
using authority::v1::RotateKeyRequest;
using authority::v1::RotateKeyResponse;
using authority::v1::SigningKeyRecord;
using testing::HasSubstr;

/// Asked over its socket. X509 keys are known everywhere after five seconds, JWT keys after a
/// minute.
class ControlApiTest : public AuthorityTest {
 protected:
  ControlApiTest() {
    CloseState();
    folder_ += "/second";
    Open();
  }
  ~ControlApiTest() override {
    Close();
    folder_.resize(folder_.rfind('/'));
  }

  void Open() {
    auto store = Datastore::Open(folder_).value();
    SigningKeyOptions keys{.trust_domain = TrustDomain::Parse("example.org").value(),
                           .folder = folder_ + "/keys"};
    keys.x509_life = std::chrono::seconds(60);
    state_ =
        AuthorityState::Load(io_.get_executor(), pool_, clock_, std::move(store), {.keys = keys})
            .value();
    state_->Start();
    files_.emplace(io_.get_executor(),
                   pool_,
                   *state_,
                   clock_,
                   EntryFiles::Options{.paths = {folder_ + "/resources"}});
    api_.emplace(*state_, *files_);
    server_.emplace(io_.get_executor(), h2::ServerOptions{});
    api_->Register(*server_);
    CREDENCE_CHECK(server_->Listen(folder_ + "/api.sock", 0600).ok());
  }
  void Close() {
    RunTask(io_, server_->Stop(Deadline::After(std::chrono::seconds(1))));
    server_.reset();
    RunTask(io_, files_->Stop());
    api_.reset();
    files_.reset();
    CloseState();
  }
  /// A restart after which the X509 key that was prepared is known everywhere in a second.
  void RestartLater() {
    Close();
    clock_.Advance(std::chrono::seconds(4));
    Open();
  }

  h2::TestClient::Answer Ask(const std::string& method, const std::string& request) {
    h2::TestClient client(folder_ + "/api.sock");
    const auto call =
        client.Call("/credence.authority.v1.Control/" + method, h2::FrameMessage(request));
    EXPECT_TRUE(RunUntil([&] {
      client.Pump();
      return client.answer(call).closed;
    }));
    return client.answer(call);
  }
  template <class Response>
  Response Call(const std::string& method, const google::protobuf::Message& request) {
    auto answer = Ask(method, request.SerializeAsString());
    // The schedule looks at the keys when the state starts.
    while (answer.grpc_status() == "10") {
      answer = Ask(method, request.SerializeAsString());
    }
    EXPECT_EQ(answer.grpc_status(), "0") << answer.Field("grpc-message");
    Response response;
    EXPECT_TRUE(answer.Messages().size() == 1 && response.ParseFromString(answer.Messages()[0]));
    return response;
  }
  RotateKeyResponse Rotate(SigningKeyRecord::Kind kind, bool taint, bool now) {
    RotateKeyRequest request;
    request.set_kind(kind);
    request.set_taint(taint);
    request.set_now(now);
    return Call<RotateKeyResponse>("RotateKey", request);
  }
  KeyStatus Key(const std::string& id) {
    const auto state = Call<GetStateResponse>("GetState", GetStateRequest());
    for (const KeyStatus& key : state.keys()) {
      if (key.id() == id) {
        return key;
      }
    }
    return {};
  }
  std::string Active(SigningKeyRecord::Kind kind) {
    return state_->keys().value()->Active(kind).record.id();
  }
  template <class Condition>
  bool RunUntil(Condition condition) {
    const Deadline end = Deadline::After(std::chrono::seconds(20));
    while (!condition() && !end.Passed()) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds(2));
    }
    return condition();
  }

  std::optional<EntryFiles> files_;
  std::optional<ControlApi> api_;
  std::optional<h2::Server> server_;
};

TEST_F(ControlApiTest, StateCountsEntriesAndAgentsAndListsKeysWithoutSecrets) {
  ASSERT_THAT(PutEntry(EntryOf("a", "/web", "/n")), IsOk());
  for (const char* id : {"a", "b"}) {
    authority::v1::AgentRecord agent;
    agent.set_id(std::string("spiffe://example.org/spire/agent/join_token/") + id);
    agent.set_banned(id[0] == 'b');
    ASSERT_THAT(PutAgent(agent), IsOk());
  }
  const auto state = Call<GetStateResponse>("GetState", GetStateRequest());
  EXPECT_EQ(state.trust_domain(), "example.org");
  EXPECT_EQ(state.bundle_sequence(), 1U);
  EXPECT_EQ(state.entries(), 1);
  EXPECT_EQ(state.agents(), 2);
  EXPECT_EQ(state.banned_agents(), 1);
  ASSERT_EQ(state.keys_size(), 2);
  EXPECT_EQ(state.keys(0).id(), Active(SigningKeyRecord::X509));
  EXPECT_EQ(state.keys(0).state(), SigningKeyRecord::ACTIVE);
  EXPECT_EQ(state.keys(0).not_after(), ToUnixSeconds(clock_.Now()) + 60);
  EXPECT_EQ(state.keys(1).kind(), SigningKeyRecord::JWT);
}

TEST_F(ControlApiTest, EntriesInFilesAreCountedAndTheirFilesNamed) {
  files_->Start();
  auto state = Call<GetStateResponse>("GetState", GetStateRequest());
  EXPECT_THAT(state.file_mistakes(), testing::ElementsAre(HasSubstr(folder_ + "/resources")));
  EXPECT_EQ(state.files_read_at(), 0);
  std::filesystem::create_directory(folder_ + "/resources");
  std::filesystem::permissions(folder_ + "/resources", std::filesystem::perms::owner_all);
  const std::string file = folder_ + "/resources/web.yaml";
  std::ofstream(file) << "apiVersion: credence/v1\nkind: Entry\nmetadata: {name: web}\n"
                         "spec: {spiffe_id: spiffe://example.org/web, selectors: [unix:uid:1]}\n";
  files_->Reload();
  EXPECT_TRUE(RunUntil([&] { return !state_->tables().file_entries.empty(); }));
  state = Call<GetStateResponse>("GetState", GetStateRequest());
  EXPECT_EQ(state.entries(), 1);
  EXPECT_EQ(state.file_entries(), 1);
  EXPECT_EQ(state.files_read_at(), ToUnixSeconds(clock_.Now()));
  EXPECT_TRUE(state.file_mistakes().empty());
  const auto listed =
      Call<ListFileEntriesResponse>("ListFileEntries", authority::v1::ListFileEntriesRequest());
  ASSERT_EQ(listed.files_size(), 1);
  EXPECT_EQ(listed.files(0).file(), file);
  EXPECT_THAT(listed.files(0).entry_ids(), testing::ElementsAre("file.web"));
}

TEST_F(ControlApiTest, RotationAtOnceReplacesAndTaintsTheActiveKey) {
  const std::string before = Active(SigningKeyRecord::X509);
  const auto rotated = Rotate(SigningKeyRecord::X509, /*taint=*/true, /*now=*/true);
  EXPECT_EQ(rotated.replaced_id(), before);
  EXPECT_EQ(rotated.key().id(), Active(SigningKeyRecord::X509));
  EXPECT_NE(rotated.key().id(), before);
  EXPECT_EQ(rotated.key().state(), SigningKeyRecord::ACTIVE);
  EXPECT_EQ(rotated.key().activates_at(), 0);
  EXPECT_EQ(Key(before).state(), SigningKeyRecord::OLD);
  EXPECT_TRUE(Key(before).tainted());
  EXPECT_FALSE(Key(rotated.key().id()).tainted());
}

TEST_F(ControlApiTest, APlannedRotationPublishesFirst) {
  const std::string before = Active(SigningKeyRecord::X509);
  const auto planned = Rotate(SigningKeyRecord::X509, /*taint=*/false, /*now=*/false);
  EXPECT_EQ(planned.replaced_id(), before);
  EXPECT_EQ(planned.key().state(), SigningKeyRecord::PREPARED);
  EXPECT_EQ(planned.key().activates_at(), ToUnixSeconds(clock_.Now()) + 5);
  EXPECT_EQ(Key(planned.key().id()).activates_at(), planned.key().activates_at());
  EXPECT_EQ(state_->Bundle().x509_authorities_size(), 2);
  EXPECT_EQ(Active(SigningKeyRecord::X509), before);
}

TEST_F(ControlApiTest, ItTakesOverWhenTheClientHasGone) {
  const std::string before = Active(SigningKeyRecord::X509);
  const auto first = Rotate(SigningKeyRecord::X509, /*taint=*/false, /*now=*/false);
  RestartLater();
  EXPECT_EQ(Key(first.key().id()).activates_at(), 0) << "the plan ended with the process";
  const auto planned = Rotate(SigningKeyRecord::X509, /*taint=*/false, /*now=*/false);
  EXPECT_EQ(planned.key().id(), first.key().id());
  EXPECT_EQ(planned.key().activates_at(), ToUnixSeconds(clock_.Now()) + 1);
  EXPECT_TRUE(RunUntil([&] { return Active(SigningKeyRecord::X509) == planned.key().id(); }));
  EXPECT_EQ(Key(before).state(), SigningKeyRecord::OLD);
  EXPECT_FALSE(Key(before).tainted());
  EXPECT_TRUE(RunUntil([&] { return state_->planned_rotations().empty(); }));
}

TEST_F(ControlApiTest, AskedAgainItIsTheSamePlanAndTheTaintAddsUp) {
  const std::string before = Active(SigningKeyRecord::X509);
  Rotate(SigningKeyRecord::X509, /*taint=*/false, /*now=*/false);
  RestartLater();
  const auto first = Rotate(SigningKeyRecord::X509, /*taint=*/false, /*now=*/false);
  const auto second = Rotate(SigningKeyRecord::X509, /*taint=*/true, /*now=*/false);
  EXPECT_EQ(second.key().id(), first.key().id());
  EXPECT_EQ(second.key().activates_at(), first.key().activates_at());
  EXPECT_TRUE(RunUntil([&] { return Active(SigningKeyRecord::X509) == first.key().id(); }));
  EXPECT_TRUE(Key(before).tainted());
  EXPECT_EQ(state_->Bundle().x509_authorities_size(), 2);
}

TEST_F(ControlApiTest, RotationAtOnceEndsAPlanAndKeepsItsTaint) {
  const std::string before = Active(SigningKeyRecord::JWT);
  const auto planned = Rotate(SigningKeyRecord::JWT, /*taint=*/true, /*now=*/false);
  EXPECT_EQ(planned.key().activates_at(), ToUnixSeconds(clock_.Now()) + 60);
  const auto rotated = Rotate(SigningKeyRecord::JWT, /*taint=*/false, /*now=*/true);
  EXPECT_EQ(rotated.key().id(), planned.key().id());
  EXPECT_TRUE(state_->planned_rotations().empty());
  EXPECT_TRUE(Key(before).tainted());
}

TEST_F(ControlApiTest, ACallThatIsNoneIsRefusedAndChangesNothing) {
  RotateKeyRequest unknown;
  unknown.set_taint(true);
  for (const std::string& request : {std::string(),
                                     unknown.SerializeAsString(),
                                     std::string("\x08\x07", 2),
                                     std::string("\xff\xff", 2)}) {
    EXPECT_EQ(Ask("RotateKey", request).grpc_status(), "3");
  }
  EXPECT_THAT(Ask("RotateKey", "").Field("grpc-message"), HasSubstr("X509 or JWT"));
  EXPECT_EQ(Ask("GetState", "\xff").grpc_status(), "3");
  EXPECT_EQ(Ask("ListFileEntries", "\xff").grpc_status(), "3");
  EXPECT_EQ(Ask("Other", "").grpc_status(), "12");
  EXPECT_EQ(state_->bundle_sequence(), 1U);
}

}  // namespace
}  // namespace credence
