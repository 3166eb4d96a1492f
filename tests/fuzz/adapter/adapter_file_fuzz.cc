#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/core/check.h"
#include "plugins/destinations/declarative/adapter_file.h"

/// Any text is an adapter file or a list of mistakes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* text = static_cast<const char*>(static_cast<const void*>(data));
  const auto file = credence::ParseAdapterFile({text, size}, "fuzz.yaml");
  CREDENCE_CHECK(file.ok() || !file.error().message().empty());
  return 0;
}
