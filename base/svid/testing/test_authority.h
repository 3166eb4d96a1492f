#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/crypto/private_key.h"
#include "base/svid/bundle.h"

/// Makes real certificates and tokens for tests, sound by default and with one defect when asked. A
/// failure of OpenSSL ends the test program.
namespace credence {

/// 2026-11-22T00:00:00Z: the middle of the validity of everything made here unless said otherwise.
inline constexpr std::int64_t kTestNowSeconds = 1'795'305'600;
inline WallTime TestNow() {
  return FromUnixSeconds(kTestNowSeconds);
}

/// What a certificate says. Extensions are in the words of openssl's x509v3_config(5); "" leaves
/// one out.
struct CertificateSpec {
  std::string common_name = "test";
  /// Leave the subject empty.
  bool empty_subject = false;
  std::string basic_constraints = "critical,CA:FALSE";
  std::string key_usage = "critical,digitalSignature,keyEncipherment,keyAgreement";
  std::string extended_key_usage = "serverAuth,clientAuth";
  std::string subject_alt_name;
  std::string name_constraints;
  /// Any other extension, as {name, value}.
  std::vector<std::pair<std::string, std::string>> others;
  WallTime not_before = TestNow() - std::chrono::minutes(30);
  WallTime not_after = TestNow() + std::chrono::minutes(30);
  const char* digest = "SHA256";

  /// A sound workload certificate with this URI.
  static CertificateSpec Leaf(std::string_view uri);
  /// A sound CA certificate; `uri` may be empty.
  static CertificateSpec Ca(std::string_view name, std::string_view uri = "");
};

/// The certificate authority of one trust domain, or one below it.
class TestAuthority {
 public:
  /// A self-signed root with an EC P-256 key.
  static TestAuthority Root(CertificateSpec spec = CertificateSpec::Ca("root"));

  /// DER of a certificate for `key` signed by this authority.
  std::string Issue(const PrivateKey& key, const CertificateSpec& spec) const;
  /// An authority below this one.
  TestAuthority Sub(const CertificateSpec& spec) const;

  const std::string& certificate() const { return certificate_; }
  const PrivateKey& key() const { return key_; }

 private:
  TestAuthority(PrivateKey key, std::string certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}

  PrivateKey key_;
  std::string certificate_;
};

/// A key of `type`, made once in this process: RSA keys take long.
const PrivateKey& TestKey(KeyType type);
/// An EC P-521 key, made once.
const PrivateKey& TestKeyP521();
/// An RSA key of `bits`, made anew.
PrivateKey MakeTestRsaKey(int bits);

/// A JWS of `header` and `payload` (JSON texts, taken as they are), signed as `algorithm` says
/// ("RS256" and so on); what the header says about it does not matter.
std::string SignTestJws(const PrivateKey& key,
                        std::string_view algorithm,
                        std::string_view header,
                        std::string_view payload);

}  // namespace credence
