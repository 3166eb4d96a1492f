#include "base/svid/jws.h"

#include <array>
#include <cstddef>
#include <utility>

#include <openssl/rsa.h>

#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/crypto/openssl.h"
#include "base/svid/jwt_svid.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

namespace json = boost::json;
using Family = SignatureAlgorithm::Family;

constexpr std::array<SignatureAlgorithm, 9> kAlgorithms = {{
    {"RS256", Family::kRsaPkcs1, "SHA256", "", 0},
    {"RS384", Family::kRsaPkcs1, "SHA384", "", 0},
    {"RS512", Family::kRsaPkcs1, "SHA512", "", 0},
    {"ES256", Family::kEcdsa, "SHA256", "prime256v1", 32},
    {"ES384", Family::kEcdsa, "SHA384", "secp384r1", 48},
    {"ES512", Family::kEcdsa, "SHA512", "secp521r1", 66},
    {"PS256", Family::kRsaPss, "SHA256", "", 0},
    {"PS384", Family::kRsaPss, "SHA384", "", 0},
    {"PS512", Family::kRsaPss, "SHA512", "", 0},
}};

constexpr int kMinRsaBits = 2048;
// Checking a signature of a longer key costs more than a token is worth.
constexpr int kMaxRsaBits = 8192;
constexpr int kMaxTries = 8;

Error Invalid(std::string_view rule) {
  return Error(Code::kInvalidArgument, std::string(rule));
}

const SignatureAlgorithm* FindAlgorithm(const json::object& header) {
  const json::string* name = FindString(header, "alg");
  if (name == nullptr) {
    return nullptr;
  }
  for (const SignatureAlgorithm& algorithm : kAlgorithms) {
    if (algorithm.name == std::string_view(name->data(), name->size())) {
      return &algorithm;
    }
  }
  return nullptr;
}

/// Fills what the header says of `jws`.
Result<void> ReadHeader(const json::object& header, Jws& jws) {
  jws.algorithm = FindAlgorithm(header);
  if (jws.algorithm == nullptr) {
    return Invalid("the token's alg is not one of the nine allowed algorithms");
  }
  if (header.contains("crit")) {
    return Invalid("the token's header has critical extensions");
  }
  if (header.contains("typ")) {
    const json::string* type = FindString(header, "typ");
    if (type == nullptr || (*type != "JWT" && *type != "JOSE")) {
      return Invalid("the token's typ is neither JWT nor JOSE");
    }
  }
  if (header.contains("kid")) {
    const json::string* key_id = FindString(header, "kid");
    if (key_id == nullptr || key_id->empty()) {
      return Invalid("the token's kid is not a string with content");
    }
    jws.key_id = std::string(key_id->data(), key_id->size());
  }
  for (const auto& member : header) {
    if (member.key() != "alg" && member.key() != "kid" && member.key() != "typ") {
      return Invalid("the token's header has a member other than alg, kid and typ");
    }
  }
  return Ok();
}

bool KeyFits(const SignatureAlgorithm& algorithm, const EVP_PKEY* key) {
  const int type = EVP_PKEY_get_base_id(key);
  if (algorithm.family != Family::kEcdsa) {
    const int bits = EVP_PKEY_get_bits(key);
    return type == EVP_PKEY_RSA && bits >= kMinRsaBits && bits <= kMaxRsaBits;
  }
  std::array<char, 64> group{};
  std::size_t size = 0;
  return type == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1 &&
         algorithm.curve == std::string_view(group.data(), size);
}

/// r and s side by side to the DER that OpenSSL reads; "" if they have the wrong length.
std::string EcdsaDer(std::string_view signature, std::size_t coordinate_bytes) {
  if (signature.size() != 2 * coordinate_bytes) {
    return "";
  }
  const auto number = [coordinate_bytes](std::string_view bytes) {
    return OpenSslPtr<BIGNUM>(
        BN_bin2bn(AsUnsigned(bytes), static_cast<int>(coordinate_bytes), nullptr));
  };
  OpenSslPtr<BIGNUM> r = number(signature.substr(0, coordinate_bytes));
  OpenSslPtr<BIGNUM> s = number(signature.substr(coordinate_bytes));
  const OpenSslPtr<ECDSA_SIG> pair(ECDSA_SIG_new());
  if (r == nullptr || s == nullptr || pair == nullptr ||
      ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) {
    return "";
  }
  (void)r.release();
  (void)s.release();
  return ToDer<const ECDSA_SIG>(pair.get(), i2d_ECDSA_SIG);
}

/// The salt of PS* is as long as the hash (RFC 7518 section 3.5), and nothing else verifies.
bool SetPssPadding(EVP_PKEY_CTX* context) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool SignatureFits(const Jws& jws, EVP_PKEY* key) {
  const SignatureAlgorithm& algorithm = *jws.algorithm;
  std::string converted;
  std::string_view signature = jws.signature;
  if (algorithm.family == Family::kEcdsa) {
    converted = EcdsaDer(jws.signature, algorithm.coordinate_bytes);
    signature = converted;
  }
  const OpenSslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  const bool fits =
      !signature.empty() && context != nullptr &&
      EVP_DigestVerifyInit_ex(
          context.get(), &key_context, algorithm.digest, nullptr, nullptr, key, nullptr) == 1 &&
      (algorithm.family != Family::kRsaPss || SetPssPadding(key_context)) &&
      EVP_DigestVerify(context.get(),
                       AsUnsigned(signature),
                       signature.size(),
                       AsUnsigned(jws.signed_part),
                       jws.signed_part.size()) == 1;
  (void)TakeOpenSslReason();
  return fits;
}

}  // namespace

Result<Jws> ParseJws(std::string_view token) {
  if (token.size() > kMaxJwtBytes) {
    return Invalid("the token is longer than 64 KiB");
  }
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return Invalid("the token does not have the three parts of a JWS");
  }
  const auto header_text = Base64UrlDecode(token.substr(0, first));
  if (!header_text.ok()) {
    return Invalid("the token's header is not base64url");
  }
  const auto header = ParseStrictJsonObject(*header_text, kMaxJwtBytes);
  if (!header.ok()) {
    return Error(header.error()).Wrap("the token's header");
  }
  Jws jws;
  if (auto read = ReadHeader(*header, jws); !read.ok()) {
    return std::move(read).error();
  }
  auto payload = Base64UrlDecode(token.substr(first + 1, second - first - 1));
  if (!payload.ok()) {
    return Invalid("the token's payload is not base64url");
  }
  auto signature = Base64UrlDecode(token.substr(second + 1));
  if (!signature.ok() || signature->empty()) {
    return Invalid("the token's signature is missing or not base64url");
  }
  jws.signed_part = token.substr(0, second);
  jws.payload = *std::move(payload);
  jws.signature = *std::move(signature);
  return jws;
}

Result<void> VerifyJws(const Jws& jws, const std::vector<JwtAuthority>& authorities) {
  bool kid_known = !jws.key_id.has_value();
  int tries = 0;
  for (const JwtAuthority& authority : authorities) {
    if (jws.key_id.has_value() && authority.key_id != *jws.key_id) {
      continue;
    }
    kid_known = true;
    const auto key = ParsePublicKey(authority.public_key);
    if (!key.ok() || !KeyFits(*jws.algorithm, key->get())) {
      continue;
    }
    if (tries++ == kMaxTries) {
      return Invalid("no signature of the token fits the first 8 keys for its algorithm");
    }
    if (SignatureFits(jws, key->get())) {
      return Ok();
    }
  }
  if (!kid_known) {
    return Invalid("the trust domain of the token has no JWT authority with its kid");
  }
  if (tries == 0) {
    return Invalid("no JWT authority of the token's trust domain fits its algorithm");
  }
  return Invalid("the token's signature does not fit");
}

}  // namespace credence
