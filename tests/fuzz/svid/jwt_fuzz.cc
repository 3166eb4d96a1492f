#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/check.h"
#include "base/crypto/digest.h"
#include "base/svid/jwt_svid.h"

namespace credence {
namespace {

/// The public keys of the seeds' tokens; the private ones were thrown away.
constexpr std::string_view kAuthorities =
    R"({"keys":[{"use":"jwt-svid","kid":"p256","kty":"EC","crv":"P-256","x":"xS4AV9EnC6V16h)"
    R"(swgAqxuDWrarA98uC5xpX-V95yn1E","y":"gX9slw7DhwTWE_vVjiSikh94Liys7dRqgUPwTeCiVM8"},{")"
    R"(use":"jwt-svid","kid":"p384","kty":"EC","crv":"P-384","x":"AHUBy08LMQukwaFkDGR_JGeBE)"
    R"(4BLJ0OUgcz7bEKbHz6H07whC8uENCwOzxShBILy","y":"NDypsTiP3fz6tGypM-fLFKS1QL7mxxbSeq8ZAB)"
    R"(RzqvMeWc1wQyJk4I4Q9jz6YrU8"},{"use":"jwt-svid","kid":"p521","kty":"EC","crv":"P-521")"
    R"(,"x":"AHaJQBrm1LA8n47DsqG6Fecs9cWL827vM5F_9PL5Y3PXkgGZyiFPyhgcskXpjSq06zeNGN3XKs0MVo)"
    R"(U-46bBIS1q","y":"AZPpivHuQp0OWWGNgvgKJTWxTMgL7stlSwMdivFCyYoy5YsyKXNrWAvuJyuarXFYUBZ)"
    R"(jSmALcFMcsMkoExpjfekw"},{"use":"jwt-svid","kid":"rsa","kty":"RSA","n":"jUut8Zx9Qf5aE)"
    R"(LZR8LVLRS0_7AEV3r3i6eVt1Xo2ae12EOub1lfg0AsBsjuL4HmNjfH8H_X1jR3UmmjxhEwPlR_jNtWdkmmuo)"
    R"(cp-8pO1qHsAjAAd5Qo6gakJTn1AVCiCJLmh_bU68NgNgAGLL8k7HV8gdNBa50GylJEHtM7L0IB4NLn8CgqOG)"
    R"(XMtCE1AhyrSpD8cNC_qQaM_X-liV7vfq3kBcXjIr6g7BTka_77nJdzh9Lrt6Fvplsi-JY8zYJgUig559nahi)"
    R"(z3FMQ0x6fLYnbOs-4xGaAOwbSWHV-UrmefHRj48remLWJuEKZP79I4Pieak65I8dJ0H9BMGllWMzw","e":")"
    R"(AQAB"}]})";

const BundleSet& Bundles() {
  static const BundleSet bundles = [] {
    auto bundle = ParseSpiffeBundle(*TrustDomain::Parse("example.org"), kAuthorities);
    CREDENCE_CHECK(bundle.ok() && bundle->jwt_authorities.size() == 4);
    return BundleSet{{"example.org", std::make_shared<const TrustBundle>(*std::move(bundle))}};
  }();
  return bundles;
}

void CheckToken(std::string_view token) {
  const auto trusted = ParseTrustedJwtSvid(token);
  const auto valid = ValidateJwtSvid(token, "db", Bundles(), FromUnixSeconds(1'795'305'600));
  if (trusted.ok()) {
    CREDENCE_CHECK(!trusted->audience.empty() && trusted->token->Reveal() == token);
  }
  if (valid.ok()) {
    // What passes in full passes the form, and was signed for this trust domain.
    CREDENCE_CHECK(trusted.ok() && trusted->id == valid->id);
    CREDENCE_CHECK(valid->id.trust_domain().name() == "example.org");
    CREDENCE_CHECK(valid->claims.at("aud").is_array());
  }
}

}  // namespace
}  // namespace credence

/// A token, or "header newline claims" as plain JSON, which a fuzzer changes to more effect than
/// base64.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  credence::CheckToken(text);
  if (const std::size_t line = text.find('\n'); line != std::string_view::npos) {
    credence::CheckToken(credence::Base64UrlEncode(text.substr(0, line)) + "." +
                         credence::Base64UrlEncode(text.substr(line + 1)) + ".AAAA");
  }
  return 0;
}
