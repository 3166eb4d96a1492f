#include "plugins/destinations/builtin_adapters.h"

#include <array>
#include <string_view>
#include <utility>

#include "base/core/check.h"
#include "plugins/destinations/declarative/declarative_adapter.h"
#include "plugins/destinations/embedded_adapters.h"

namespace credence {

std::vector<std::unique_ptr<DestinationAdapter>> BuiltinAdapters(HttpClient& client,
                                                                 const Clock& clock) {
  const std::array<std::pair<std::string_view, std::string_view>, 2> files = {{
      {"anthropic/adapter.yaml", kAnthropicAdapter},
      {"openbao/adapter.yaml", kOpenbaoAdapter},
  }};
  std::vector<std::unique_ptr<DestinationAdapter>> adapters;
  for (const auto& [name, yaml] : files) {
    auto adapter = MakeDeclarativeAdapter(yaml, name, client, clock);
    // The files are part of the program, so a mistake in one is a bug.
    CREDENCE_CHECK(adapter.ok());
    adapters.push_back(*std::move(adapter));
  }
  return adapters;
}

}  // namespace credence
