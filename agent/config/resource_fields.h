#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/config/decoder.h"
#include "agent/config/resources.h"

/// Readers of single fields of resource documents. Each records its own mistakes.
namespace credence {

/// The required object at `key`; nullopt when it is missing.
std::optional<Section> RequiredBlock(Section& section,
                                     std::string_view key,
                                     std::string_view expected);

/// At least ten seconds.
std::optional<std::chrono::milliseconds> ReadMaxTtl(Section& spec);
std::optional<SpiffeId> ReadSpiffeId(Section& subject);
SelectorSet ReadSelectors(Section& subject);
Assurance ReadAssurance(Section& subject);
std::vector<DeliveryForm> ReadDeliver(Section& spec);
/// Names to plain text: any scalar as it is written.
Settings ReadSettings(Section& settings);

/// Records what an adapter says about settings, one mistake a line, at the setting that the line
/// names first.
void AddAdapterMistakes(Section& spec, const Section* settings, std::string_view lines);

}  // namespace credence
