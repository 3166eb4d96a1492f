#pragma once

#include <string>
#include <vector>

#include "agent/config/resources.h"
#include "base/core/result.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// A destination and the grant that gives it to one workload.
struct NewResources {
  /// metadata.name of the destination; the file is called after it.
  std::string name;
  std::string adapter;
  Settings settings;
  std::string spiffe_id;
  std::vector<std::string> selectors;
};

/// Both as YAML documents. The grant's name is made of the last part of the SPIFFE ID and the
/// destination's name.
std::string ResourceYaml(const NewResources& resources);

/// What is wrong with the resources of `folder` once `text` stands in its file `path`; empty if
/// all of them can be loaded. Read by the agent's own reader.
std::vector<ConfigMistake> CheckResourceFile(const std::string& folder,
                                             const std::string& path,
                                             const std::string& text,
                                             const AdapterList& adapters);

/// Writes `text` to `path` in one step, for everybody to read. Errors: kAlreadyExists if the file
/// is there and not `replace`; as CodeFromErrno.
Result<void> WriteResourceFile(const std::string& path, const std::string& text, bool replace);

}  // namespace credence
