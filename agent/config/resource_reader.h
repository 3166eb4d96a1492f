#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/decoder.h"
#include "agent/config/resources.h"

namespace credence {

/// Gathers the resources of any number of files, then checks how they fit together.
class ResourceReader {
 public:
  explicit ResourceReader(AdapterList adapters) : adapters_(std::move(adapters)) {}

  /// Reads the documents of one file. One with comments or markers only holds none; an empty or
  /// blank one is a mistake.
  void Read(std::string_view yaml, const std::string& file);
  /// Records that a file or folder could not be read.
  void Refuse(const std::string& file, std::string message);

  /// Names must be unique, grants must name a destination that is there and be narrow enough for
  /// it. Call once, last.
  ResourcesOutcome Finish();

 private:
  /// A resource that is named in a file, even if the rest of it is wrong.
  struct Named {
    std::string name;
    Place place;
    ResourceOrigin origin;
    Mistakes* mistakes = nullptr;
  };
  /// A grant's mention of a destination.
  struct Mention {
    Setting<std::string> destination;
    /// Where its selectors stand or would stand; nullopt if it has some.
    std::optional<Place> unbound;
    Mistakes* mistakes = nullptr;
  };
  struct Metadata {
    std::string name;
    std::string owner;
    std::optional<WallTime> expires;
    Sensitivity sensitivity = Sensitivity::kNormal;
  };
  enum class Kind { kDestination, kGrant };

  void ReadDocument(const Value& document, Mistakes& mistakes);
  void ReadDestination(Section& top, const ResourceOrigin& origin, Mistakes& mistakes);
  void ReadGrant(Section& top, const ResourceOrigin& origin, Mistakes& mistakes);
  Metadata ReadMetadata(Section& top, Kind kind, const ResourceOrigin& origin, Mistakes& mistakes);
  std::shared_ptr<Destination> Configure(Section& spec, DestinationResource& resource);
  void CheckNames(std::vector<Named>& named);
  void CheckMentions();
  void CheckBreadth();

  AdapterList adapters_;
  /// One for each file; a deque because they are pointed at.
  std::deque<Mistakes> files_;
  /// A file is missing or has no readable documents.
  bool incomplete_ = false;
  Resources resources_;
  std::vector<Named> destinations_;
  std::vector<Named> grants_;
  std::vector<Mention> mentions_;
};

}  // namespace credence
