#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/authority/entry_flags.h"
#include "base/core/result.h"

namespace credence {

inline constexpr std::size_t kMaxEntryFileBytes = std::size_t{64} << 20;

/// The entries of a data file of `spire-server entry create`: {"entries": [{"spiffe_id": ...,
/// "parent_id": ..., "selectors": [{"type": ..., "value": ...}], ...}]}. Member names count
/// whatever their case and underscores; one that is not known is an error here. A new entry without
/// parent gets DefaultParent. Errors: kInvalidArgument naming the entry by its number from 1, and
/// the member. Source: spire.common.RegistrationEntries.
Result<std::vector<spire::api::types::Entry>> ParseEntryFile(std::string_view text, EntryUse use);

/// The IDs of a file of `spire-server entry delete`: {"ids": ["...", ...]}, none empty.
/// Errors: kInvalidArgument.
Result<std::vector<std::string>> ParseIdFile(std::string_view text);

}  // namespace credence
