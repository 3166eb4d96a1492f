#pragma once

#include <vector>

#include "base/core/result.h"
#include "plugins/contract/destination_adapter.h"
#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/file_reader.h"

namespace credence {

/// Reads the section "setup": what an operator enters at the vendor, at most 100 lines of text and
/// commands. The settings are read.
void ReadSetup(FileReader& reader, const YamlNode& root, AdapterFile& file);

/// In the order of the file.
std::vector<SettingInfo> DescribeSettings(const AdapterFile& file);

/// As DestinationAdapter::Setup wants it.
Result<SetupText> MakeSetupText(const AdapterFile& file,
                                const Settings& settings,
                                const SetupFacts& facts);

}  // namespace credence
