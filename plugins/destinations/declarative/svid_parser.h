#pragma once

#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/file_reader.h"

namespace credence {

/// Reads the section "svid": what an SVID for this destination has to be. The settings are read.
void ReadSvid(FileReader& reader, const YamlNode& root, AdapterFile& file);

}  // namespace credence
