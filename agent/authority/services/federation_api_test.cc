#include "agent/authority/services/federation_api.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "agent/authority/keys/issuer.h"
#include "agent/authority/services/bundle_batches.h"
#include "agent/authority/services/federation_batches.h"
#include "agent/authority/services/testing/authority_fixture.h"
#include "agent/authority/services/testing/entries.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/h2/testing/client.h"
#include "base/http/testing/scripted_server.h"
#include "base/http/testing/test_pki.h"
#include "base/svid/testing/test_authority.h"

#include "spire/api/server/trustdomain/v1/trustdomain.pb.h"

namespace credence {
namespace {

namespace td = spire::api::server::trustdomain::v1;
using spire::api::types::Bundle;
using spire::api::types::FederationRelationship;
using testing::HasSubstr;

FederationRelationship WebRelationship(const std::string& name, const std::string& url) {
  FederationRelationship relationship;
  relationship.set_trust_domain(name);
  relationship.set_bundle_endpoint_url(url);
  relationship.mutable_https_web();
  return relationship;
}

/// Asked over its socket. Nothing answers at https://127.0.0.1:1/.
class FederationApiTest : public AuthorityTest {
 protected:
  FederationApiTest() {
    EXPECT_THAT(WriteFileAtomically(folder_ + "/ca.pem", ca_.pem(), 0600), IsOk());
    FederationOptions options;
    options.web_ca_file = folder_ + "/ca.pem";
    bundles_.emplace(io_.get_executor(), *state_, clock_, options);
    bundles_->Start();
    access_.emplace(*state_, clock_);
    api_.emplace(*state_, *access_, *bundles_, clock_);
    server_.emplace(io_.get_executor(), h2::ServerOptions{});
    api_->RegisterForOperators(*server_);
    CREDENCE_CHECK(server_->Listen(folder_ + "/api.sock", 0600).ok());
  }
  ~FederationApiTest() override {
    RunTask(io_, server_->Stop(Deadline::After(std::chrono::seconds(1))));
    server_.reset();
    RunTask(io_, state_->Stop());
    RunTask(io_, bundles_->Stop());
    bundles_.reset();
  }

  bool RunUntil(const std::function<bool()>& reached) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    io_.restart();
    while (!reached() && std::chrono::steady_clock::now() < end) {
      io_.run_one_for(std::chrono::milliseconds(5));
    }
    return reached();
  }
  h2::TestClient::Answer Ask(const std::string& method, const google::protobuf::Message& request) {
    h2::TestClient client(folder_ + "/api.sock");
    const auto call = client.Call("/spire.api.server.trustdomain.v1.TrustDomain/" + method,
                                  h2::FrameMessage(request.SerializeAsString()));
    EXPECT_TRUE(RunUntil([&] {
      client.Pump();
      return client.answer(call).closed;
    }));
    return client.answer(call);
  }
  template <class Response>
  Response Call(const std::string& method, const google::protobuf::Message& request) {
    const auto answer = Ask(method, request);
    EXPECT_EQ(answer.grpc_status(), "0") << answer.Field("grpc-message");
    Response response;
    EXPECT_TRUE(answer.Messages().size() == 1 && response.ParseFromString(answer.Messages()[0]));
    return response;
  }

  /// The one result, as "CODE: message".
  std::string Create(const FederationRelationship& wanted) {
    td::BatchCreateFederationRelationshipRequest request;
    *request.add_federation_relationships() = wanted;
    return Outcome(Call<td::BatchCreateFederationRelationshipResponse>(
        "BatchCreateFederationRelationship", request));
  }
  std::string Update(const FederationRelationship& wanted,
                     const spire::api::types::FederationRelationshipMask* mask = nullptr) {
    td::BatchUpdateFederationRelationshipRequest request;
    *request.add_federation_relationships() = wanted;
    if (mask != nullptr) {
      *request.mutable_input_mask() = *mask;
    }
    return Outcome(Call<td::BatchUpdateFederationRelationshipResponse>(
        "BatchUpdateFederationRelationship", request));
  }
  std::string Delete(const std::string& name) {
    td::BatchDeleteFederationRelationshipRequest request;
    request.add_trust_domains(name);
    return Outcome(Call<td::BatchDeleteFederationRelationshipResponse>(
        "BatchDeleteFederationRelationship", request));
  }
  template <class Response>
  static std::string Outcome(const Response& response) {
    EXPECT_EQ(response.results_size(), 1);
    const auto& status = response.results(0).status();
    return std::string(CodeName(static_cast<Code>(status.code()))) + ": " + status.message();
  }
  h2::TestClient::Answer Refresh(const std::string& name) {
    td::RefreshBundleRequest request;
    request.set_trust_domain(name);
    return Ask("RefreshBundle", request);
  }

  Bundle BundleOfB(std::uint64_t sequence) const {
    Bundle bundle;
    bundle.set_trust_domain("b.test");
    bundle.set_sequence_number(sequence);
    bundle.add_x509_authorities()->set_asn1(root_.certificate());
    return bundle;
  }
  const FederationRelationship& Stored(const std::string& name) const {
    return state_->tables().federation.at(name).relationship();
  }

  TestCa ca_{"web root"};
  TestAuthority root_ = TestAuthority::Root();
  std::optional<ForeignBundles> bundles_;
  std::optional<Access> access_;
  std::optional<FederationApi> api_;
  std::optional<h2::Server> server_;
};

constexpr const char* kNobody = "https://127.0.0.1:1/";

TEST_F(FederationApiTest, WhatBreaksARuleIsNotStored) {
  const auto with = [](const FederationRelationship& from, auto change) {
    FederationRelationship changed = from;
    change(changed);
    return changed;
  };
  const FederationRelationship good = WebRelationship("b.test", kNobody);
  const std::pair<FederationRelationship, const char*> table[] = {
      {FederationRelationship(), "INVALID_ARGUMENT: trust_domain: "},
      {with(good, [](auto& r) { r.set_trust_domain("B.test"); }), "INVALID_ARGUMENT: "},
      {with(good, [](auto& r) { r.set_trust_domain("spiffe://b.test/x"); }), "INVALID_ARGUMENT: "},
      {with(good, [](auto& r) { r.set_trust_domain("example.org"); }), "is the own trust domain"},
      {with(good, [](auto& r) { r.set_trust_domain("spiffe://example.org"); }),
       "is the own trust domain"},
      {with(good, [](auto& r) { r.clear_bundle_endpoint_url(); }), "bundle endpoint"},
      {with(good, [](auto& r) { r.set_bundle_endpoint_url("http://127.0.0.1/"); }), "not https"},
      {with(good, [](auto& r) { r.set_bundle_endpoint_url("https://user@b.test/"); }),
       "federation with b.test: "},
      {with(good, [](auto& r) { r.clear_https_web(); }), "there is no profile"},
      {with(good, [](auto& r) { r.mutable_https_spiffe(); }), "endpoint SPIFFE ID"},
      {with(good, [](auto& r) { r.mutable_https_spiffe()->set_endpoint_spiffe_id("spiffe://b"); }),
       "endpoint SPIFFE ID has no path"},
      {with(good, [](auto& r) { r.mutable_trust_domain_bundle(); }), "is of trust domain \"\""},
      {with(good, [](auto& r) { r.mutable_trust_domain_bundle()->set_trust_domain("c.test"); }),
       "is of trust domain \"c.test\""},
      {with(good,
            [](auto& r) {
              r.mutable_trust_domain_bundle()->set_trust_domain("b.test");
              r.mutable_trust_domain_bundle()->add_x509_authorities()->set_asn1("none");
            }),
       "trust_domain_bundle: x509_authorities"},
  };
  for (const auto& [wanted, why] : table) {
    EXPECT_THAT(Create(wanted), HasSubstr(why)) << wanted.ShortDebugString();
  }
  EXPECT_TRUE(state_->tables().federation.empty());
  EXPECT_THAT(Update(good), HasSubstr("NOT_FOUND: there is no federation with b.test"));
  EXPECT_THAT(Delete("b.test"), HasSubstr("NOT_FOUND"));
  EXPECT_THAT(Delete("B!"), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_EQ(Refresh("b.test").grpc_status(), "5");
  EXPECT_EQ(Refresh("").grpc_status(), "3");
}

TEST_F(FederationApiTest, AFirstBundleIsTheHeldOneAndAnUpdateWithoutOneKeepsIt) {
  FederationRelationship wanted = WebRelationship("spiffe://b.test", kNobody);
  *wanted.mutable_trust_domain_bundle() = BundleOfB(7);
  EXPECT_EQ(Create(wanted), "OK: OK");
  EXPECT_THAT(Create(wanted), HasSubstr("ALREADY_EXISTS"));
  EXPECT_EQ(Stored("b.test").trust_domain(), "b.test");
  EXPECT_EQ(Stored("b.test").trust_domain_bundle().sequence_number(), 7U);
  // Without one the held one stays.
  EXPECT_EQ(Update(WebRelationship("b.test", "https://127.0.0.1:1/new")), "OK: OK");
  EXPECT_EQ(Stored("b.test").bundle_endpoint_url(), "https://127.0.0.1:1/new");
  EXPECT_EQ(Stored("b.test").trust_domain_bundle().sequence_number(), 7U);
}

TEST_F(FederationApiTest, AnUpdateKeepsWhatItsMaskLeavesOut) {
  EXPECT_EQ(Create(WebRelationship("b.test", kNobody)), "OK: OK");
  FederationRelationship wanted = WebRelationship("b.test", "not looked at");
  wanted.mutable_https_spiffe()->set_endpoint_spiffe_id("spiffe://b.test/server");
  spire::api::types::FederationRelationshipMask mask;
  mask.set_bundle_endpoint_profile(true);
  EXPECT_EQ(Update(wanted, &mask), "OK: OK");
  EXPECT_EQ(Stored("b.test").bundle_endpoint_url(), kNobody);
  EXPECT_EQ(Stored("b.test").https_spiffe().endpoint_spiffe_id(), "spiffe://b.test/server");
  EXPECT_THAT(Update(wanted), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_EQ(Stored("b.test").bundle_endpoint_url(), kNobody);
}

TEST_F(FederationApiTest, ListAndGetShowRelationshipsAndWhatTheMaskNames) {
  for (const char* name : {"b.test", "c.test", "d.test"}) {
    EXPECT_EQ(Create(WebRelationship(name, kNobody)), "OK: OK");
  }
  td::ListFederationRelationshipsRequest list;
  list.set_page_size(2);
  list.mutable_output_mask()->set_bundle_endpoint_profile(true);
  auto page = Call<td::ListFederationRelationshipsResponse>("ListFederationRelationships", list);
  ASSERT_EQ(page.federation_relationships_size(), 2);
  EXPECT_EQ(page.federation_relationships(0).trust_domain(), "b.test");
  EXPECT_TRUE(page.federation_relationships(0).has_https_web());
  EXPECT_EQ(page.federation_relationships(0).bundle_endpoint_url(), "");
  list.set_page_token(page.next_page_token());
  page = Call<td::ListFederationRelationshipsResponse>("ListFederationRelationships", list);
  ASSERT_EQ(page.federation_relationships_size(), 1);
  EXPECT_EQ(page.federation_relationships(0).trust_domain(), "d.test");
  EXPECT_EQ(page.next_page_token(), "");
  td::GetFederationRelationshipRequest get;
  get.set_trust_domain("spiffe://c.test");
  EXPECT_EQ(Call<FederationRelationship>("GetFederationRelationship", get).bundle_endpoint_url(),
            kNobody);
  get.set_trust_domain("x.test");
  EXPECT_EQ(Ask("GetFederationRelationship", get).grpc_status(), "5");
}

TEST_F(FederationApiTest, FED_25_EndingItDeletesTheBundleUnlessEntriesUseIt) {
  FederationRelationship wanted = WebRelationship("b.test", kNobody);
  *wanted.mutable_trust_domain_bundle() = BundleOfB(1);
  EXPECT_EQ(Create(wanted), "OK: OK");
  auto entry = std::make_shared<spire::api::types::Entry>(*EntryOf("a", "/web", "/n"));
  entry->add_federates_with("b.test");
  ASSERT_THAT(PutEntry(entry), IsOk());
  EXPECT_THAT(Delete("b.test"), HasSubstr("FAILED_PRECONDITION: 1 registration entries"));
  EXPECT_TRUE(Stored("b.test").has_trust_domain_bundle());
  auto none_yet = wanted;
  none_yet.set_trust_domain("c.test");
  none_yet.clear_trust_domain_bundle();
  EXPECT_EQ(Create(none_yet), "OK: OK");
  entry = std::make_shared<spire::api::types::Entry>(*entry);
  entry->set_federates_with(0, "c.test");
  ASSERT_THAT(PutEntry(entry), IsOk());
  EXPECT_THAT(Delete("c.test"), HasSubstr("FAILED_PRECONDITION: 1 registration entries"));
  ASSERT_THAT(PutEntry(EntryOf("a", "/web", "/n")), IsOk());
  EXPECT_EQ(Delete("c.test"), "OK: OK");
  EXPECT_EQ(Delete("spiffe://b.test"), "OK: OK");
  EXPECT_TRUE(state_->tables().federation.empty());
}

TEST_F(FederationApiTest, TheEndpointOfANewRelationshipIsPolledAndThatOfAnEndedOneIsNot) {
  ScriptedServer server(io_, ca_.Issue("DNS:localhost"));
  server.Enqueue(HttpAnswer(200, SpiffeBundleDocument(BundleOfB(3))));
  EXPECT_EQ(Create(WebRelationship("b.test", server.Url() + "/first")), "OK: OK");
  EXPECT_TRUE(RunUntil([&] { return Stored("b.test").has_trust_domain_bundle(); }));
  EXPECT_EQ(Stored("b.test").trust_domain_bundle().SerializeAsString(),
            BundleOfB(3).SerializeAsString());
  EXPECT_EQ(state_->tables().federation.at("b.test").fetched_at(), ToUnixSeconds(clock_.Now()));
  server.Enqueue(HttpAnswer(200, SpiffeBundleDocument(BundleOfB(4))));
  EXPECT_EQ(Update(WebRelationship("b.test", server.Url() + "/second")), "OK: OK");
  EXPECT_TRUE(
      RunUntil([&] { return Stored("b.test").trust_domain_bundle().sequence_number() == 4; }));
  EXPECT_EQ(Delete("b.test"), "OK: OK");
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(FederationApiTest, RefreshFetchesNowAndSaysWhyItCouldNot) {
  ScriptedServer server(io_, ca_.Issue("DNS:localhost"));
  server.Enqueue(HttpAnswer(200, SpiffeBundleDocument(BundleOfB(3))));
  EXPECT_EQ(Create(WebRelationship("b.test", server.Url())), "OK: OK");
  EXPECT_TRUE(RunUntil([&] { return Stored("b.test").has_trust_domain_bundle(); }));
  server.Enqueue(HttpAnswer(200, SpiffeBundleDocument(BundleOfB(4))));
  EXPECT_EQ(Refresh("spiffe://b.test").grpc_status(), "0");
  EXPECT_EQ(Stored("b.test").trust_domain_bundle().sequence_number(), 4U);
  server.Enqueue(HttpAnswer(500, ""));
  const auto refused = Refresh("b.test");
  EXPECT_EQ(refused.grpc_status(), "14");
  EXPECT_THAT(refused.Field("grpc-message"), HasSubstr("HTTP 500"));
}

TEST_F(FederationApiTest, FED_3_ABundleThatAnOperatorSetMeanwhileStaysIfItIsNewer) {
  const FederationRelationship wanted = WebRelationship("b.test", kNobody);
  const ForeignBundleEndpoint endpoint = ParseFederationRelationship(wanted).value();
  EXPECT_EQ(Create(wanted), "OK: OK");
  EXPECT_THAT(Write(PlanToKeepBundle(endpoint, BundleOfB(5), 1)), IsOk());
  EXPECT_THAT(Write(PlanToKeepBundle(endpoint, BundleOfB(4), 2)), IsOk());
  EXPECT_EQ(Stored("b.test").trust_domain_bundle().sequence_number(), 5U);
  EXPECT_EQ(state_->tables().federation.at("b.test").fetched_at(), 1);
  EXPECT_THAT(Write(PlanToKeepBundle(endpoint, BundleOfB(6), 3)), IsOk());
  EXPECT_EQ(Stored("b.test").trust_domain_bundle().sequence_number(), 6U);
  EXPECT_EQ(Delete("b.test"), "OK: OK");
  EXPECT_THAT(Write(PlanToKeepBundle(endpoint, BundleOfB(7), 4)), FailsWithCode(Code::kAborted));
  EXPECT_TRUE(state_->tables().federation.empty());
}

TEST_F(FederationApiTest, WhatAFormerEndpointGaveIsNotKept) {
  const FederationRelationship former = WebRelationship("b.test", kNobody);
  FederationRelationship now = former;
  now.mutable_https_spiffe()->set_endpoint_spiffe_id("spiffe://b.test/server");
  EXPECT_EQ(Create(former), "OK: OK");
  EXPECT_EQ(Update(now), "OK: OK");
  EXPECT_THAT(Write(PlanToKeepBundle(ParseFederationRelationship(former).value(), BundleOfB(5), 1)),
              FailsWith(Code::kAborted, HasSubstr("the bundle endpoint of b.test was changed")));
  EXPECT_FALSE(Stored("b.test").has_trust_domain_bundle());
}

TEST_F(FederationApiTest, BundlesThatAreSetByHandAreNoRelationships) {
  auto batch = std::make_shared<SetBundlesBatch>();
  *batch->request.add_bundle() = BundleOfB(1);
  ASSERT_THAT(Write(PlanToSetBundles(batch, state_->trust_domain(), 1)), IsOk());
  EXPECT_EQ(Call<td::ListFederationRelationshipsResponse>("ListFederationRelationships",
                                                          td::ListFederationRelationshipsRequest())
                .federation_relationships_size(),
            0);
  EXPECT_THAT(Delete("b.test"), HasSubstr("NOT_FOUND"));
  EXPECT_EQ(Create(WebRelationship("b.test", kNobody)), "OK: OK");
  EXPECT_TRUE(Stored("b.test").has_trust_domain_bundle());
  // Without its bundle the relationship goes on.
  auto without = std::make_shared<DeleteBundlesBatch>();
  without->request.add_trust_domains("b.test");
  ASSERT_THAT(Write(PlanToDeleteBundles(without)), IsOk());
  EXPECT_EQ(without->response.results(0).status().code(), 0);
  EXPECT_FALSE(Stored("b.test").has_trust_domain_bundle());
  EXPECT_EQ(Stored("b.test").bundle_endpoint_url(), kNobody);
  without->response.Clear();
  ASSERT_THAT(Write(PlanToDeleteBundles(without)), IsOk());
  EXPECT_EQ(without->response.results(0).status().code(), static_cast<int>(Code::kNotFound));
}

TEST_F(FederationApiTest, ABatchIsBounded) {
  td::BatchDeleteFederationRelationshipRequest request;
  for (int i = 0; i < 1001; ++i) {
    request.add_trust_domains("b.test");
  }
  const auto answer = Ask("BatchDeleteFederationRelationship", request);
  EXPECT_EQ(answer.grpc_status(), "3");
  EXPECT_THAT(answer.Field("grpc-message"), HasSubstr("trust_domains: at most 1000"));
}

}  // namespace
}  // namespace credence
