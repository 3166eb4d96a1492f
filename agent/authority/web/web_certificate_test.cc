#include "agent/authority/web/web_certificate.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/certificate.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class WebCertificateTest : public testing::Test {
 protected:
  WebCertificateTest() {
    WriteCertificate(key_);
    WriteKey(key_);
  }
  ~WebCertificateTest() override {
    RunTask(io_, web_.Stop());
    pool_.join();
    unlink(certificate_file_.c_str());
    unlink(key_file_.c_str());
  }

  void WriteCertificate(const PrivateKey& key) {
    CertificateSpec spec;
    spec.subject_alt_name = "DNS:localhost";
    EXPECT_THAT(
        WriteFileAtomically(certificate_file_, CertificateToPem(ca_.Issue(key, spec)), 0600),
        IsOk());
  }
  void WriteKey(const PrivateKey& key) {
    EXPECT_THAT(WriteFileAtomically(key_file_, key.ToPkcs8Pem().Reveal(), 0600), IsOk());
  }
  /// What is shown once a reload is through.
  TlsServerContext Reloaded() {
    web_.Reload();
    RunTask(io_, Sleep(std::chrono::milliseconds(100)));
    return web_.Context();
  }

  const std::string certificate_file_ =
      testing::TempDir() + "web_certificate_" + std::to_string(getpid()) + ".pem";
  const std::string key_file_ = certificate_file_ + ".key";
  const TestAuthority ca_ = TestAuthority::Root();
  const PrivateKey key_ = TestKey(KeyType::kEcP256);
  asio::io_context io_;
  asio::thread_pool pool_{1};
  WebCertificate web_{io_.get_executor(), pool_, certificate_file_, key_file_};
};

TEST_F(WebCertificateTest, NewFilesTakeTheirPlaceAndTheSameOnesChangeNothing) {
  ASSERT_THAT(web_.Prepare(), IsOk());
  const TlsServerContext first = web_.Context();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(Reloaded(), first);
  WriteCertificate(key_);
  const TlsServerContext second = Reloaded();
  EXPECT_NE(second, first);
  EXPECT_NE(second, nullptr);
}

TEST_F(WebCertificateTest, FilesThatDoNotGoTogetherYetLeaveTheLastGoodOne) {
  ASSERT_THAT(web_.Prepare(), IsOk());
  const TlsServerContext first = web_.Context();
  const PrivateKey renewed = PrivateKey::Generate(KeyType::kEcP256).value();
  WriteCertificate(renewed);
  EXPECT_EQ(Reloaded(), first);
  WriteKey(renewed);
  EXPECT_NE(Reloaded(), first);
  unlink(key_file_.c_str());
  const TlsServerContext last = web_.Context();
  EXPECT_EQ(Reloaded(), last);
}

TEST_F(WebCertificateTest, WhatCannotBeShownIsNamedAtTheStart) {
  WriteKey(PrivateKey::Generate(KeyType::kEcP256).value());
  EXPECT_THAT(
      web_.Prepare(),
      FailsWith(Code::kInvalidArgument, AllOf(HasSubstr(certificate_file_), HasSubstr(key_file_))));
  EXPECT_THAT(WriteFileAtomically(key_file_, "no key", 0600), IsOk());
  EXPECT_THAT(web_.Prepare(), FailsWith(Code::kInvalidArgument, HasSubstr(key_file_)));
  unlink(key_file_.c_str());
  EXPECT_THAT(web_.Prepare(), FailsWith(Code::kNotFound, HasSubstr(key_file_)));
  EXPECT_THAT(WriteFileAtomically(certificate_file_, "none", 0600), IsOk());
  EXPECT_THAT(web_.Prepare(), FailsWith(Code::kInvalidArgument, HasSubstr(certificate_file_)));
  EXPECT_EQ(web_.Context(), nullptr);
}

}  // namespace
}  // namespace credence
