#include "agent/config/resources.h"

#include <algorithm>
#include <utility>

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
  ReadResourceFiles(paths, [&reader](const std::string& file, Result<std::string> text) {
    if (text.ok()) {
      reader.Read(*text, file);
    } else {
      reader.Refuse(file, text.error().message());
    }
  });
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
