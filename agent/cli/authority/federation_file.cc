#include "agent/cli/authority/federation_file.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/bundle_input.h"
#include "agent/cli/authority/wire_types.h"
#include "agent/config/decoder.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

namespace json = boost::json;
using spire::api::types::FederationRelationship;

constexpr std::string_view kList = "federationrelationships";

Error Wrong(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message));
}

std::string LowerCase(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(
      lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

/// A relationship of a file before its values are looked at.
struct WrittenRelationship {
  RelationshipWords words;
  std::string format = "pem";
  const json::value* bundle = nullptr;
};

/// Where the text of member `lower` goes; nullptr for another name.
std::string* PlaceOf(std::string_view lower, WrittenRelationship& written) {
  const std::pair<std::string_view, std::string*> places[] = {
      {"trustdomain", &written.words.trust_domain},
      {"bundleendpointurl", &written.words.endpoint_url},
      {"bundleendpointprofile", &written.words.endpoint_profile},
      {"endpointspiffeid", &written.words.endpoint_id},
      {"trustdomainbundleformat", &written.format},
  };
  for (const auto& [name, place] : places) {
    if (name == lower) {
      return place;
    }
  }
  return nullptr;
}

Result<WrittenRelationship> ReadMembers(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) {
    return Wrong("expected an object");
  }
  WrittenRelationship written;
  std::set<std::string, std::less<>> seen;
  for (const auto& member : *object) {
    const std::string_view name{member.key().data(), member.key().size()};
    const std::string lower = LowerCase(name);
    if (!seen.insert(lower).second) {
      return Wrong(fmt::format("{} is there twice, in two spellings", Quoted(name)));
    }
    if (lower == "trustdomainbundle") {
      written.bundle = member.value().is_null() ? nullptr : &member.value();
      continue;
    }
    std::string* place = PlaceOf(lower, written);
    if (place == nullptr) {
      return Wrong(fmt::format("{} is no member of a relationship", Quoted(name)));
    }
    const json::string* text = member.value().if_string();
    if (text == nullptr) {
      return Wrong(fmt::format("{}: expected a text", Printable(name)));
    }
    place->assign(text->data(), text->size());
  }
  return written;
}

Result<spire::api::types::Bundle> ReadBundleMember(const WrittenRelationship& written,
                                                   const std::string& name) {
  const std::string format = LowerCase(written.format);
  if (format == "spiffe") {
    return written.bundle->is_object()
               ? ParseBundleText(json::serialize(*written.bundle), BundleFormat::kSpiffe, name)
               : Wrong("expected an object, as trustDomainBundleFormat is spiffe");
  }
  if (format != "pem") {
    return Wrong(fmt::format("trustDomainBundleFormat is {}: pem or spiffe", Quoted(format)));
  }
  const json::string* text = written.bundle->if_string();
  return text == nullptr ? Wrong("expected a text, as trustDomainBundleFormat is pem")
                         : ParseBundleText({text->data(), text->size()}, BundleFormat::kPem, name);
}

Result<FederationRelationship> ReadRelationship(const json::value& value) {
  const auto written = ReadMembers(value);
  if (!written.ok()) {
    return written.error();
  }
  auto relationship = RelationshipFromWords(written->words, "");
  if (!relationship.ok() || written->bundle == nullptr) {
    return relationship;
  }
  auto bundle = ReadBundleMember(*written, relationship->trust_domain());
  if (!bundle.ok()) {
    return std::move(bundle).error().Wrap("trustDomainBundle");
  }
  *relationship->mutable_trust_domain_bundle() = *std::move(bundle);
  return relationship;
}

}  // namespace

Result<FederationRelationship> RelationshipFromWords(const RelationshipWords& words,
                                                     std::string_view dash) {
  const auto missing = [dash](std::string_view name, std::string_view why) {
    return Wrong(fmt::format("{}{} is missing{}", dash, name, why));
  };
  if (words.trust_domain.empty()) {
    return missing("trustDomain", "");
  }
  auto name = WireTrustDomain(fmt::format("{}trustDomain", dash), words.trust_domain);
  if (!name.ok()) {
    return std::move(name).error();
  }
  if (words.endpoint_url.empty()) {
    return missing("bundleEndpointURL", "");
  }
  FederationRelationship relationship;
  relationship.set_trust_domain(*std::move(name));
  relationship.set_bundle_endpoint_url(words.endpoint_url);
  if (words.endpoint_profile == "https_web") {
    if (!words.endpoint_id.empty()) {
      return Wrong(fmt::format("{}endpointSpiffeID is for the profile https_spiffe", dash));
    }
    relationship.mutable_https_web();
    return relationship;
  }
  if (words.endpoint_profile != "https_spiffe") {
    return words.endpoint_profile.empty()
               ? missing("bundleEndpointProfile", ": https_web or https_spiffe")
               : Wrong(fmt::format("{}bundleEndpointProfile is {}: https_web or https_spiffe",
                                   dash,
                                   Quoted(words.endpoint_profile)));
  }
  if (words.endpoint_id.empty()) {
    return missing("endpointSpiffeID", ": https_spiffe needs it");
  }
  const auto id = WireId(fmt::format("{}endpointSpiffeID", dash), words.endpoint_id);
  if (!id.ok()) {
    return id.error();
  }
  relationship.mutable_https_spiffe()->set_endpoint_spiffe_id(TextOf(*id));
  return relationship;
}

Result<std::vector<FederationRelationship>> ParseFederationFile(std::string_view text) {
  const auto document = ParseStrictJsonObject(text, kMaxFederationFileBytes);
  if (!document.ok()) {
    return document.error();
  }
  const json::array* list = nullptr;
  if (document->size() == 1) {
    const auto& member = *document->begin();
    list = LowerCase({member.key().data(), member.key().size()}) == kList
               ? member.value().if_array()
               : nullptr;
  }
  if (list == nullptr) {
    return Wrong(R"(expected {"federationRelationships": [...]})");
  }
  std::vector<FederationRelationship> relationships;
  for (const json::value& element : *list) {
    auto relationship = ReadRelationship(element);
    if (!relationship.ok()) {
      return std::move(relationship)
          .error()
          .Wrap(fmt::format("relationship {}", relationships.size() + 1));
    }
    relationships.push_back(*std::move(relationship));
  }
  if (relationships.empty()) {
    return Wrong("there is no relationship in it");
  }
  return relationships;
}

}  // namespace credence
