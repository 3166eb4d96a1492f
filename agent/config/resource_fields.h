#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/decoder.h"
#include "agent/config/resources.h"

/// Readers of single fields of resource documents. Each records its own mistakes.
namespace credence {

/// Nothing but blanks: what a full disk or a copy under way leaves of a file.
bool IsBlank(std::string_view yaml);
/// The text at `key` of an object, without any check.
std::string_view PeekText(const Value& object, std::string_view key);
/// "Grant kv-reader: ", the start of every message about a document.
std::string DocumentTitle(const Value& document, std::string_view kind);
/// The one version there is.
void CheckApiVersion(Section& top);
/// The required name: up to 63 lower-case letters, digits and inner dashes.
std::optional<Setting<std::string>> ReadName(Section& metadata, std::string_view example);
std::string ReadOwner(Section& metadata);
std::optional<WallTime> ReadExpires(Section& metadata);

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
