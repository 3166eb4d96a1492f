#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "agent/authority/keys/issuer.h"
#include "agent/authority/web/bundle_endpoint.h"
#include "agent/authority/web/oidc_issuer.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/tls_server_context.h"
#include "base/http/client.h"
#include "base/svid/strict_json.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

namespace json = boost::json;
using spire::api::types::Bundle;
using testing::HasSubstr;

json::object Object(std::string_view text) {
  auto object = ParseStrictJsonObject(text, 1 << 20);
  EXPECT_THAT(object, IsOk());
  return object.ok() ? *std::move(object) : json::object();
}

void AddJwtKey(Bundle& bundle, const std::string& key_id, const PrivateKey& key) {
  auto* authority = bundle.add_jwt_authorities();
  authority->set_key_id(key_id);
  authority->set_public_key(key.PublicKey());
}

TEST(OidcIssuerTest, KeepsTheUrlAsItIsWritten) {
  const auto plain = OidcIssuer::Parse("https://Oidc.example");
  ASSERT_THAT(plain, IsOk());
  EXPECT_EQ(plain->url(), "https://Oidc.example");
  EXPECT_EQ(plain->KeysUrl(), "https://Oidc.example/keys");
  EXPECT_EQ(plain->DiscoveryPath(), "/.well-known/openid-configuration");
  const auto with_path = OidcIssuer::Parse("https://a.example:8443/t/one");
  ASSERT_THAT(with_path, IsOk());
  EXPECT_EQ(with_path->DiscoveryUrl(),
            "https://a.example:8443/t/one/.well-known/openid-configuration");
  EXPECT_EQ(with_path->KeysPath(), "/t/one/keys");
  EXPECT_THAT(OidcIssuer::Parse("http://localhost:8080"), IsOk());
}

TEST(OidcIssuerTest, RefusesWhatDestinationsWouldNotTake) {
  for (const char* url : {"",
                          "oidc.example",
                          "https://",
                          "https://a.example/",
                          "https://a.example/t/",
                          "https://a.example?tenant=1",
                          "https://a.example/t?",
                          "https://a.example#x",
                          "https://user@a.example",
                          "http://a.example",
                          " https://a.example",
                          "https://a.example "}) {
    EXPECT_THAT(OidcIssuer::Parse(url), FailsWith(Code::kInvalidArgument, HasSubstr("OIDC issuer")))
        << url;
  }
}

TEST(OidcIssuerTest, DiscoveryDocumentNamesTheAlgorithmsOfThePublishedKeys) {
  const OidcIssuer issuer = OidcIssuer::Parse("https://a.example").value();
  Bundle bundle;
  AddJwtKey(bundle, "one", TestKey(KeyType::kEcP256));
  AddJwtKey(bundle, "two", TestKey(KeyType::kRsa2048));
  AddJwtKey(bundle, "three", TestKey(KeyType::kRsa2048));
  EXPECT_EQ(OidcDiscoveryDocument(issuer, bundle),
            "{\"issuer\":\"https://a.example\",\"jwks_uri\":\"https://a.example/keys\","
            "\"authorization_endpoint\":\"\",\"response_types_supported\":[\"id_token\"],"
            "\"subject_types_supported\":[\"public\"],"
            "\"id_token_signing_alg_values_supported\":[\"RS256\",\"ES256\"]}");
  Bundle other;
  AddJwtKey(other, "one", TestKey(KeyType::kEcP384));
  other.add_jwt_authorities()->set_key_id("damaged");
  EXPECT_EQ(
      json::serialize(
          Object(OidcDiscoveryDocument(issuer, other)).at("id_token_signing_alg_values_supported")),
      "[\"ES384\"]");
}

class PublicDocumentsTest : public testing::Test {
 protected:
  PublicDocumentsTest() {
    bundle_.set_trust_domain("example.org");
    bundle_.set_sequence_number(7);
    bundle_.set_refresh_hint(300);
    bundle_.add_x509_authorities()->set_asn1(root_.certificate());
    AddJwtKey(bundle_, "one", TestKey(KeyType::kEcP256));
  }
  ~PublicDocumentsTest() override {
    RunTask(io_, server_->Stop(Deadline::After(std::chrono::milliseconds(0))));
  }

  HttpServer& MakeServer(HttpServerOptions options = {}) {
    return server_.emplace(io_.get_executor(), clock_, std::move(options));
  }
  BundleSource Source() {
    return [this] {
      ++asked_;
      return bundle_;
    };
  }
  void Listen() {
    const auto port = server_->Listen("127.0.0.1", 0);
    ASSERT_THAT(port, IsOk());
    port_ = *port;
  }

  HttpResponse Get(const std::string& path) {
    HttpRequest request;
    request.url = ParseHttpUrl(fmt::format("http://127.0.0.1:{}{}", port_, path)).value();
    const Deadline deadline = Deadline::After(std::chrono::seconds(5));
    auto outcome = RunTask(io_, client_.Send(std::move(request), deadline));
    EXPECT_THAT(outcome.response, IsOk());
    return outcome.response.ok() ? *std::move(outcome.response) : HttpResponse();
  }

  asio::io_context io_;
  FakeClock clock_{TestNow()};
  HttpClient client_;
  TestAuthority root_ = TestAuthority::Root();
  Bundle bundle_;
  int asked_ = 0;
  std::optional<HttpServer> server_;
  std::uint16_t port_ = 0;
};

TEST_F(PublicDocumentsTest, OidcIssuerServesDiscoveryAndKeys) {
  const OidcIssuer issuer = OidcIssuer::Parse("https://a.example/t").value();
  ASSERT_THAT(ServeOidcIssuer(MakeServer(), issuer, Source()), IsOk());
  Listen();
  const HttpResponse discovery = Get("/t/.well-known/openid-configuration");
  EXPECT_EQ(discovery.status, 200);
  EXPECT_EQ(discovery.FindHeader("content-type"), "application/json");
  EXPECT_EQ(discovery.body.Reveal(), OidcDiscoveryDocument(issuer, bundle_));
  const HttpResponse keys = Get("/t/keys");
  EXPECT_EQ(keys.status, 200);
  EXPECT_EQ(keys.FindHeader("cache-control"), "public, max-age=60");
  const json::object set = Object(keys.body.Reveal());
  ASSERT_EQ(set.at("keys").get_array().size(), 1U);
  const json::object& key = set.at("keys").get_array()[0].get_object();
  EXPECT_EQ(key.at("kid"), "one");
  EXPECT_EQ(key.at("use"), "sig");
  EXPECT_EQ(key.at("alg"), "ES256");
  EXPECT_EQ(Get("/keys").status, 404);
}

TEST_F(PublicDocumentsTest, PathsThatMeetAreAnErrorAndNotASurprise) {
  HttpServer& server = MakeServer();
  const OidcIssuer issuer = OidcIssuer::Parse("https://a.example").value();
  ASSERT_THAT(ServeOidcIssuer(server, issuer, Source()), IsOk());
  EXPECT_THAT(ServeBundleEndpoint(server, "/keys", Source()),
              FailsWith(Code::kAlreadyExists, HasSubstr("/keys")));
  EXPECT_THAT(ServeBundleEndpoint(server, "bundle", Source()),
              FailsWithCode(Code::kInvalidArgument));
}

TEST_F(PublicDocumentsTest, FED_14_FED_15_AnybodyGetsTheNewestBundleAsJson) {
  ASSERT_THAT(ServeBundleEndpoint(MakeServer(), "/bundle", Source()), IsOk());
  Listen();
  const HttpResponse first = Get("/bundle");
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.FindHeader("content-type"), "application/json");
  EXPECT_EQ(first.FindHeader("cache-control"), "no-cache");
  const json::object document = Object(first.body.Reveal());
  EXPECT_EQ(document.at("spiffe_sequence"), 7);
  EXPECT_EQ(document.at("spiffe_refresh_hint"), 300);
  const auto parsed =
      ParseBundleDocument(TrustDomain::Parse("example.org").value(), first.body.Reveal());
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->SerializeAsString(), bundle_.SerializeAsString());

  bundle_.set_sequence_number(8);
  AddJwtKey(bundle_, "two", TestKey(KeyType::kRsa2048));
  const auto second =
      ParseBundleDocument(TrustDomain::Parse("example.org").value(), Get("/bundle").body.Reveal());
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->jwt_authorities_size(), 2);
}

TEST_F(PublicDocumentsTest, TextIsWrittenAnewOnlyWithANewSequenceNumber) {
  int written = 0;
  BundleDocument document(Source(), [&written](const Bundle& bundle) {
    ++written;
    return fmt::format("{}", bundle.sequence_number());
  });
  MakeServer();
  bundle_.set_sequence_number(0);
  const auto first = document.Current();
  EXPECT_EQ(*first, "0");
  EXPECT_EQ(document.Current(), first);
  bundle_.set_sequence_number(1);
  EXPECT_EQ(*document.Current(), "1");
  EXPECT_EQ(*document.Current(), "1");
  EXPECT_EQ(*first, "0");
  EXPECT_EQ(written, 2);
  EXPECT_EQ(asked_, 4);
}

/// "" after a handshake with exactly `version`, or why there was none.
Task<std::string> ShakeHands(std::uint16_t port, int version) {
  asio::ssl::context context(asio::ssl::context::tls_client);
  SSL_CTX_set_security_level(context.native_handle(), 0);
  SSL_CTX_set_min_proto_version(context.native_handle(), version);
  SSL_CTX_set_max_proto_version(context.native_handle(), version);
  const auto executor = co_await asio::this_coro::executor;
  asio::ssl::stream<asio::ip::tcp::socket> stream(executor, context);
  const asio::ip::tcp::endpoint server(asio::ip::address_v4::loopback(), port);
  co_await stream.next_layer().async_connect(server, asio::use_awaitable);
  boost::system::error_code failed;
  co_await stream.async_handshake(asio::ssl::stream_base::client,
                                  asio::redirect_error(asio::use_awaitable, failed));
  co_return failed ? failed.message() : "";
}

TEST_F(PublicDocumentsTest, FED_8_OldTlsIsRefused) {
  const PrivateKey& key = TestKey(KeyType::kEcP256);
  TlsServerOptions options{
      {root_.Issue(key, CertificateSpec::Leaf("spiffe://example.org/server"))}, key, {}, {}};
  TlsServerContext made = MakeTlsServerContext(std::move(options)).value();
  MakeServer({.tls = [made = std::move(made)]() -> TlsServerContext { return made; }});
  Listen();
  EXPECT_EQ(RunTask(io_, ShakeHands(port_, TLS1_2_VERSION)), "");
  EXPECT_EQ(RunTask(io_, ShakeHands(port_, TLS1_3_VERSION)), "");
  EXPECT_NE(RunTask(io_, ShakeHands(port_, TLS1_1_VERSION)), "");
  EXPECT_NE(RunTask(io_, ShakeHands(port_, TLS1_VERSION)), "");
}

}  // namespace
}  // namespace credence
