#include "base/svid/jwt_issuing.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/crypto/digest.h"
#include "base/crypto/openssl.h"
#include "base/svid/jwt_svid.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

namespace json = boost::json;

/// What a key signs with. Source: RFC 7518 section 3.1.
struct Algorithm {
  const char* name;
  const char* digest;
  /// Length of r and of s; 0 for RSA.
  int coordinate_bytes;
};

Error Invalid(const char* rule) {
  return Error(Code::kInvalidArgument, rule);
}

Result<Algorithm> AlgorithmFor(const EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= 2048) {
    return Algorithm{"RS256", "SHA256", 0};
  }
  std::array<char, 64> group{};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1) {
    if (std::string_view(group.data(), size) == "prime256v1") {
      return Algorithm{"ES256", "SHA256", 32};
    }
    if (std::string_view(group.data(), size) == "secp384r1") {
      return Algorithm{"ES384", "SHA384", 48};
    }
  }
  (void)TakeOpenSslReason();
  return Invalid("tokens are signed by keys on P-256 or P-384 or of RSA from 2048 bits");
}

std::string Payload(const JwtSvidContent& content) {
  json::array audience;
  for (const std::string& value : content.audience) {
    audience.emplace_back(json::string_view(value));
  }
  json::object claims;
  claims["sub"] = content.subject.text();
  claims["aud"] = std::move(audience);
  claims["exp"] = ToUnixSeconds(content.expires_at);
  claims["iat"] = ToUnixSeconds(content.issued_at);
  if (!content.issuer.empty()) {
    claims["iss"] = content.issuer;
  }
  if (!content.jti.empty()) {
    claims["jti"] = content.jti;
  }
  return json::serialize(claims);
}

/// r and s side by side, as RFC 7518 section 3.4 wants them; "" if `der` is no ECDSA signature.
std::string RawEcdsa(const std::string& der, int coordinate_bytes) {
  const unsigned char* at = AsUnsigned(std::string_view(der));
  const OpenSslPtr<ECDSA_SIG> pair(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  const auto size = static_cast<std::size_t>(coordinate_bytes);
  std::string raw(2 * size, '\0');
  if (pair == nullptr ||
      BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), AsUnsigned(raw), coordinate_bytes) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), AsUnsigned(raw) + size, coordinate_bytes) < 0) {
    return "";
  }
  return raw;
}

/// "" if OpenSSL fails.
std::string Sign(EVP_PKEY* key, const Algorithm& algorithm, std::string_view text) {
  const OpenSslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  std::string signature(static_cast<std::size_t>(std::max(EVP_PKEY_get_size(key), 0)), '\0');
  std::size_t size = signature.size();
  if (context == nullptr ||
      EVP_DigestSignInit_ex(
          context.get(), nullptr, algorithm.digest, nullptr, nullptr, key, nullptr) != 1 ||
      EVP_DigestSign(context.get(), AsUnsigned(signature), &size, AsUnsigned(text), text.size()) !=
          1) {
    return "";
  }
  signature.resize(size);
  return algorithm.coordinate_bytes == 0 ? signature
                                         : RawEcdsa(signature, algorithm.coordinate_bytes);
}

}  // namespace

Result<SecretBytes> SignJwtSvid(const JwtSvidContent& content,
                                const PrivateKey& key,
                                std::string_view key_id) {
  if (content.audience.empty() ||
      std::ranges::find(content.audience, "") != content.audience.end()) {
    return Invalid("a token has no audience or an empty one");
  }
  if (key_id.empty()) {
    return Invalid("the key that signs a token has no ID");
  }
  const auto algorithm = AlgorithmFor(key.get());
  if (!algorithm.ok()) {
    return algorithm.error();
  }
  json::object header;
  header["alg"] = algorithm->name;
  header["kid"] = json::string_view(key_id.data(), key_id.size());
  header["typ"] = "JWT";
  const std::string payload = Payload(content);
  if (auto read = ParseStrictJsonObject(payload, kMaxJwtBytes); !read.ok()) {
    return Error(read.error()).Wrap("the claims of a token");
  }
  // All but the signature is known to whoever asked for the token; the signature makes it a secret.
  const std::string text =
      Base64UrlEncode(json::serialize(header)) + "." + Base64UrlEncode(payload) + ".";
  std::string signature =
      Sign(key.get(), *algorithm, std::string_view(text).substr(0, text.size() - 1));
  const WipeOnExit wipe_signature(signature);
  if (signature.empty()) {
    return OpenSslError(Code::kInternal, "sign a token");
  }
  std::string encoded = Base64UrlEncode(signature);
  const WipeOnExit wipe_encoded(encoded);
  if (text.size() + encoded.size() > kMaxJwtBytes) {
    return Invalid("the claims of a token make it longer than 64 KiB");
  }
  SecretBytes token(text.size() + encoded.size());
  std::memcpy(token.data(), text.data(), text.size());
  std::memcpy(token.data() + text.size(), encoded.data(), encoded.size());
  return token;
}

}  // namespace credence
