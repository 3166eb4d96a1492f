#pragma once

#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/file_reader.h"

namespace credence {

/// Reads a request with what is taken from its answer. `names` are those its templates may use.
HttpStep ReadStep(FileReader& reader, const YamlNode& node, const KnownNames& names);

/// {json: POINTER} or {header: NAME}; other keys are checked by the caller.
AnswerSource ReadSource(FileReader& reader, const YamlNode& node);

}  // namespace credence
