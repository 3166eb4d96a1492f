#include "base/svid/jwk.h"

#include <array>
#include <cstddef>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/crypto/openssl.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

namespace json = boost::json;

struct Curve {
  std::string_view jwk_name;
  std::string_view openssl_name;
  std::size_t coordinate_bytes;
};

constexpr std::array<Curve, 3> kCurves = {{
    {"P-256", "prime256v1", 32},
    {"P-384", "secp384r1", 48},
    {"P-521", "secp521r1", 66},
}};
constexpr std::size_t kMaxModulusBytes = 2048;
constexpr std::size_t kMaxExponentBytes = 8;

const Curve* CurveOfKey(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &size) != 1) {
    return nullptr;
  }
  for (const Curve& curve : kCurves) {
    if (curve.openssl_name == std::string_view(name.data(), size)) {
      return &curve;
    }
  }
  return nullptr;
}

/// The number `name` of `key` in base64url, padded on the left to `bytes`; "" if there is none.
std::string NumberOf(const EVP_PKEY* key, const char* name, std::size_t bytes) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) {
    return "";
  }
  const OpenSslPtr<BIGNUM> number(raw);
  const std::size_t size = bytes == 0 ? static_cast<std::size_t>(BN_num_bytes(raw)) : bytes;
  std::string text(size, '\0');
  if (BN_bn2binpad(raw, AsUnsigned(text), static_cast<int>(size)) < 0) {
    return "";
  }
  return Base64UrlEncode(text);
}

/// Whether both numbers were there to put under the given names.
bool AddNumbers(json::object& jwk,
                std::pair<json::string_view, std::string> first,
                std::pair<json::string_view, std::string> second) {
  if (first.second.empty() || second.second.empty()) {
    return false;
  }
  jwk[first.first] = first.second;
  jwk[second.first] = second.second;
  return true;
}

bool AddEcMembers(json::object& jwk, const EVP_PKEY* key) {
  const Curve* curve = CurveOfKey(key);
  if (curve == nullptr) {
    return false;
  }
  jwk["kty"] = "EC";
  jwk["crv"] = json::string_view(curve->jwk_name.data(), curve->jwk_name.size());
  return AddNumbers(jwk,
                    {"x", NumberOf(key, OSSL_PKEY_PARAM_EC_PUB_X, curve->coordinate_bytes)},
                    {"y", NumberOf(key, OSSL_PKEY_PARAM_EC_PUB_Y, curve->coordinate_bytes)});
}

bool AddRsaMembers(json::object& jwk, const EVP_PKEY* key) {
  jwk["kty"] = "RSA";
  return AddNumbers(jwk,
                    {"n", NumberOf(key, OSSL_PKEY_PARAM_RSA_N, 0)},
                    {"e", NumberOf(key, OSSL_PKEY_PARAM_RSA_E, 0)});
}

/// The bytes of a base64url member. Errors: kInvalidArgument naming it.
Result<std::string> BytesOf(const json::object& jwk, std::string_view name) {
  const json::string* text = FindString(jwk, name);
  if (text == nullptr || text->empty()) {
    return Error(Code::kInvalidArgument, "a key lacks the member " + std::string(name));
  }
  auto bytes = Base64UrlDecode(std::string_view(text->data(), text->size()));
  if (!bytes.ok()) {
    return std::move(bytes).error().Wrap("the member " + std::string(name) + " of a key");
  }
  return bytes;
}

/// DER of the public key made from `params`. Errors: kInvalidArgument, for example for a point off
/// the curve.
Result<std::optional<std::string>> MakePublicKey(const char* type, OSSL_PARAM* params) {
  const OpenSslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* raw = nullptr;
  if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, params) != 1) {
    return OpenSslError(Code::kInvalidArgument, "the members of a key make no public key");
  }
  const OpenSslPtr<EVP_PKEY> key(raw);
  std::string der = ToDer<const EVP_PKEY>(key.get(), i2d_PUBKEY);
  if (der.empty()) {
    return OpenSslError(Code::kInvalidArgument, "the members of a key make no public key");
  }
  return std::optional<std::string>(std::move(der));
}

Result<std::optional<std::string>> EcKeyOf(const json::object& jwk) {
  const json::string* name = FindString(jwk, "crv");
  if (name == nullptr) {
    return Error(Code::kInvalidArgument, "an EC key lacks the member crv");
  }
  const Curve* found = nullptr;
  for (const Curve& curve : kCurves) {
    if (curve.jwk_name == std::string_view(name->data(), name->size())) {
      found = &curve;
    }
  }
  if (found == nullptr) {
    return std::optional<std::string>();
  }
  const auto x = BytesOf(jwk, "x");
  if (!x.ok()) {
    return x.error();
  }
  const auto y = BytesOf(jwk, "y");
  if (!y.ok()) {
    return y.error();
  }
  if (x->size() != found->coordinate_bytes || y->size() != found->coordinate_bytes) {
    return Error(Code::kInvalidArgument, "a coordinate of an EC key has the wrong length");
  }
  std::string point = "\x04" + *x + *y;
  std::string group(found->openssl_name);
  std::array<OSSL_PARAM, 3> params = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end(),
  };
  return MakePublicKey("EC", params.data());
}

/// Big-endian bytes to the byte order in which OSSL_PARAM holds numbers on this machine.
std::string NativeNumber(const std::string& big_endian) {
  const OpenSslPtr<BIGNUM> number(BN_bin2bn(
      AsUnsigned(std::string_view(big_endian)), static_cast<int>(big_endian.size()), nullptr));
  std::string native(big_endian.size(), '\0');
  CREDENCE_CHECK(
      number != nullptr &&
      BN_bn2nativepad(number.get(), AsUnsigned(native), static_cast<int>(native.size())) >= 0);
  return native;
}

Result<std::optional<std::string>> RsaKeyOf(const json::object& jwk) {
  const auto n = BytesOf(jwk, "n");
  if (!n.ok()) {
    return n.error();
  }
  const auto e = BytesOf(jwk, "e");
  if (!e.ok()) {
    return e.error();
  }
  if (n->size() > kMaxModulusBytes || e->size() > kMaxExponentBytes) {
    return Error(Code::kInvalidArgument, "the modulus or exponent of an RSA key is too long");
  }
  std::string modulus = NativeNumber(*n);
  std::string exponent = NativeNumber(*e);
  std::array<OSSL_PARAM, 3> params = {
      OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, AsUnsigned(modulus), modulus.size()),
      OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, AsUnsigned(exponent), exponent.size()),
      OSSL_PARAM_construct_end(),
  };
  return MakePublicKey("RSA", params.data());
}

}  // namespace

std::optional<json::object> JwkOf(std::string_view key_id, std::string_view public_key) {
  const auto key = ParsePublicKey(public_key);
  if (!key.ok()) {
    return std::nullopt;
  }
  json::object jwk;
  jwk["kid"] = json::string_view(key_id.data(), key_id.size());
  const int type = EVP_PKEY_get_base_id(key->get());
  const bool encoded = (type == EVP_PKEY_EC && AddEcMembers(jwk, key->get())) ||
                       (type == EVP_PKEY_RSA && AddRsaMembers(jwk, key->get()));
  if (!encoded) {
    (void)TakeOpenSslReason();
    return std::nullopt;
  }
  return jwk;
}

Result<std::optional<std::string>> PublicKeyOfJwk(const json::object& jwk) {
  const json::string* type = FindString(jwk, "kty");
  if (type != nullptr && *type == "EC") {
    return EcKeyOf(jwk);
  }
  if (type != nullptr && *type == "RSA") {
    return RsaKeyOf(jwk);
  }
  return std::optional<std::string>();
}

}  // namespace credence
