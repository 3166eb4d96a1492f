#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "base/core/result.h"

/// Public keys between JWK members and DER SubjectPublicKeyInfo.
namespace credence {

/// The RFC 7518 members of a key ("kty" and what goes with it), "kid" first; nullopt for a key that
/// is neither RSA nor EC on P-256, P-384 or P-521. Source: RFC 7518 sections 6.2.1 and 6.3.1.
std::optional<boost::json::object> JwkOf(std::string_view key_id, std::string_view public_key);

/// The DER SubjectPublicKeyInfo that an EC or RSA JWK describes; nullopt for a "kty" or "crv" that
/// we do not know. Members of a private key are passed over. Errors: kInvalidArgument for missing
/// or damaged members.
Result<std::optional<std::string>> PublicKeyOfJwk(const boost::json::object& jwk);

}  // namespace credence
