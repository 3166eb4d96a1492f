#pragma once

#include <string>

#include "plugins/contract/destination_adapter.h"
#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/text_template.h"

namespace credence {

/// Builds the credential that a successful exchange or renewal gave, with its expiry. `extracted`
/// has what the answers held (for a renewal on top of the old credential's fields). The expiry
/// counts from `asked_at`, when the request was made: never later than the vendor's own. The
/// failure is BAD_RESPONSE when the life is used up by the file's margin.
ExchangeOutcome MakeCredential(const AdapterFile& file,
                               const NamedValues& extracted,
                               WallTime asked_at,
                               std::string request_id);

/// The fields of a credential as values for the templates of deliver, renew and revoke;
/// `expires_at` is what they are told about its end.
NamedValues FieldsOf(const Credential& credential, WallTime expires_at);

/// Fills in the templates of `spec`. `values` are the settings and the fields of a credential.
Delivery MakeDelivery(const DeliverSpec& spec, const NamedValues& values);

}  // namespace credence
