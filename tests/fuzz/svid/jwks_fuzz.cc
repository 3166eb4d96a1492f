#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/check.h"
#include "base/crypto/certificate.h"
#include "base/svid/bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  const auto bundle =
      credence::ParseSpiffeBundle(*credence::TrustDomain::Parse("example.org"), text);
  if (!bundle.ok()) {
    return 0;
  }
  for (const credence::JwtAuthority& authority : bundle->jwt_authorities) {
    CREDENCE_CHECK(!authority.key_id.empty());
    CREDENCE_CHECK(credence::ParsePublicKey(authority.public_key).ok());
  }
  const auto split = credence::SplitCertificates(credence::ConcatenatedX509Authorities(*bundle));
  CREDENCE_CHECK(split.ok() && *split == bundle->x509_authorities);

  // What we serve reads back as the same keys once it says what they are for.
  std::string jwks = credence::JwtAuthoritiesAsJwks(*bundle);
  constexpr std::string_view kKeyStart = "{\"kid\":";
  for (std::size_t at = jwks.find(kKeyStart, 1); at != std::string::npos;
       at = jwks.find(kKeyStart, at + kKeyStart.size())) {
    jwks.insert(at + 1, "\"use\":\"jwt-svid\",");
  }
  const auto again =
      credence::ParseSpiffeBundle(*credence::TrustDomain::Parse("example.org"), jwks);
  CREDENCE_CHECK(again.ok() && again->jwt_authorities == bundle->jwt_authorities);
  return 0;
}
