#pragma once

#include <string>
#include <variant>
#include <vector>

namespace credence {

/// Trust in these authorities (DER); the server's chain must lead to one of them.
struct TrustAuthorities {
  std::vector<std::string> x509_authorities;
};
/// First contact without a bundle: the chain is not checked, whoever answers is believed if the
/// certificate names the expected SPIFFE ID.
struct TrustAnyChain {};
using RpcTrust = std::variant<TrustAuthorities, TrustAnyChain>;

}  // namespace credence
