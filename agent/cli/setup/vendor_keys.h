#pragma once

#include <string>

#include "base/core/result.h"

#include "spire/api/types/types.pb.h"

namespace credence {

/// The JWT keys of a trust domain in the forms that vendors take.
struct VendorKeys {
  std::string trust_domain;
  /// A JWK Set as `credence jwks` prints it, and the array in it.
  std::string jwks;
  std::string jwk_array;
  /// PUBLIC KEY blocks, joined by commas.
  std::string pem;
};

VendorKeys VendorKeysOf(const spire::api::types::Bundle& bundle);

/// The `iss` of JWT-SVIDs if the authority at `authority_socket` is that of `credence up` of this
/// user with its default folders; "" if that cannot be known.
std::string IssuerOfUp(const std::string& authority_socket);

/// The folder of resources of `credence up` of this user. Errors: kNotFound if there is none.
Result<std::string> ResourcesOfUp();

}  // namespace credence
