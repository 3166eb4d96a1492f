#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

#include "spire/api/types/types.pb.h"

namespace credence {

/// One request to the authority: servers take 4 MiB, and its message is shorter than the file.
inline constexpr std::size_t kMaxFederationFileBytes = std::size_t{3} << 20;

/// A relationship as an operator writes it; "" for what is not written.
struct RelationshipWords {
  /// A bare name or spiffe://name.
  std::string trust_domain;
  std::string endpoint_url;
  /// https_web or https_spiffe.
  std::string endpoint_profile;
  std::string endpoint_id;

  bool operator==(const RelationshipWords&) const = default;
};

/// As it travels, still without bundle. `dash` stands before the names in errors: "-" for flags, ""
/// for members of a file. Errors: kInvalidArgument naming what is missing, too much or ill-formed.
Result<spire::api::types::FederationRelationship> RelationshipFromWords(
    const RelationshipWords& words, std::string_view dash);

/// The relationships of a data file of `spire-server federation create`:
/// {"federationRelationships": [{"trustDomain": ..., "bundleEndpointURL": ...,
/// "bundleEndpointProfile": ..., "endpointSPIFFEID": ..., "trustDomainBundle": ...,
/// "trustDomainBundleFormat": ...}]}. The bundle is a text for "pem", which is the default, and an
/// object for "spiffe". Names of members count whatever their case; one that is not known is an
/// error here. Errors: kInvalidArgument naming the relationship by its number from 1.
Result<std::vector<spire::api::types::FederationRelationship>> ParseFederationFile(
    std::string_view text);

}  // namespace credence
