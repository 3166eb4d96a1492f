#pragma once

#include <memory>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/http/client.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// An adapter that runs an adapter file. `client` and `clock` outlive it and its destinations.
/// Errors: kInvalidArgument with every mistake in the file, one a line, "file:line:column:
/// message".
Result<std::unique_ptr<DestinationAdapter>> MakeDeclarativeAdapter(std::string_view yaml,
                                                                   std::string_view file,
                                                                   HttpClient& client,
                                                                   const Clock& clock);

}  // namespace credence
