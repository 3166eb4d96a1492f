#pragma once

#include <functional>
#include <string_view>

#include "base/core/result.h"
#include "base/spiffe/spiffe_id.h"

#include "spire/api/types/types.pb.h"

namespace credence {

/// What every stored entry keeps to: IDs of `trust_domain`, a SPIFFE ID outside /spire, a parent
/// that is a node or the server, selectors, lives and DNS names in their bounds, and trust domains
/// to federate with that `knows_bundle_of`. Errors: kInvalidArgument naming the field and the rule.
/// Source: spire-server's own rules for entries.
Result<void> CheckEntry(const spire::api::types::Entry& entry,
                        const TrustDomain& trust_domain,
                        const std::function<bool(std::string_view)>& knows_bundle_of);

/// Copies the fields of `mask` from one entry to another.
void CopyFields(const spire::api::types::EntryMask& mask,
                const spire::api::types::Entry& from,
                spire::api::types::Entry& to);

/// The ID and the fields of `mask`; all fields where `mask` is null.
spire::api::types::Entry Masked(const spire::api::types::Entry& entry,
                                const spire::api::types::EntryMask* mask);

}  // namespace credence
