#include "agent/config/resource_reader.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "agent/config/resource_fields.h"
#include "agent/config/yaml_document.h"

namespace credence {
void ResourceReader::Refuse(const std::string& file, std::string message) {
  incomplete_ = true;
  files_.emplace_back(file).Add({}, std::move(message));
}

void ResourceReader::Read(std::string_view yaml, const std::string& file) {
  Mistakes& mistakes = files_.emplace_back(file);
  const YamlDocuments read = ReadYaml(yaml);
  if (read.error) {
    incomplete_ = true;
    mistakes.Add({read.error->at, ""}, read.error->message);
  } else if (IsBlank(yaml)) {
    // What a full disk or a copy under way leaves of a file. It must not take everything away.
    incomplete_ = true;
    mistakes.Add({},
                 "has no resource: expected at least one document, or a comment if none is meant");
  }
  for (const Value& document : read.documents) {
    ReadDocument(document, mistakes);
  }
}

void ResourceReader::ReadDocument(const Value& document, Mistakes& mistakes) {
  if (document.kind != ValueKind::kObject) {
    mistakes.Add({document.at, ""}, "expected a resource: apiVersion, kind, metadata and spec");
    return;
  }
  const std::string_view kind_text = PeekText(document, "kind");
  const bool destination = kind_text == "Destination";
  if (kind_text == "Entry") {
    // The authority's.
    return;
  }
  const bool known = destination || kind_text == "Grant";
  Section top(document, known ? DocumentTitle(document, kind_text) : "", Typing::kExact, mistakes);
  const auto kind = top.Text("kind");
  if (!kind) {
    top.Missing("kind", "Destination or Grant");
    return;
  }
  if (!known) {
    top.Add(kind->place,
            fmt::format("expected Destination or Grant, found {}{}",
                        Quoted(kind->value),
                        DidYouMean(kind->value, {"Destination", "Grant"})));
    return;
  }
  CheckApiVersion(top);
  const ResourceOrigin origin{mistakes.file(), document.at.line};
  if (destination) {
    ReadDestination(top, origin, mistakes);
  } else {
    ReadGrant(top, origin, mistakes);
  }
  top.Finish();
}

ResourceReader::Metadata ResourceReader::ReadMetadata(Section& top,
                                                      Kind kind,
                                                      const ResourceOrigin& origin,
                                                      Mistakes& mistakes) {
  Metadata read;
  auto metadata = RequiredBlock(top, "metadata", "name and the like");
  if (!metadata) {
    return read;
  }
  if (const auto name = ReadName(*metadata, "kv-reader")) {
    read.name = name->value;
    auto& named = kind == Kind::kDestination ? destinations_ : grants_;
    named.push_back(Named{name->value, name->place, origin, &mistakes});
  }
  read.owner = ReadOwner(*metadata);
  if (kind == Kind::kDestination) {
    if (const auto text = metadata->Text("sensitivity")) {
      static const std::map<std::string, Sensitivity, std::less<>> kWords = {
          {"low", Sensitivity::kLow},
          {"normal", Sensitivity::kNormal},
          {"high", Sensitivity::kHigh}};
      const auto word = kWords.find(text->value);
      if (word == kWords.end()) {
        metadata->Add(text->place,
                      fmt::format("expected low, normal or high, found {}", Quoted(text->value)));
      } else {
        read.sensitivity = word->second;
      }
    }
  } else {
    read.expires = ReadExpires(*metadata);
  }
  metadata->Finish();
  return read;
}

void ResourceReader::ReadDestination(Section& top,
                                     const ResourceOrigin& origin,
                                     Mistakes& mistakes) {
  Metadata metadata = ReadMetadata(top, Kind::kDestination, origin, mistakes);
  DestinationResource resource;
  resource.name = std::move(metadata.name);
  resource.owner = std::move(metadata.owner);
  resource.sensitivity = metadata.sensitivity;
  resource.origin = origin;
  if (auto spec = RequiredBlock(top, "spec", "adapter and settings")) {
    resource.max_ttl = ReadMaxTtl(*spec);
    resource.target = Configure(*spec, resource);
    spec->Finish();
  }
  resources_.destinations.push_back(std::move(resource));
}

std::shared_ptr<Destination> ResourceReader::Configure(Section& spec,
                                                       DestinationResource& resource) {
  auto settings = spec.Block("settings");
  if (settings) {
    resource.settings = ReadSettings(*settings);
  }
  std::vector<std::string> names;
  for (const DestinationAdapter* adapter : adapters_) {
    names.emplace_back(adapter->name());
  }
  const auto name = spec.Text("adapter");
  if (!name) {
    spec.Missing("adapter", Alternatives(names));
    return nullptr;
  }
  resource.adapter = name->value;
  const auto found = std::find(names.begin(), names.end(), name->value);
  if (found == names.end()) {
    spec.Add(name->place,
             fmt::format("there is no adapter {}: expected {}{}",
                         Quoted(name->value),
                         Alternatives(names),
                         DidYouMean(name->value, names)));
    return nullptr;
  }
  const auto index = static_cast<std::size_t>(found - names.begin());
  auto configured = adapters_[index]->Configure(resource.settings);
  if (!configured.ok()) {
    AddAdapterMistakes(spec, settings ? &*settings : nullptr, configured.error().message());
    return nullptr;
  }
  return *std::move(configured);
}

void ResourceReader::ReadGrant(Section& top, const ResourceOrigin& origin, Mistakes& mistakes) {
  Metadata metadata = ReadMetadata(top, Kind::kGrant, origin, mistakes);
  auto spec = RequiredBlock(top, "spec", "subject and destination");
  if (!spec) {
    return;
  }
  std::optional<SpiffeId> id;
  SelectorSet selectors;
  std::optional<Place> unbound;
  auto assurance = Assurance::kOpenedByPid;
  if (auto subject =
          RequiredBlock(*spec, "subject", "spiffe_id and, if need be, selectors and assurance")) {
    id = ReadSpiffeId(*subject);
    selectors = ReadSelectors(*subject);
    if (selectors.empty()) {
      unbound = subject->PlaceOf("selectors");
    }
    assurance = ReadAssurance(*subject);
    subject->Finish();
  }
  const auto destination = spec->Text("destination");
  if (destination) {
    mentions_.push_back({*destination, unbound, &mistakes});
  } else {
    spec->Missing("destination", "the name of a Destination");
  }
  const auto max_ttl = ReadMaxTtl(*spec);
  auto deliver = ReadDeliver(*spec);
  spec->Finish();
  // Without them there is a mistake already, and no set comes out.
  if (id && destination) {
    resources_.grants.push_back(GrantResource{.name = std::move(metadata.name),
                                              .owner = std::move(metadata.owner),
                                              .expires = metadata.expires,
                                              .spiffe_id = *std::move(id),
                                              .selectors = std::move(selectors),
                                              .assurance = assurance,
                                              .destination = destination->value,
                                              .max_ttl = max_ttl,
                                              .deliver = std::move(deliver),
                                              .origin = origin});
  }
}

void ResourceReader::CheckNames(std::vector<Named>& named) {
  std::map<std::string, ResourceOrigin> first;
  for (Named& resource : named) {
    const auto [origin, is_first] = first.try_emplace(resource.name, resource.origin);
    if (!is_first) {
      resource.mistakes->Add(
          resource.place,
          fmt::format(
              "this name is taken by the one at {}:{}", origin->second.file, origin->second.line));
    }
  }
}

void ResourceReader::CheckMentions() {
  std::vector<std::string> names;
  for (const Named& destination : destinations_) {
    names.push_back(destination.name);
  }
  std::sort(names.begin(), names.end());
  for (const Mention& mention : mentions_) {
    const std::string& name = mention.destination.value;
    if (!std::binary_search(names.begin(), names.end(), name)) {
      const std::string hint = mention.mistakes->full() ? "" : DidYouMean(name, names);
      mention.mistakes->Add(mention.destination.place,
                            fmt::format("there is no Destination {}{}", Quoted(name), hint));
    }
  }
}

/// A grant by SPIFFE ID alone trusts the registration entry to be narrow.
void ResourceReader::CheckBreadth() {
  for (const Mention& mention : mentions_) {
    const std::string& name = mention.destination.value;
    const bool high = std::any_of(resources_.destinations.begin(),
                                  resources_.destinations.end(),
                                  [&](const DestinationResource& destination) {
                                    return destination.name == name &&
                                           destination.sensitivity == Sensitivity::kHigh;
                                  });
    if (high && mention.unbound) {
      mention.mistakes->AddMissing(
          *mention.unbound,
          fmt::format(
              "at least one selector, such as \"unix:uid:1000\", because Destination {} has "
              "metadata.sensitivity high",
              Quoted(name)));
    }
  }
}

ResourcesOutcome ResourceReader::Finish() {
  CheckNames(destinations_);
  CheckNames(grants_);
  CheckBreadth();
  // What a file that could not be read holds is not known.
  if (!incomplete_) {
    CheckMentions();
  }
  ResourcesOutcome outcome;
  for (Mistakes& file : files_) {
    std::vector<ConfigMistake> mistakes = file.Take();
    std::move(mistakes.begin(), mistakes.end(), std::back_inserter(outcome.mistakes));
  }
  if (!outcome.mistakes.empty()) {
    return outcome;
  }
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(resources_.destinations.begin(), resources_.destinations.end(), by_name);
  std::sort(resources_.grants.begin(), resources_.grants.end(), by_name);
  outcome.resources = std::make_shared<const Resources>(std::move(resources_));
  return outcome;
}

}  // namespace credence
