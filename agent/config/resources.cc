#include "agent/config/resources.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/config/resource_files.h"
#include "agent/config/resource_reader.h"

namespace credence {

const DestinationResource* Resources::FindDestination(std::string_view name) const {
  const auto found =
      std::lower_bound(destinations.begin(),
                       destinations.end(),
                       name,
                       [](const DestinationResource& resource, std::string_view wanted) {
                         return resource.name < wanted;
                       });
  return found == destinations.end() || found->name != name ? nullptr : &*found;
}

ResourcesOutcome LoadResources(const std::vector<std::string>& paths, const AdapterList& adapters) {
  ResourceReader reader(adapters);
  std::vector<std::string> read;
  for (const std::string& path : paths) {
    const auto files = ListResourceFiles(path);
    if (!files.ok()) {
      reader.Refuse(path, files.error().message());
      continue;
    }
    for (const std::string& file : *files) {
      // Named twice, as a file and by its folder.
      if (std::find(read.begin(), read.end(), file) != read.end()) {
        continue;
      }
      read.push_back(file);
      if (read.size() > kMaxResourceFiles) {
        reader.Refuse(path, fmt::format("more than {} files in all", kMaxResourceFiles));
        return reader.Finish();
      }
      const auto text = ReadResourceFile(file);
      if (text.ok()) {
        reader.Read(*text, file);
      } else {
        reader.Refuse(file, text.error().message());
      }
    }
  }
  return reader.Finish();
}

ResourcesOutcome ParseResources(std::string_view yaml,
                                const std::string& file,
                                const AdapterList& adapters) {
  ResourceReader reader(adapters);
  reader.Read(yaml, file);
  return reader.Finish();
}

}  // namespace credence
