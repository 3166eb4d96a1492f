#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

#include "spire/api/types/types.pb.h"

/// What an operator writes, as it travels. `given_by` is the flag or member where it was written:
/// every error is kInvalidArgument and starts with it.
namespace credence {

Result<spire::api::types::SPIFFEID> WireId(std::string_view given_by, std::string_view text);
/// A bare name or spiffe://name. Returns the name.
Result<std::string> WireTrustDomain(std::string_view given_by, std::string_view text);
Result<spire::api::types::Selector> WireSelector(std::string_view given_by, std::string_view text);

/// "spiffe://example.org/a"; "" for an ID without trust domain.
std::string TextOf(const spire::api::types::SPIFFEID& id);

}  // namespace credence
