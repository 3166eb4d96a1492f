#include "attestors/node/x509pop/x509pop_attestor.h"

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/certificate.h"
#include "base/svid/testing/test_authority.h"
#include "tests/testkit/x509pop_challenge.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Deadline Soon() {
  return Deadline::After(std::chrono::seconds(5));
}

class X509PopAttestorTest : public testing::TestWithParam<KeyType> {
 protected:
  X509PopAttestorTest() {
    std::string pattern = "/tmp/credence-x509pop-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    files_ = X509PopFiles{folder_ + "/key.pem", folder_ + "/cert.pem", ""};
  }
  ~X509PopAttestorTest() override { std::filesystem::remove_all(folder_); }

  /// Puts a certificate and its key into the files and returns the certificate.
  std::string Provide(const PrivateKey& key) {
    const auto certificate =
        CertificateToPem(authority_.Issue(key, CertificateSpec::Leaf("spiffe://node/x")));
    EXPECT_THAT(WriteFileAtomically(files_.private_key_path, key.ToPkcs8Pem().Reveal(), 0600),
                IsOk());
    EXPECT_THAT(WriteFileAtomically(files_.certificate_path, certificate, 0644), IsOk());
    return certificate;
  }

  std::string folder_;
  X509PopFiles files_;
  // Before the pool: a pool is joined before the io_context whose tasks it serves is gone.
  asio::io_context io_;
  asio::thread_pool pool_{1};
  TestAuthority authority_ = TestAuthority::Root();
};

TEST_P(X509PopAttestorTest, ProvesPossessionToAVerifier) {
  const auto certificate = Provide(TestKey(GetParam()));
  const testkit::X509PopChallenge challenge(certificate);
  X509PopAttestor attestor(files_, pool_);
  EXPECT_EQ(attestor.name(), "x509pop");
  const auto attestation = attestor.Start();
  const auto payload = RunTask(io_, attestation->Payload(Soon()));
  ASSERT_THAT(payload, IsOk());
  EXPECT_TRUE(challenge.PayloadFits(*payload));
  const auto answer = RunTask(io_, attestation->Answer(challenge.Text(), Soon()));
  ASSERT_THAT(answer, IsOk());
  EXPECT_TRUE(challenge.AnswerFits(*answer));
  EXPECT_FALSE(testkit::X509PopChallenge(certificate).AnswerFits(*answer));
}

INSTANTIATE_TEST_SUITE_P(Keys,
                         X509PopAttestorTest,
                         testing::Values(KeyType::kEcP256, KeyType::kEcP384, KeyType::kRsa2048),
                         [](const auto& test) {
                           switch (test.param) {
                             case KeyType::kEcP256:
                               return "EcP256";
                             case KeyType::kEcP384:
                               return "EcP384";
                             case KeyType::kRsa2048:
                               return "Rsa2048";
                           }
                           return "";
                         });

using X509PopFilesTest = X509PopAttestorTest;

TEST_P(X509PopFilesTest, RotatedFilesAreReadAnew) {
  X509PopAttestor attestor(files_, pool_);
  Provide(TestKey(KeyType::kEcP256));
  EXPECT_THAT(RunTask(io_, attestor.Start()->Payload(Soon())), IsOk());
  const testkit::X509PopChallenge challenge(Provide(*PrivateKey::Generate(KeyType::kEcP256)));
  const auto payload = RunTask(io_, attestor.Start()->Payload(Soon()));
  ASSERT_THAT(payload, IsOk());
  EXPECT_TRUE(challenge.PayloadFits(*payload));
}

TEST_P(X509PopFilesTest, IntermediatesFollowTheLeaf) {
  Provide(TestKey(KeyType::kEcP256));
  files_.intermediates_path = folder_ + "/intermediates.pem";
  ASSERT_THAT(WriteFileAtomically(
                  files_.intermediates_path, CertificateToPem(authority_.certificate()), 0644),
              IsOk());
  X509PopAttestor attestor(files_, pool_);
  const auto payload = RunTask(io_, attestor.Start()->Payload(Soon()));
  ASSERT_THAT(payload, IsOk());
  EXPECT_EQ(std::count(payload->begin(), payload->end(), ','), 1);
}

TEST_P(X509PopFilesTest, MistakesNameSettingFileAndReason) {
  X509PopAttestor attestor(files_, pool_);
  EXPECT_THAT(RunTask(io_, attestor.Start()->Payload(Soon())),
              FailsWith(Code::kFailedPrecondition,
                        AllOf(HasSubstr("private_key_path"), HasSubstr("key.pem: no such file"))));
  Provide(TestKey(KeyType::kEcP256));
  std::filesystem::remove(files_.certificate_path);
  EXPECT_THAT(RunTask(io_, attestor.Start()->Payload(Soon())),
              FailsWith(Code::kFailedPrecondition,
                        AllOf(HasSubstr("certificate_path"), HasSubstr("cert.pem: no such file"))));
  ASSERT_THAT(WriteFileAtomically(files_.certificate_path, "no pem", 0644), IsOk());
  EXPECT_THAT(RunTask(io_, attestor.Start()->Payload(Soon())),
              FailsWith(Code::kFailedPrecondition, HasSubstr("cert.pem")));
  Provide(TestKey(KeyType::kEcP256));
  ASSERT_THAT(WriteFileAtomically(files_.private_key_path,
                                  PrivateKey::Generate(KeyType::kEcP256)->ToPkcs8Pem().Reveal(),
                                  0600),
              IsOk());
  EXPECT_THAT(RunTask(io_, attestor.Start()->Payload(Soon())),
              FailsWith(Code::kFailedPrecondition,
                        HasSubstr("cert.pem: is not the certificate of the key")));
}

TEST_P(X509PopFilesTest, OnlyOneWellFormedChallengeIsSigned) {
  const testkit::X509PopChallenge good(Provide(TestKey(KeyType::kEcP256)));
  X509PopAttestor attestor(files_, pool_);
  for (const std::string challenge : {"",
                                      "[]",
                                      "{}",
                                      R"({"ecdsa_signature":null})",
                                      R"({"rsa_signature":{"nonce":"AAAA"}})",
                                      R"({"ecdsa_signature":{"nonce":"AAAA"}})",
                                      R"({"ecdsa_signature":{"nonce":5}})"}) {
    const auto attestation = attestor.Start();
    ASSERT_THAT(RunTask(io_, attestation->Payload(Soon())), IsOk());
    EXPECT_THAT(RunTask(io_, attestation->Answer(challenge, Soon())),
                FailsWithCode(Code::kFailedPrecondition))
        << challenge;
  }
  const auto attestation = attestor.Start();
  EXPECT_THAT(RunTask(io_, attestation->Answer(good.Text(), Soon())),
              FailsWithCode(Code::kFailedPrecondition));
  ASSERT_THAT(RunTask(io_, attestation->Payload(Soon())), IsOk());
  EXPECT_THAT(RunTask(io_, attestation->Answer(good.Text(), Soon())), IsOk());
  EXPECT_THAT(RunTask(io_, attestation->Answer(good.Text(), Soon())),
              FailsWithCode(Code::kFailedPrecondition));
}

INSTANTIATE_TEST_SUITE_P(Once, X509PopFilesTest, testing::Values(KeyType::kEcP256));

}  // namespace
}  // namespace credence
