#pragma once

#include <memory>
#include <vector>

#include "base/core/clock.h"
#include "base/http/client.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// The destinations that come with the program: anthropic and openbao. `client` and `clock` outlive
/// them.
std::vector<std::unique_ptr<DestinationAdapter>> BuiltinAdapters(HttpClient& client,
                                                                 const Clock& clock);

}  // namespace credence
