#pragma once

#include <vector>

#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/file_reader.h"

namespace credence {

/// Reads the specifications under "settings" or "params"; none if `node` is null.
std::vector<SettingSpec> ReadSettings(FileReader& reader, const YamlNode* node);

/// Checks what only the whole shows: exactly one base URL, at most one CA file, neither as a
/// parameter, no name twice.
void CheckSettings(FileReader& reader, const YamlNode& root, const AdapterFile& file);

/// The names that templates may use.
KnownNames NamesOf(const std::vector<SettingSpec>& specs);

}  // namespace credence
