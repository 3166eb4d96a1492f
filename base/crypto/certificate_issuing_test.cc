#include "base/crypto/certificate_issuing.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kIssuedAt = 1'795'305'600;

PrivateKey IssuingKey(KeyType type = KeyType::kEcP256) {
  auto key = PrivateKey::Generate(type);
  CREDENCE_CHECK(key.ok());
  return *std::move(key);
}

/// DER SubjectPublicKeyInfo of a key that PrivateKey does not make; `option` is a curve or a form.
std::string OtherPublicKey(EVP_PKEY* raw) {
  const OpenSslPtr<EVP_PKEY> key(raw);
  CREDENCE_CHECK(key != nullptr);
  return ToDer<const EVP_PKEY>(key.get(), i2d_PUBKEY);
}

CertificateContent CaContent() {
  CertificateContent content;
  content.common_name = "authority";
  content.uri = "spiffe://example.org";
  content.not_before = FromUnixSeconds(kIssuedAt - 10);
  content.not_after = FromUnixSeconds(kIssuedAt + 86400);
  content.is_ca = true;
  return content;
}

CertificateContent LeafContent() {
  CertificateContent content;
  content.uri = "spiffe://example.org/web";
  content.not_before = FromUnixSeconds(kIssuedAt - 10);
  content.not_after = FromUnixSeconds(kIssuedAt + 3600);
  return content;
}

std::string SelfSigned(const PrivateKey& key, const CertificateContent& content = CaContent()) {
  auto made = IssueCertificate(content, key.PublicKey(), key, "");
  CREDENCE_CHECK(made.ok());
  return *std::move(made);
}

/// What `openssl x509 -text` prints.
std::string TextOf(std::string_view der) {
  const auto certificate = ParseCertificate(der);
  CREDENCE_CHECK(certificate.ok());
  const OpenSslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  CREDENCE_CHECK(X509_print_ex(bio.get(), certificate->get(), XN_FLAG_ONELINE, 0) == 1);
  char* data = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &data));
  return std::string(data, size);
}

/// 0 (X509_V_OK) when `leaf` chains to `root` for both sides of TLS by the strictest rules.
int Verify(std::string_view leaf, std::string_view root) {
  const auto parsed = ParseCertificate(leaf);
  const auto authority = ParseCertificate(root);
  CREDENCE_CHECK(parsed.ok() && authority.ok());
  const OpenSslPtr<X509_STORE> store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), authority->get());
  for (const int purpose : {X509_PURPOSE_SSL_CLIENT, X509_PURPOSE_SSL_SERVER}) {
    const OpenSslPtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store.get(), parsed->get(), nullptr);
    X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(rules, kIssuedAt);
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
    X509_VERIFY_PARAM_set_purpose(rules, purpose);
    X509_VERIFY_PARAM_set_auth_level(rules, 2);
    X509_verify_cert(context.get());
    const int outcome = X509_STORE_CTX_get_error(context.get());
    (void)TakeOpenSslReason();
    if (outcome != X509_V_OK) {
      return outcome;
    }
  }
  return X509_V_OK;
}

class IssuerKeyTest : public testing::TestWithParam<KeyType> {};

TEST_P(IssuerKeyTest, X509_21_LeavesOfEveryKeyVerifyUnderIt) {
  const PrivateKey key = IssuingKey(GetParam());
  const std::string root = SelfSigned(key);
  EXPECT_EQ(Verify(root, root), X509_V_ERR_INVALID_PURPOSE) << "a CA is no peer";
  for (const std::string& public_key :
       {IssuingKey(KeyType::kEcP256).PublicKey(),
        IssuingKey(KeyType::kEcP384).PublicKey(),
        IssuingKey(KeyType::kRsa2048).PublicKey(),
        OtherPublicKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-521"))}) {
    const auto leaf = IssueCertificate(LeafContent(), public_key, key, root);
    ASSERT_THAT(leaf, IsOk());
    EXPECT_EQ(Verify(*leaf, root), X509_V_OK);
    EXPECT_THAT(PublicKeyOf(*leaf), IsOkAndHolds(public_key));
  }
  const bool p384 = GetParam() == KeyType::kEcP384;
  const bool rsa = GetParam() == KeyType::kRsa2048;
  EXPECT_EQ(X509_get_signature_nid(ParseCertificate(root)->get()),
            rsa    ? NID_sha256WithRSAEncryption
            : p384 ? NID_ecdsa_with_SHA384
                   : NID_ecdsa_with_SHA256);
}

INSTANTIATE_TEST_SUITE_P(Types,
                         IssuerKeyTest,
                         testing::Values(KeyType::kEcP256, KeyType::kEcP384, KeyType::kRsa2048));

TEST(IssueCertificateTest, X509_16_ALeafHasWhatSpiresHas) {
  const PrivateKey key = IssuingKey();
  CertificateContent content = LeafContent();
  content.common_name = "web.example.org";
  content.dns_names = {"web.example.org", "web"};
  const auto leaf =
      IssueCertificate(content, IssuingKey().PublicKey(), key, SelfSigned(key, CaContent()));
  ASSERT_THAT(leaf, IsOk());
  const std::string text = TextOf(*leaf);
  for (const char* part : {"Version: 3",
                           "Issuer: C = US, O = SPIRE, CN = authority",
                           "Subject: C = US, O = SPIRE, CN = web.example.org",
                           "X509v3 Key Usage: critical\n                Digital Signature, Key "
                           "Encipherment, Key Agreement\n",
                           "X509v3 Extended Key Usage: \n                TLS Web Server "
                           "Authentication, TLS Web Client Authentication\n",
                           "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
                           "X509v3 Subject Alternative Name: \n                "
                           "URI:spiffe://example.org/web, DNS:web.example.org, DNS:web\n",
                           "X509v3 Subject Key Identifier",
                           "X509v3 Authority Key Identifier"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(IssueCertificateTest, X509_15_ACaMaySignCertificatesAndNothingElse) {
  const PrivateKey key = IssuingKey();
  CertificateContent content = CaContent();
  const std::string text = TextOf(SelfSigned(key, content));
  EXPECT_THAT(text, HasSubstr("critical\n                CA:TRUE, pathlen:0\n"));
  EXPECT_THAT(text, HasSubstr("critical\n                Certificate Sign, CRL Sign\n"));
  EXPECT_THAT(text, HasSubstr("                URI:spiffe://example.org\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("Extended Key Usage")));
  content.may_issue_cas = true;
  EXPECT_THAT(TextOf(SelfSigned(key, content)), HasSubstr("critical\n                CA:TRUE\n"));
}

TEST(IssueCertificateTest, KeyIdentifiersChain) {
  const PrivateKey key = IssuingKey();
  const std::string root = SelfSigned(key);
  const std::string leaf = *IssueCertificate(LeafContent(), IssuingKey().PublicKey(), key, root);
  const auto issuer = ParseCertificate(root);
  const auto issued = ParseCertificate(leaf);
  const ASN1_OCTET_STRING* id = X509_get0_subject_key_id(issuer->get());
  ASSERT_NE(id, nullptr);
  ASSERT_NE(X509_get0_authority_key_id(issued->get()), nullptr);
  ASSERT_NE(X509_get0_authority_key_id(issuer->get()), nullptr);
  EXPECT_EQ(ASN1_OCTET_STRING_cmp(id, X509_get0_authority_key_id(issued->get())), 0);
  EXPECT_EQ(ASN1_OCTET_STRING_cmp(id, X509_get0_authority_key_id(issuer->get())), 0);
  EXPECT_NE(ASN1_OCTET_STRING_cmp(id, X509_get0_subject_key_id(issued->get())), 0);
  EXPECT_EQ(X509_get_extension_flags(issued->get()) & EXFLAG_SI, 0U);
}

TEST(IssueCertificateTest, SerialNumbersAreRandomAndPositiveAndFactsAreRead) {
  const PrivateKey key = IssuingKey();
  const auto issuer = CertificateIssuer::Create(key, SelfSigned(key));
  ASSERT_THAT(issuer, IsOk());
  std::set<std::string> serials;
  std::size_t longest = 0;
  for (int i = 0; i < 40; ++i) {
    const auto issued = issuer->Issue(LeafContent(), key.PublicKey());
    ASSERT_THAT(issued, IsOk());
    const auto facts = FactsOfCertificate(issued->der);
    ASSERT_THAT(facts, IsOk());
    EXPECT_EQ(facts->serial, issued->serial);
    EXPECT_THAT(facts->serial, testing::MatchesRegex("[1-9][0-9]*"));
    EXPECT_EQ(facts->not_before, LeafContent().not_before);
    EXPECT_EQ(facts->not_after, LeafContent().not_after);
    serials.insert(facts->serial);
    longest = std::max(longest, facts->serial.size());
  }
  EXPECT_EQ(serials.size(), 40U);
  EXPECT_GE(longest, 37U) << "2^128 has 39 digits";
  EXPECT_THAT(FactsOfCertificate("x"), FailsWithCode(Code::kInvalidArgument));
}

TEST(IssueCertificateTest, PublicKeysOfOtherKindsAreRefused) {
  const PrivateKey key = IssuingKey();
  const std::string root = SelfSigned(key);
  const std::string good = IssuingKey().PublicKey();
  std::string off_curve = good;
  off_curve.back() = static_cast<char>(off_curve.back() ^ 1);
  OpenSslPtr<EVP_PKEY> compressed(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  ASSERT_EQ(EVP_PKEY_set_utf8_string_param(compressed.get(), "point-format", "compressed"), 1);
  for (const std::string& bad :
       {std::string(),
        std::string("x"),
        good + "x",
        good.substr(0, good.size() - 1),
        off_curve,
        std::string(20'000, 'x'),
        OtherPublicKey(compressed.release()),
        OtherPublicKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")),
        OtherPublicKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp256k1")),
        OtherPublicKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024}))}) {
    EXPECT_THAT(IssueCertificate(LeafContent(), bad, key, root),
                FailsWith(Code::kInvalidArgument, HasSubstr("public key")))
        << Hex(bad);
  }
}

TEST(IssueCertificateTest, IssuersThatCannotIssueAreRefused) {
  const PrivateKey key = IssuingKey();
  const std::string root = SelfSigned(key);
  const std::string public_key = IssuingKey().PublicKey();
  const std::string leaf = SelfSigned(key, LeafContent());
  EXPECT_THAT(IssueCertificate(LeafContent(), public_key, IssuingKey(), root),
              FailsWith(Code::kInvalidArgument, HasSubstr("another key")));
  EXPECT_THAT(IssueCertificate(LeafContent(), public_key, key, root + "x"),
              FailsWith(Code::kInvalidArgument, HasSubstr("issuer's certificate")));
  EXPECT_THAT(IssueCertificate(LeafContent(), public_key, key, leaf),
              FailsWith(Code::kInvalidArgument, HasSubstr("no CA")));
  EXPECT_THAT(IssueCertificate(CaContent(), public_key, key, ""),
              FailsWith(Code::kInvalidArgument, HasSubstr("own public key")));
}

TEST(IssueCertificateTest, ContentOutOfBoundsIsRefused) {
  const PrivateKey key = IssuingKey();
  const auto with = [&](auto change) {
    CertificateContent content = LeafContent();
    change(content);
    return IssueCertificate(content, key.PublicKey(), key, "");
  };
  EXPECT_THAT(with([](auto& c) { c.common_name = std::string(64, 'a'); }), IsOk());
  EXPECT_THAT(with([](auto& c) { c.common_name = std::string(65, 'a'); }),
              FailsWith(Code::kInvalidArgument, HasSubstr("64 bytes")));
  EXPECT_THAT(with([](auto& c) { c.not_after = c.not_before; }), IsOk());
  EXPECT_THAT(with([](auto& c) { c.not_after = c.not_before - std::chrono::seconds(1); }),
              FailsWith(Code::kInvalidArgument, HasSubstr("end before")));
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a\0b", 3), std::string("\xc3\xa4")}) {
    EXPECT_THAT(with([&](auto& c) { c.dns_names = {bad}; }),
                FailsWith(Code::kInvalidArgument, HasSubstr("ASCII")));
  }
  EXPECT_THAT(with([](auto& c) { c.uri = std::string(2048, 'a'); }), IsOk());
  EXPECT_THAT(with([](auto& c) { c.uri = std::string(2049, 'a'); }),
              FailsWith(Code::kInvalidArgument, HasSubstr("2048")));
  EXPECT_THAT(with([](auto& c) { c.dns_names.assign(256, "a"); }), IsOk());
  EXPECT_THAT(with([](auto& c) { c.dns_names.assign(257, "a"); }),
              FailsWith(Code::kInvalidArgument, HasSubstr("256")));
}

TEST(IssueCertificateTest, HowManyLeavesASecondIsPrinted) {
  const PrivateKey key = IssuingKey();
  const auto issuer = CertificateIssuer::Create(key, SelfSigned(key));
  ASSERT_THAT(issuer, IsOk());
  const auto request = MakeCsr(IssuingKey(), "spiffe://example.org/web");
  ASSERT_THAT(request, IsOk());
  // Of the processor's time: other tests run meanwhile.
  const auto rate = [](auto work) {
    constexpr int kLeaves = 300;
    const std::clock_t start = std::clock();
    for (int i = 0; i < kLeaves; ++i) {
      work();
    }
    return kLeaves * static_cast<double>(CLOCKS_PER_SEC) /
           static_cast<double>(std::clock() - start);
  };
  const std::string public_key = IssuingKey().PublicKey();
  const double alone = rate([&] { ASSERT_THAT(issuer->Issue(LeafContent(), public_key), IsOk()); });
  const double with_request = rate([&] {
    const auto parsed = ParseCertificateRequest(*request);
    ASSERT_THAT(parsed, IsOk());
    ASSERT_THAT(issuer->Issue(LeafContent(), parsed->public_key), IsOk());
  });
  fmt::print("P-256 leaves per second and core: {:.0f}; reading their requests too: {:.0f}\n",
             alone,
             with_request);
}

/// A request with the SANs of `names` in the words of x509v3_config(5), signed by `signer`.
std::string RequestWith(const PrivateKey& key, const PrivateKey& signer, const char* names) {
  const OpenSslPtr<X509_REQ> request(X509_REQ_new());
  CREDENCE_CHECK(X509_REQ_set_pubkey(request.get(), key.get()) == 1);
  OpenSslPtr<STACK_OF(X509_EXTENSION)> extensions(sk_X509_EXTENSION_new_null());
  sk_X509_EXTENSION_push(extensions.get(),
                         X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names));
  CREDENCE_CHECK(X509_REQ_add_extensions(request.get(), extensions.get()) == 1);
  CREDENCE_CHECK(X509_REQ_sign(request.get(), signer.get(), EVP_sha256()) > 0);
  return ToDer<const X509_REQ>(request.get(), i2d_X509_REQ);
}

TEST(CertificateRequestTest, KeyAndNamesAreRead) {
  for (const KeyType type : {KeyType::kEcP256, KeyType::kEcP384, KeyType::kRsa2048}) {
    const PrivateKey key = IssuingKey(type);
    const auto plain = ParseCertificateRequest(*MakeCsr(key, ""));
    ASSERT_THAT(plain, IsOk());
    EXPECT_EQ(plain->public_key, key.PublicKey());
    EXPECT_THAT(plain->uris, IsEmpty());
    EXPECT_THAT(plain->dns_names, IsEmpty());
    const auto named = ParseCertificateRequest(*MakeCsr(key, "spiffe://example.org/web"));
    ASSERT_THAT(named, IsOk());
    EXPECT_THAT(named->uris, ElementsAre("spiffe://example.org/web"));
  }
  const PrivateKey key = IssuingKey();
  const auto many = ParseCertificateRequest(
      RequestWith(key, key, "URI:spiffe://a/b,IP:10.0.0.1,DNS:one,URI:https://c,DNS:two"));
  ASSERT_THAT(many, IsOk());
  EXPECT_THAT(many->uris, ElementsAre("spiffe://a/b", "https://c"));
  EXPECT_THAT(many->dns_names, ElementsAre("one", "two"));
}

TEST(CertificateRequestTest, WhatIsNotOneIsRefused) {
  const PrivateKey key = IssuingKey();
  const std::string good = *MakeCsr(key, "spiffe://example.org/web");
  std::string changed = good;
  changed.replace(changed.find("/web"), 4, "/db\x7f");
  for (const std::string& bad : {std::string(),
                                 std::string("x"),
                                 good + "x",
                                 good.substr(0, good.size() - 1),
                                 std::string(20'000, '\x30'),
                                 SelfSigned(key)}) {
    EXPECT_THAT(ParseCertificateRequest(bad),
                FailsWith(Code::kInvalidArgument, HasSubstr("request")));
  }
  for (const std::string& bad : {changed, RequestWith(key, IssuingKey(), "DNS:a")}) {
    EXPECT_THAT(ParseCertificateRequest(bad),
                FailsWith(Code::kInvalidArgument, HasSubstr("not signed by its own key")));
  }
}

TEST(CertificateRequestTest, KeysThatNoCertificateIsIssuedForAreRefused) {
  for (EVP_PKEY* raw : {EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024}),
                        EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp256k1")}) {
    const OpenSslPtr<EVP_PKEY> key(raw);
    const OpenSslPtr<X509_REQ> request(X509_REQ_new());
    ASSERT_EQ(X509_REQ_set_pubkey(request.get(), key.get()), 1);
    ASSERT_GT(X509_REQ_sign(request.get(), key.get(), EVP_sha256()), 0);
    EXPECT_THAT(ParseCertificateRequest(ToDer<const X509_REQ>(request.get(), i2d_X509_REQ)),
                FailsWith(Code::kInvalidArgument, HasSubstr("RSA of 2048 to 8192 bits")));
  }
}

}  // namespace
}  // namespace credence
