#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/crypto/private_key.h"

namespace credence {

/// The first message of x509pop: the chain in DER, leaf first.
std::string X509PopPayload(const std::vector<std::string>& certificates);

/// The answer to `challenge` with `client_nonce` (32 bytes) and `key`.
/// Errors: kFailedPrecondition for a challenge that is not of this kind, is for another kind of
/// key, or has a nonce of
///   another length than 32 bytes; those of signing.
Result<std::string> AnswerX509PopChallenge(std::string_view challenge,
                                           std::string_view client_nonce,
                                           const PrivateKey& key);

}  // namespace credence
