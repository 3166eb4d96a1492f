#include "agent/authority/services/svid_api.h"

#include <gmock/gmock.h>

#include "agent/authority/keys/issuer.h"
#include "agent/authority/services/testing/authority_fixture.h"
#include "agent/authority/services/testing/entries.h"
#include "agent/authority/services/testing/input_call.h"
#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "base/crypto/private_key.h"
#include "base/svid/testing/test_authority.h"
#include "base/svid/x509_svid.h"

#include "spire/api/server/svid/v1/svid.pb.h"

namespace credence {
namespace {

namespace api = spire::api::server::svid::v1;
using testing::HasSubstr;

constexpr const char* kOwnAgent = "spiffe://example.org/spire/agent/join_token/own";

class SvidApiTest : public AuthorityTest {
 protected:
  SvidApiTest() {
    api_.RegisterForAgents(server_);
    const auto svid = SignX509Svid(*state_->keys().value(),
                                   X509SvidContent{SpiffeId::Parse(kOwnAgent).value(),
                                                   TestKey(KeyType::kEcP256).PublicKey(),
                                                   {},
                                                   std::chrono::seconds(3600)},
                                   clock_.Now())
                          .value();
    chain_ = svid.certificates;
    authority::v1::AgentRecord record;
    record.set_id(kOwnAgent);
    record.set_serial(svid.serial);
    EXPECT_THAT(PutAgent(record), IsOk());
    EXPECT_THAT(PutEntry(EntryOf("mine", "/mine", "/spire/agent/join_token/own", {"unix:uid:1"})),
                IsOk());
    EXPECT_THAT(
        PutEntry(EntryOf("theirs", "/theirs", "/spire/agent/join_token/other", {"unix:uid:1"})),
        IsOk());
  }

  template <class Response>
  h2::Status Ask(const std::string& method,
                 const google::protobuf::MessageLite& request,
                 Response& response) {
    const auto call = std::make_shared<InputCall>("/spire.api.server.svid.v1.SVID/" + method,
                                                  std::deque{request.SerializeAsString()},
                                                  chain_);
    auto status = RunTask(io_, server_.Serve(call));
    if (call->replies().size() == 1) {
      EXPECT_TRUE(response.ParseFromString(call->replies().front()));
    }
    return status;
  }

  api::BatchNewX509SVIDResponse::Result Sign(const std::string& entry_id, const std::string& csr) {
    api::BatchNewX509SVIDRequest request;
    auto& params = *request.add_params();
    params.set_entry_id(entry_id);
    params.set_csr(csr);
    api::BatchNewX509SVIDResponse response;
    EXPECT_EQ(Ask("BatchNewX509SVID", request, response).code, Code::kOk);
    EXPECT_EQ(response.results_size(), 1);
    return response.results_size() == 1 ? response.results(0)
                                        : api::BatchNewX509SVIDResponse::Result();
  }

  std::vector<std::string> chain_;
  Access access_{*state_, clock_};
  SvidApi api_{*state_, access_, pool_, clock_, {}};
  h2::Server server_{io_.get_executor(), {}};
};

TEST_F(SvidApiTest, AnEntryOfAnotherAgentIsNotFound) {
  const std::string csr = MakeCsr(TestKey(KeyType::kEcP256), "spiffe://example.org/theirs").value();
  EXPECT_EQ(Sign("theirs", csr).status().code(), static_cast<int>(Code::kNotFound));
  EXPECT_EQ(Sign("none", csr).status().code(), static_cast<int>(Code::kNotFound));
  api::NewJWTSVIDRequest request;
  request.set_entry_id("theirs");
  request.add_audience("x");
  api::NewJWTSVIDResponse response;
  EXPECT_EQ(Ask("NewJWTSVID", request, response).code, Code::kNotFound);
  EXPECT_FALSE(response.has_svid());
}

TEST_F(SvidApiTest, TheEntryDecidesWhatIsSignedAndNotTheRequest) {
  const std::string csr = MakeCsr(TestKey(KeyType::kEcP256), "spiffe://other.org/admin").value();
  const auto result = Sign("mine", csr);
  ASSERT_EQ(result.status().code(), 0) << result.status().message();
  const auto svid =
      ParseX509SvidChain({result.svid().cert_chain().begin(), result.svid().cert_chain().end()});
  ASSERT_THAT(svid, IsOk());
  EXPECT_EQ(svid->id.text(), "spiffe://example.org/mine");
}

TEST_F(SvidApiTest, ARequestWhoseSignatureOrFormIsWrongIsRefusedWithTheField) {
  std::string csr = MakeCsr(TestKey(KeyType::kEcP256), "spiffe://example.org/mine").value();
  csr.back() = static_cast<char>(csr.back() ^ 1);
  for (const std::string& bad :
       {csr, csr.substr(0, 40), std::string("no request"), std::string()}) {
    const auto result = Sign("mine", bad);
    EXPECT_EQ(result.status().code(), static_cast<int>(Code::kInvalidArgument));
    EXPECT_THAT(result.status().message(), HasSubstr("csr"));
    EXPECT_FALSE(result.has_svid());
  }
}

}  // namespace
}  // namespace credence
